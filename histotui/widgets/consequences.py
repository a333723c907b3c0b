"""Consequences: what a run that is not launched yet changes, needs and risks."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from histotui.formats import NOTHING, count, duration, size
from histotui.look import bar
from histotui.settings import Difference, written
from histotui.starting import shortages
from histotui.text import clean, clean_line, width

Tree = Mapping[str, Any]
_LABEL = 12
_LEAST_BAR, _LONGEST_BAR = 4, 16
_CLASSES = ("normal", "tumour")
_CELL = 9
_WIDE = 1000
# Where a line never breaks.
_GLUE = "\xa0"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:[kMGT]?B|s|min|h|threads)\b)")


@dataclass(frozen=True, slots=True)
class Changes:
    """In what a run differs from what it starts from, by hand and by quick scaling."""

    base: str
    by_hand: tuple[Difference, ...] = ()
    quick: tuple[Difference, ...] = ()


class Consequences(VerticalScroll):
    """Differences at once, and what the engine says of the run as soon as it has said it."""

    DEFAULT_CSS = """
    Consequences {
        padding: 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
        Static { height: auto; }
        #answer { margin-top: 1; }
        #answer.-old { text-opacity: 50%; }
        #status { margin-top: 1; color: $text-muted; }
        #command { margin-top: 1; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._changes: Changes | None = None
        self._status = ""
        self._answer: Tree | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="changes")
        yield Static(id="status")
        yield Static(id="answer")
        yield Static(id="command")

    def show_changes(self, changes: Changes) -> None:
        """Say what differs."""
        if changes != self._changes:
            self._changes = changes
            self.query_one("#changes", Static).update(_joined(_change_lines(changes)))

    def show_asking(self) -> None:
        """Keep the last answer, dimmed, until there is another."""
        self.show_status("asking the engine…")
        self.query_one("#answer", Static).add_class("-old")

    def show_status(self, text: str) -> None:
        """One line on the answer beneath it."""
        if text != self._status:
            self._status = text
            status = self.query_one("#status", Static)
            status.update(Content(clean(text)))
            status.display = bool(text)

    def show_answer(self, answer: Tree) -> None:
        """What the engine says that the run needs."""
        self.show_status("")
        self._answer = answer
        self._say(_joined(_answer_lines(answer, self._room)))

    def show_error(self, message: str) -> None:
        """Why the run cannot begin."""
        self.show_status("")
        self._answer = None
        self._say(Content.styled(f"✗ cannot begin: {clean(message)}", "$text-error"))

    def show_command(self, command: str) -> None:
        """The command that makes the run, where the clipboard may be out of reach."""
        self.query_one("#command", Static).update(_joined([_heading("Command"), Content(clean(command))]))

    def on_resize(self) -> None:
        if self._answer is not None:
            self.query_one("#answer", Static).update(_joined(_answer_lines(self._answer, self._room)))

    @property
    def _room(self) -> int:
        """Columns for text; many while the pane is hidden and has none."""
        return self.scrollable_content_region.width or _WIDE

    def _say(self, content: Content) -> None:
        answer = self.query_one("#answer", Static)
        answer.remove_class("-old")
        answer.update(content)


def _change_lines(changes: Changes) -> Iterator[Content]:
    yield _heading(f"Changed from {clean_line(changes.base)}")
    yield from map(_difference, changes.by_hand) if changes.by_hand else [_muted("nothing")]
    if changes.quick:
        yield _heading("Quick scaling", gap=True)
        yield from map(_difference, changes.quick)


def _answer_lines(answer: Tree, room: int) -> Iterator[Content]:
    yield _verdict(answer, room)
    yield from (_fact(label, value, room) for label, value in _facts(answer, room) if NOTHING not in value)
    yield from _data_lines(answer, room)
    warnings = [str(warning) for warning in answer.get("warnings") or ()]
    if warnings:
        yield _heading("Warnings", gap=True)
        yield from (Content.styled(f"! {clean(warning)}", "$text-warning") for warning in warnings)


def _verdict(answer: Tree, room: int) -> Content:
    if answer.get("fits", True):
        return Content.assemble(_heading("What it needs"), ("  ✓ fits", "$text-success"))
    advice = str(answer.get("advice") or "").removeprefix("--set ")
    said = "\n".join(filter(None, [*shortages(dict(answer)), advice]))
    lines = [line for paragraph in clean(said).split("\n") for line in _wrapped(paragraph, room)]
    return Content.assemble(_heading("What it needs"), ("\n".join(["  ✗ does not fit", *lines]), "$text-error"))


def _facts(answer: Tree, room: int) -> Iterator[tuple[str, str]]:
    device, name = answer.get("device"), answer.get("device_name")
    yield "device", str(name or device or NOTHING) if device == "cpu" else f"{device} ({name})"
    yield "parameters", count(answer.get("parameters"))
    yield from _shares(
        {
            "memory": (answer.get("peak_bytes"), answer.get("available_bytes")),
            "disk": (answer.get("disk_bytes"), answer.get("disk_free_bytes")),
        },
        room - _LABEL,
    )
    seconds = answer.get("seconds")
    like = answer.get("seconds_like") or ()
    yield "duration", _about(seconds, like) if isinstance(seconds, float | int) else "unknown: nothing like it ran here"


def _shares(needs: Mapping[str, tuple[object, object]], room: int) -> Iterator[tuple[str, str]]:
    """What is needed of what there is, with bars of one length where there is room for them beside the numbers."""
    texts = {label: f"{size(need)} of {size(there)}" for label, (need, there) in needs.items()}
    length = min(_LONGEST_BAR, room - 1 - max(map(len, texts.values())))
    for label, (need, there) in needs.items():
        yield label, _glued(_share(need, there, length) + texts[label])


def _share(need: object, there: object, length: int) -> str:
    if isinstance(need, int) and isinstance(there, int) and there > 0 and length >= _LEAST_BAR:
        return f"{bar(need / there, length)} "
    return ""


def _about(seconds: float, like: Sequence[object]) -> str:
    runs = "1 earlier run" if len(like) == 1 else f"{len(like)} earlier runs"
    return f"{_glued(f'about {duration(float(seconds))},')} {_glued(f'by {runs}')}"


def _data_lines(answer: Tree, room: int) -> Iterator[Content]:
    data = answer.get("data") or {}
    yield _heading("Data", gap=True)
    words = dict.fromkeys(str(data[key]) for key in ("name", "layout", "provenance") if data.get(key))
    yield _fact("source", ", ".join(words), room)
    yield from _split_lines(data, room)
    if isinstance(training := answer.get("training_patches"), int):
        yield _fact("trains on", f"{count(training)} before any is held out", room)


def _split_lines(data: Tree, room: int) -> Iterator[Content]:
    """How many patches each split has, of each class where the engine could say so without reading them."""
    if counts := data.get("counts"):
        yield Content.styled(" " * _LABEL + "".join(f"{name:>{_CELL}}" for name in _CLASSES), "dim")
        for split, classes in counts.items():
            cells = "".join(f"{count(classes.get(name)):>{_CELL}}" for name in _CLASSES)
            yield _fact(str(split), _glued(cells), room)
        return
    for split, patches in (data.get("splits") or {"patches": data.get("patches")}).items():
        yield _fact(str(split), count(patches), room)


def _difference(change: Difference) -> Content:
    path, old, new = change
    said = f" {clean_line(written(old))} → "
    return Content.assemble((path, "dim"), said, (clean_line(written(new)), "bold"))


def _fact(label: str, value: str, room: int) -> Content:
    """A label, and beside it what is said of it."""
    lines = f"\n{' ' * _LABEL}".join(_wrapped(clean_line(value), room - _LABEL))
    return Content.assemble((f"{clean_line(label):<{_LABEL}}", "dim"), lines)


def _glued(text: str) -> str:
    """The text as one word."""
    return text.replace(" ", _GLUE)


def _wrapped(text: str, room: int) -> Iterator[str]:
    """Lines that fit, unless a word does not; a number stays with its unit."""
    line: list[str] = []
    for word in _words(text, room):
        if line and width(" ".join([*line, word])) > room:
            yield " ".join(line)
            line = []
        line.append(word)
    yield " ".join(line)


def _words(text: str, room: int) -> Iterator[str]:
    for part in _BEFORE_UNIT.sub(_GLUE, text).split(" "):
        whole = part.replace(_GLUE, " ")
        if width(whole) <= room:
            yield whole
        else:
            yield from (word.replace(_GLUE, " ") for word in _BEFORE_UNIT.sub(_GLUE, whole).split(" "))


def _heading(text: str, gap: bool = False) -> Content:
    return Content.assemble("\n" if gap else "", (text, "bold $primary"))


def _muted(text: str) -> Content:
    return Content.styled(text, "dim")


def _joined(lines: Iterable[Content]) -> Content:
    return Content("\n").join(lines)
