"""A report as Markdown, its pictures as files beside it."""

import re
from collections.abc import Iterator
from typing import Final

from histotui.study.charts import standalone
from histotui.study.document import Block, Code, Document, Gallery, Heading, Items, Picture, Prose, Table
from histotui.study.markup import Markup
from histotui.text import clean, clean_line

IMAGES: Final = "images"
"""The folder of the pictures."""
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~])")


def as_markdown(document: Document) -> str:
    """The report; `picture_files` gives what it shows."""
    blocks = [f"# {_plain(document.title)}", *map(_block, document.blocks)]
    return "\n\n".join(blocks) + "\n"


def picture_files(document: Document) -> Iterator[tuple[str, bytes]]:
    """Name and content of each picture's file."""
    for block in document.blocks:
        for picture in block.pictures if isinstance(block, Gallery) else ():
            content = picture.content
            yield _file(picture), standalone(Markup(content)).encode() if isinstance(content, str) else content


def as_table(table: Table) -> str:
    """One table as Markdown."""
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    return "\n".join(f"| {' | '.join(_plain(cell) if row else cell for cell in line)} |" for row, line in _told(lines))


def _told(lines: list[tuple[str, ...]]) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """Each line, and whether it is one of text."""
    return ((place != 1, line) for place, line in enumerate(lines))


def _block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_plain(text)}"
        case Prose(text):
            return _plain(text)
        case Items(texts):
            return "\n".join(f"- {_plain(text)}" for text in texts)
        case Code(text):
            return "\n".join(f"    {line}" for line in clean(text).split("\n"))
        case Table():
            return as_table(block) + (f"\n\n{_plain(block.caption)}" if block.caption else "")
        case Gallery(pictures, captions):
            return "\n\n".join(_picture(picture, captions) for picture in pictures)


def _picture(picture: Picture, caption: bool) -> str:
    shown = f"![{_plain(picture.words)}]({IMAGES}/{_file(picture)})"
    return f"{shown}\n\n{_plain(picture.words)}" if caption else shown


def _file(picture: Picture) -> str:
    return f"{picture.name}.{'svg' if isinstance(picture.content, str) else 'png'}"


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return _SPECIAL.sub(r"\\\1", clean_line(text))
