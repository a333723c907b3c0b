"""Curves are collected whole, thinned without losing an extreme, smoothed by the formula, and drawn where they are."""

import math

import numpy as np
import pytest

from engine.spec.events import Metrics
from histotui.curves import CurveBook, spark
from histotui.decimation import braille, ema, fractional_epochs, log10_clipped, min_max, segments
from histotui.widgets.axes import DurationAxis, LogAxis, NumberAxis, round_numbers

NAN, INF = math.nan, math.inf


def metrics(step: int, *, stage: str = "generator", epoch: int = 1, time: float = 0.0, **values: float) -> Metrics:
    return Metrics(stage=stage, step=step, epoch=epoch, time=time, values=values)


def arrays(*lists: list[float]) -> list[np.ndarray]:
    return [np.array(values, dtype=np.float64) for values in lists]


# Collecting


def test_a_book_has_a_curve_per_stage_and_name_in_order() -> None:
    book = CurveBook()
    book.add(metrics(10, time=100.0, recon=3.0, kl=1.0))
    book.add(metrics(20, time=104.5, epoch=2, recon=2.0, kl=1.5))
    book.add(metrics(5, stage="classifier", time=110.0, bce=0.7))
    curves = book.snapshot()
    assert [(curve.stage, curve.name) for curve in curves] == [
        ("generator", "recon"), ("generator", "kl"), ("classifier", "bce"),
    ]  # fmt: skip
    columns = [list(column) for column in (curves[0].steps, curves[0].epochs, curves[0].times, curves[0].values)]
    assert columns == [[10, 20], [1, 2], [0, 4.5], [3, 2]]
    assert list(curves[2].times) == [10.0]


def test_seconds_count_from_the_runs_first_event_where_it_is_known() -> None:
    book = CurveBook(began=90.0)
    book.add(metrics(1, time=100.0, recon=1.0))
    assert list(book.snapshot()[0].times) == [10.0]


def test_a_step_that_was_said_is_not_taken_again() -> None:
    book = CurveBook()
    for step, value in ((10, 1.0), (20, 2.0), (20, 9.0), (15, 9.0), (30, 3.0)):
        book.add(metrics(step, recon=value))
    assert list(book.snapshot()[0].values) == [1.0, 2.0, 3.0]


def test_a_snapshot_stays_and_what_did_not_change_is_not_copied() -> None:
    book = CurveBook()
    book.add(metrics(1, recon=1.0, kl=1.0))
    before = book.snapshot()
    assert book.snapshot() is before
    book.add(metrics(2, kl=2.0))
    after = book.snapshot()
    assert after[0] is before[0] and after[1] is not before[1]
    assert (list(before[1].values), list(after[1].values)) == ([1.0], [1.0, 2.0])


def test_an_empty_book_has_no_curves() -> None:
    assert CurveBook().snapshot() == ()


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([0, 0, 7, 7], 2, "▁█"),
        ([5], 4, "▅"),
        ([2, 2, 2], 3, "▅▅▅"),
        ([0, NAN, INF, 1], 4, "▁  █"),
        ([NAN, NAN], 2, "  "),
        ([-1e308, 1e308], 2, "▁█"),
        ([], 5, ""),
        ([1, 2], 0, ""),
    ],
    ids=str,
)
def test_spark_lines(values: list[float], width: int, line: str) -> None:
    assert spark(values, width) == line


# Thinning


def test_few_points_stay_as_they_are() -> None:
    x, y = arrays([0, 1, 2, 3], [5, 1, 9, 2])
    assert [list(part) for part in min_max(x, y, 10, 0, 3)] == [[0, 1, 2, 3], [5, 1, 9, 2]]


def test_each_column_keeps_its_lowest_and_highest_point_in_their_order() -> None:
    x, y = np.arange(8.0), np.array([3.0, 9, 1, 4, 7, 7, 2, 8])
    thin_x, thin_y = min_max(x, y, 2, 0, 8)
    assert (list(thin_x), list(thin_y)) == ([1, 2, 6, 7], [9, 1, 2, 8])


@pytest.mark.parametrize("seed", range(8))
def test_no_spike_is_lost(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, columns = int(random.integers(700, 20_000)), int(random.integers(1, 320))
    x = np.cumsum(random.exponential(size=count))
    y = random.standard_normal(count)
    spikes = random.choice(count, 12, replace=False)
    y[random.choice(count, 50)] = NAN
    # One up and one down to a column at most.
    low, high = float(x[0]), float(x[-1])
    column = np.minimum(((x[spikes] - low) / (high - low) * columns).astype(int), columns - 1)
    spikes = spikes[np.unique(column, return_index=True)[1]]
    y[spikes] = 1000 * random.choice([-1.0, 1.0], len(spikes))
    thin_x, thin_y = min_max(x, y, columns, low, high)
    assert len(thin_x) <= 2 * columns + 2
    kept = dict(zip(thin_x, thin_y, strict=True))
    assert [kept.get(x[spike]) for spike in spikes] == [y[spike] for spike in spikes]
    assert (np.diff(thin_x) > 0).all()


def test_only_what_is_in_view_and_the_next_point_on_either_side() -> None:
    x = np.arange(100.0)
    thin_x, _ = min_max(x, x, 50, 40.5, 44.5)
    assert list(thin_x) == [40, 41, 42, 43, 44, 45]
    between, _ = min_max(x, x, 50, 41.2, 41.8)
    assert list(between) == [41, 42]
    beyond, _ = min_max(x, x, 50, 200, 300)
    assert list(beyond) == [99]


def test_a_gap_is_one_nan_and_parts_the_line() -> None:
    x, y = arrays([0, 1, 2, 3, 4, 5], [1, NAN, INF, 4, -INF, 6])
    thin_x, thin_y = min_max(x, y, 10, 0, 5)
    assert list(thin_x) == [0, 1, 3, 4, 5]
    assert [list(part) for _, part in segments(thin_x, thin_y)] == [[1], [4], [6]]


def test_a_gap_over_whole_columns_is_kept_among_many_points() -> None:
    x, y = np.arange(1000.0), np.ones(1000)
    y[300:600] = NAN
    parts = segments(*min_max(x, y, 10, 0, 999))
    assert len(parts) == 2
    assert parts[0][0].max() < 300 and parts[1][0].min() >= 600


def test_thinning_nothing_gives_nothing() -> None:
    empty = np.zeros(0)
    assert [len(part) for part in min_max(empty, empty, 10, 0, 1)] == [0, 0]


# Smoothing and logarithms


def test_the_average_is_corrected_for_its_start() -> None:
    y = np.array([4.0, 8.0, 0.0])
    assert ema(y, 0.5) == pytest.approx([4, (0.5 * 4 + 8) / 1.5, (0.25 * 4 + 0.5 * 8) / 1.75])


@pytest.mark.parametrize("weight", [0.3, 0.9, 0.99])
def test_the_average_is_what_a_loop_gives(weight: float) -> None:
    y = np.random.default_rng(0).standard_normal(3000)
    total = norm = 0.0
    expected = []
    for value in y:
        total, norm = weight * total + value, weight * norm + 1
        expected.append(total / norm)
    assert ema(y, weight) == pytest.approx(expected, abs=1e-12)


def test_a_constant_stays_and_weight_nought_changes_nothing() -> None:
    assert ema(np.full(5000, 7.0), 0.99) == pytest.approx(np.full(5000, 7.0))
    y = np.array([1.0, 5.0, -2.0])
    assert list(ema(y, 0.0)) == list(y)


def test_what_is_not_finite_stays_out_of_the_average() -> None:
    smooth = ema(np.array([NAN, 4.0, NAN, INF, 8.0]), 0.5)
    assert np.isnan(smooth[[0, 2]]).all() and smooth[3] == INF
    assert smooth[[1, 4]] == pytest.approx([4, (0.125 * 4 + 8) / 1.125])


def test_what_has_no_logarithm_is_a_gap() -> None:
    logarithms = log10_clipped(np.array([1000.0, 0.01, 0.0, -1.0, NAN, INF]))
    assert logarithms[:2] == pytest.approx([3, -2])
    assert np.isnan(logarithms[2:]).all()


@pytest.mark.parametrize(
    ("epochs", "fractions"),
    [
        ([1, 1, 1, 1, 2, 2], [0.25, 0.5, 0.75, 1, 1.25, 1.5]),
        ([1, 2, 3], [1, 2, 3]),
        ([1, 1], [0.5, 1]),
        ([], []),
    ],
)
def test_points_are_spread_within_their_epoch(epochs: list[float], fractions: list[float]) -> None:
    assert fractional_epochs(np.array(epochs, dtype=np.float64)) == pytest.approx(fractions)


# Dots


def characters(x: list[float], y: list[float], columns: int, rows: int) -> list[str]:
    cells = braille(*arrays(x, y), columns, rows)
    return ["".join(chr(0x2800 + int(cell)) for cell in row) for row in cells]


def test_lines_fill_the_dots_they_pass() -> None:
    assert characters([0, 2.99], [0.6, 0.6], 3, 1) == ["⠤⠤⠤"]
    assert characters([0.6, 0.6], [0, 1.99], 1, 2) == ["⢸", "⢸"]
    assert characters([0, 1.99], [0, 0.99], 2, 1) == ["⠑⢄"]
    assert characters([0.1, 0.1], [0.1, 0.1], 1, 1) == ["⠁"]


def test_what_leaves_the_frame_is_cut_at_its_edge() -> None:
    assert characters([-50, 50], [0.6, 0.6], 2, 1) == ["⠤⠤"]
    assert characters([0.1, 0.1], [-1e300, 1e300], 1, 1) == ["⡇"]
    assert characters([0, 1], [-3, -3], 2, 1) == ["⠀⠀"]
    assert characters([5, 9], [0.5, 0.5], 2, 1) == ["⠀⠀"]


# Ticks


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 12_500, ["0", "5k", "10k"]),
        (-5, 1e6, ["0", "0.5M", "1.0M"]),
        (30, 45, ["30", "35", "40", "45"]),
        (1e-5, 5e-5, ["1e-5", "2e-5", "3e-5", "4e-5", "5e-5"]),
        (0.2, 0.7, ["0.2", "0.4", "0.6"]),
        (0.693147, 0.693149, ["0.6931470", "0.6931475", "0.6931480", "0.6931485", "0.6931490"]),
    ],
    ids=str,
)
def test_numbers_along_an_axis(low: float, high: float, labels: list[str]) -> None:
    assert NumberAxis(5).get_ticks_and_labels(low, high)[1] == labels


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-3, 1, ["1e-3", "0.01", "0.1", "1", "10"]),
        (-8, 4, ["1e-8", "1e-5", "0.01", "10", "10000"]),
        (0.1, 0.9, ["2", "5"]),
        (2.61, 2.615, ["408", "409", "410", "411", "412"]),
        (4.5, 5.5, ["5e4", "1e5", "2e5"]),
    ],
    ids=str,
)
def test_a_log_axis_shows_values(low: float, high: float, labels: list[str]) -> None:
    assert LogAxis(5).get_ticks_and_labels(low, high)[1] == labels


@pytest.mark.parametrize(
    ("high", "labels"),
    [(5, ["0s", "2s", "4s"]), (1000, ["0m", "5m", "10m", "15m"]), (90_000, ["0h", "10h", "20h"])],
)
def test_durations_along_an_axis(high: float, labels: list[str]) -> None:
    assert DurationAxis(5).get_ticks_and_labels(0, high)[1] == labels


def test_a_label_that_would_be_cut_is_shortened_or_left_out() -> None:
    assert NumberAxis(5, cells=40).get_ticks_and_labels(0, 1.01)[1] == ["0", "0.5", "1"]
    assert NumberAxis(5, cells=40).get_ticks_and_labels(0, 150.1)[1] == ["0", "50", "100", ""]


def test_there_are_always_two_ticks_and_never_many() -> None:
    random = np.random.default_rng(0)
    for low, share, most in zip(
        random.standard_normal(2000) * 10.0 ** random.integers(-30, 30, 2000),
        10.0 ** random.uniform(-7, 7, 2000),
        random.integers(2, 7, 2000),
        strict=True,
    ):
        ticks = round_numbers(float(low), float(low + abs(low) * share), int(most))
        assert 2 <= len(ticks) <= max(int(most), 5)
