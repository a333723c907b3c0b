"""Feature spaces in which patches are compared, and the features of a set of patches in one of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.batches import in_order, to_float
from engine.classifiers.augment import ORIENTATIONS, dihedral
from engine.classifiers.base import Classifier
from engine.data.patches import Patches
from engine.randomness import mix

_BATCH = 256
_WIDTHS = (24, 48, 48)
_KERNELS = (5, 3, 3)
_STRIDES = (2, 1, 1)
_DARKEST = 1 / 512


@dataclass(frozen=True, slots=True)
class Space:
    """A feature space. What is measured in it is named for it: the Fréchet distance of cnn features, say."""

    name: str
    features: Callable[[Tensor], Tensor]
    """Images (B, 3, H, W) in [-1, 1] to features (B, D), on one device."""


@torch.no_grad()
def features_of(patches: Patches, space: Space, device: torch.device, batch_size: int = _BATCH) -> Tensor:
    """The features of each patch, (N, D) float64 on the device."""
    batches = in_order(patches, batch_size, device)
    return torch.cat([space.features(to_float(images)).double() for _, images in batches])


def classifier_space(name: str, classifier: Classifier) -> Space:
    """What a classifier sees, which is put into evaluation mode; it may be blind to all that tells no classes apart."""
    return Space(name, classifier.eval().features)


def label_free_space(device: torch.device) -> Space:
    """The random convolutions, on the device."""
    return Space("random convolutions", RandomConvolutions().to(device))


class RandomConvolutions(nn.Module):
    """A space that knows no labels: random convolutions averaged over the patch, and moments of its optical density.

    Networks with random weights are what Naeem et al. (2020) recommend where the data are far from ImageNet: the
    space has no classes to be biased by, so that a collapse in what no classifier looks at shows as well. Theirs is a
    VGG16; this one is small, takes the mean of every layer and not the last one's activations, has no response to flat
    areas, and carries colour, which stains differ by, in the mean and deviation of each channel's optical density.
    It averages over the eight orientations, which tissue has no first of and generators may train on: scanners and
    JPEG leave a grain by which turned PCam patches could else be told (detector AUC 0.64 on 2,000 against 2,000).
    The weights are always the same sample of numpy's Philox generator.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *_WIDTHS[:-1])
        self.layers = nn.ModuleList(
            _convolution(number, *shape)
            for number, shape in enumerate(zip(inputs, _WIDTHS, _KERNELS, _STRIDES, strict=True))
        )

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 126) of images (B, 3, H, W) in [-1, 1]."""
        density = images.add(1).div(2).clamp(min=_DARKEST).log().neg()
        deviation, mean = torch.std_mean(density, dim=(2, 3))
        orientations = torch.arange(ORIENTATIONS, device=images.device)[:, None].expand(-1, len(images))
        responses = [self._responses(dihedral(images, orientation)) for orientation in orientations]
        return torch.cat((mean, deviation, torch.stack(responses).mean(0)), dim=1)

    def _responses(self, images: Tensor) -> Tensor:
        means = []
        for number, layer in enumerate(self.layers):
            images = F.relu(layer(F.avg_pool2d(images, 2) if number else images))
            means.append(images.mean((2, 3)))
        return torch.cat(means, dim=1)


def _convolution(number: int, inputs: int, outputs: int, side: int, stride: int) -> nn.Conv2d:
    """Normal weights without a response to constant input, of a length that keeps the variance (He et al. 2015)."""
    rng = np.random.Generator(np.random.Philox(mix("random convolutions", number)))
    weights = rng.standard_normal((outputs, inputs, side, side))
    weights -= weights.mean(axis=(1, 2, 3), keepdims=True)
    weights *= np.sqrt(2 / np.square(weights).sum(axis=(1, 2, 3), keepdims=True))
    # Made without weights: drawing some would move PyTorch's own generator, and with it a run that measures.
    layer = nn.Conv2d(inputs, outputs, side, stride, side // 2, padding_mode="reflect", bias=False, device="meta")
    layer.weight = nn.Parameter(torch.from_numpy(weights.astype(np.float32)), requires_grad=False)
    return layer
