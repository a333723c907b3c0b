"""The figures of a comparison: what is in them, and what is left out."""

import json
from pathlib import Path

import pytest
from fake_engine import score
from PIL import Image

from engine.answer import load_query
from engine.figures import COLOURS, Drawn, confusion_figure, roc_figure, training_figure
from engine.progress import silent
from engine.spec.errors import RunFolderError, StorageError
from engine.spec.event_log import EventWriter
from engine.spec.events import Metrics
from engine.spec.run_folder import RunFolder

ROC = {"fpr": [0.0, 0.25, 1.0], "tpr": [0.0, 0.75, 1.0]}


def drawn(label: str, **changes: object) -> Drawn:
    return Drawn(label, score(roc=ROC, **changes), {("classifier", "bce"): ([10, 20], [0.7, 0.6])})


def write_run(path: Path, scored: bool = True) -> RunFolder:
    path.mkdir(parents=True)
    folder = RunFolder(path)
    with EventWriter(folder.events) as events:
        for step in (10, 20):
            events.write(Metrics(stage="classifier", step=step, epoch=1, values={"bce": 7 / step, "grad_norm": 1.0}))
    if scored:
        folder.scores.write_text(json.dumps({"scores": [score(roc=ROC)], "notes": []}))
    return folder


def test_roc_curves_are_in_one_plot_each_with_its_auc() -> None:
    figure = roc_figure([drawn("a"), Drawn("unscored", {}, {}), drawn("c", auc=0.5)])
    assert figure is not None
    (axes,) = figure.axes
    first, second = axes.get_lines()[1:]
    assert (list(first.get_xdata()), list(first.get_ydata())) == (ROC["fpr"], ROC["tpr"])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a, AUC 0.750", "c, AUC 0.500"]
    assert (first.get_color(), second.get_color()) == (COLOURS[0], COLOURS[2])
    assert first.get_linestyle() != second.get_linestyle()


def test_training_curves_have_a_plot_for_each_value() -> None:
    figure = training_figure([drawn("a"), Drawn("b", {}, {("generator", "kl"): ([1], [9.0])})])
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes] == ["classifier: bce", "generator: kl"]
    assert [list(line.get_ydata()) for axes in figure.axes for line in axes.get_lines()] == [[0.7, 0.6], [9.0]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_confusion_matrices_have_counts_and_shares() -> None:
    figure = confusion_figure([drawn("a"), Drawn("unscored", {}, {}), drawn("c", confusion=[[0, 0], [1, 3]])])
    assert figure is not None
    first, second = figure.axes
    assert [text.get_text() for text in first.texts] == ["247\n82.3%", "53\n17.7%", "120\n40.0%", "180\n60.0%"]
    assert [text.get_text() for text in second.texts] == ["0\n0.0%", "0\n0.0%", "1\n25.0%", "3\n75.0%"]


def test_the_files_are_pictures(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name) for name in "ab"]
    body = {"runs": [str(run.path) for run in runs], "labels": ["one", "two"], "folder": str(tmp_path / "out")}
    files = load_query("figures")(body, silent)["files"]
    assert files == [str(tmp_path / "out" / f"{name}.png") for name in ("roc", "training", "confusion")]
    for file in files:
        with Image.open(file) as picture:
            assert picture.format == "PNG" and min(picture.size) > 300


def test_without_scores_there_are_training_curves_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", scored=False)
    files = load_query("figures")({"runs": [str(run.path)], "folder": str(tmp_path)}, silent)["files"]
    assert files == [str(tmp_path / "training.png")]


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="a: no scores and no curves yet"):
        load_query("figures")({"runs": [str(tmp_path / "a")], "folder": str(tmp_path)}, silent)


def test_a_damaged_score_sheet_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a")
    run.scores.write_text("{")
    with pytest.raises(RunFolderError, match=r"a/scores\.json: not a score sheet"):
        load_query("figures")({"runs": [str(run.path)], "folder": str(tmp_path)}, silent)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        load_query("figures")({"runs": [str(run.path)], "folder": str(tmp_path / "file")}, silent)
