"""The order of a listing."""

from collections.abc import Iterable
from typing import Any

from engine.spec.errors import ConfigError
from histotui.gaps import Baselines
from histotui.run_fields import NO_BASELINES, as_text, has_value, known_field, look_up
from histotui.summary import RunSummary


def sort(runs: Iterable[RunSummary], column: str, among: Iterable[RunSummary] | None = None) -> list[RunSummary]:
    """The runs by a column, `-column` for the reverse; those that have no value come last either way.

    `among` are the runs in which `gap` looks for a baseline; without it, those that are sorted.
    """
    try:
        name = known_field(column.removeprefix("-"))
    except ConfigError as error:
        raise ConfigError(f"--sort {column}: {error}") from None
    runs = list(runs)
    baselines = Baselines.among(runs if among is None else among) if name == "gap" else NO_BASELINES
    known: list[tuple[tuple[bool, float, str], RunSummary]] = []
    unknown: list[RunSummary] = []
    for run in runs:
        value = look_up(run, name, baselines)
        if has_value(value):
            known.append((_key(value), run))
        else:
            unknown.append(run)
    known.sort(key=lambda pair: pair[0], reverse=column.startswith("-"))
    return [run for _, run in known] + unknown


def _key(value: Any) -> tuple[bool, float, str]:
    """Numbers before text, so that a column that holds both can be sorted."""
    if isinstance(value, int | float):
        return (False, value, "")
    return (True, 0.0, as_text(value).lower())
