"""RunPreview: the highlighted run at a glance: state, losses, scores and the newest sample grid."""

from collections.abc import Iterator
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from histotui.curves import Curve, spark
from histotui.formats import duration, interval, number
from histotui.graphics import Graphics
from histotui.look import joined, line, state_text
from histotui.runs import LIVE
from histotui.summary import RunSummary
from histotui.text import clean_line
from histotui.views import position
from histotui.watcher import Snapshot
from histotui.widgets.picture import Picture

_SPARK, _NAME = 18, 15
_CURVES = 6


class RunPreview(Vertical):
    """Beside the table of runs."""

    DEFAULT_CSS = """
    RunPreview { width: 46; padding: 0 1; border-left: vkey $panel; }
    RunPreview Static { height: auto; }
    RunPreview Picture { height: 1fr; }
    """

    def __init__(self, graphics: Graphics, id: str | None = None) -> None:
        super().__init__(id=id)
        self._graphics = graphics
        self._lines: list[Text] = []
        self._rows: object = None
        self._newest: tuple[Path | None, str] = (None, "")

    def compose(self) -> ComposeResult:
        yield Static(id="facts")
        yield Picture(self._graphics, empty="no samples", id="newest")

    def show(self, run: RunSummary | None, snapshot: Snapshot | None) -> None:
        """Show this run; None for an empty table."""
        lines = list(_lines(run, snapshot)) if run else []
        if lines != self._lines:
            facts = self.query_one("#facts", Static)
            # A layout of the screen takes many times as long as these lines.
            rows = [-(-line.cell_len // max(1, facts.size.width)) for line in lines], run and run.error
            facts.update(Text("\n").join(lines), layout=rows != self._rows)
            self._lines, self._rows = lines, rows
        newest = _newest(run, snapshot)
        if newest != self._newest:
            self._newest = newest
            self.query_one(Picture).show(*newest)


def _newest(run: RunSummary | None, snapshot: Snapshot | None) -> tuple[Path | None, str]:
    """The newest picture and what is said of it."""
    if run is None or snapshot is None or not snapshot.images:
        return None, ""
    image = snapshot.images[-1]
    return run.folder.path / image.path, image.caption


def _lines(run: RunSummary, snapshot: Snapshot | None) -> Iterator[Text]:
    yield line(run.name or run.id, "bold")
    yield Text.assemble(state_text(run.state), "  ", line(run.device, "dim"))
    if run.error:
        yield Text(clean_line(run.error), style="red")
    if run.name:
        yield line(run.id, "dim")
    if run.state in LIVE and snapshot and (stage := snapshot.run.stages.get(snapshot.run.stage)):
        yield line(joined([stage.name, position(stage)]))
    elif run.seconds is not None:
        yield line(f"took {duration(run.seconds)}", "dim")
    yield from _score_lines(run)
    if snapshot:
        yield from map(_curve_line, _of_newest_stage(snapshot.curves))
    if run.tags:
        yield line(f"tags {', '.join(run.tags)}")
    if run.notes:
        yield line(run.notes, "italic")


def _score_lines(run: RunSummary) -> Iterator[Text]:
    for score in run.scores:
        auc = f"AUC {number(score.get('auc'))} {interval(score.get('auc_low'), score.get('auc_high'))}"
        yield line(f"{score.get('role')}: {score.get('trained_on')} → {score.get('tested_on')}", "dim")
        yield line(f"  {auc}", "bold" if score.get("role") == "answer" else "")


def _of_newest_stage(curves: tuple[Curve, ...]) -> list[Curve]:
    return [curve for curve in curves if curve.stage == curves[-1].stage][:_CURVES]


def _tail(name: str) -> str:
    """The end of a long name, which tells it from others."""
    return name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"


def _curve_line(curve: Curve) -> Text:
    values = curve.values
    return Text.assemble(
        line(f"{_tail(curve.name):<16}"),
        (spark(values, _SPARK), "cyan"),
        line(f" {number(values[-1], 3)}" if values else ""),
    )
