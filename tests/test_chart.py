"""The chart shows every line, reads the cursor off, keeps a zoomed view, and follows the keys."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.containers import Grid
from textual.pilot import Pilot
from textual_plot import PlotWidget

from histotui.curves import Curve
from histotui.widgets.chart import Chart
from histotui.widgets.lines import EPOCH, PALETTE, TIME, Line, XAxis, curve_line
from histotui.widgets.plot import Plot

NAN = float("nan")
Check = Callable[[Chart, Pilot[None]], Awaitable[None]]


class Bench(App[None]):
    """A chart alone on a screen."""

    def __init__(self, chart: Chart) -> None:
        super().__init__()
        self.chart = chart
        self.changes = 0

    def compose(self) -> ComposeResult:
        yield self.chart

    def on_chart_changed(self) -> None:
        self.changes += 1


@pytest.fixture(autouse=True)
def _draw_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chart, "DATA_SECONDS", 0.0)
    monkeypatch.setattr(Chart, "KEY_SECONDS", 0.0)


def with_chart(check: Check, *lines: Line, chart: Chart | None = None, size: tuple[int, int] = (80, 24)) -> None:
    async def run() -> None:
        bench = Bench(chart or Chart())
        async with bench.run_test(size=size) as pilot:
            bench.chart.focus()
            bench.chart.show(lines, "losses")
            await settled(pilot)
            await check(bench.chart, pilot)

    asyncio.run(run())


async def settled(pilot: Pilot[None]) -> None:
    """A margin that changes is one drawing and the size that it leaves another."""
    assert isinstance(pilot.app, Bench)
    for _ in range(4):
        await pilot.pause()
        while pilot.app.chart._timer is not None:
            await pilot.pause(0.005)


async def press(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await settled(pilot)


def text(pilot: Pilot[None]) -> list[str]:
    app = pilot.app
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips(app.size)]


def dots(pilot: Pilot[None]) -> int:
    return sum("\u2800" < character <= "\u28ff" for line in text(pilot) for character in line)


STEPS = np.arange(1.0, 101)
RECON = Line("recon", STEPS, 400 + 100 / STEPS)
KL = Line("kl", STEPS[9::10], STEPS[9::10] / 10)


def test_lines_have_a_legend_ticks_and_their_latest_values() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        lines = text(pilot)
        assert lines[0] == "losses  ● recon  ■ kl"
        assert lines[-1] == "step 100  recon 401.0  kl 10.00"
        assert any(line.startswith("    200 ┫") for line in lines)
        plot = "".join(lines[1:-1])
        assert "●" in plot and "■" in plot and dots(pilot) > 70

    with_chart(check, RECON, KL)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 50)], ids=str)
def test_no_label_is_cut_at_any_size(size: tuple[int, int]) -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        *_, ticks, foot = text(pilot)
        assert set(ticks.split()) <= {"0", "1k", "2k", "3k", "4k", "5k", "6k", "7k", "8k", "9k", "10k"} | {
            f"{number}000" for number in range(1, 10)
        }
        assert len(ticks.split()) >= 2
        assert foot.startswith("step 9,999  bce 0.")
        assert max(map(len, text(pilot))) <= size[0]

    x = np.arange(10_000.0)
    with_chart(check, Line("bce", x, np.exp(-x / 3000) + 0.001), size=size)


def test_a_spike_among_many_points_is_drawn() -> None:
    y = np.zeros(50_000)
    y[31_234] = 5.0

    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        top = text(pilot)[2:5]
        assert any("\u2800" < character <= "\u28ff" for line in top for character in line)

    with_chart(check, Line("bce", np.arange(50_000.0), y))


def test_the_cursor_reads_what_was_logged_up_to_a_step() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.cursor = 25.0
        await settled(pilot)
        assert text(pilot)[-1] == "step 25  recon 404.0  kl 2.000"
        assert chart.readout() == ["step 25", "recon 404.0", "kl 2.000"]
        assert sum("│" in line for line in text(pilot)) > 10
        chart.cursor = 5.0
        assert chart.readout() == ["step 5", "recon 420.0", "kl –"]

    with_chart(check, RECON, KL)


def test_large_steps_have_their_thousands_apart_and_divergence_is_named() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.cursor = 1234.0
        assert chart.readout() == ["step 1,234", "loss nan"]

    with_chart(check, Line("loss", [1, 1234, 2000], [3.0, NAN, 1.0]))


def test_arrows_and_ends_move_the_cursor() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        await press(pilot, "left")
        assert chart.cursor == 100
        await press(pilot, "left")
        assert chart.cursor == 98
        await press(pilot, "home")
        assert chart.cursor == 1
        await press(pilot, "left")
        assert chart.cursor == 1
        await press(pilot, "right", "right")
        assert chart.cursor == 5
        await press(pilot, "end")
        assert chart.cursor == 100

    with_chart(check, RECON)


def test_in_a_close_view_the_cursor_goes_from_point_to_point() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.view = (40.0, 50.0)
        chart.cursor = 45.0
        await settled(pilot)
        await press(pilot, "right")
        assert chart.cursor == 46
        await press(pilot, "end")
        assert chart.view == (90.0, 100.0)

    with_chart(check, RECON)


def test_keys_change_the_smoothing_by_steps() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        before = dots(pilot)
        await press(pilot, "+", "+")
        assert chart.smoothing == 0.6
        assert text(pilot)[0].endswith("smooth 0.6")
        assert dots(pilot) > before
        assert chart.readout()[1] == "loss 1.000"
        await press(pilot, "-")
        assert chart.smoothing == 0.3
        await press(pilot, "0")
        assert chart.smoothing == 0.0 and "smooth" not in text(pilot)[0]
        await press(pilot, *"+++++++++")
        assert chart.smoothing == 0.99
        chart.smoothing = 7.0
        assert chart.smoothing == 0.99
        assert pilot.app.changes > 0

    with_chart(check, Line("loss", np.arange(20.0), np.arange(20.0) % 2))


def test_the_smoothed_line_is_bright_and_the_raw_one_dim_behind_it() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.smoothing = 0.5
        await settled(pilot)
        raw, smooth = chart.query_one(PlotWidget)._datasets
        colour = PALETTE["sky"][0]
        assert (raw.line_style, smooth.line_style) == (f"dim {colour}", colour)
        assert list(raw.y) == [4.0, 8.0, 0.0]
        assert list(smooth.y) == pytest.approx([4.0, 20 / 3, 5 / 1.75])

    with_chart(check, Line("loss", [1, 2, 3], [4.0, 8.0, 0.0]))


def test_a_log_axis_shows_values_and_leaves_out_what_has_no_logarithm() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        await press(pilot, "l")
        lines = text(pilot)
        assert chart.log_scale and lines[0].endswith("log")
        labels = [line.split("┫")[0].strip() for line in lines if "┫" in line]
        assert labels == ["10", "1", "0.1", "0.01", "1e-3"]
        assert chart.readout()[1] == "loss 10.00"
        await press(pilot, "l")
        assert not chart.log_scale

    with_chart(check, Line("loss", [1, 2, 3, 4, 5], [1e-3, 0.1, 0.0, -4.0, 10.0]))


def test_nothing_above_zero_says_so_on_a_log_axis() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        await press(pilot, "l")
        assert "nothing above zero" in "".join(text(pilot))
        await press(pilot, "l")
        assert dots(pilot) > 0

    with_chart(check, Line("loss", [1, 2], [-1.0, -2.0]))


def test_new_data_keeps_a_zoomed_view_and_extends_a_whole_one() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        longer = Line("recon", np.arange(1.0, 201), np.ones(200))
        await press(pilot, "i")
        zoomed = chart.view
        assert zoomed is not None and zoomed[1] - zoomed[0] == pytest.approx(0.6 * 99, rel=0.02)
        chart.show([longer])
        await settled(pilot)
        plot = chart.query_one(PlotWidget)
        assert chart.view == zoomed == (plot._x_min, plot._x_max)
        assert "zoom" in text(pilot)[0]
        await press(pilot, "r")
        assert chart.view is None and plot._x_max == pytest.approx(200, rel=0.01)
        chart.show([Line("recon", np.arange(1.0, 301), np.ones(300))])
        await settled(pilot)
        assert plot._x_max == pytest.approx(300, rel=0.01)

    with_chart(check, RECON)


def test_zooming_shows_detail_and_fits_the_values() -> None:
    x = np.arange(100_000.0)
    y = np.sin(x)
    y[0] = 1000.0

    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        chart.view = (50_000.0, 50_020.0)
        await settled(pilot)
        plot = chart.query_one(PlotWidget)
        assert list(plot._datasets[0].x) == list(range(49_999, 50_022))
        assert plot._y_max < 1.2

    with_chart(check, Line("loss", x, y))


def test_zoom_pan_and_zooming_out_stay_on_the_data() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        await press(pilot, "]", "]")
        width = chart.view[1] - chart.view[0]
        await press(pilot, *["shift+right"] * 9)
        assert chart.view == pytest.approx((100 - width, 100))
        await press(pilot, *["shift+left"] * 9)
        assert chart.view == pytest.approx((1, 1 + width))
        await press(pilot, "[", "[", "o")
        assert chart.view is None and not chart.zoomed

    with_chart(check, RECON)


def test_keys_that_come_before_the_next_drawing_zoom_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        low, high = chart._shown[0]
        monkeypatch.setattr(Chart, "KEY_SECONDS", 3600.0)
        for _ in range(3):
            chart.action_zoom(0.5)
        assert chart.view is not None and chart.view[1] - chart.view[0] == pytest.approx((high - low) / 8)

    with_chart(check, RECON)


def test_the_wheel_zooms_and_a_click_sets_the_cursor() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        await pilot.click(offset=(44, 12))
        await settled(pilot)
        assert chart.cursor is not None and 45 <= chart.cursor <= 55
        plot = chart.query_one(PlotWidget)
        plot._zoom(50.0, 450.0, 0.5, True, True)
        await settled(pilot)
        view = chart.view
        assert view is not None and view[1] - view[0] == pytest.approx(99 / 1.5, rel=0.02)
        chart.show([Line("recon", STEPS, 2 * RECON.y)])
        await settled(pilot)
        assert plot._y_max < 520

    with_chart(check, RECON)


def test_the_same_data_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = Chart._draw_plot
    monkeypatch.setattr(Chart, "_draw_plot", lambda chart: (drawn.append(1), draw(chart)))

    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        before = len(drawn)
        chart.show([KL, Line("recon", STEPS.copy(), np.array(RECON.y))], "losses")
        await settled(pilot)
        assert len(drawn) == before > 0
        chart.show([KL, Line("recon", STEPS, RECON.y + 1)], "losses")
        await settled(pilot)
        assert len(drawn) == before + 1

    with_chart(check, KL, RECON)


@pytest.mark.parametrize("lines", [(), (Line("loss", [], []),)], ids=["no line", "no point"])
def test_nothing_yet_says_so_and_keys_do_no_harm(lines: tuple[Line, ...]) -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        assert "no metrics yet" in "".join(text(pilot))
        await press(pilot, "left", "home", "i", "o", "shift+left", "l", "+", "r")
        chart.view = (1.0, 2.0)
        chart.cursor = 5.0
        await press(pilot, "shift+left", "i", "end")
        assert (chart.view, chart.cursor, chart.readout()) == ((1.0, 2.0), 5.0, [])

    with_chart(check, *lines)


@pytest.mark.parametrize(
    ("x", "y"),
    [([5], [0.3]), ([1, 2, 3], [1.0, 1.0, 1.0]), ([1, 2, 3], [NAN, 2.0, NAN]), ([1, 2], [1e308, -1e308 / 10**9])],
    ids=["one point", "constant", "between gaps", "huge"],
)
def test_odd_data_is_drawn(x: list[float], y: list[float]) -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        assert dots(pilot) + sum(line.count("●") for line in text(pilot)[1:]) > 0

    with_chart(check, Line("loss", x, y))


def test_only_gaps_says_so() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        assert "no finite value yet" in "".join(text(pilot))
        assert text(pilot)[-1] == "step 2  loss nan"

    with_chart(check, Line("loss", [1, 2], [NAN, NAN]))


def test_names_from_a_file_are_neither_markup_nor_control() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        assert "[red]a\\x1b[2J" in text(pilot)[0]
        assert "[red]a\\x1b[2J" in text(pilot)[-1]

    with_chart(check, Line("[red]a\x1b[2J", [1, 2], [1.0, 2.0]), KL)


def test_a_still_picture_has_fixed_limits_and_no_keys() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        await press(pilot, "+", "l", "i", "left")
        assert (chart.smoothing, chart.log_scale, chart.view, chart.cursor) == (0.0, False, None, None)
        lines = text(pilot)
        assert lines[0] == "losses  ┄ chance  ● real"
        assert lines[-2].split() == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        assert [line.split("┫")[0].strip() for line in lines if "┫" in line] == ["1.0", "0.8", "0.6", "0.4", "0.2", "0"]
        assert lines[-1] == "false positive rate"
        assert "⡇" in "".join(lines)

    with_chart(
        check,
        Line("chance", [0, 1], [0, 1], dim=True),
        Line("real", [0, 0, 0.5, 1], [0, 0.8, 0.9, 1]),
        chart=Chart(x_axis=XAxis("false positive rate"), limits=((0, 1), (0, 1))),
        size=(80, 28),
    )


def test_many_names_wrap_and_the_rest_is_counted() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        first, second = text(pilot)[:2]
        assert first.startswith("losses  ● metric-number-0") and "metric-number-2" in first
        assert second.endswith("+2")

    with_chart(check, *(Line(f"metric-number-{place}", STEPS, STEPS + place) for place in range(9)), size=(80, 24))


def test_without_colour_lines_are_told_apart_by_their_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        plot = "".join(text(pilot)[1:-1])
        assert "●" in plot and "■" in plot

    with_chart(check, RECON, KL)


def test_colours_suit_the_theme() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        pilot.app.theme = "textual-light"
        await settled(pilot)
        assert chart.query_one(PlotWidget)._datasets[0].line_style == PALETTE["green"][1]

    with_chart(check, Line("recon", [1, 2], [1, 2], style="green"))


def test_a_curve_over_epochs_and_over_time() -> None:
    columns = ([10, 20, 30, 40], [1, 1, 2, 2], [0, 60, 3700, 7300], [4, 3, 2, 1])
    curve = Curve("generator", "recon", *(array("d", column) for column in columns))
    assert list(curve_line(curve).x) == [10, 20, 30, 40]
    assert list(curve_line(curve, EPOCH).x) == [0.5, 1, 1.5, 2]

    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        assert text(pilot)[-1] == "time 2 h 01 min  recon 1.000"
        chart.cursor = 60.0
        chart.view = (0.0, 100.0)
        chart.x_axis = EPOCH
        chart.show([curve_line(curve, EPOCH)])
        await settled(pilot)
        assert (chart.cursor, chart.view) == (None, None)
        assert chart.readout() == ["epoch 2", "recon 1.000"]

    with_chart(check, curve_line(curve, TIME), chart=Chart(x_axis=TIME))


def test_margins_of_a_plot_that_is_being_left_do_no_harm() -> None:
    async def check(chart: Chart, pilot: Pilot[None]) -> None:
        plot = chart.query_one(Plot)
        await plot.query("*").remove()
        plot.margin_top = 3
        await pilot.pause()
        assert not plot.query(Grid)

    with_chart(check)
