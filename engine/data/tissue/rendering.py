"""Lymph-node-like patches from a physical stain model, with the truth about them: for trying things and for tests.

Haematoxylin and eosin are concentrations that absorb light by Beer and Lambert's law, with stain vectors near those of
Ruifrok & Johnston (2001) that vary from slide to slide.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.data.sources.base import TEST
from engine.data.tissue.scene import MARGIN, SIDE, Scene
from engine.data.tissue.stamps import SCALE, Ints

VERSION: Final = 1

_STAINS: Final = np.array([[0.650, 0.704, 0.286], [0.110, 0.930, 0.350]])
_DENSEST: Final = 3
_SLIDE, _SPLIT_BITS = 1 << 20, 2


@dataclass(frozen=True, slots=True)
class Slide:
    """A slide's stain and scanner.

    `density` (2, 3) int32 is the optical density of each stain in each channel, and `light` (3, D) uint8 what is seen
    through an optical density, both in 1/1024. `blur` is in passes, `noise` in grey levels.
    """

    density: Ints
    light: NDArray[np.uint8]
    blur: int
    noise: int


def slide_of(seed: int, split: int, index: int, slides: int) -> int:
    """Which slide a patch is from. The last quarter of the slides is for testing."""
    testing = max(1, slides // 4)
    mixed = _mix(_mix(seed << _SPLIT_BITS | split) ^ index)
    return slides - testing + mixed % testing if split == TEST else mixed % (slides - testing)


def slide_name(seed: int, slide: int) -> str:
    return f"tissue-{seed}-{slide:03d}"


def render(seed: int, split: int, index: int, slides: int) -> tuple[NDArray[np.uint8], int]:
    """Patch `index` of a split, (96, 96, 3) uint8 RGB, and its label: 1 where a tumour nucleus touches the centre.

    The same for the same arguments, whatever else is rendered, and wherever.
    """
    rng = np.random.Generator(np.random.PCG64([seed, split, index]))
    scene = Scene(rng)
    return expose(rng, scene, stain_of(seed, slide_of(seed, split, index, slides))), scene.label


@lru_cache(maxsize=1024)
def stain_of(seed: int, slide: int) -> Slide:
    """The stain and scanner of one slide."""
    rng = np.random.Generator(np.random.PCG64([seed, _SLIDE, slide]))
    vectors = np.clip(_STAINS + rng.uniform(-0.06, 0.06, (2, 3)), 0.02, None)
    vectors[:, 2] += rng.uniform(0, 0.16)  # scanners differ most in blue
    strength = np.array([rng.uniform(0.58, 0.95), rng.uniform(0.55, 1.1)])
    background = rng.uniform(230, 248) + rng.uniform(-5, 5, 3)
    optical = np.arange(_DENSEST * SCALE) / SCALE
    return Slide(
        density=np.rint(vectors * strength[:, None] * SCALE).astype(np.int32),
        light=np.rint(background[:, None] * 10.0**-optical).astype(np.uint8),
        blur=1 + int(rng.random() < 0.25),
        noise=int(rng.integers(2, 7)),
    )


def expose(rng: np.random.Generator, scene: Scene, slide: Slide) -> NDArray[np.uint8]:
    """What a scanner sees of a scene, (96, 96, 3) uint8 RGB."""
    haematoxylin, eosin = (_blurred(stain, slide.blur) for stain in (scene.haematoxylin, scene.eosin))
    channels = [
        light[np.clip(haematoxylin * h + eosin * e >> 10, 0, _DENSEST * SCALE - 1)]
        for h, e, light in zip(*slide.density, slide.light, strict=True)
    ]
    grain = rng.integers(-slide.noise, slide.noise + 1, (SIDE, SIDE, 1), np.int16)
    colour = rng.integers(-slide.noise, slide.noise + 1, (SIDE, SIDE, 3), np.int16) // 2
    seen: NDArray[np.int16] = np.stack(channels, axis=-1) + grain + colour
    return np.clip(seen, 0, 255).astype(np.uint8)


def _blurred(canvas: Ints, passes: int) -> Ints:
    """The patch without its margin, smoothed by a 3x3 binomial as often as asked."""
    edge = MARGIN - passes
    image = canvas[edge:-edge, edge:-edge]
    for _ in range(passes):
        image = image[:-2] + 2 * image[1:-1] + image[2:]
        image = image[:, :-2] + 2 * image[:, 1:-1] + image[:, 2:] >> 4
    return image


def _mix(value: int) -> int:
    """SplitMix64's finaliser (Steele et al. 2014)."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31
