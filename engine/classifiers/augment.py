"""Augmentations of a batch of images (B, 3, H, W), drawn from PyTorch's own generator."""

import torch
from torch import Tensor


def augment(images: Tensor, flips: bool, jitter: float) -> Tensor:
    """Each patch in one of its eight orientations, and with its colours shifted, where asked for."""
    if flips:
        images = dihedral(images, torch.randint(0, 8, (len(images),), device=images.device))
    if jitter:
        images = shift_colours(images, jitter)
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
