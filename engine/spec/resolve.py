"""From a preset, a file and `--set` to one validated RunConfig, with errors that name the field."""

import difflib
import json
import tomllib
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from engine.spec.config import GeneratorConfig, RunConfig
from engine.spec.errors import ConfigError

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
        return validate(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
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
    """A copy of `base` in which every leaf of `changes` replaces its own."""
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        if name == "generator" and isinstance(old, dict) and isinstance(value, dict):
            old = _shared_with_kind(old, value.get("kind", old.get("kind")))
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
    tree = dump(config)
    for change in changes:
        tree = merge(tree, change)
    return validate(tree)


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


def fields() -> Iterator[tuple[str, str]]:
    """Dotted path and description of every setting, those of each generator included."""
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


def generator_models() -> dict[str, type[BaseModel]]:
    """The config model of each generator, by its kind."""
    return {model.model_fields["kind"].default: model for model in _models(GeneratorConfig)}


def _shared_with_kind(old: Tree, kind: object) -> Tree:
    """Settings that survive a change of generator: those that the new kind has too."""
    model = generator_models().get(str(kind))
    return {name: value for name, value in old.items() if model is None or name in model.model_fields}


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
            return f"{path}.kind: needed to know which generator; one of {', '.join(generator_models())}"
        case "union_tag_invalid":
            tag = _shown(detail["ctx"]["tag"])
            return f"{path}.kind: {tag} is not a generator; one of {', '.join(generator_models())}"
        case "value_error":
            return f"{path}: {detail['ctx']['error']}" if path else str(detail["ctx"]["error"])
        case _:
            said = detail["msg"].removeprefix("Input ").removeprefix("String ")
            return f"{path}: {_shown(detail['input'])} is not allowed; it {said}"


def _nearest(path: str) -> str:
    """What to do about a setting of this name that is not there."""
    known = [name for name, _ in fields()]
    if path in known:
        return "another kind of generator has it; set generator.kind as well"
    near = difflib.get_close_matches(path, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "`histotui presets NAME` lists all settings"


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _field_path(location: tuple[int | str, ...]) -> str:
    """The dotted path that a user writes: pydantic's without the union's tag."""
    kinds = generator_models()
    names = [
        str(part)
        for position, part in enumerate(location)
        if not (position == 1 and location[0] == "generator" and part in kinds)
    ]
    return ".".join(names)
