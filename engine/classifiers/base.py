"""Classifier: a model that tells tumour from normal patches."""

from abc import abstractmethod

from torch import Tensor
from torch.nn import functional as F

from engine.classifiers.augment import augment
from engine.generators.base import Loss, Model, Phase, parameters_of
from engine.spec.classifier_config import ClassifierFitConfig


class Classifier(Model):
    """One logit per patch, trained with binary cross-entropy."""

    def __init__(self, config: ClassifierFitConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Logits (B,) of tumour for images (B, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def activations(self, images: Tensor) -> Tensor:
        """The last layer's input, place by place: (B, C, H', W') for images (B, 3, H, W) in [-1, 1]."""

    def features(self, images: Tensor) -> Tensor:
        """What the classifier sees in images (B, 3, H, W) in [-1, 1]: its activations, averaged over places, (B, C)."""
        return self.activations(images).mean((2, 3))

    def augment(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) as they are trained on."""
        config = self.config
        return augment(images, config.flips, config.colour_jitter, config.blur, config.noise)

    def phases(self) -> tuple[Phase, ...]:
        betas = (self.config.beta1, self.config.beta2)
        return (Phase("model", parameters_of(self), self.config.learning_rate, betas),)

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        bce = F.binary_cross_entropy_with_logits(self(self.augment(images)).float(), labels.float())
        return Loss(bce, {"bce": bce})
