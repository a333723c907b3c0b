"""The patch classifiers: one file each, and one line here."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.spec.classifier_config import ClassifierConfig

if TYPE_CHECKING:
    from engine.classifiers.base import Classifier

CLASSIFIERS: Mapping[str, str] = MappingProxyType(
    {
        "cnn": "engine.classifiers.cnn:Cnn",
        "resnet": "engine.classifiers.resnet:Resnet",
    }
)


def build_classifier(config: ClassifierConfig, side: int) -> "Classifier":
    """The classifier of this config for patches of `side` pixels, with fresh weights."""
    module, name = CLASSIFIERS[config.kind].split(":")
    classifier: Classifier = getattr(importlib.import_module(module), name)(config, side)
    return classifier
