"""EvaluationPane: how a run's classifier did on real patches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from engine.spec.errors import HistotuiError, RunFolderError
from engine.spec.scores import read_score_trees
from histotui.ask import Asking, ask, hide_progress
from histotui.formats import number
from histotui.graphics import Graphics
from histotui.look import line
from histotui.quality import Quality, quality_of
from histotui.report import result_notes, score_lines
from histotui.runs import LIVE, section
from histotui.summary import RunSummary
from histotui.text import clean
from histotui.widgets.confusion import ConfusionMatrix
from histotui.widgets.picture import Picture
from histotui.widgets.score_charts import calibration_chart, roc_chart

MISTAKES: Final = 8
_SIDE_BY_SIDE: Final = 130
_NARROW: Final = 77
"""Columns that lines have beside the scroll bar of an application of 80."""
_KINDS: Final = {
    "false_positives": "surest false positives: called tumour, labelled normal",
    "false_negatives": "surest false negatives: called normal, labelled tumour",
}

Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the pane shows of a run, read in a thread."""

    run: RunSummary
    table: tuple[str, ...] = ()
    narrow: tuple[str, ...] = ()
    """The same for 80 columns."""
    notes: tuple[str, ...] = ()
    quality: Quality = field(default_factory=Quality)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The engine's answer about the surest mistakes, or why there is none."""

    answer: Tree | None = None
    error: str = ""


class EvaluationPane(VerticalScroll):
    """The scores of one run, shown as soon as it has them."""

    DEFAULT_CSS = """
    EvaluationPane { padding: 0 1; }
    EvaluationPane > Static, EvaluationPane > Horizontal, EvaluationPane .pair { height: auto; margin-bottom: 1; }
    EvaluationPane .table, EvaluationPane .quality { text-wrap: nowrap; }
    EvaluationPane .quality { width: 1fr; height: auto; margin-bottom: 1; }
    EvaluationPane .wide, EvaluationPane.-side-by-side .narrow { display: none; }
    EvaluationPane.-side-by-side .wide { display: block; }
    EvaluationPane .pair { layout: vertical; }
    EvaluationPane .spaces { margin-bottom: 0; }
    EvaluationPane.-side-by-side .pair { layout: horizontal; }
    EvaluationPane .mistakes { width: 1fr; height: auto; }
    EvaluationPane Picture { height: 21; max-width: 78; }
    """

    class Read(Message):
        """A run's scores have been read."""

        def __init__(self, run: RunSummary, evaluation: Evaluation) -> None:
            super().__init__()
            self.run, self.evaluation = run, evaluation

    class MistakesFound(Message):
        """The engine has answered about a run's mistakes."""

        def __init__(self, mistakes: Mistakes) -> None:
            super().__init__()
            self.mistakes = mistakes

    def __init__(self, graphics: Graphics | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self._graphics = graphics or Graphics("halfcell", "not asked")
        self._wanted: RunSummary | None = None
        self._evaluation: Evaluation | None = None
        self._mistakes: Mistakes | None = None
        self._asking: Asking | None = None

    def show(self, run: RunSummary) -> None:
        """Show the scores of this run as its summary has them; nothing is done where they are shown already."""
        before, self._wanted = self._wanted, run
        if before is None or _shown_of(before) != _shown_of(run):
            self._read(run)

    def compose(self) -> ComposeResult:
        evaluation = self._evaluation
        if evaluation is None:
            return
        if evaluation.error or not evaluation.run.scores:
            yield Static(_why_empty(evaluation), classes="empty")
            return
        answer = evaluation.run.answer
        yield Static(Text("\n").join(map(line, evaluation.table)), classes="table wide")
        yield Static(Text("\n").join(map(line, evaluation.narrow)), classes="table narrow")
        with Horizontal():
            yield from _matrices(evaluation.run)
        yield Static(Text("\n").join(_note(note) for note in evaluation.notes))
        yield from _compose_quality(evaluation.quality)
        with Horizontal():
            yield roc_chart([("AUC", answer)])
            yield calibration_chart(answer)
        yield from self._compose_mistakes()

    def _compose_mistakes(self) -> ComposeResult:
        if self._mistakes is None:
            yield Static("looking for the surest mistakes …", classes="hint")
        elif self._mistakes.answer is None:
            yield Static(Text(clean(f"no mistakes to show: {self._mistakes.error}")), classes="hint")
        else:
            with Container(classes="pair"):
                for kind, title in _KINDS.items():
                    with Vertical(classes="mistakes"):
                        yield from self._compose_kind(title, self._mistakes.answer.get(kind) or {})

    def _compose_kind(self, title: str, found: Tree) -> ComposeResult:
        rows, picture = found.get("rows") or [], found.get("picture")
        yield Static(line(title if rows else f"{title}: none", "bold"))
        if rows and picture:
            grid = Picture(self._graphics)
            grid.show(Path(picture), "P(tumour) " + "  ".join(f"{row['probability']:.3f}" for row in rows))
            yield grid

    def on_resize(self) -> None:
        self.set_class(self.size.width >= _SIDE_BY_SIDE, "-side-by-side")

    def on_show(self) -> None:
        self._look_for_mistakes()

    def on_unmount(self) -> None:
        if self._asking is not None:
            self._asking.call_off()

    def on_evaluation_pane_read(self, event: Read) -> None:
        event.stop()
        # An older summary may be read later than a newer one.
        if self._wanted is not None and _shown_of(self._wanted) == _shown_of(event.run):
            self._evaluation = event.evaluation
            self.refresh(recompose=True)
            self._look_for_mistakes()

    def on_evaluation_pane_mistakes_found(self, event: MistakesFound) -> None:
        event.stop()
        self._mistakes = event.mistakes
        self.refresh(recompose=True)

    def _look_for_mistakes(self) -> None:
        """Ask once, when the pane is seen: it takes a second of a processor."""
        seen = self.is_mounted and self.region.area > 0
        if self._asking is None and seen and self._wanted is not None and self._wanted.answer:
            self._asking = Asking()
            self._ask_for_mistakes(self._wanted, self._asking)

    @work(thread=True, group="read")
    def _read(self, run: RunSummary) -> None:
        self.post_message(self.Read(run, read_evaluation(run)))

    @work(thread=True, group="mistakes")
    def _ask_for_mistakes(self, run: RunSummary, asking: Asking) -> None:
        self.post_message(self.MistakesFound(ask_for_mistakes(run, asking)))


def read_evaluation(run: RunSummary) -> Evaluation:
    """The run's scores in words, their curves read from its folder: a listing has none."""
    if not run.scores:
        return Evaluation(run, error=run.error if run.state == "unreadable" else "")
    try:
        whole = replace(run, scores=tuple(read_score_trees(run.folder.scores)))
        wide, narrow = (tuple(score_lines(whole, room)) for room in (None, _NARROW))
        return Evaluation(whole, wide, narrow, tuple(result_notes(whole)), quality_of(run.folder))
    except RunFolderError as error:
        return Evaluation(run, error=str(error))


def ask_for_mistakes(run: RunSummary, asking: Asking) -> Mistakes:
    """The surest mistakes of a run, from the engine in a process of its own."""
    try:
        body = {"run": str(run.folder.path.resolve()), "n": MISTAKES}
        return Mistakes(ask("mistakes", body, hide_progress, asking))
    except HistotuiError as error:
        return Mistakes(error=str(error))


def _matrices(run: RunSummary) -> Iterator[ConfusionMatrix]:
    threshold = section(run.config, "evaluation").get("threshold", 0.5)
    yield ConfusionMatrix(run.answer, f"at threshold {threshold}")
    point = section(run.answer, "at_validation_threshold")
    if point:
        yield ConfusionMatrix(point, f"at validation's threshold {number(point.get('threshold'), 3)}")


def _compose_quality(quality: Quality) -> ComposeResult:
    if quality.tables:
        with Container(classes="pair spaces"):
            for title, *lines in quality.tables:
                yield Static(Text("\n").join([line(title, "bold"), *map(line, lines)]), classes="quality")
    remarks = [Text(clean(f"✗ {quality.error}"))] if quality.error else [_note(remark) for remark in quality.remarks]
    if remarks:
        yield Static(Text("\n").join(remarks))


def _shown_of(run: RunSummary) -> tuple[object, ...]:
    return run.id, run.state, run.error, tuple(run.scores)


def _note(note: str) -> Text:
    return Text.assemble(("· ", "dim"), Text(clean(note)))


def _why_empty(evaluation: Evaluation) -> Text:
    run = evaluation.run
    if evaluation.error:
        return Text(clean(f"✗ {evaluation.error}"))
    if run.state in LIVE:
        return Text("no scores yet: they appear when the run has finished its evaluation")
    return Text(f"no scores: the run is {run.state}, and has not come to its evaluation; resume it to get them")
