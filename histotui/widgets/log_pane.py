"""LogPane: the end of a run's log as it grows, with search; the error of a failed run stands above it."""

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label, Log

from histotui.log_tail import Growth, LogTail
from histotui.look import line

_SECONDS = 0.5
_KEPT = 5000
_EMPTY = "the engine has written nothing yet; 6 shows what has happened"


class _Lines(Log):
    """A log whose last line may be written anew."""

    def take_back_last(self) -> None:
        """Forget the last line."""
        if self._lines:
            del self._lines[-1]
            self.refresh_lines(len(self._lines))


class LogPane(Vertical):
    """What the engine wrote for people."""

    DEFAULT_CSS = """
    LogPane _Lines { height: 1fr; }
    LogPane #error { color: $error; height: auto; max-height: 8; display: none; padding: 0 1; text-style: bold; }
    LogPane.-failed #error { display: block; }
    LogPane #search { height: 1; border: none; display: none; padding: 0 1; }
    LogPane.-searching #search { display: block; }
    LogPane #found { height: 1; color: $text-muted; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="log-search", key_display="/"),
        Binding("n", "next(1)", "Next", id="log-next"),
        Binding("N", "next(-1)", "Previous", id="log-previous", show=False),
    ]

    def __init__(self, path: Path, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tail, self._lines, self._unfinished = LogTail(path), list[str](), ""
        self._place = -1
        self._error = ""
        self._seen = False

    def compose(self) -> ComposeResult:
        yield Label("", id="error", markup=False)
        yield Input(placeholder="text to look for", id="search", compact=True)
        yield _Lines(max_lines=_KEPT)
        yield Label(_EMPTY, id="found", markup=False)

    def on_mount(self) -> None:
        self._follow()

    def on_show(self) -> None:
        # A log that is hidden has no size, and what is written to it then cannot be scrolled to.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if not self._seen:
            self._seen = True
            self._write(self._shown())

    def show_error(self, error: str) -> None:
        """Show why the run failed; nothing for one that did not."""
        if error == self._error:
            return
        self._error = error
        self.set_class(bool(error), "-failed")
        self.query_one("#error", Label).update("\n".join(line(part).plain for part in error.split("\n")))

    @work(exclusive=True)
    async def _follow(self) -> None:
        while True:
            new = await asyncio.to_thread(self._tail.read)
            if new.lines or new.unfinished != self._unfinished:
                self._add(new)
            await asyncio.sleep(_SECONDS)

    def _add(self, new: Growth) -> None:
        replaced = bool(self._unfinished)
        self._lines, self._unfinished = [*self._lines, *new.lines][-_KEPT:], new.unfinished
        if self._seen:
            self._write([*new.lines, *filter(None, [new.unfinished])], replaced)

    def _shown(self) -> list[str]:
        return [*self._lines, *filter(None, [self._unfinished])][-_KEPT:]

    def _write(self, lines: list[str], replaced: bool = False) -> None:
        log = self.query_one(_Lines)
        at_end = log.scroll_offset.y >= log.max_scroll_y
        if replaced:
            log.take_back_last()
        # An empty line is no line to it.
        log.write_lines([text or " " for text in lines], scroll_end=at_end)
        if lines and not self.has_class("-searching"):
            self.query_one("#found", Label).update("")

    def action_search(self) -> None:
        self.add_class("-searching")
        self.query_one("#search", Input).focus()

    @on(Input.Submitted, "#search")
    def _search(self) -> None:
        self._place = len(self._lines)
        self.query_one(_Lines).focus()
        self.action_next(-1)

    def action_next(self, step: int) -> None:
        """Go to the next line that has the text, round and round."""
        wanted = self.query_one("#search", Input).value.lower()
        if not wanted:
            return
        lines = self._shown()
        found = [number for number, text in enumerate(lines) if wanted in text.lower()]
        said = self.query_one("#found", Label)
        if not found:
            said.update(line(f"no line has {wanted!r}"))
            return
        beyond = [number for number in found if (number - self._place) * step > 0]
        self._place = (beyond or found)[0 if step > 0 else -1]
        self.query_one(_Lines).scroll_to(y=self._place, animate=False)
        said.update(line(f"{found.index(self._place) + 1} of {len(found)}: {lines[self._place]}"))
