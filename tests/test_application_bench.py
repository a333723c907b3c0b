"""What the benchmark of the application makes of its measurements."""

import pytest

from histotui.bench.measures import Measure, median_of, row
from histotui.bench.terminal import backgrounds


@pytest.mark.parametrize(("value", "limit", "met"), [(2.5, 2.5, True), (2.51, 2.5, False), (99.0, None, True)])
def test_a_limit_is_met_up_to_its_value(value: float, limit: float | None, met: bool) -> None:
    measure = Measure("paint", value, "s", "a paint", limit)
    assert measure.is_met is met
    assert ("MISSED" in row(measure)) is not met


def test_rounds_are_told_by_their_median_and_quartiles() -> None:
    measure = median_of("key", [1, 2, 3, 4, 100, 6, 7], "ms", "a key")
    assert (measure.value, measure.spread) == (4, (2, 7))


def test_the_background_behind_a_text_is_that_of_its_own_segment() -> None:
    painted = b"\x1b[1;48;2;1;2;3m live 1 \x1b[0m\x1b[38;2;9;9;9;48;2;4;5;6mlive 2\x1b[0m\x1b[1mlive 3\x1b[0m"
    assert backgrounds(painted, b"live 1") == [b"48;2;1;2;3"]
    assert backgrounds(painted, b"live 2") == [b"48;2;4;5;6"]
    assert backgrounds(painted, b"live 3") == []
