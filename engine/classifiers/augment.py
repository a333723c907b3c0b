"""Augmentations of a batch of images (B, 3, H, W), drawn from PyTorch's own generator."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ORIENTATIONS: Final = 8
"""Of a square patch: four turns, each seen from both sides."""
STAINS: Final = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
"""Optical densities of red, green and blue of haematoxylin, eosin and a third stain (Ruifrok & Johnston 2001)."""
_REACH: Final = 4
"""Pixels to each side that a blur looks at: twice the largest standard deviation that may be asked for."""
_SHARP: Final = 0.1
"""A standard deviation that changes nothing: the next pixel has a weight of exp(-50)."""
_DARKEST: Final = 1 / 512
"""Transmission taken for none at all: less than half a grey level, so that no byte changes by it."""


def augment(images: Tensor, flips: bool, jitter: float, blur: float, noise: float) -> Tensor:
    """Each patch in one of its eight orientations, with its colours shifted, blurred and noisy, where asked for."""
    if flips:
        images = dihedral(images, torch.randint(0, ORIENTATIONS, (len(images),), device=images.device))
    if jitter:
        images = shift_colours(images, jitter)
    if blur:
        images = blurred(images, blur * torch.rand(len(images), device=images.device))
    if noise:
        images = noisy(images, noise * torch.rand(len(images), device=images.device))
    return images


def dihedral(images: Tensor, orientation: Tensor) -> Tensor:
    """Each image in the orientation (B,) of 0..7 given for it: bit 0 flips rows, bit 1 columns, bit 2 transposes."""
    bits = [(orientation >> bit & 1).bool()[:, None, None, None] for bit in range(3)]
    images = torch.where(bits[0], images.flip(2), images)
    images = torch.where(bits[1], images.flip(3), images)
    return torch.where(bits[2], images.transpose(2, 3), images)


def shift_colours(images: Tensor, amount: float) -> Tensor:
    """Each channel of each image with a gain in 1 ± amount and an offset in ± amount, of the range [-1, 1]; clamped."""
    shape = (len(images), images.shape[1], 1, 1)
    gain, offset = (torch.empty(shape, device=images.device).uniform_(-amount, amount) for _ in range(2))
    return (images * (1 + gain) + offset).clamp(-1, 1)


def blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Each image under a Gaussian with its own standard deviation in pixels (B,); borders are mirrored."""
    channels = images.shape[1]
    reach = min(_REACH, images.shape[-1] - 1)
    places = torch.arange(-reach, reach + 1, device=images.device)
    weights = torch.exp(-0.5 * (places / sigma[:, None].clamp_min(_SHARP)).square())
    kernels = (weights / weights.sum(1, keepdim=True)).to(images.dtype).repeat_interleave(channels, 0)[:, None, None]
    # Every channel of every image is a group of its own: one convolution for the batch.
    planes = F.pad(images.flatten(0, 1)[None], [reach] * 4, mode="reflect")
    across = F.conv2d(planes, kernels, groups=len(kernels))
    return F.conv2d(across, kernels.mT, groups=len(kernels)).view_as(images)


def noisy(images: Tensor, sigma: Tensor) -> Tensor:
    """Each image with Gaussian noise of its own standard deviation (B,), in units of [-1, 1]; clamped."""
    return (images + sigma[:, None, None, None] * torch.randn_like(images)).clamp(-1, 1)


class StainJitter(nn.Module):
    """Each stain of each image with a gain in 1 ± amount and an offset in ± amount of optical density.

    As Tellez et al. (2018, 2019) perturb the stains that colour deconvolution gives: haematoxylin, eosin and what is
    left over. The densities here are natural logarithms.
    """

    def __init__(self, amount: float) -> None:
        super().__init__()
        self._amount = amount
        # Made once: on a GPU, constants made within a step would wait for the device.
        self.stains: Tensor
        self.separation: Tensor
        stains = torch.tensor(STAINS)
        self.register_buffer("stains", stains, persistent=False)
        self.register_buffer("separation", torch.linalg.inv(stains), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        shape = (2, len(images), len(STAINS))
        gain, offset = torch.empty(shape, device=images.device).uniform_(-self._amount, self._amount)
        return change_stains(images, 1 + gain, offset, self.stains, self.separation)


def change_stains(images: Tensor, gain: Tensor, offset: Tensor, stains: Tensor, separation: Tensor) -> Tensor:
    """Images in [-1, 1] with the density of each stain multiplied by `gain` (B, 3), and `offset` (B, 3) added; clamped.

    By the law of Beer and Lambert the densities of `stains` (3, 3; a row for each) add up to the negative logarithm of
    the light that comes through. `separation` is the inverse of `stains`.
    """
    # Half precision has too few digits for logarithms.
    with torch.autocast(images.device.type, enabled=False):
        through = separation @ (gain[:, :, None] * stains)
        added = (offset @ stains)[:, None]
        light = images.permute(0, 2, 3, 1).add(1).div_(2).clamp_(min=_DARKEST)
        density = light.log_().neg_().flatten(1, 2)
        changed = torch.baddbmm(added, density, through).neg_().exp_().mul_(2).sub_(1).clamp_(max=1)
    return changed.view(light.shape).permute(0, 3, 1, 2)
