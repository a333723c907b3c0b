"""The order of `ls`."""

from collections.abc import Iterable
from typing import Any

from histotui.filters import check_field, look_up
from histotui.summary import RunSummary


def sort(runs: Iterable[RunSummary], column: str) -> list[RunSummary]:
    """The runs by a column, `-column` for the reverse; those that have no value come last either way."""
    name = column.removeprefix("-").lower()
    check_field(name, f"--sort {column}")
    known: list[RunSummary] = []
    unknown: list[RunSummary] = []
    for run in runs:
        (unknown if look_up(run, name) in (None, "") else known).append(run)
    return sorted(known, key=lambda run: _key(look_up(run, name)), reverse=column.startswith("-")) + unknown


def _key(value: Any) -> tuple[bool, float, str]:
    """Numbers before text, so that a column that holds both can be sorted."""
    if isinstance(value, int | float):
        return (False, float(value), "")
    return (True, 0.0, str(value).lower())
