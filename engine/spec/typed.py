"""Whether JSON from a file holds what a dataclass declares, for readers that must not trust files."""

import math
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin


def conforms(kind: type, tree: Mapping[str, Any]) -> bool:
    """Whether every value in the tree whose name is a field of the dataclass has a type that the field allows."""
    return all(_is_one_of(tree[name], types) for name, types in _field_types(kind).items() if name in tree)


@cache
def _field_types(kind: Any) -> dict[str, tuple[type, ...]]:
    return {field.name: tuple(_json_types(field.type)) for field in fields(kind)}


def _json_types(annotation: Any) -> set[type]:
    """The types in which JSON gives values of an annotation; objects and arrays are not looked into."""
    origin = get_origin(annotation) or annotation
    if origin in (Union, UnionType):
        return set().union(*map(_json_types, get_args(annotation)))
    if origin is Literal:
        return {type(choice) for choice in get_args(annotation)}
    if origin is float:
        return {float, int}
    if origin is tuple:
        return {list}
    return {origin} if origin in (str, int, bool, dict, type(None)) else {dict}


def _is_one_of(value: object, types: tuple[type, ...]) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    # True is an int to isinstance.
    return type(value) in types
