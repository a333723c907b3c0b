"""The fields of a run that filters and orders know by name."""

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import accumulate
from typing import Any

from engine.spec.errors import ConfigError
from engine.spec.scores import COLUMNS
from histotui.gaps import Baselines
from histotui.summary import RunSummary, fraction_done

_SUMMARY = (
    "id", "name", "preset", "state", "stage", "created", "seconds", "device", "error", "exit_code", "tags", "notes",
)  # fmt: skip
_DERIVED = ("progress", "left", "gap")
_SCORE = tuple(column for column in COLUMNS if column != "confusion")
FIELDS = (*_SUMMARY, *_DERIVED, *_SCORE)

NO_BASELINES = Baselines()

_SETTING = re.compile(r"\w+(\.\w+)+")


def look_up(run: RunSummary, name: str, baselines: Baselines = NO_BASELINES) -> Any:
    """A field of a run, of the score that it was made for, or of its config."""
    match name:
        case "progress":
            done = fraction_done(run)
            return None if done is None else 100 * done
        case "left":
            return run.progress.seconds_left if run.progress else None
        case "gap":
            return baselines.gap(run)
    if "." in name:
        return _setting(run.config, name.removeprefix("cfg."))
    return run.answer.get(name) if name in _SCORE else getattr(run, name)


def known_field(name: str) -> str:
    """The field that a name means; ConfigError with the nearest one where there is none."""
    if name.lower() in FIELDS:
        return name.lower()
    if _SETTING.fullmatch(name):
        return _known_setting(name.lower())
    near = difflib.get_close_matches(name.lower(), FIELDS, n=1)
    advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(FIELDS)} and SECTION.SETTING"
    raise ConfigError(f"no field {name!r}; {advice}")


def _known_setting(name: str) -> str:
    path, known = name.removeprefix("cfg."), _settings()
    if path in known:
        return name
    unknown = next(part for part in _and_those_above(path) if part not in known)
    near = difflib.get_close_matches(unknown, known, n=1)
    advice = f"did you mean {near[0]}?" if near else "`histotui presets NAME` lists all settings"
    raise ConfigError(f"{unknown}: unknown; {advice}")


@cache
def _settings() -> tuple[str, ...]:
    """Every setting that a run can have, whichever its generator, and the sections in which they stand."""
    # Models take a tenth of a second to import, and few filters name a setting.
    from engine.spec.resolve import fields

    return tuple(dict.fromkeys(part for path, _ in fields() for part in _and_those_above(path)))


def _and_those_above(path: str) -> Iterator[str]:
    """The sections that a dotted path leads through, and the path itself."""
    return accumulate(path.split("."), "{}.{}".format)


def has_value(value: object) -> bool:
    """Whether there is anything in a field."""
    return value is not None and value not in ("", (), [], {})


def as_text(value: object) -> str:
    """A value as a filter compares it with words."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)


def is_number(value: object) -> bool:
    """Whether a value has a place between numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _setting(config: Mapping[str, Any], path: str) -> Any:
    value: Any = config
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
