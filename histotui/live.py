"""LiveView: a run's stages on a terminal, repainted in place."""

import time
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from engine.spec.events import Event, Warned
from histotui.formats import duration
from histotui.runs import Run, Stage
from histotui.text import clean_line
from histotui.views import losses, position, speed

_BAR = 24
_NAME = 12


class LiveView:
    """Every stage on a line; under the current one its losses, speed and time left."""

    def __init__(self, stages: tuple[str, ...], title: str) -> None:
        self._stages = stages
        self._title = title
        self._note = ""
        self._begun = time.monotonic()
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, refresh_per_second=4, auto_refresh=False)
        self._painted = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, event: Event, run: Run) -> None:
        if isinstance(event, Warned):
            self._console.print(Text(clean_line(f"warning: {event.message}"), style="yellow"))

    def tick(self, run: Run) -> None:
        if run.outcome is None and time.monotonic() - self._painted < 0.25:
            return
        self._painted = time.monotonic()
        self._live.update(picture(run, self._stages, self._heading(run), self._console.width), refresh=True)

    def note(self, text: str) -> None:
        self._note = text

    def _heading(self, run: Run) -> str:
        parts = [self._title, run.device, duration(time.monotonic() - self._begun)]
        return "  ".join(filter(None, parts)) + (f"\n{self._note}" if self._note else "")


def picture(run: Run, stages: tuple[str, ...], heading: str, width: int) -> Group:
    """The run as lines that are never wider than the terminal."""
    shown = [*stages, *(name for name in run.stages if name not in stages)]
    lines = [Text(clean_line(line), style="bold") for line in heading.split("\n")]
    for name in shown:
        lines += _stage_lines(name, run, width)
    for line in lines:
        line.truncate(width, overflow="ellipsis")
        line.no_wrap = True
    return Group(*lines)


def _stage_lines(name: str, run: Run, width: int) -> list[Text]:
    stage = run.stages.get(name)
    label = clean_line(name).ljust(_NAME)
    if stage is None:
        return [Text(f"  · {label}", style="dim")]
    if stage.seconds is not None:
        return [Text.assemble(("  ✓ ", "green"), label, f"{duration(stage.seconds)}  {clean_line(losses(stage))}")]
    if name != run.stage:
        return [Text(f"  · {label}")]
    first = Text.assemble(("  ▸ ", "cyan"), (label, "bold"), *_bar(stage), clean_line(position(stage)))
    indent = " " * (4 + _NAME)
    details = [*_filled(losses(stage), width - len(indent)), speed(stage)]
    return [first, *(Text(f"{indent}{clean_line(text)}") for text in details if text)]


def _filled(text: str, width: int) -> list[str]:
    """Text of parts with commas between them on as many lines as it takes, no part torn."""
    lines: list[str] = []
    for part in text.split(", "):
        joined = f"{lines[-1]}, {part}" if lines else part
        if lines and len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


def _bar(stage: Stage) -> list[tuple[str, str]]:
    if not stage.total:
        return []
    share = min(1.0, max(0.0, stage.step / stage.total))
    full = round(share * _BAR)
    return [("━" * full, "cyan"), ("─" * (_BAR - full), "dim"), (f" {share:4.0%}  ", "")]
