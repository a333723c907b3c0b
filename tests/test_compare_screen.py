"""Runs side by side: the table, the tests, what differs, changing the set, and exports."""

import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_engine import score
from PIL import Image
from stage import notices, play, text_of, until
from textual.pilot import Pilot
from textual.widgets import Input, OptionList
from workbench import Bench

from engine.spec.config import RunConfig
from engine.spec.errors import EnvironmentFault, RunFolderError, StorageError
from engine.spec.event_log import EventWriter
from engine.spec.events import ImageSaved, Metrics, RunFinished, RunStarted
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply
from engine.spec.run_folder import RunFolder
from histotui.comparison import best, compare_runs, comparison_row, config_differences, short_labels
from histotui.exporting import export
from histotui.screens import compare
from histotui.screens.compare import CompareScreen
from histotui.summary import summarize
from histotui.widgets.chart import Chart
from histotui.widgets.compare_panes import (
    DifferencesPane,
    GridsPane,
    OverlaidCurves,
    PairedTests,
    RocPane,
    most_telling,
)
from histotui.widgets.picture import Picture
from histotui.widgets.score_table import ScoreTable

BASE, VAE, OTHER = "20261101-000000-baseline-aaaa", "20261102-000000-vae-500-bbbb", "20261103-000000-vae-100-cccc"
ROC = {"fpr": [0.0, 0.2, 1.0], "tpr": [0.0, 0.7, 1.0]}
PAIR = {"first": BASE, "second": VAE, "difference": -0.1797, "low": -0.21, "high": -0.15, "p": 0.00001}
ANSWER = {
    "pairs": [PAIR],
    "refused": [{"first": BASE, "second": OTHER, "why": f"{BASE} and {OTHER} were tested on different patches"}],
}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path, monkeypatch)
    write_run(bench, BASE, "base", PRESETS["baseline"].config, trained_on="real", auc=0.93, auc_low=0.91, loss=0.3)
    write_run(bench, VAE, "vae", PRESETS["vae-500"].config)
    return bench


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The runs that the engine was asked to compare, by their ids."""
    bodies: list[list[str]] = []

    def answer(query: str, body: dict[str, Any], *_: object) -> dict[str, Any]:
        assert query == "comparison"
        bodies.append([Path(path).name for path in body["runs"]])
        return ANSWER

    monkeypatch.setattr(compare, "ask", answer)
    return bodies


def write_run(
    bench: Bench, run_id: str, name: str, config: RunConfig, scored: bool = True, **changes: Any
) -> RunFolder:
    values = [0.6, 0.5] if "baseline" in run_id else [0.7, 0.65]
    curve = [
        Metrics(stage="classifier", step=step, epoch=1, values={"bce": value})
        for step, value in zip((10, 20), values, strict=True)
    ]
    events = [RunStarted(time=100.0, device="cpu"), *curve, RunFinished(seconds=60.0)]
    scores = [score(**{"tested_on": "real", "roc": ROC, **changes})] if scored else []
    folder = bench.write(run_id, events, scores=scores, config=config, name=name)
    folder.data.mkdir()
    (folder.data / "manifest.json").write_text(json.dumps({"fingerprint": "f" * 64}))
    return folder


async def opened(pilot: "Pilot[None]", *ids: str) -> CompareScreen:
    pilot.app.compare(ids or (BASE, VAE))  # type: ignore[attr-defined]
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen._comparison.runs)
    screen = pilot.app.screen
    assert isinstance(screen, CompareScreen)
    await until(pilot, lambda: screen._tests is not None)
    return screen


def rows(screen: CompareScreen) -> list[list[str]]:
    table = screen.query_one(ScoreTable)
    return [[cell.plain.strip() for cell in table.get_row_at(place)] for place in range(table.row_count)]


class TestTable:
    def test_it_has_the_form_of_the_studys_and_marks_the_best(self, bench: Bench) -> None:
        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            assert rows(screen) == [
                ["base", "–", "–", "▲0.3000", "▲0.7125", "▲0.9300", "[0.910, 0.790]", "0.9225"],
                ["vae", "500", "16", "0.6931", "▲0.7125", "0.7503", "[0.711, 0.790]", "0.4814"],
            ]
            header = text_of(screen.query_one(ScoreTable)).splitlines()[0].split()
            assert header == ["run", "latent", "chan.", "loss", "accuracy", "AUC", "95", "%", "interval", "study"]
            assert "▲ the best of its column" in text_of(screen)

        play(bench, script)

    def test_a_wide_window_has_the_studys_row_beside_it(self, bench: Bench) -> None:
        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            assert rows(screen)[1] == [
                *("vae", "synthetic", "500", "16", "0.6931", "▲0.7125", "0.7503", "[0.711, 0.790]", "▲0.0512"),
                *("26.81", "0.5496", "0.4814"),
            ]

        play(bench, script, (160, 48))

    @pytest.mark.parametrize(("width", "cell"), [(80, "–"), (160, "collapsed")])
    def test_what_the_study_says_where_it_has_no_figures(self, bench: Bench, width: int, cell: str) -> None:
        write_run(bench, OTHER, "gan", PRESETS["gan-bce"].config)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot, BASE, OTHER)
            assert cell in rows(screen)[1][7 if width == 80 else 9 :]
            assert "gan: in the study it collapsed, never scored" in text_of(screen)
            assert "base: in the study" not in text_of(screen)

        play(bench, script, (width, 30))

    def test_nothing_is_best_among_what_cannot_be_compared(self, bench: Bench) -> None:
        (bench.runs / VAE / "data" / "manifest.json").write_text(json.dumps({"fingerprint": "0" * 64}))

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            assert "▲" not in text_of(screen)
            assert "! the runs worked on different patches: their scores cannot be compared" in text_of(screen)

        play(bench, script)

    def test_a_run_without_scores_is_a_row_and_a_doubt(self, bench: Bench) -> None:
        write_run(bench, OTHER, "", PRESETS["vae-100"].config, scored=False)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot, BASE, OTHER)
            assert rows(screen)[1] == ["vae-100-cccc", "100", "16", "–", "–", "–", "–", "0.4328"]
            assert f"! {OTHER} has no score: it is finished" in text_of(screen)
            assert "no scores to compare" in text_of(screen)

        play(bench, script)

    def test_damaged_scores_are_a_row_and_a_doubt(self, bench: Bench) -> None:
        (bench.runs / VAE / "scores.json").write_text("{")

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            assert f"! {VAE} has no score: it is unreadable" in text_of(screen)

        play(bench, script)

    def test_a_name_is_text(self, bench: Bench) -> None:
        (bench.runs / VAE / "meta.json").write_text(json.dumps({"name": "[red]v\x1b[2J", "tags": [], "notes": ""}))

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            assert rows(screen)[1][0] == "[red]v\\x1b[2J"

        play(bench, script)


class TestPairedTests:
    def test_each_run_is_compared_with_the_first(self, bench: Bench, asked: list[list[str]]) -> None:
        write_run(bench, OTHER, "other", PRESETS["vae-100"].config)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot, BASE, VAE, OTHER)
            lines = [line.strip() for line in text_of(screen).splitlines()]
            assert "AUC against base  paired DeLong test" in lines
            assert any(line.split() == ["vae", "-0.1797", "[-0.2100,", "-0.1500]", "p", "<", "0.001"] for line in lines)
            assert any(line.split() == ["other", "tested", "on", "different", "patches"] for line in lines)
            assert asked == [[BASE, VAE, OTHER]]

        play(bench, script)

    def test_any_run_can_be_the_one_that_the_others_are_compared_with(self, bench: Bench) -> None:
        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            await pilot.press("down")
            await until(pilot, lambda: "▸ vae" in text_of(screen))
            await pilot.press("f")
            await until(pilot, lambda: "AUC against vae" in text_of(screen))
            assert "base" in text_of(screen) and "+0.1797  [+0.1500, +0.2100]  p < 0.001" in text_of(screen)

        play(bench, script)

    def test_a_live_run_placed_first_is_not_what_the_others_are_compared_with(self, bench: Bench) -> None:
        live = write_run(bench, OTHER, "live", PRESETS["vae-100"].config, scored=False)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot, OTHER, BASE, VAE)
            assert "AUC against base" in text_of(screen)
            # What has been read already keeps its place when the live one ends.
            live.scores.write_text(json.dumps({"scores": [score(auc=0.8123, tested_on="real")], "notes": []}))
            await until(pilot, lambda: rows(screen)[0][5] == "0.8123")
            assert "AUC against base" in text_of(screen)
            await pilot.press("f")
            await until(pilot, lambda: "AUC against live" in text_of(screen))

        play(bench, script)

    def test_a_live_run_can_be_chosen_and_stays_chosen(self, bench: Bench) -> None:
        live = write_run(bench, OTHER, "live", PRESETS["vae-100"].config, scored=False)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot, OTHER, BASE)
            await pilot.press("f")
            await until(pilot, lambda: "AUC against live" in text_of(screen))
            live.scores.write_text(json.dumps({"scores": [score(auc=0.8123, tested_on="real")], "notes": []}))
            await until(pilot, lambda: rows(screen)[0][5] == "0.8123")
            assert "AUC against live" in text_of(screen)

        play(bench, script)

    def test_where_no_run_has_scores_the_first_is_the_one(self, bench: Bench) -> None:
        write_run(bench, OTHER, "live", PRESETS["vae-100"].config, scored=False)
        (bench.runs / VAE / "scores.json").unlink()

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot, OTHER, VAE)
            assert "AUC against live" in text_of(screen) and "comparing" not in text_of(screen)

        play(bench, script)

    def test_an_engine_that_cannot_answer_is_said(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise EnvironmentFault("the engine cannot be started")

        monkeypatch.setattr(compare, "ask", broken)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            await until(pilot, lambda: "the engine cannot be started" in text_of(screen))

        play(bench, script)

    def test_both_ways_and_neither(self) -> None:
        tests = PairedTests((PAIR,), tuple(ANSWER["refused"]))
        assert tests.against(BASE, VAE) == (-0.1797, -0.21, -0.15, 0.00001)
        assert tests.against(VAE, BASE) == (0.1797, 0.15, 0.21, 0.00001)
        assert tests.against(OTHER, BASE) == "tested on different patches"
        assert tests.against(VAE, OTHER) == "no scores to compare"


class TestTheSet:
    def test_runs_come_and_go_without_leaving(self, bench: Bench, asked: list[list[str]]) -> None:
        write_run(bench, OTHER, "other", PRESETS["vae-100"].config)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            await pilot.press("a")
            await until(pilot, lambda: pilot.app.screen.query(OptionList))
            offered = pilot.app.screen.query_one(OptionList)
            assert [offered.get_option_at_index(n).id for n in range(offered.option_count)] == [OTHER]
            assert "✓ finished  other               vae-100        0.7503 " in text_of(offered)
            await pilot.press("enter")
            await until(pilot, lambda: [row[0] for row in rows(screen)] == ["base", "vae", "other"])
            await pilot.press("space")
            await until(pilot, lambda: [row[0] for row in rows(screen)] == ["vae", "other"])
            assert "AUC against vae" in text_of(screen)
            # The highlight of a table that is not seen is nobody's choice.
            await pilot.press("6", "x", "f", "1")
            await pilot.pause()
            assert [row[0] for row in rows(screen)] == ["vae", "other"]
            await pilot.press("x")
            await until(pilot, lambda: [row[0] for row in rows(screen)] == ["other"])
            assert "a adds a run to compare with" in text_of(screen)
            await pilot.press("x")
            await until(pilot, lambda: "the last run stays" in notices(pilot.app))  # type: ignore[arg-type]
            await pilot.press("escape")
            await until(pilot, lambda: pilot.app.screen is not screen)

        play(bench, script)
        assert asked == [[BASE, VAE], [BASE, VAE, OTHER], [VAE, OTHER]]

    def test_scores_that_come_while_one_looks_appear(self, bench: Bench) -> None:
        folder = write_run(bench, OTHER, "other", PRESETS["vae-100"].config, scored=False)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot, BASE, OTHER)
            folder.scores.write_text(json.dumps({"scores": [score(auc=0.8123, tested_on="real")], "notes": []}))
            await until(pilot, lambda: rows(screen)[1][5] == "0.8123")

        play(bench, script)


class TestTabs:
    def test_curves_lie_over_each_other(self, bench: Bench) -> None:
        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            await pilot.press("2")
            chart = screen.query_one(OverlaidCurves).query_one(Chart)
            await until(pilot, lambda: chart.readout() == ["step 20", "base 0.5000", "vae 0.6500"])
            await pilot.press("t")
            assert chart.x_axis.title == "epoch"
            with EventWriter(RunFolder(bench.runs / VAE).events) as writer:
                writer.write(Metrics(stage="classifier", step=30, epoch=1, values={"bce": 0.4, "grad_norm": 1.0}))
            names = screen.query_one(OverlaidCurves).query_one(OptionList)
            await until(pilot, lambda: names.option_count == 3)
            assert "vae 0.4000" in chart.readout()

        play(bench, script)

    def test_the_first_curve_is_the_same_whichever_run_was_read_first(self, bench: Bench) -> None:
        auc = Metrics(stage="classifier", step=20, epoch=1, values={"validation_auc": 0.9})
        kl = Metrics(stage="generator", step=10, epoch=1, values={"kl": 1.0})

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            pane = screen.query_one(OverlaidCurves)
            chart, names = pane.query_one(Chart), pane.query_one(OptionList)
            await pilot.press("2")
            await until(pilot, lambda: chart.readout()[1:] == ["base 0.5000", "vae 0.6500"])
            with EventWriter(RunFolder(bench.runs / VAE).events) as writer:
                for event in (kl, auc):
                    writer.write(event)
            await until(pilot, lambda: chart.readout()[1:] == ["vae 0.9000"])
            assert names.highlighted_option is not None
            assert str(names.highlighted_option.prompt).strip() == "validation_auc"
            await pilot.press("up")
            await until(pilot, lambda: chart.readout()[1:] == ["base 0.5000", "vae 0.6500"])
            # What the reader has chosen stays, whatever comes.
            with EventWriter(RunFolder(bench.runs / BASE).events) as writer:
                writer.write(auc)
            await pilot.pause(1)
            assert chart.readout()[1:] == ["base 0.5000", "vae 0.6500"]

        play(bench, script)

    @pytest.mark.parametrize(
        ("names", "first"),
        [
            (["recon", "synthetic_validation_auc", "validation_auc"], "validation_auc"),
            (["recon", "kl", "synthetic_validation_auc"], "synthetic_validation_auc"),
            (["recon", "kl"], "kl"),
        ],
    )
    def test_the_most_telling_curve(self, names: list[str], first: str) -> None:
        keys = [(stage, name) for stage in ("reference", "classifier") for name in names]
        assert most_telling(keys) == most_telling(keys[::-1]) == ("classifier", first)

    def test_roc_curves_are_in_one_chart(self, bench: Bench) -> None:
        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            await pilot.press("3")
            await until(pilot, lambda: "● base 0.930  ■ vae 0.750" in text_of(screen.query_one(RocPane)))

        play(bench, script)

    def test_matrices_are_side_by_side(self, bench: Bench) -> None:
        async def script(pilot: "Pilot[None]") -> None:
            await opened(pilot)
            await pilot.press("4")
            await until(pilot, lambda: "called normal" in text_of(pilot.app.screen))
            lines = text_of(pilot.app.screen).splitlines()
            assert any(line.split() == ["base", "vae"] for line in lines)
            assert any(line.split() == ["normal", "✓", "247", "82%", "✗", "53", "18%"] * 2 for line in lines)

        play(bench, script)

    def test_samples_are_the_newest_of_each(self, bench: Bench) -> None:
        folder = RunFolder(bench.runs / VAE)
        with EventWriter(folder.events) as writer:
            for stage, step in (("prepare", 0), ("generator", 50), ("generator", 100)):
                path = f"samples/{stage}/step-{step:06d}.png"
                (folder.path / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((40, 80, 3), 90, np.uint8)).save(folder.path / path)
                writer.write(ImageSaved(stage=stage, step=step, path=path))

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            await pilot.press("5")
            await until(pilot, lambda: "generator, step 100" in text_of(screen))
            sources = [picture._source for picture in screen.query_one(GridsPane).query(Picture)]
            assert sources == [None, folder.samples / "generator" / "step-000100.png"]
            assert "no samples yet" in text_of(screen)

        play(bench, script)

    def test_only_settings_that_differ(self, bench: Bench) -> None:
        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            await pilot.press("6")
            table = screen.query_one(DifferencesPane)
            found = {
                row[0].plain: [cell.plain for cell in row[1:]] for row in map(table.get_row_at, range(table.row_count))
            }
            assert found["classifier.train_on"] == ["real", "synthetic"]
            assert found["generator.latent_dim"] == ["–", "500"]
            assert "classifier.epochs" not in found and "seed" not in found

        play(bench, script)

    def test_the_same_settings_are_said(self, bench: Bench) -> None:
        write_run(bench, OTHER, "other", PRESETS["vae-500"].config)

        async def script(pilot: "Pilot[None]") -> None:
            await opened(pilot, VAE, OTHER)
            await pilot.press("6")
            await until(pilot, lambda: "the runs have the same settings" in text_of(pilot.app.screen))

        play(bench, script)


class TestExport:
    def test_the_folder_is_asked_for_and_the_path_shown(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[tuple[list[str], Path]] = []

        def fake(folders: Sequence[RunFolder], target: Path) -> Path:
            said.append(([folder.id for folder in folders], target))
            return bench.folder / "out"

        monkeypatch.setattr(compare, "export", fake)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            await pilot.press("e")
            await until(pilot, lambda: pilot.app.screen.query(Input))
            assert pilot.app.screen.query_one(Input).value.startswith(f"histotui-export-{time.strftime('%Y')}")
            pilot.app.screen.query_one(Input).value = "figures"
            await pilot.press("enter")
            await until(pilot, lambda: "✓ exported to" in text_of(screen))

        play(bench, script)
        assert said == [([BASE, VAE], Path("figures"))]

    def test_a_refusal_is_shown(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def fake(*_: object) -> Path:
            raise StorageError("/full: No space left on device")

        monkeypatch.setattr(compare, "export", fake)

        async def script(pilot: "Pilot[None]") -> None:
            screen = await opened(pilot)
            await pilot.press("e")
            await until(pilot, lambda: pilot.app.screen.query(Input))
            await pilot.press("enter")
            await until(pilot, lambda: "✗ not exported: /full: No space left on device" in text_of(screen))

        play(bench, script)

    def test_what_is_written(self, bench: Bench) -> None:
        folders = [RunFolder(bench.runs / name) for name in (BASE, VAE)]
        target = export(folders, Path("out"))
        assert target == bench.folder / "out"
        names = {"table.csv", "table.md", "table.tex", "table.json", "paired.csv"}
        assert {path.name for path in target.iterdir()} == {*names, "roc.png", "training.png", "confusion.png"}
        with (target / "table.csv").open() as file:
            assert [row["auc"] for row in csv.DictReader(file)] == ["0.93", "0.7503"]
        found = json.loads((target / "table.json").read_text())
        assert [row["name"] for row in found["runs"]] == ["base", "vae"]
        assert [test["refused"] for test in found["paired_tests"]] == [f"{BASE}: no predictions yet"]
        assert (target / "table.md").read_text().startswith("| run ")
        assert (target / "table.tex").read_text().startswith("\\begin{tabular}")
        with Image.open(target / "roc.png") as picture:
            assert picture.format == "PNG"

    def test_a_file_in_the_way_is_named(self, bench: Bench) -> None:
        (bench.folder / "file").touch()
        with pytest.raises(StorageError, match="file"):
            export([RunFolder(bench.runs / BASE)], Path("file"))

    def test_what_compare_refuses_is_passed_on(self, bench: Bench) -> None:
        (bench.runs / BASE / "config.json").write_text("{")
        with pytest.raises(RunFolderError, match=rf"^{BASE}: .*config\.json: damaged"):
            export([RunFolder(bench.runs / BASE)], Path("out"))


class TestComparison:
    def test_labels_are_never_the_same(self, bench: Bench) -> None:
        for run_id in ("20261104-000000-vae-100-dddd", "20261105-000000-vae-100-eeee"):
            bench.write(run_id, name="twin")
        bench.write("20261106-000000-vae-100-ffff")
        runs = [summarize(RunFolder(path)) for path in sorted(bench.runs.iterdir())]
        assert list(short_labels(runs)) == [
            "base",
            "vae",
            "20261104-000000-vae-100-dddd",
            "20261105-000000-vae-100-eeee",
            "vae-100-ffff",
        ]

    def test_best_of_equals_are_both_and_of_one_none(self, bench: Bench) -> None:
        found = [comparison_row(summarize(RunFolder(bench.runs / name))) for name in (BASE, VAE)]
        assert best(found)["auc"] == {0} and best(found)["loss"] == {0} and best(found)["accuracy"] == {0, 1}
        assert best(found[:1]) == {}

    def test_differences_of_three(self) -> None:
        configs = [apply(RunConfig(), [{"seed": seed}]).model_dump(mode="json") for seed in (0, 1, 0)]
        assert list(config_differences(configs)) == [("seed", ("0", "1", "0"))]

    def test_the_same_test_patches_can_be_compared_whatever_was_trained_on(self, bench: Bench) -> None:
        for name, mark in ((BASE, "a"), (VAE, "b")):
            manifest = {"fingerprint": mark * 64, "test_fingerprint": "c" * 64}
            (bench.runs / name / "data" / "manifest.json").write_text(json.dumps(manifest))
        config = json.loads((bench.runs / VAE / "config.json").read_text())
        config["data"]["train_share"] = 0.5
        (bench.runs / VAE / "config.json").write_text(json.dumps(config))
        runs = [summarize(RunFolder(bench.runs / name)) for name in (BASE, VAE)]
        assert compare_runs(runs).doubts == ()
        manifest = {"fingerprint": "a" * 64, "test_fingerprint": "d" * 64}
        (bench.runs / BASE / "data" / "manifest.json").write_text(json.dumps(manifest))
        assert "different patches" in compare_runs(runs).doubts[0]
