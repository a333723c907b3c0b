"""Augmentations of what a discriminator sees, through which gradients reach the generator (Zhao et al. 2020)."""

import torch
from torch import Tensor


def diff_augment(images: Tensor, translation: float, cutout: float, colour: float) -> Tensor:
    """Images (B, 3, S, S) in about [-1, 1], each with colours changed, shifted and with a square cut out, at random.

    `translation` is the largest shift along an axis and `cutout` the side of the square, in shares of S; both leave
    black's opposite of neither, 0. `colour` is the strength of `change_colours`. What is 0 is left out.
    """
    # Half precision has fewer digits than a byte.
    with torch.autocast(images.device.type, enabled=False):
        images = images.float()
        if colour:
            images = change_colours(images, *_uniform(3, images, colour))
        if largest := round(translation * images.shape[2]):
            images = shifted(images, *torch.randint(-largest, largest + 1, (2, len(images)), device=images.device))
        if size := round(cutout * images.shape[2]):
            # Centres as far out as the edge, so that the middle is no likelier to be cut than the rest.
            corners = torch.randint(-(size // 2), images.shape[2] - size // 2, (2, len(images)), device=images.device)
            images = cut_out(images, size, *corners)
        return images


def _uniform(count: int, images: Tensor, strength: float) -> Tensor:
    return torch.empty(count, len(images), 1, 1, 1, device=images.device).uniform_(-strength, strength)


def change_colours(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Images (B, 3, H, W) moved away from grey and from their mean, all amounts (B, 1, 1, 1) in [-1, 1].

    Of the paper's: brightness adds half its amount; saturation scales the distance from each pixel's mean by 1 + amount
    and contrast that from the image's mean by 1 + half of it. At 1 they are the paper's largest.
    """
    images = images + brightness / 2
    images = torch.lerp(images, images.mean(1, keepdim=True), -saturation)
    return torch.lerp(images, images.mean((1, 2, 3), keepdim=True), -contrast / 2)


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (B, C, S, S) moved by so many pixels (B,) int64; 0 where they have left.

    Two products with matrices of zeros and ones: their gradients are the same in every run, on a GPU too.
    """
    places = torch.arange(images.shape[2], device=images.device)
    rows, columns = (
        (places[:, None] - moved[:, None, None] == places).to(images.dtype)[:, None] for moved in (down, right)
    )
    return rows @ images @ columns.mT


def cut_out(images: Tensor, size: int, top: Tensor, left: Tensor) -> Tensor:
    """Images (B, C, S, S) with 0 in a square of this size that begins at (top, left), each (B,), or outside."""
    places = torch.arange(images.shape[2], device=images.device)
    within = [(places >= first[:, None]) & (places < first[:, None] + size) for first in (top, left)]
    return images * ~(within[0][:, None, :, None] & within[1][:, None, None, :])
