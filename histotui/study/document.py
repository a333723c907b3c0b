"""A report as a list of blocks, which HTML and Markdown are written from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of what follows."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines as a program reads them."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header, as text; `strong` are the places of rows that others are compared with."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart or a photograph: `content` is an SVG element as text, or the bytes of a PNG. `name` is its file's."""

    name: str
    content: str | bytes
    words: str
    """What it shows, for those who do not see it."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures side by side, with what they show below them where `captions` says so."""

    pictures: tuple[Picture, ...]
    captions: bool = False


Block = Heading | Prose | Items | Code | Table | Gallery


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    blocks: tuple[Block, ...]
