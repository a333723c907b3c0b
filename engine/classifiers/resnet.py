"""A small pre-activation residual network, for patches of other stains and sharpness than those it has learnt from."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from engine.classifiers.augment import StainJitter
from engine.classifiers.base import Classifier
from engine.ema import Average
from engine.generators.base import Phase, adamw_phase
from engine.spec.classifier_config import ResnetConfig

_LEVELS = 4


class Resnet(Classifier):
    """Pre-activation ResNet (He et al. 2016, "Identity mappings"), trained with AdamW on altered patches.

    Patches are flipped, their stains perturbed, blurred and made noisy: what a generator makes is blurred as real
    patches are not, and a classifier must not go by that. It classifies with a moving average of its weights (Polyak &
    Juditsky 1992): what holds only among the patches that it learns from changes from step to step, and averages out.
    """

    def __init__(self, config: ResnetConfig, side: int) -> None:
        super().__init__(config)
        self.config: ResnetConfig = config
        self.network = PreActivationNet(config.channels, config.blocks)
        self.average = Average(self.network, config.ema_decay)
        self.perturb_stains = StainJitter(config.stain_jitter)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self._used(images)
        return logits

    def activations(self, images: Tensor) -> Tensor:
        return self._used.activations(images)

    @property
    def _used(self) -> "PreActivationNet":
        return self.network if self.training else self.average.network

    def augment(self, images: Tensor) -> Tensor:
        images = super().augment(images)
        return self.perturb_stains(images) if self.config.stain_jitter else images

    def phases(self) -> tuple[Phase, ...]:
        return (adamw_phase("model", self.network, self.config),)

    def after_step(self, step: int) -> None:
        self.average.update(self.network, step)


class PreActivationNet(nn.Module):
    """A stride-2 convolution, four levels, the mean over places and Linear to one logit.

    Channels double at each level, and each but the first has half the side. Against the paper's networks: the first
    convolution has stride 2, as patches of 64 pixels have more places than those of 32 and nuclei span several.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        widths = [channels << level for level in range(_LEVELS)]
        self.stem = nn.Conv2d(3, widths[0], 4, stride=2, padding=1, bias=False)
        first = [PreActivationBlock(widths[0], widths[0], stride=1)]
        first += [PreActivationBlock(narrow, wide, stride=2) for narrow, wide in pairwise(widths)]
        further = [[PreActivationBlock(width, width, stride=1) for _ in range(blocks - 1)] for width in widths]
        self.levels = nn.Sequential(*(nn.Sequential(one, *more) for one, more in zip(first, further, strict=True)))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.logit = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B,) for images (B, 3, H, W) in [-1, 1]."""
        logits: Tensor = self.logit(self.activations(images).mean((2, 3)))
        return logits.squeeze(1)

    def activations(self, images: Tensor) -> Tensor:
        """The last layer's input, place by place, (B, C, H/16, W/16)."""
        return F.relu(self.norm(self.levels(self.stem(images))))


class PreActivationBlock(nn.Module):
    """x + f(x), f being twice batch normalisation, ReLU and a 3x3 convolution; (B, C, H, W) to (B, C', H/s, W/s)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = inputs != outputs or stride != 1
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        residual: Tensor = self.conv2(F.relu(self.norm2(self.conv1(active))))
        return residual + (x if self.shortcut is None else self.shortcut(active))
