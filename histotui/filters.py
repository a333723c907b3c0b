"""The small language of `ls --filter`: terms with spaces between, all of which must hold."""

import operator
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from engine.spec.errors import ConfigError
from histotui.summary import RunSummary

_TERM = re.compile(r"(?P<field>[A-Za-z_][\w.]*)(?P<operator>!=|<=|>=|=|<|>|:)(?P<value>.*)", re.DOTALL)
_ORDER: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
_SUMMARY = ("id", "name", "preset", "state", "stage", "created", "seconds", "device", "error", "exit_code")
_SCORE = (
    "trained_on", "tested_on", "n_train", "n_test", "loss", "accuracy", "auc", "auc_low", "auc_high", "ece",
    "sensitivity", "specificity", "selected_epoch",
)  # fmt: skip
FIELDS = (*_SUMMARY, "tags", *_SCORE)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition on a run."""

    field: str
    operator: str
    value: str

    def holds(self, run: RunSummary) -> bool:
        if not self.field:
            return any(self.value.lower() in str(value).lower() for value in (run.id, run.name, run.preset, *run.tags))
        value = look_up(run, self.field)
        if self.operator in _ORDER:
            return _is_number(value) and _ORDER[self.operator](float(value), float(self.value))
        if self.operator == ":":
            return self.value.lower() in _text(value).lower()
        return _equal(value, self.value) == (self.operator == "=")


def matching(expression: str, runs: Iterable[RunSummary]) -> list[RunSummary]:
    """The runs for which every term of the expression holds; ConfigError names a term that makes no sense."""
    terms = parse(expression)
    return [run for run in runs if all(term.holds(run) for term in terms)]


def parse(expression: str) -> list[Term]:
    """The terms of an expression; quotes keep spaces together."""
    try:
        return [_term(word) for word in shlex.split(expression)]
    except ValueError as error:
        raise ConfigError(f"filter {expression!r}: {str(error).lower()}") from None


def look_up(run: RunSummary, name: str) -> Any:
    """A field of a run, of the score that it was made for, or of its config."""
    if name.startswith("cfg."):
        value: Any = run.config
        for part in name.split(".")[1:]:
            value = value.get(part) if isinstance(value, dict) else None
        return value
    return run.answer.get(name) if name in _SCORE else getattr(run, name)


def check_field(name: str, what: str) -> None:
    """ConfigError where runs have no such field."""
    if name not in FIELDS and not re.fullmatch(r"cfg(\.\w+)+", name):
        raise ConfigError(f"{what}: no field {name!r}; there are {', '.join(FIELDS)} and cfg.SETTING")


def _term(word: str) -> Term:
    match = _TERM.fullmatch(word)
    if match is None:
        return Term("", "", word)
    check_field(match["field"], f"filter term {word!r}")
    if match["operator"] in _ORDER:
        try:
            float(match["value"])
        except ValueError:
            raise ConfigError(f"filter term {word!r}: {match['value']!r} is not a number") from None
    return Term(match["field"], match["operator"], match["value"])


def _equal(value: object, wanted: str) -> bool:
    if isinstance(value, tuple):
        return wanted.lower() in (str(part).lower() for part in value)
    if _is_number(value):
        try:
            return float(wanted) == value
        except ValueError:
            return False
    return _text(value).lower() == wanted.lower()


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
