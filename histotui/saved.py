"""JSON that is kept as text until somebody looks into it: ten thousand parsed configs would take seconds and memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload


class SavedObject(Mapping[str, Any]):
    """A JSON object, parsed when it is first looked into."""

    __slots__ = ("_tree", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._tree: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return self._parsed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __eq__(self, other: object) -> bool:
        return _same_text(self, other) or super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def _parsed(self) -> dict[str, Any]:
        if self._tree is None:
            self._tree = json.loads(self.text)
        return self._tree


class SavedList(Sequence[dict[str, Any]]):
    """A JSON array of objects, parsed when it is first looked into."""

    __slots__ = ("_trees", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._trees: tuple[dict[str, Any], ...] | None = None

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[dict[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> dict[str, Any] | Sequence[dict[str, Any]]:
        return self._parsed()[place]

    def __len__(self) -> int:
        return len(self._parsed())

    def __eq__(self, other: object) -> bool:
        if _same_text(self, other):
            return True
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _parsed(self) -> tuple[dict[str, Any], ...]:
        if self._trees is None:
            self._trees = tuple(json.loads(self.text))
        return self._trees


def text_of(tree: object) -> bytes:
    """The tree as compact JSON without a tab or newline in it."""
    return json.dumps(tree, separators=(",", ":")).encode("ascii")


def _same_text(one: SavedObject | SavedList, other: object) -> bool:
    return type(one) is type(other) and one.text == getattr(other, "text", None)
