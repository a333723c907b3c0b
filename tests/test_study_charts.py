"""Charts of a study: values of scales, and SVG that any parser reads."""

import math
import re
from xml.etree import ElementTree

import pytest

from histotui.study.axes import Scale, padded, thinned, ticks
from histotui.study.charts import SERIES, Bar, Line, confusion, curves, intervals, standalone
from histotui.study.markup import Markup, element, escaped

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert("x")</script> & \x1b[31m'


def parsed(chart: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(chart)


def texts(chart: Markup) -> list[str]:
    return [node.text or "" for node in parsed(chart).iter(f"{SVG}text")]


class TestAxes:
    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            (0.43, 0.93, [0.5, 0.6, 0.7, 0.8, 0.9]),
            (-3.0, 12.0, [0.0, 5.0, 10.0]),
            (0.0, 1000.0, [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]),
            (5.0, 5.0, [5.0]),
            (math.nan, 1.0, []),
        ],
    )
    def test_ticks_are_round(self, low: float, high: float, expected: list[float]) -> None:
        assert ticks(low, high) == pytest.approx(expected)

    def test_a_scale_goes_from_values_to_pixels(self) -> None:
        scale = Scale(0.5, 1.0, 100, 300)
        assert [scale.at(value) for value in (0.5, 0.75, 1.0, 2.0, 0.0)] == [100, 200, 300, 300, 100]
        assert Scale(0.0, 1.0, 300, 100).at(0.25) == 250
        assert Scale(1, 1, 0, 10).at(1) == 5

    def test_a_scale_of_logarithms(self) -> None:
        scale = Scale(10, 1000, 0, 200, log=True)
        assert scale.at(100) == pytest.approx(100)
        assert scale.ticks() == pytest.approx([10, 20, 50, 100, 200, 500, 1000])
        assert Scale(1, 1e5, 0, 1, log=True).ticks() == pytest.approx([1, 10, 100, 1000, 1e4, 1e5])

    def test_limits_have_a_margin(self) -> None:
        assert padded([1.0, 3.0, math.nan]) == pytest.approx((0.9, 3.1))
        assert padded([2.0]) == pytest.approx((1.9, 2.1))
        assert padded([]) == (0.0, 1.0)

    def test_thinning_keeps_spikes(self) -> None:
        points = [(float(x), 1.0 if x == 777 else 0.0) for x in range(1000)]
        few = thinned(points, 50)
        assert len(few) <= 50 and (777.0, 1.0) in few and few == sorted(few)
        assert thinned([(0.0, math.nan), (1.0, 2.0)], 10) == [(1.0, 2.0)]


class TestCharts:
    def test_an_interval_lies_where_its_values_are(self) -> None:
        chart = intervals("AUC", ["one", "two"], ["a", "b"], [[Bar(0.6, 0.5, 0.7, (0.55,)), None], [None, None]], [0.5])
        tree = parsed(chart)
        (bar,) = (node for node in tree.iter(f"{SVG}line") if node.get("class") == "bar s0")
        (mark,) = (node for node in tree.iter(f"{SVG}line") if node.get("class") == "mark s0")
        (seed,) = (node for node in tree.iter(f"{SVG}line") if node.get("class") == "s0")
        low, high = float(bar.get("x1", 0)), float(bar.get("x2", 0))
        assert float(mark.get("x1", 0)) == low
        assert float(seed.get("x1", 0)) == pytest.approx(low + (high - low) / 4, abs=0.2)
        dots = [node for node in tree.iter(f"{SVG}circle") if float(node.get("cy", 0)) > 44]
        assert [float(dot.get("cx", 0)) for dot in dots] == [pytest.approx((low + high) / 2, abs=0.2)]
        assert {"one", "two", "a", "b"} <= set(texts(chart))

    def test_seeds_beyond_the_interval_lie_where_their_values_are(self) -> None:
        tree = parsed(intervals("AUC", ["one"], ["a"], [[Bar(0.6, 0.58, 0.62, (0.5, 0.7))]], []))
        (bar,) = (node for node in tree.iter(f"{SVG}line") if node.get("class") == "bar s0")
        low, high = float(bar.get("x1", 0)), float(bar.get("x2", 0))
        seeds = [float(node.get("x1", 0)) for node in tree.iter(f"{SVG}line") if node.get("class") == "s0"]
        per_unit = (high - low) / 0.04
        assert seeds == [pytest.approx(low - 0.08 * per_unit, abs=0.3), pytest.approx(high + 0.08 * per_unit, abs=0.3)]

    def test_a_curve_goes_through_its_points(self) -> None:
        unit = ((0.0, 1.0), (0.0, 1.0))
        chart = curves("ROC", [Line("a", ((0.0, 0.0), (0.5, 1.0), (1.0, 1.0)))], "x", "y", (100, 100), unit)
        (path,) = (node.get("points") for node in parsed(chart).iter(f"{SVG}polyline"))
        assert path == "56.0,128.0 106.0,28.0 156.0,28.0"

    def test_points_may_have_intervals(self) -> None:
        chart = curves(
            "c", [Line("a", ((10, 0.5), (100, 0.7)), ((0.4, 0.6), (0.6, 0.8)), dots=True)], "n", "AUC", log=True
        )
        tree = parsed(chart)
        assert len([node for node in tree.iter(f"{SVG}circle")]) == 2
        uprights = [node for node in tree.iter(f"{SVG}line") if node.get("class") == "s0"]
        assert len(uprights) == 2 and all(node.get("x1") == node.get("x2") for node in uprights)

    def test_more_curves_than_colours_have_other_dashes(self) -> None:
        lines = [Line(str(number), ((0.0, 0.0), (1.0, 1.0))) for number in range(SERIES + 1)]
        drawn = [node for node in parsed(curves("c", lines, "x", "y")).iter(f"{SVG}polyline")]
        assert drawn[0].get("class") == drawn[-1].get("class")
        assert drawn[0].get("stroke-dasharray") != drawn[-1].get("stroke-dasharray")

    def test_nothing_to_draw_is_a_chart_all_the_same(self) -> None:
        assert "title" in curves("title", [], "x", "y")
        parsed(curves("c", [Line("a", ())], "x", "y", log=True))
        parsed(curves("c", [Line("", ((1.0, math.inf),))], "x", "y"))
        parsed(intervals("c", [], [], [], []))

    def test_a_confusion_matrix_has_counts_and_shares(self) -> None:
        said = texts(confusion("c", [[1200, 300], [0, 0]]))
        assert {"1,200", "80%", "300", "20%", "0", "0%", "called"} <= set(said)

    def test_names_are_text(self) -> None:
        line = Line(HOSTILE, ((0.0, 0.0), (1.0, 1.0)))
        for chart in (
            curves(HOSTILE, [line], HOSTILE, HOSTILE),
            intervals(HOSTILE, [HOSTILE], [HOSTILE], [[Bar(0.5, 0.4, 0.6)]], []),
            confusion(HOSTILE, [[1, 2], [3, 4]]),
        ):
            assert not list(parsed(chart).iter(f"{SVG}script")) and "\x1b" not in chart

    def test_a_chart_alone_has_its_colours_with_it(self) -> None:
        file = standalone(confusion("c", [[1, 2], [3, 4]]))
        assert file.startswith("<?xml") and "prefers-color-scheme:dark" in file
        used = set(re.findall(r"var\((--\w+)\)", file))
        assert used <= set(re.findall(r"(--\w+):", file))
        ElementTree.fromstring(file.encode())


def test_attributes_and_text_are_escaped() -> None:
    assert element("a", escaped("<b>"), class_="x", alt='"&', stroke_width=1.25) == (
        '<a class="x" alt="&quot;&amp;" stroke-width="1.2">&lt;b&gt;</a>'
    )
    assert element("a", x=2, y=3.0) == '<a x="2" y="3"/>'
