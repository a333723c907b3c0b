"""The evaluation pane: a run's scores as they are seen, while there are none, and where they are damaged."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_engine import score
from PIL import Image
from stage import text_of, until
from textual.app import App, ComposeResult
from textual.events import MouseScrollUp
from textual.pilot import Pilot
from workbench import Bench

from engine.spec.errors import DataError
from engine.spec.events import RunFailed, RunFinished, RunStarted
from engine.spec.presets import PRESETS
from engine.spec.process import ProcessIdentity, RunLock
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder
from histotui.settings import study_beside
from histotui.summary import summarize
from histotui.widgets import evaluation
from histotui.widgets.chart import Chart
from histotui.widgets.evaluation import EvaluationPane
from histotui.widgets.picture import Picture
from histotui.widgets.score_charts import curve_points

ID = "20261101-000000-vae-500-aaaa"
DONE = (RunStarted(time=100.0, device="cpu"), RunFinished(time=160.0, seconds=60.0))
POINT = {
    "threshold": 0.289,
    "accuracy": 0.5,
    "sensitivity": 0.4,
    "specificity": 0.7,
    "confusion": [[210, 90], [180, 120]],
}
CURVES = {
    "roc": {"fpr": [0.0, 0.2, 1.0], "tpr": [0.0, 0.7, 1.0]},
    "calibration": {"probability": [0.1, 0.8], "observed": [0.2, 0.6], "count": [300, 300]},
    "at_validation_threshold": POINT,
}


class Alone(App[None]):
    """The pane and nothing else."""

    def compose(self) -> ComposeResult:
        yield EvaluationPane()

    @property
    def pane(self) -> EvaluationPane:
        return self.query_one(EvaluationPane)


Script = Callable[[Alone, "Pilot[None]"], Awaitable[None]]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the engine was asked; it answers that nothing was mistaken."""
    bodies: list[dict[str, Any]] = []

    def ask(query: str, body: dict[str, Any], *_: object) -> dict[str, Any]:
        bodies.append({"query": query, **body})
        nothing = {"picture": None, "rows": []}
        return {"threshold": 0.5, "false_positives": nothing, "false_negatives": nothing}

    monkeypatch.setattr(evaluation, "ask", ask)
    return bodies


def play(folder: RunFolder, script: Script, size: tuple[int, int] = (80, 60)) -> None:
    async def run() -> None:
        app = Alone()
        async with app.run_test(size=size) as pilot:
            app.pane.show(summarize(folder))
            await script(app, pilot)

    asyncio.run(run())


def seen(folder: RunFolder, awaited: str, size: tuple[int, int] = (80, 60)) -> str:
    """All that is on the screen once this is."""
    said: list[str] = []

    async def script(app: Alone, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: awaited in text_of(app.screen))
        said.append(text_of(app.screen))

    play(folder, script, size)
    return said[0]


def test_the_scores_are_beside_the_reference_and_the_studys(bench: Bench) -> None:
    reference = score(role="reference", trained_on="tissue", auc=0.9123, auc_low=0.89, auc_high=0.93)
    lines = seen(bench.write(ID, DONE, scores=[score(**CURVES), reference]), "surest").splitlines()
    rows = {line[:18].strip(): line[18:].split() for line in lines[:9]}
    assert rows[""] == ["this", "run", "the", "study", "reference"]
    assert rows["AUC"] == ["0.7503", "0.4814", "0.9123"]
    assert rows["95 % interval"] == ["[0.711,", "0.790]", "–", "[0.890,", "0.930]"]
    assert rows["test patches"] == ["600", "55,000", "600"]


def test_both_matrices_say_what_was_right_without_colour(bench: Bench) -> None:
    text = seen(bench.write(ID, DONE, scores=[score(**CURVES)]), "surest")
    first, second = ([line[place : place + 37] for line in text.splitlines()] for place in (1, 40))
    start = next(number for number, line in enumerate(first) if line.startswith("at threshold 0.5"))
    assert [line.split() for line in first[start + 1 : start + 5]] == [
        ["called", "normal", "called", "tumour"],
        ["normal", "✓", "247", "82%", "✗", "53", "18%"],
        ["tumour", "✗", "120", "40%", "✓", "180", "60%"],
        ["sensitivity", "0.600", "specificity", "0.825"],
    ]
    assert second[start].strip() == "at validation's threshold 0.289"
    assert second[start + 2].split() == ["normal", "✓", "210", "70%", "✗", "90", "30%"]
    assert second[start + 4].split() == ["sensitivity", "0.400", "specificity", "0.700"]


def test_curves_are_drawn_with_their_figures(bench: Bench) -> None:
    folder = bench.write(ID, DONE, scores=[score(**CURVES)])

    async def script(app: Alone, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: "calibration, ECE 0.051" in text_of(app.screen))
        roc, calibration = app.query(Chart)
        await until(pilot, lambda: len(roc._lines) == len(calibration._lines) == 2)
        assert (roc._lines[1].x, roc._lines[1].y) == ([0.0, 0.2, 1.0], [0.0, 0.7, 1.0])
        assert (calibration._lines[1].x, calibration._lines[1].y) == ([0.1, 0.8], [0.2, 0.6])
        assert "AUC 0.750" in text_of(app.screen)

    play(folder, script)


def test_the_curves_come_from_the_folder_where_the_listing_has_none(bench: Bench) -> None:
    folder = bench.write(ID, DONE, scores=[score(**CURVES)])

    async def script(app: Alone, pilot: "Pilot[None]") -> None:
        summary = summarize(folder)
        thin = [{name: value for name, value in row.items() if name not in CURVES} for row in summary.scores]
        app.pane.show(replace(summary, scores=tuple(thin)))
        await until(pilot, lambda: app.query(Chart) and len(app.query(Chart).first()._lines) == 2)

    play(folder, script)


def test_an_old_score_has_no_calibration_curve(bench: Bench) -> None:
    assert "no calibration curve in this score" in seen(bench.write(ID, DONE, scores=[score()]), "calibration curve")


def test_notes_are_shown_and_nothing_in_them_acts(bench: Bench) -> None:
    folder = bench.write(ID, DONE)
    folder.scores.write_text(json.dumps({"scores": [score()], "notes": ["small \x1b]52;c;aGk=\x07 [red]set[/]"]}))
    text = seen(folder, "small")
    assert "· small \\x1b]52;c;aGk=\\x07 [red]set[/]" in text
    assert "The study tested on 55,000 of Kaggle's patches" in text


def test_no_scores_yet_says_when_they_come(bench: Bench) -> None:
    folder = bench.write(ID, DONE[:1])
    with RunLock(folder.lock):
        ProcessIdentity.current().write(folder.process)
        assert "they appear when the run has finished its" in seen(folder, "no scores yet:")


def test_a_run_that_ended_without_scores_says_what_to_do(bench: Bench) -> None:
    failed = RunFailed(time=130.0, error="Diverged", message="loss is NaN", exit_code=4, stage="generator")
    text = seen(bench.write(ID, (DONE[0], failed)), "no scores: the run is failed")
    assert "resume it to get them" in " ".join(text.split())


def test_damaged_scores_are_named(bench: Bench) -> None:
    folder = bench.write(ID, DONE, scores=[score()])
    folder.scores.write_text("{")
    assert "not a score sheet" in " ".join(seen(folder, "✗").split())


def test_scores_appear_when_they_come(bench: Bench) -> None:
    folder = bench.write(ID, DONE[:1])

    async def script(app: Alone, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: "no scores" in text_of(app.screen))
        folder.scores.write_text(json.dumps({"scores": [score()], "notes": []}))
        app.pane.show(summarize(folder))
        await until(pilot, lambda: "0.7503" in text_of(app.screen))

    play(folder, script)


def test_the_surest_mistakes_are_pictures_with_their_probabilities(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    picture = tmp_path / "mistakes.png"
    Image.fromarray(np.full((32, 64, 3), 90, np.uint8)).save(picture)
    rows = [{"index": 3, "label": 0, "probability": 0.98765, "id": "a"}]

    def ask(*_: object) -> Mapping[str, Any]:
        nothing = {"picture": None, "rows": []}
        return {"false_positives": {"picture": str(picture), "rows": rows}, "false_negatives": nothing}

    monkeypatch.setattr(evaluation, "ask", ask)

    async def script(app: Alone, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: app.query(Picture))
        app.pane.scroll_end(animate=False)
        await until(pilot, lambda: "P(tumour) 0.988" in text_of(app.screen))
        assert app.query_one(Picture)._source == picture
        assert "surest false negatives: called normal, labelled tumour: none" in text_of(app.screen)

    play(bench.write(ID, DONE, scores=[score()]), script)


def test_mistakes_are_asked_for_once(bench: Bench, asked: list[dict[str, Any]]) -> None:
    folder = bench.write(ID, DONE, scores=[score()])

    async def script(app: Alone, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: "none" in text_of(app.screen))
        folder.scores.write_text(json.dumps({"scores": [score(auc=0.8001)], "notes": []}))
        app.pane.show(summarize(folder))
        await until(pilot, lambda: "0.8001" in text_of(app.screen))

    play(folder, script)
    assert asked == [{"query": "mistakes", "run": str(folder.path), "n": 8}]


def test_why_there_are_no_mistakes_to_show(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> Mapping[str, Any]:
        raise DataError("/data: not there")

    monkeypatch.setattr(evaluation, "ask", ask)
    assert "no mistakes to show: /data: not there" in seen(bench.write(ID, DONE, scores=[score()]), "no mistakes")


def test_a_run_of_ones_own_config_has_no_study_beside_it(bench: Bench) -> None:
    own = apply(PRESETS["vae-500"].config, [{"generator": {"latent_dim": 7}}])
    assert "the study" not in seen(bench.write(ID, DONE, scores=[score()], config=own), "surest").splitlines()[0]


def test_the_study_stands_beside_its_own_settings_alone() -> None:
    config = dump(PRESETS["vae-500"].config)
    assert study_beside(config) is PRESETS["vae-500"].study
    other = dump(apply(PRESETS["vae-500"].config, [{"generator": {"prior": "gaussian"}}]))
    assert study_beside(other) is None
    # Saved when the VAE had no such settings.
    older = {name: value for name, value in config["generator"].items() if name not in ("prior", "conditional")}
    assert study_beside({**config, "generator": older}) is PRESETS["vae-500"].study
    assert study_beside({**config, "generator": None}) is None


def test_small_windows_scroll_by_key_and_by_wheel_over_a_chart(bench: Bench) -> None:
    folder = bench.write(ID, DONE, scores=[score(**CURVES)])

    async def script(app: Alone, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: app.query(Chart) and len(app.query(Chart).first()._lines) == 2)
        assert all(len(line.rstrip()) <= 80 for line in text_of(app.screen).splitlines())
        app.pane.focus()
        # A page down goes no further than what has been laid out.
        await until(pilot, lambda: app.pane.has_focus and app.pane.max_scroll_y > 10)
        await pilot.press("pagedown")
        await until(pilot, lambda: app.pane.scroll_y > 10 and app.query(Chart).first().region.y < 20)
        before = app.pane.scroll_y
        chart = app.query(Chart).first()
        await pilot._post_mouse_events([MouseScrollUp], chart.query_one("#plot"), offset=(5, 2))
        await until(pilot, lambda: app.pane.scroll_y != before)

    play(folder, script, (80, 24))


@pytest.mark.parametrize(
    "part",
    [None, [], {}, {"fpr": [0.0]}, {"fpr": [], "tpr": []}, {"fpr": [0, 1], "tpr": [1]}, {"fpr": ["a"], "tpr": [1]}],
    ids=str,
)
def test_curves_that_are_not_what_they_should_be_are_none(part: object) -> None:
    assert curve_points({"roc": part}, "roc", "fpr", "tpr") is None
