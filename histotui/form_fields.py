"""A form's fields, made from the RunConfig model, and what the texts typed into them come to."""

import math
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.resolve import Tree, flatten, merge, of_kind, validate

Kind = Literal["int", "float", "bool", "choice", "text"]
Texts = Mapping[str, str]

GENERAL = "run"
"""The section of what belongs to no part."""
NONE, YES, NO = "none", "yes", "no"
_NOT_ASKED = frozenset({"preset"})
"""Settings that say where the others came from."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be; a side that is open leaves its limit out."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    multiple_of: float | None = None

    def __str__(self) -> str:
        """The bounds in words, such as `1 to 65,536`; empty where there are none."""
        low, high = _plain(self.low), _plain(self.high)
        words = {
            (True, True): f"{'above ' * self.low_open}{low} to {'below ' * self.high_open}{high}",
            (True, False): f"above {low}" if self.low_open else f"{low} or more",
            (False, True): f"below {high}" if self.high_open else f"at most {high}",
            (False, False): "",
        }[(self.low is not None, self.high is not None)]
        return words + (f", in steps of {_plain(self.multiple_of)}" if self.multiple_of is not None else "")


@dataclass(frozen=True, slots=True)
class FormField:
    """One setting as a form asks for it. `optional`: it may be left empty."""

    path: str
    section: str
    description: str
    kind: Kind
    optional: bool = False
    choices: tuple[str, ...] = ()
    bounds: Bounds = field(default=Bounds())

    @property
    def name(self) -> str:
        """What it is called within its section."""
        return self.path.removeprefix(f"{self.section}.")

    @property
    def hint(self) -> str:
        """What it is and what it may be, in one line."""
        allowed = f"One of {', '.join(self.choices)}" if self.choices else str(self.bounds)
        parts = (self.description, f"{allowed[:1].upper()}{allowed[1:]}." if allowed else "")
        return " ".join(filter(None, (*parts, "Empty for none." if self.optional and not self.choices else "")))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a form's texts come to: a config, or what is wrong with which field and with the whole."""

    config: RunConfig | None
    errors: Mapping[str, str] = field(default_factory=dict)
    general: tuple[str, ...] = ()


def form_fields(tree: Tree) -> tuple[FormField, ...]:
    """Every setting that a config of this shape has, section by section, what belongs to no part last."""
    found = [entry for entry in _fields(RunConfig, tree, "", "") if entry.path not in _NOT_ASKED]
    return tuple(sorted(found, key=lambda entry: entry.section == GENERAL))


def sections() -> tuple[str, ...]:
    """The parts of a config in order, and last what belongs to none."""
    return (*(name for name, info in RunConfig.model_fields.items() if _models_by_kind(info.annotation)), GENERAL)


def texts_of(tree: Tree, fields: Iterable[FormField]) -> dict[str, str]:
    """What stands in each field for these settings."""
    values = dict(flatten(tree))
    return {entry.path: _text(entry, values.get(entry.path)) for entry in fields}


def tree_of(base: Tree, fields: Iterable[FormField], texts: Texts) -> Tree:
    """The settings with the fields' texts laid over them, not yet validated; `base` has the kinds already."""
    tree = base
    for entry in fields:
        if entry.path in texts and not decides_fields(entry):
            tree = merge(tree, _nested(entry.path, parse(entry, texts[entry.path])))
    return tree


def read(base: Tree, fields: Iterable[FormField], texts: Texts) -> Reading:
    """The config that the texts come to, or what is wrong."""
    fields = tuple(fields)
    try:
        return Reading(validate(tree_of(base, fields, texts)))
    except ConfigError as error:
        return _mapped(str(error), {entry.path for entry in fields})


def parse(entry: FormField, text: str) -> Any:
    """The value that a text stands for; the text itself where it stands for none, for the model to refuse."""
    text = text if entry.kind == "text" else text.strip()
    if entry.optional and text in ("", NONE if entry.choices else ""):
        return None
    if entry.kind == "bool":
        return text == YES
    try:
        return int(text) if entry.kind == "int" else _float(text) if entry.kind == "float" else text
    except ValueError:
        return text


def with_kind(tree: Tree, path: str, kind: str) -> Tree:
    """The settings with another kind of part, such as a generator; what both kinds have is kept."""
    name = path.removesuffix(".kind")
    if kind == NONE:
        return merge(tree, {name: None})
    return {**tree, name: of_kind(name, tree.get(name) or {}, kind)}


def decides_fields(entry: FormField) -> bool:
    """Whether another value of this setting brings other fields."""
    return entry.path.count(".") == 1 and entry.path.endswith(".kind")


def _fields(model: type[BaseModel], tree: Tree, prefix: str, section: str) -> Iterator[FormField]:
    for name, info in model.model_fields.items():
        path, value = f"{prefix}{name}", tree.get(name)
        parts = _models_by_kind(info.annotation)
        if not parts:
            yield from _leaf(path, info, section or GENERAL)
            continue
        inner = section or name
        if len(parts) > 1 or _is_optional(info.annotation):
            yield _kind_field(path, info, inner, tuple(parts))
        if isinstance(value, dict):
            part = parts.get(str(value.get("kind"))) or next(iter(parts.values()))
            yield from _fields(part, value, f"{path}.", inner)


def _kind_field(path: str, info: FieldInfo, section: str, kinds: tuple[str, ...]) -> FormField:
    optional = _is_optional(info.annotation)
    choices = ((NONE,) if optional else ()) + kinds
    return FormField(f"{path}.kind", section, info.description or "", "choice", optional, choices)


def _leaf(path: str, info: FieldInfo, section: str) -> Iterator[FormField]:
    kind, choices = _kind_of(info.annotation)
    optional = _is_optional(info.annotation)
    # A choice of one is no setting: it tells kinds apart, and another field asks for that.
    if kind != "choice" or len(choices) > 1:
        shown = ((NONE,) if optional and choices else ()) + choices
        yield FormField(path, section, info.description or "", kind, optional, shown, _bounds(info))


def _kind_of(annotation: Any) -> tuple[Kind, tuple[str, ...]]:
    for part in _parts(annotation):
        if get_origin(part) is Literal:
            return "choice", tuple(map(str, get_args(part)))
    names: Mapping[Any, Kind] = {bool: "bool", int: "int", float: "float"}
    return next((names[part] for part in _parts(annotation) if part in names), "text"), ()


def _parts(annotation: Any) -> Iterator[Any]:
    """The members of a union, however it is nested and annotated."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from _parts(argument)
    else:
        yield annotation


def _is_optional(annotation: Any) -> bool:
    return type(None) in _parts(annotation)


def _models_by_kind(annotation: Any) -> dict[str, type[BaseModel]]:
    models = [part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    return {_kind_name(model): model for model in models}


def _kind_name(model: type[BaseModel]) -> str:
    return str(model.model_fields["kind"].default) if "kind" in model.model_fields else ""


def _bounds(info: FieldInfo) -> Bounds:
    limits = {
        name: getattr(part, name)
        for part in info.metadata
        for name in ("ge", "gt", "le", "lt", "multiple_of")
        if getattr(part, name, None) is not None
    }
    return Bounds(
        limits.get("gt", limits.get("ge")),
        limits.get("lt", limits.get("le")),
        "gt" in limits,
        "lt" in limits,
        limits.get("multiple_of"),
    )


def _text(entry: FormField, value: Any) -> str:
    if value is None:
        return NONE if entry.choices else ""
    return (YES if value else NO) if isinstance(value, bool) else _number(value)


def _number(value: Any) -> str:
    """A value as people write it: 0.00005 rather than 5e-05, 100 rather than 100.0."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:.10f}".rstrip("0").rstrip(".")
    return short if float(short) == value and len(short) <= 8 else repr(value)


def _plain(number: float | None) -> str:
    if number is None:
        return ""
    return f"{int(number):,}" if number == int(number) else _number(number)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _nested(path: str, value: Any) -> Tree:
    tree: Any = value
    for name in reversed(path.split(".")):
        tree = {name: tree}
    result: Tree = tree
    return result


def _mapped(message: str, paths: set[str]) -> Reading:
    errors: dict[str, str] = {}
    general = []
    for line in message.splitlines():
        path, _, said = line.partition(": ")
        if path in paths:
            errors[path] = said
        else:
            general.append(line)
    return Reading(None, errors, tuple(general))
