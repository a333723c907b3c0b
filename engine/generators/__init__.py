"""The generators: one file each, and one line here."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.spec.generator_config import GeneratorConfig

if TYPE_CHECKING:
    from engine.generators.base import Generator

GENERATORS: Mapping[str, str] = MappingProxyType(
    {
        "vae": "engine.generators.vae:Vae",
        "gan": "engine.generators.gan:Gan",
        "projection-gan": "engine.generators.projection_gan:ProjectionGan",
        "null": "engine.generators.null:Null",
        "diffusion": "engine.generators.diffusion:Diffusion",
        "latent-flow": "engine.generators.latent_flow:LatentFlow",
        "vqvae": "engine.generators.vqvae:Vqvae",
    }
)


def build_generator(config: GeneratorConfig, side: int) -> "Generator":
    """The generator of this config for patches of `side` pixels, with fresh weights."""
    module, name = GENERATORS[config.kind].split(":")
    generator: Generator = getattr(importlib.import_module(module), name)(config, side)
    return generator
