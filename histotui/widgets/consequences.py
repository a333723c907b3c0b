"""Consequences: what a run that is not launched yet changes, needs and risks."""

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
from histotui.text import clean, clean_line

Tree = Mapping[str, Any]
_LABEL = 12
_BAR = 16


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
        padding: 0 1; scrollbar-size-vertical: 1;
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
        self._say(_joined(_answer_lines(answer)))

    def show_error(self, message: str) -> None:
        """Why the run cannot begin."""
        self.show_status("")
        self._say(Content.styled(f"✗ cannot begin: {clean(message)}", "$text-error"))

    def show_command(self, command: str) -> None:
        """The command that makes the run, where the clipboard may be out of reach."""
        self.query_one("#command", Static).update(_joined([_heading("Command"), Content(clean(command))]))

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


def _answer_lines(answer: Tree) -> Iterator[Content]:
    yield _verdict(answer)
    yield from (_fact(label, value) for label, value in _facts(answer) if NOTHING not in value)
    yield from _data_lines(answer)
    warnings = [str(warning) for warning in answer.get("warnings") or ()]
    if warnings:
        yield _heading("Warnings", gap=True)
        yield from (Content.styled(f"! {clean(warning)}", "$text-warning") for warning in warnings)


def _verdict(answer: Tree) -> Content:
    if answer.get("fits", True):
        return Content.assemble(_heading("What it needs"), ("  ✓ fits", "$text-success"))
    advice = str(answer.get("advice") or "").removeprefix("--set ")
    lines = [*shortages(dict(answer)), advice]
    return Content.assemble(
        _heading("What it needs"), (f"  ✗ does not fit\n{clean(chr(10).join(filter(None, lines)))}", "$text-error")
    )


def _facts(answer: Tree) -> Iterator[tuple[str, str]]:
    device, name = answer.get("device"), answer.get("device_name")
    yield "device", str(name or device or NOTHING) if device == "cpu" else f"{device} ({name})"
    yield "parameters", count(answer.get("parameters"))
    for label, need, room in (
        ("memory", answer.get("peak_bytes"), answer.get("available_bytes")),
        ("disk", answer.get("disk_bytes"), answer.get("disk_free_bytes")),
    ):
        yield label, f"{_share(need, room)} {size(need)} of {size(room)}"
    seconds = answer.get("seconds")
    like = answer.get("seconds_like") or ()
    yield "duration", _about(seconds, like) if isinstance(seconds, float | int) else "unknown: nothing like it ran here"


def _about(seconds: float, like: Sequence[object]) -> str:
    runs = "1 earlier run" if len(like) == 1 else f"{len(like)} earlier runs"
    return f"about {duration(float(seconds))}, by {runs}"


def _share(need: object, room: object) -> str:
    if isinstance(need, int) and isinstance(room, int) and room > 0:
        return bar(need / room, _BAR)
    return ""


def _data_lines(answer: Tree) -> Iterator[Content]:
    data = answer.get("data") or {}
    yield _heading("Data", gap=True)
    words = dict.fromkeys(str(data[key]) for key in ("name", "layout", "provenance") if data.get(key))
    yield _fact("source", ", ".join(words))
    for split, patches in (data.get("splits") or {"patches": data.get("patches")}).items():
        yield _fact(str(split), count(patches))
    if isinstance(training := answer.get("training_patches"), int):
        yield _fact("trains on", f"{count(training)} before any is held out")


def _difference(change: Difference) -> Content:
    path, old, new = change
    said = f" {clean_line(written(old))} → "
    return Content.assemble((path, "dim"), said, (clean_line(written(new)), "bold"))


def _fact(label: str, value: str) -> Content:
    return Content.assemble((f"{clean_line(label):<{_LABEL}}", "dim"), clean_line(value))


def _heading(text: str, gap: bool = False) -> Content:
    return Content.assemble("\n" if gap else "", (text, "bold $primary"))


def _muted(text: str) -> Content:
    return Content.styled(text, "dim")


def _joined(lines: Iterable[Content]) -> Content:
    return Content("\n").join(lines)
