"""The study's classifier: four stride-2 convolutions, no normalisation, one linear layer."""

from torch import Tensor, nn

from engine.classifiers.base import Classifier
from engine.generators.blocks import deepest_shape, down
from engine.spec.classifier_config import CnnConfig


class Cnn(Classifier):
    """Conv(4, stride 2, padding 1) with ReLU, 16-32-64-128 channels by default, then Linear to one logit."""

    def __init__(self, config: CnnConfig, side: int) -> None:
        super().__init__(config)
        channels, height, width = deepest_shape(config.channels, side)
        self.encoder = down(3, config.channels, norm=False, activation=nn.ReLU)
        self.logit = nn.Linear(channels * height * width, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.logit(self.activations(images).flatten(1))
        return logits.squeeze(1)

    def activations(self, images: Tensor) -> Tensor:
        activations: Tensor = self.encoder(images)
        return activations
