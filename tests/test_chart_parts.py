"""What a chart works out before it draws: the part in view, the traces, their marks, and what is said beside them."""

import numpy as np
import pytest
from textual.content import Content

from histotui.widgets.captions import legend, packed, settings, values_at
from histotui.widgets.lines import (
    GREY,
    MARKS,
    PALETTE,
    SMOOTHINGS,
    STEP,
    TIME,
    Line,
    XAxis,
    next_smoothing,
    traces_of,
)
from histotui.widgets.traces import Stroke, Trace, marks_of, span_of
from histotui.widgets.view import View, with_room

NAN = float("nan")
WHOLE = (0.0, 100.0)


class TestView:
    def test_the_whole_is_shown_with_half_a_column_after_its_end_and_a_part_as_it_is(self) -> None:
        assert View(WHOLE).shown(50) == (0.0, 101.0)
        assert View(WHOLE, (20.0, 40.0)).shown(50) == (20.0, 40.0)

    @pytest.mark.parametrize(
        ("cursor", "part"),
        [(None, (25.0, 75.0)), (20.0, (10.0, 60.0)), (150.0, (25.0, 75.0))],
        ids=["no cursor", "cursor in sight", "cursor out of sight"],
    )
    def test_zooming_in_keeps_the_cursor_where_it_is_or_else_the_middle(
        self, cursor: float | None, part: tuple[float, float]
    ) -> None:
        assert View(WHOLE).zoomed(WHOLE, 0.5, cursor) == View(WHOLE, part)

    def test_zooming_out_ends_at_the_points_and_then_shows_all(self) -> None:
        assert View(WHOLE, (0.0, 20.0)).zoomed((0.0, 20.0), 2.0) == View(WHOLE, (0.0, 40.0))
        assert View(WHOLE, (90.0, 100.0)).zoomed((90.0, 100.0), 2.0) == View(WHOLE, (80.0, 100.0))
        assert View(WHOLE, (20.0, 80.0)).zoomed((20.0, 80.0), 2.0) == View(WHOLE)

    def test_no_closer_than_numbers_can_be_told_apart(self) -> None:
        view = View((1e9, 1e9 + 100), (1e9, 1e9 + 1.5))
        assert view.zoomed((1e9, 1e9 + 1.5), 0.6) == view

    def test_panning_moves_by_a_share_and_stops_at_the_ends(self) -> None:
        view = View(WHOLE, (20.0, 40.0))
        assert view.panned(0.25) == View(WHOLE, (25.0, 45.0))
        assert view.panned(-0.5).panned(-2.0) == View(WHOLE, (0.0, 20.0))
        assert view.panned(9.0) == View(WHOLE, (80.0, 100.0))
        assert View(WHOLE).panned(0.25) == View(WHOLE)

    def test_a_place_out_of_sight_comes_into_the_middle(self) -> None:
        view = View(WHOLE, (20.0, 40.0))
        assert view.with_in_sight(20.0) is view and view.with_in_sight(40.0) is view
        assert view.with_in_sight(70.0) == View(WHOLE, (60.0, 80.0))
        assert view.with_in_sight(99.0) == View(WHOLE, (80.0, 100.0))
        assert View(WHOLE).with_in_sight(70.0) == View(WHOLE)

    @pytest.mark.parametrize(
        ("values", "ranged"),
        [
            ((0.0, 10.0), (-1.0, 12.0)),
            ((5.0, 5.0), (4.5, 5.5)),
            ((-5.0, -5.0), (-5.5, -4.5)),
            ((0.0, 0.0), (-0.5, 0.5)),
        ],
        ids=str,
    )
    def test_room_is_added_at_the_ends_and_around_a_point(
        self, values: tuple[float, float], ranged: tuple[float, float]
    ) -> None:
        assert with_room(values, 0.1, 0.2) == ranged


class TestTraces:
    def test_bright_lines_have_marks_and_colours_in_turn_and_dim_ones_neither(self) -> None:
        lines = [Line("chance", [0, 1], [0, 1], dim=True), Line("a", [1], [1]), Line("b", [1], [1], style="#123456")]
        dim, first, second = traces_of(lines, 0.0, log_scale=False, dark=True)
        assert (dim.mark, dim.style, dim.dim) == ("┄", GREY, True)
        assert (first.mark, first.style) == (MARKS[0], PALETTE["sky"][0])
        assert (second.mark, second.style) == (MARKS[1], "#123456")
        assert traces_of(lines, 0.0, log_scale=False, dark=False)[1].style == PALETTE["sky"][1]

    def test_after_the_last_colour_and_mark_the_first_comes_again(self) -> None:
        traces = traces_of([Line(str(place), [1], [1]) for place in range(9)], 0.0, log_scale=False, dark=True)
        assert (traces[7].style, traces[8].mark) == (traces[0].style, traces[0].mark)

    def test_smoothing_leaves_the_values_and_what_is_dim_as_they_are(self) -> None:
        x, y = [1, 2, 3], [4.0, 8.0, 0.0]
        smooth, dim = traces_of([Line("a", x, y), Line("b", x, y, dim=True)], 0.5, log_scale=False, dark=True)
        assert list(smooth.solid) == pytest.approx([4.0, 20 / 3, 5 / 1.75])
        assert smooth.behind is not None and list(smooth.behind) == list(smooth.values) == y
        assert dim.behind is None and list(dim.solid) == y

    def test_a_log_scale_has_gaps_where_there_is_no_logarithm_and_huge_values_are_gaps_on_either(self) -> None:
        (trace,) = traces_of([Line("a", [1, 2, 3], [100.0, -1.0, 0.01])], 0.0, log_scale=True, dark=True)
        np.testing.assert_allclose(trace.solid, [2, NAN, -2])
        (huge,) = traces_of([Line("a", [1, 2], [1e301, 1.0])], 0.0, log_scale=False, dark=True)
        np.testing.assert_array_equal(huge.solid, [NAN, 1])
        assert list(huge.values) == [1e301, 1.0]

    def test_whether_there_is_a_value_to_draw(self) -> None:
        none, one = traces_of([Line("a", [1], [-1.0]), Line("b", [1, 2], [-1.0, 1.0])], 0.0, log_scale=True, dark=True)
        assert not none.has_finite and one.has_finite

    def test_the_span_is_that_of_all_lines_with_points(self) -> None:
        lines = [Line("a", [3, 5], [0, 0]), Line("none", [], []), Line("b", [1, 4], [0, 0], dim=True)]
        assert span_of(traces_of(lines, 0.0, log_scale=False, dark=True)) == (1.0, 5.0)


class TestMarks:
    X = np.arange(0.0, 101)

    def test_lines_have_theirs_at_different_places_within_the_frame(self) -> None:
        strokes = [
            Stroke(self.X, self.X, "blue", "●"),
            Stroke(self.X, self.X, "dim blue"),
            Stroke(self.X, self.X, "red", "■"),
        ]
        marks = [(stroke.mark, list(x), list(y)) for stroke, x, y in marks_of(strokes, (WHOLE, (0.0, 60.0)), 2)]
        assert marks == [("●", [13.0], [13.0]), ("■", [38.0], [38.0])]

    def test_a_line_alone_has_none_but_a_point_alone_has_one(self) -> None:
        assert list(marks_of([Stroke(self.X, self.X, "blue", "●")], (WHOLE, WHOLE), 2)) == []
        point = Stroke(np.array([5.0]), np.array([5.0]), "blue", "●")
        ((_, x, y),) = marks_of([point], (WHOLE, WHOLE), 2)
        assert (list(x), list(y)) == ([5.0], [5.0])
        assert list(marks_of([], (WHOLE, WHOLE), 2)) == []


class TestSmoothings:
    def test_one_step_further_and_no_further_than_the_last(self) -> None:
        assert [next_smoothing(weight, 1) for weight in SMOOTHINGS] == [*SMOOTHINGS[1:], SMOOTHINGS[-1]]
        assert [next_smoothing(weight, -1) for weight in SMOOTHINGS] == [0.0, *SMOOTHINGS[:-1]]

    def test_from_between_two_steps_to_the_nearest_and_back_to_none(self) -> None:
        assert (next_smoothing(0.5, 1), next_smoothing(0.5, -1), next_smoothing(0.5, 0)) == (0.6, 0.3, 0.0)


class TestCaptions:
    def traces(self, *labels: str) -> tuple[Trace, ...]:
        return traces_of([Line(label, [1, 3], [0.5, NAN]) for label in labels], 0.0, log_scale=False, dark=True)

    def test_the_only_line_is_named_where_the_title_does_not(self) -> None:
        assert [part.plain for part in legend("", self.traces("a"))] == ["● a"]
        assert [part.plain for part in legend("loss", self.traces("a"))] == ["loss"]
        assert [part.plain for part in legend("loss", self.traces("a", "", "b"))] == ["loss", "● a", "▲ b"]

    def test_settings_are_said_where_they_change_the_drawing(self) -> None:
        assert settings(0.0, log_scale=False, zoomed=False) == ""
        assert settings(0.95, log_scale=True, zoomed=True) == "smooth 0.95  log  zoom"

    def test_values_are_those_logged_last_up_to_the_position(self) -> None:
        traces = self.traces("a")
        assert values_at(0.0, STEP, traces) == ["step 0", "a –"]
        assert values_at(2.5, XAxis("epoch"), traces) == ["epoch 2.50", "a 0.5000"]
        assert values_at(7300.0, TIME, traces) == ["time 2 h 01 min", "a nan"]

    def test_parts_go_on_in_the_next_row_and_those_without_room_are_counted(self) -> None:
        parts = [Content(text) for text in ("one", "two", "three", "four", "five")]
        assert packed(parts, 40, 1).plain == "one  two  three  four  five"
        assert packed(parts, 11, 2).plain == "one  two\nthree  four  +1"
        assert packed(parts, 11, 1).plain == "one  two  +3"
        assert packed([], 11, 1).plain == ""

    def test_what_stands_on_the_right_takes_its_room_from_the_first_row_only(self) -> None:
        parts = [Content("one"), Content("two"), Content("three")]
        assert packed(parts, 12, 2, "log").plain == "one      log\ntwo  three"
        assert packed([], 6, 1, "log").plain == "   log"
