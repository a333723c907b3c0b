"""What the built-in tissue is drawn with: nuclei and textures, made once and used many times.

Everything is a concentration of stain in 1/1024 (SCALE), as int32, so that the same seed gives the same bytes on any
processor. One pixel is about 0.97 µm, as in Camelyon's patches.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]

SCALE: Final = 1024
ORIENTATIONS: Final = 16
_SEED: Final = 20161211


@dataclass(frozen=True, slots=True)
class Nucleus:
    """How a kind of nucleus looks: radius in pixels, unevenness of the outline, and haematoxylin by part."""

    radius: tuple[float, float]
    elongation: tuple[float, float]
    unevenness: float
    body: tuple[float, float]
    chromatin: float
    rim: float
    nucleoli: tuple[int, int]


LYMPHOCYTE: Final = Nucleus((3.0, 3.8), (1.0, 1.12), 0.05, (0.62, 0.95), 0.22, 0.05, (0, 0))
CENTROBLAST: Final = Nucleus((3.9, 5.2), (1.0, 1.2), 0.06, (0.34, 0.58), 0.12, 0.16, (1, 3))
TUMOUR: Final = Nucleus((4.8, 8.2), (1.0, 1.5), 0.12, (0.18, 0.5), 0.11, 0.22, (1, 3))
SPINDLE: Final = Nucleus((3.0, 3.9), (3.0, 4.6), 0.04, (0.5, 0.8), 0.10, 0.05, (0, 0))
RED_CELL: Final = Nucleus((2.6, 3.3), (1.0, 1.25), 0.04, (0.34, 0.5), 0.02, 0.06, (0, 0))


@dataclass(frozen=True, slots=True)
class Stamps:
    """Drawn nuclei: `stain` (N, S, S) int32 concentrations, and `mask` (N, S, S) bool, where the nucleus is."""

    stain: Ints
    mask: NDArray[np.bool_]

    @property
    def side(self) -> int:
        return int(self.stain.shape[1])

    def __len__(self) -> int:
        return len(self.stain)


@cache
def stamps(nucleus: Nucleus, count: int) -> Stamps:
    """So many nuclei of a kind, their long axes turning once through ORIENTATIONS directions in order."""
    rng = np.random.Generator(np.random.PCG64([_SEED, count, round(nucleus.radius[1] * 100)]))
    reach = int(nucleus.radius[1] * nucleus.elongation[1] ** 0.5 * (1 + 2 * nucleus.unevenness)) + 2
    drawn = [_draw(rng, nucleus, reach, np.pi * (k % ORIENTATIONS) / ORIENTATIONS) for k in range(count)]
    return Stamps(np.stack([stain for stain, _ in drawn]), np.stack([mask for _, mask in drawn]))


def _draw(rng: np.random.Generator, kind: Nucleus, reach: int, angle: float) -> tuple[Ints, NDArray[np.bool_]]:
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] - rng.uniform(-0.5, 0.5, (2, 1, 1))
    stretch = rng.uniform(*kind.elongation) ** 0.5
    along = (x * np.cos(angle) + y * np.sin(angle)) / stretch
    across = (y * np.cos(angle) - x * np.sin(angle)) * stretch
    inside = _outline(rng, kind, np.arctan2(across, along)) - np.hypot(along, across)
    cover = np.clip(inside + 0.5, 0, 1)
    body = rng.uniform(*kind.body) * np.ones_like(cover)
    body += kind.chromatin * _clumps(rng, len(cover))
    body += kind.rim * np.clip(1 - np.abs(inside - 0.7) / 1.1, 0, 1)
    body += _nucleoli(rng, kind, along, across)
    stain = np.rint(np.clip(body, 0.05, None) * cover * SCALE).astype(np.int32)
    return stain, cover >= 0.5


def _outline(rng: np.random.Generator, kind: Nucleus, theta: Floats) -> Floats:
    """Radius by direction: a circle with a few harmonics."""
    radius = np.ones_like(theta)
    for harmonic in (2, 3, 4, 5):
        size = kind.unevenness * rng.uniform(-1, 1) * 2 / harmonic
        radius += size * np.cos(harmonic * theta + rng.uniform(0, 2 * np.pi))
    return radius * rng.uniform(*kind.radius)


def _nucleoli(rng: np.random.Generator, kind: Nucleus, x: Floats, y: Floats) -> Floats:
    dark = np.zeros_like(x)
    for _ in range(int(rng.integers(kind.nucleoli[0], kind.nucleoli[1] + 1))):
        reach, angle = kind.radius[0] * 0.55 * rng.random(), rng.uniform(0, 2 * np.pi)
        distance = np.hypot(x - reach * np.cos(angle), y - reach * np.sin(angle))
        spot = rng.uniform(0.3, 0.55) * np.clip(rng.uniform(0.9, 1.7) - distance + 0.5, 0, 1)
        dark = np.maximum(dark, spot)
    return dark


def _clumps(rng: np.random.Generator, side: int) -> Floats:
    """Chromatin: noise in -1 to 1 with grains of about two pixels."""
    noise = rng.uniform(-1, 1, (side + 1, side + 1))
    return (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]) / 2


@cache
def clouds(side: int = 512) -> Ints:
    """(side, side) int32 smooth noise in about -SCALE to SCALE, with features from 4 to 64 pixels; tiles."""
    rng = np.random.Generator(np.random.PCG64([_SEED, 1]))
    total = np.zeros((side, side))
    for cell, size in ((64, 0.45), (32, 0.3), (16, 0.25), (8, 0.2), (4, 0.15)):
        total += size * _lattice(rng, side, cell)
    return np.rint(total * SCALE).astype(np.int32)


def _lattice(rng: np.random.Generator, side: int, cell: int) -> Floats:
    """Random values every `cell` pixels, with smooth passage between them; tiles."""
    corners = rng.uniform(-1, 1, (side // cell, side // cell))
    place = np.arange(side) / cell
    low = place.astype(np.int64)
    part = place - low
    part = part * part * (3 - 2 * part)
    high = (low + 1) % (side // cell)
    rows = corners[low] * (1 - part[:, None]) + corners[high] * part[:, None]
    smooth: Floats = rows[:, low] * (1 - part) + rows[:, high] * part
    return smooth


@cache
def fibres(side: int = 192) -> Ints:
    """(ORIENTATIONS, side, side) int32 wavy collagen fibres in 0 to SCALE, running in each direction."""
    rng = np.random.Generator(np.random.PCG64([_SEED, 2]))
    return np.stack([_fibres(rng, side, np.pi * turn / ORIENTATIONS) for turn in range(ORIENTATIONS)])


def _fibres(rng: np.random.Generator, side: int, angle: float) -> Ints:
    y, x = np.mgrid[:side, :side].astype(np.float64)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    total = np.zeros((side, side))
    for width, length, size in ((2.2, 34.0, 0.45), (4.5, 60.0, 0.35), (10.0, 90.0, 0.3)):
        wave = np.sin(along / rng.uniform(11, 17) + rng.uniform(0, 6)) * rng.uniform(1.0, 2.5)
        total += size * _sampled(rng.random((128, 64)), (across + wave) / width, along / length)
    return np.rint(np.clip(total, 0, 1) * SCALE).astype(np.int32)


def _sampled(noise: Floats, y: Floats, x: Floats) -> Floats:
    """Noise at fractional places, between its corners; tiles."""
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    v, u = y - top, x - left
    height, width = noise.shape
    rows = [
        noise[row % height, left % width] * (1 - u) + noise[row % height, (left + 1) % width] * u
        for row in (top, top + 1)
    ]
    between: Floats = rows[0] * (1 - v) + rows[1] * v
    return between
