"""From a preset, a file and `--set` to one validated RunConfig, with errors that name the field."""

import difflib
import json
import tomllib
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.json_file import read_json

Tree = dict[str, Any]


def validate(tree: Tree) -> RunConfig:
    """The RunConfig of a nested dict; ConfigError names every field that is wrong."""
    try:
        return RunConfig.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(detail) for detail in error.errors())) from None


def load(path: Path) -> RunConfig:
    """The RunConfig saved in a run folder's config.json."""
    try:
        return validate(read_json(path))
    except ValueError as error:
        raise ConfigError(f"{path}: not a JSON file ({error})") from None
    except ConfigError as error:
        raise ConfigError(f"{path}:\n{error}") from None


def read_toml(path: Path) -> Tree:
    """The settings in a TOML file, not yet validated."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from None


def dump(config: RunConfig) -> Tree:
    """The config as plain JSON types."""
    tree: Tree = config.model_dump(mode="json")
    return tree


def merge(base: Tree, changes: Tree) -> Tree:
    """A copy of `base` in which every leaf of `changes` replaces its own; another kind of part lets some of it go."""
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        if isinstance(old, dict) and isinstance(value, dict) and name in kinds():
            old = _kept(name, old, value.get("kind"))
        merged[name] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def parse_override(text: str) -> Tree:
    """`a.b=c` as a nested dict, the value read as TOML and, failing that, as a bare string."""
    path, equals, value = text.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set {text}: write it as field=value, for example --set generator.latent_dim=500")
    tree: Any = _parse_value(path.strip(), value.strip())
    for name in reversed(names):
        tree = {name: tree}
    result: Tree = tree
    return result


def apply(config: RunConfig, changes: Iterable[Tree]) -> RunConfig:
    """The config with changes laid over it, later ones winning, validated again as a whole."""
    # Taken together first: what is asked for is asked of the new kind, whichever is named first.
    together: Tree = {}
    for change in changes:
        together = merge(together, change)
    return validate(merge(dump(config), together))


def flatten(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a nested dict with its dotted path."""
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from flatten(value, f"{path}.")
        else:
            yield path, value


def differences(before: RunConfig, after: RunConfig) -> list[tuple[str, Any, Any]]:
    """Dotted path, old value and new value of every setting in which two configs differ."""
    old, new = dict(flatten(dump(before))), dict(flatten(dump(after)))
    return [
        (path, old.get(path), new.get(path))
        for path in [*old, *(new.keys() - old.keys())]
        if old.get(path) != new.get(path)
    ]


def steps_between(before: RunConfig, after: RunConfig) -> list[tuple[str, Any]]:
    """What to set, in this order, to come from one config to the other: kinds first, then what they leave different."""
    tree, goal = dump(before), dump(after)
    steps: list[tuple[str, Any]] = []
    for name in kinds():
        old, new = tree[name] or {}, goal[name]
        if new is None and old:
            steps.append((name, None))
            tree[name] = None
        elif new is not None and new["kind"] != old.get("kind"):
            steps.append((f"{name}.kind", new["kind"]))
            tree[name] = of_kind(name, old, new["kind"])
    reached = dict(flatten(tree))
    return steps + [(path, value) for path, value in flatten(goal) if path not in reached or reached[path] != value]


def fields() -> Iterator[tuple[str, str]]:
    """Dotted path and description of every setting, those of each kind of part included."""
    for path, field in _leaves(RunConfig):
        yield path, field.description or ""


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        parts = list(_models(field.annotation))
        if not parts:
            yield f"{prefix}{name}", field
        for part in parts:
            yield from _leaves(part, f"{prefix}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, Annotated):
        for argument in get_args(annotation):
            yield from _models(argument)


@cache
def kinds() -> Mapping[str, Mapping[str, type[BaseModel]]]:
    """The parts that come in kinds, such as the generator, and the config model of each kind by its name."""
    parts = {name: list(_models(field.annotation)) for name, field in RunConfig.model_fields.items()}
    return {
        name: {model.model_fields["kind"].default: model for model in models}
        for name, models in parts.items()
        if len(models) > 1
    }


def of_kind(part: str, old: Tree, kind: str) -> Tree:
    """All settings of a part as this kind of it has them: its defaults, and what is kept of another kind's."""
    return _defaults(kinds()[part][kind]) | _kept(part, old, kind) | {"kind": kind}


def _kept(part: str, old: Tree, kind: object) -> Tree:
    """The settings that survive a change of kind: those that both have, if they were not left at their default.

    What was left there takes the new kind's, so that a kind is the same wherever it is asked for.
    """
    before, after = (kinds()[part].get(str(name)) for name in (old.get("kind"), kind))
    if before is None or after is None:
        return old
    left = {
        name for name, value in _defaults(before).items() if name not in after.model_fields or old.get(name) == value
    }
    return {name: value for name, value in old.items() if name not in left}


def _defaults(model: type[BaseModel]) -> Tree:
    return {
        name: field.default.model_dump(mode="json") if isinstance(field.default, BaseModel) else field.default
        for name, field in model.model_fields.items()
    }


def _parse_value(path: str, text: str) -> Any:
    if text in ("none", "None", "null"):
        # One setting has a choice of that name.
        return (
            text
            if any(text in get_args(field.annotation) for name, field in _leaves(RunConfig) if name == path)
            else None
        )
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(detail: ErrorDetails) -> str:
    path = _field_path(detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            return f"{path}: unknown; {_nearest(path)}"
        case "union_tag_not_found":
            return f"{path}.kind: needed to know which {path}; one of {', '.join(kinds()[path])}"
        case "union_tag_invalid":
            tag = _shown(detail["ctx"]["tag"])
            return f"{path}.kind: {tag} is not a {path}; one of {', '.join(kinds()[path])}"
        case "value_error":
            return f"{path}: {detail['ctx']['error']}" if path else str(detail["ctx"]["error"])
        case _:
            said = detail["msg"].removeprefix("Input ").removeprefix("String ")
            return f"{path}: {_shown(detail['input'])} is not allowed; it {said}"


def _nearest(path: str) -> str:
    """What to do about a setting of this name that is not there."""
    known = [name for name, _ in fields()]
    if path in known:
        part = path.partition(".")[0]
        return f"another kind of {part} has it; set {part}.kind as well"
    near = difflib.get_close_matches(path, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "`histotui presets NAME` lists all settings"


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _field_path(location: tuple[int | str, ...]) -> str:
    """The dotted path that a user writes: pydantic's without the union's tag."""
    names = [str(name) for name in location]
    tagged = len(names) > 1 and names[1] in kinds().get(names[0], ())
    return ".".join(names[:1] + names[2:] if tagged else names)
