"""What lies on one patch of the built-in tissue: regions, and the cells that each of them holds."""

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.data.tissue.stamps import (
    CENTROBLAST,
    LYMPHOCYTE,
    ORIENTATIONS,
    RED_CELL,
    SCALE,
    SPINDLE,
    TUMOUR,
    Ints,
    Stamps,
    clouds,
    fibres,
    stamps,
)

SIDE: Final = 96
MARGIN: Final = 24
CANVAS: Final = SIDE + 2 * MARGIN
CENTRE: Final = slice(MARGIN + 32, MARGIN + 64)
_MIDDLE: Final = CANVAS // 2
_OUTSIDE: Final = 10  # pixels beyond the patch where a cell may lie that is seen in part

_LYMPHOID, _GERMINAL, _STROMA, _TUMOUR, _EMPTY = range(5)
# Between the nuclei, by region: cytoplasm and ground, in 1/1024.
_GROUND_H: Final = np.array([60, 70, 18, 60, 0], np.int32)
_GROUND_E: Final = np.array([105, 130, 165, 150, 5], np.int32)

_Y, _X = np.mgrid[:CANVAS, :CANVAS].astype(np.int32)


class Scene:
    """One patch with its margin.

    `haematoxylin` and `eosin` are (CANVAS, CANVAS) int32; `tumour`, of the same shape, is true on tumour nuclei.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._regions = np.full((CANVAS, CANVAS), _LYMPHOID, np.int8)
        self._turn = int(rng.integers(ORIENTATIONS))
        self._wave = self._cloud()
        self.tumour = np.zeros((CANVAS, CANVAS), np.bool_)
        # About half the patches let tumour cells into the centre; in the others they may lie around it.
        self._centre_is_free = bool(rng.random() < 0.49)
        self._lay_out()
        self.haematoxylin, self.eosin = self._ground()
        self._populate()

    @property
    def label(self) -> int:
        """1 where a tumour nucleus touches the central 32x32 pixels."""
        return int(self.tumour[CENTRE, CENTRE].any())

    def _lay_out(self) -> None:
        chance = self._rng.random(5)
        if chance[0] < 0.30:
            self._regions[:] = _STROMA
            if chance[1] < 0.5:
                self._fat()
        elif chance[1] < 0.30:
            self._blob(_GERMINAL, *self._place(40), int(self._rng.integers(24, 60)))
        if chance[2] < 0.30:
            self._band(_STROMA, int(self._rng.integers(5, 26)))
        if chance[3] < 0.25:
            self._band(_EMPTY, int(self._rng.integers(2, 14)))
        if self._centre_is_free:
            self._grow_tumour()
        elif chance[4] < 0.4:
            self._grow_tumour_around()

    def _grow_tumour(self) -> None:
        form = self._rng.random()
        if form < 0.45:
            self._blob(_TUMOUR, *self._place(30), int(self._rng.integers(38, 90)))
        elif form < 0.8:
            self._blob(_TUMOUR, *self._place(16), int(self._rng.integers(14, 34)))
        else:
            self._blob(_TUMOUR, *self._place(14), 9)
            for _ in range(int(self._rng.integers(0, 4))):
                self._blob(_TUMOUR, *self._place(50), 8)

    def _grow_tumour_around(self) -> None:
        for _ in range(int(self._rng.integers(1, 4))):
            angle = self._rng.uniform(0, 2 * np.pi)
            reach = self._rng.uniform(38, 62)
            y, x = round(_MIDDLE + reach * np.sin(angle)), round(_MIDDLE + reach * np.cos(angle))
            self._blob(_TUMOUR, y, x, int(self._rng.integers(9, 30)))

    def _fat(self) -> None:
        """Fat cells beside one another, on one side of a wavy line or everywhere."""
        y, x = self._place(30)
        side = self._rng.integers(-1, 2, 2)
        shown = (_Y - y) * side[0] + (_X - x) * side[1] >= self._wave >> 6
        vacuoles = np.zeros_like(shown)
        for y, x in self._jittered(int(self._rng.integers(28, 46))).tolist():
            vacuoles |= _squared_distance(y, x) < int(self._rng.integers(10, 21)) ** 2
        self._regions[vacuoles & shown] = _EMPTY

    def _blob(self, region: int, y: int, x: int, radius: int) -> None:
        self._regions[self._rough_disc(y, x, radius)] = region

    def _rough_disc(self, y: int, x: int, radius: int) -> NDArray[np.bool_]:
        reach = radius + (self._wave * min(14, radius // 2) >> 10)
        disc: NDArray[np.bool_] = _squared_distance(y, x) < reach * reach
        return disc

    def _band(self, region: int, half_width: int) -> None:
        """A wavy band along the fibres."""
        angle = np.pi * self._turn / ORIENTATIONS
        sine, cosine = round(np.sin(angle) * SCALE), round(np.cos(angle) * SCALE)
        y, x = self._place(40)
        across = ((_Y - y) * cosine - (_X - x) * sine >> 10) + (self._wave * 12 >> 10)
        self._regions[np.abs(across) < half_width] = region

    def _place(self, reach: int) -> tuple[int, int]:
        """A point at most so far from the middle in each direction."""
        y, x = self._rng.integers(_MIDDLE - reach, _MIDDLE + reach + 1, 2)
        return int(y), int(x)

    def _cloud(self) -> Ints:
        return self._window(clouds())

    def _window(self, texture: Ints) -> Ints:
        y, x = self._rng.integers(0, texture.shape[0] - CANVAS + 1, 2)
        return texture[y : y + CANVAS, x : x + CANVAS]

    def _ground(self) -> tuple[Ints, Ints]:
        haematoxylin = _GROUND_H[self._regions]
        eosin = _GROUND_E[self._regions]
        uneven = SCALE + self._cloud() * 3 // 8
        eosin = eosin * uneven >> 10
        strands = self._window(fibres()[self._turn])
        stroma = self._regions == _STROMA
        eosin[stroma] = (eosin * (strands * 2 + SCALE // 6) >> 10)[stroma]
        return haematoxylin * uneven >> 10, eosin

    def _populate(self) -> None:
        density = 0.95 - 0.35 * self._rng.random() ** 2
        shares = {_LYMPHOID: density, _STROMA: 0.05, _TUMOUR: 0.04, _GERMINAL: 0.12}
        self._stain(self.haematoxylin, stamps(LYMPHOCYTE, 128), self._share_of_points(8, shares))
        if (self._regions == _GERMINAL).any():
            points = self._share_of_points(10, {_GERMINAL: 0.85})
            self._stain(self.haematoxylin, stamps(CENTROBLAST, 128), points)
        if (self._regions == _STROMA).any():
            self._stain(self.haematoxylin, stamps(SPINDLE, 128), self._share_of_points(15, {_STROMA: 0.55}), self._turn)
            if self._rng.random() < 0.2:
                self._stain(self.eosin, stamps(RED_CELL, 64), self._share_of_points(7, {_STROMA: 0.2}))
        if (self._regions == _TUMOUR).any():
            spacing = int(self._rng.integers(13, 19))
            self._put_tumour(stamps(TUMOUR, 512), self._share_of_points(spacing, {_TUMOUR: 0.93}))

    def _share_of_points(self, spacing: int, shares: dict[int, float]) -> NDArray[np.int64]:
        """(N, 2) places of cells about `spacing` pixels apart, a share of them in each region."""
        points = self._jittered(spacing)
        share = np.zeros(5)
        share[list(shares)] = list(shares.values())
        kept = self._rng.random(len(points)) < share[self._regions[points[:, 0], points[:, 1]]]
        return points[kept]

    def _jittered(self, spacing: int) -> NDArray[np.int64]:
        points = _lattice(spacing)
        return points + self._rng.integers(-(spacing // 3), spacing // 3 + 1, points.shape)

    def _stain(self, canvas: Ints, bank: Stamps, points: NDArray[np.int64], turn: int | None = None) -> None:
        for window, number in self._windows(bank, points, turn):
            np.maximum(canvas[window], bank.stain[number], out=canvas[window])

    def _put_tumour(self, bank: Stamps, points: NDArray[np.int64]) -> None:
        for window, number in self._windows(bank, points, None):
            self._put_tumour_cell(window, bank.stain[number], bank.mask[number])

    def _put_tumour_cell(self, window: tuple[slice, slice], stain: Ints, mask: NDArray[np.bool_]) -> None:
        covered = self.tumour[window] | mask
        if not self._centre_is_free:
            before = self.tumour[window].copy()
            self.tumour[window] = covered
            if self.label:
                self.tumour[window] = before
                return
        self.tumour[window] = covered
        under = self.haematoxylin[window]
        # A tumour nucleus lies over what it meets: it is paler than a lymphocyte, which would else shine through.
        np.copyto(under, np.maximum(stain, _GROUND_H[_TUMOUR]), where=mask)
        np.maximum(under, stain, out=under, where=~mask)

    def _windows(
        self, bank: Stamps, points: NDArray[np.int64], turn: int | None
    ) -> Iterator[tuple[tuple[slice, slice], int]]:
        reach = bank.side // 2
        numbers = self._rng.integers(0, len(bank), len(points))
        if turn is not None:
            numbers = (
                numbers // ORIENTATIONS * ORIENTATIONS + (turn + self._rng.integers(-1, 2, len(points))) % ORIENTATIONS
            )
        for (y, x), number in zip(points.tolist(), numbers.tolist(), strict=True):
            yield (slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1)), number


def _squared_distance(y: int, x: int) -> Ints:
    squared: Ints = (_Y - y) ** 2 + (_X - x) ** 2
    return squared


@cache
def _lattice(spacing: int) -> NDArray[np.int64]:
    """(N, 2) points of a hexagonal lattice over the patch and a little beyond, jitter of a third of it allowed for."""
    low, high = MARGIN - _OUTSIDE + spacing // 3, CANVAS - MARGIN + _OUTSIDE - spacing // 3
    rows = np.arange(low, high, round(spacing * 0.87))
    return np.array([(y, x) for k, y in enumerate(rows) for x in range(low + k % 2 * spacing // 2, high, spacing)])
