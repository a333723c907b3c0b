"""A small pre-activation residual network, for patches of other stains and sharpness than those it has learnt from."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from engine.classifiers.augment import StainJitter
from engine.classifiers.base import Classifier
from engine.generators.base import Phase, adamw_phase
from engine.spec.classifier_config import ResnetConfig

_LEVELS = 4


class Resnet(Classifier):
    """Pre-activation ResNet (He et al. 2016, "Identity mappings"), trained with AdamW on altered patches.

    A stride-2 convolution, four levels of 24-48-96-192 channels by default, each but the first at half the side, the
    mean over places and Linear to one logit. Against the paper's networks: the first convolution has stride 2, as
    patches of 64 pixels have more places than those of 32 and nuclei span several. Patches are flipped, their stains
    perturbed, blurred and made noisy: what a generator makes is blurred as real patches are not, and a classifier must
    not go by that.
    """

    def __init__(self, config: ResnetConfig, side: int) -> None:
        super().__init__(config)
        self.config: ResnetConfig = config
        widths = [config.channels << level for level in range(_LEVELS)]
        self.stem = nn.Conv2d(3, widths[0], 4, stride=2, padding=1, bias=False)
        blocks = [PreActivationBlock(widths[0], widths[0], stride=1)]
        blocks += [PreActivationBlock(narrow, wide, stride=2) for narrow, wide in pairwise(widths)]
        further = [[PreActivationBlock(width, width, stride=1) for _ in range(config.blocks - 1)] for width in widths]
        self.levels = nn.Sequential(*(nn.Sequential(first, *more) for first, more in zip(blocks, further, strict=True)))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.logit = nn.Linear(widths[-1], 1)
        self.perturb_stains = StainJitter(config.stain_jitter)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.logit(self.features(images))
        return logits.squeeze(1)

    def activations(self, images: Tensor) -> Tensor:
        return F.relu(self.norm(self.levels(self.stem(images))))

    def augment(self, images: Tensor) -> Tensor:
        images = super().augment(images)
        return self.perturb_stains(images) if self.config.stain_jitter else images

    def phases(self) -> tuple[Phase, ...]:
        return (adamw_phase("model", self, self.config),)


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
