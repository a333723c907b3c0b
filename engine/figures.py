"""Figures of runs side by side, as PNG: ROC curves, training curves, confusion matrices."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine.progress import Report
from engine.spec.atomic import replacing
from engine.spec.errors import RunFolderError
from engine.spec.event_log import EventReader
from engine.spec.events import Metrics
from engine.spec.failpoints import Write
from engine.spec.run_folder import RunFolder
from engine.spec.scores import answer, read_score_trees
from engine.storage import storage_errors

DPI: Final = 200
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Told apart by colour-blind readers (Okabe & Ito 2008)."""
DASHES: Final = ("-", "--", "-.", ":")
_ACROSS: Final = 3

Curves = dict[tuple[str, str], tuple[list[int], list[float]]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One run in a figure: what it is called there, its answer, and what its stages logged."""

    label: str
    score: dict[str, Any]
    curves: Curves


def answer_figures(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """Figures of `runs`, folders called `labels` in them, as files in `folder`; empty ones are left out."""
    runs = [RunFolder(Path(path)) for path in args["runs"]]
    labels = args.get("labels") or [run.id for run in runs]
    drawn = [Drawn(label, *read(run)) for run, label in zip(runs, labels, strict=True)]
    folder = Path(args["folder"])
    files = []
    for done, (name, draw) in enumerate(FIGURES.items()):
        report("figures", done, len(FIGURES))
        figure = draw(drawn)
        if figure is not None:
            files.append(_save(figure, folder / f"{name}.png"))
    if not files:
        raise RunFolderError(f"{', '.join(run.id for run in runs)}: no scores and no curves yet, so no figures")
    return {"files": files}


def read(run: RunFolder) -> tuple[dict[str, Any], Curves]:
    """The answer of a run, empty before there is one, and its values by stage and name."""
    curves: Curves = {}
    for event in EventReader(run.events).read():
        if isinstance(event, Metrics):
            for name, value in event.values.items():
                steps, values = curves.setdefault((event.stage, name), ([], []))
                steps.append(event.step)
                values.append(value)
    return answer(read_score_trees(run.scores)) or {}, curves


def roc_figure(runs: Sequence[Drawn]) -> Figure | None:
    """All ROC curves in one plot."""
    scored = [(number, run) for number, run in enumerate(runs) if run.score.get("roc")]
    if not scored:
        return None
    figure, (axes,) = _sheet(1, width=4.6, height=4.6)
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=0.8)
    for number, run in scored:
        roc = run.score["roc"]
        axes.plot(roc["fpr"], roc["tpr"], label=f"{run.label}, AUC {run.score['auc']:.3f}", **_look(number))
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower right", fontsize="small", frameon=False)
    return figure


def training_figure(runs: Sequence[Drawn]) -> Figure | None:
    """One plot for each value that a stage logs, every run in it that has it."""
    kinds = sorted({kind for run in runs for kind in run.curves})
    if not kinds:
        return None
    figure, places = _sheet(len(kinds), width=3.6, height=2.6)
    for (stage, name), axes in zip(kinds, places, strict=True):
        for number, run in enumerate(runs):
            if (stage, name) in run.curves:
                axes.plot(*run.curves[stage, name], label=run.label, **_look(number))
        axes.set_title(f"{stage}: {name}".replace("_", " "), fontsize="medium")
        axes.set_xlabel("step")
    handles = {
        label: handle for axes in places for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    return figure


def confusion_figure(runs: Sequence[Drawn]) -> Figure | None:
    """The confusion matrices side by side, shaded by the share of each row."""
    scored = [run for run in runs if run.score.get("confusion")]
    if not scored:
        return None
    figure, places = _sheet(len(scored), width=2.8, height=2.8)
    for run, axes in zip(scored, places, strict=True):
        _draw_confusion(axes, run)
    return figure


FIGURES: Final[dict[str, Callable[[Sequence[Drawn]], Figure | None]]] = {
    "roc": roc_figure,
    "training": training_figure,
    "confusion": confusion_figure,
}


def _draw_confusion(axes: Axes, run: Drawn) -> None:
    counts = run.score["confusion"]
    shares = [[cell / max(1, sum(row)) for cell in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column, text, colour in _cells(counts, shares):
        axes.text(column, row, text, ha="center", va="center", color=colour)
    axes.set_xticks([0, 1], ["normal", "tumour"])
    axes.set_yticks([0, 1], ["normal", "tumour"], rotation=90, va="center")
    axes.set(xlabel="called", ylabel="is")
    axes.set_title(run.label, fontsize="medium")


def _cells(counts: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]) -> Iterator[tuple[int, int, str, str]]:
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = shares[row][column]
        yield row, column, f"{counts[row][column]:,}\n{share:.1%}", "white" if share > 0.5 else "black"


def _sheet(plots: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of so many plots in rows of three, each so many inches."""
    across = min(plots, _ACROSS)
    down = -(-plots // across)
    figure = Figure(figsize=(width * across, height * down + 0.4), layout="constrained")
    return figure, [figure.add_subplot(down, across, place + 1) for place in range(plots)]


def _look(number: int) -> dict[str, Any]:
    # Another dash for each, so that the lines can be told apart in print without colour.
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.4}


def _save(figure: Figure, path: Path) -> str:
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, Write.FIGURE) as partial:
            figure.savefig(partial, dpi=DPI, format=path.suffix[1:])
    return str(path)
