"""The home screen: what it shows of runs, and everything that can be done to them from there."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fake_engine import score
from stage import notices, play, text_of, until
from textual.pilot import Pilot
from textual.widgets import Input
from workbench import Bench

from engine.spec.event_log import EventWriter
from engine.spec.events import Progress, RunFailed, RunFinished, RunStarted, StageStarted
from engine.spec.presets import PRESETS
from engine.spec.process import ProcessIdentity, RunLock
from engine.spec.run_folder import RunFolder
from histotui import operations, watcher
from histotui.app import HistoTUI
from histotui.preferences import Settings
from histotui.screens.prompts import Confirm, TextPrompt
from histotui.screens.runs import RunsScreen
from histotui.starting_points import of_run
from histotui.stopping import Question, Say
from histotui.store import RunStore
from histotui.summary import RunSummary
from histotui.text import width
from histotui.widgets.run_table import RunTable, fitting, run_line

DONE = (RunStarted(device="cpu (test)"), RunFinished(seconds=60.0))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def app_of(pilot: "Pilot[None]") -> HistoTUI:
    app = pilot.app
    assert isinstance(app, HistoTUI)
    return app


def table(pilot: "Pilot[None]") -> RunTable:
    return pilot.app.screen.query_one(RunTable)


def write_three(bench: Bench) -> None:
    bench.write("20261101-000000-baseline-aaaa", DONE, name="real", scores=[score(trained_on="real", auc=0.9)])
    bench.write(
        "20261102-000000-vae-500-bbbb", DONE, name="small", scores=[score(auc=0.5), score(role="reference", auc=0.9)]
    )
    failed = RunFailed(error="Diverged", message="nan in kl", exit_code=4, stage="generator")
    bench.write("20261103-000000-gan-bce-cccc", (RunStarted(), failed))


def test_without_runs_it_says_what_to_press(bench: Bench) -> None:
    async def script(pilot: "Pilot[None]") -> None:
        shown = text_of(pilot.app.screen)
        assert "There are no runs here yet" in shown
        assert "n   configure and launch the first one" in shown

    play(bench, script)


def test_runs_stand_newest_first_with_state_auc_and_gap(bench: Bench) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        lines = [line for line in text_of(table(pilot)).splitlines() if "✓" in line or "✗" in line]
        assert [line.split()[:3] for line in lines] == [
            ["✗", "failed", "gan-bce-cccc"],
            ["✓", "finished", "small"],
            ["✓", "finished", "real"],
        ]
        assert "0.5000 [0.711, 0.790]" in lines[1]
        assert "-0.400" in lines[1]

    play(bench, script, (120, 24))


def test_an_auc_on_built_in_tissue_does_not_pass_for_one_on_real_patches(bench: Bench) -> None:
    folder = bench.write("20261101-000000-vae-500-aaaa", DONE, scores=[{**score(auc=0.5), "tested_on": "tissue"}])
    assert "finished, test AUC on tissue 0.5000." in of_run(folder).description

    async def script(pilot: "Pilot[None]") -> None:
        assert "on tissue" in text_of(table(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "test AUC on tissue 0.5000" in text_of(pilot.app.screen))

    play(bench, script)


def test_the_keys_fit_and_a_failed_run_says_how_to_go_on(bench: Bench) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        shown = text_of(pilot.app.screen).splitlines()
        assert "failed: r goes on from its last checkpoint" in shown[-2]
        assert "Open" in shown[-1] and shown[-1].rstrip().endswith("? Help")
        await pilot.press("down")
        await until(pilot, lambda: "goes on" not in text_of(pilot.app.screen))
        await pilot.press("x")
        assert "Move small (20261102-000000-vae-500-bbbb) to the trash?" in text_of(pilot.app.screen)

    play(bench, script)


def test_a_new_run_does_not_move_the_highlight(bench: Bench) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("down")
        assert table(pilot).current == "20261102-000000-vae-500-bbbb"
        bench.write("20261104-000000-vae-500-dddd", DONE)
        await until(pilot, lambda: table(pilot).total == 4)
        assert table(pilot).current == "20261102-000000-vae-500-bbbb"
        assert table(pilot).cursor_row == 2

    play(bench, script)


@pytest.mark.parametrize("stage", ["generator", "latent_prior"])
def test_a_live_run_shows_its_stage_and_how_far_it_is(bench: Bench, stage: str) -> None:
    progress = Progress(stage=stage, step=100, total=100, seconds_left=90.0)
    folder = bench.write("20261101-000000-vae-500-aaaa", (RunStarted(), StageStarted(stage=stage), progress))

    async def script(pilot: "Pilot[None]") -> None:
        shown = text_of(table(pilot))
        assert "● running" in shown
        assert f"{stage:<12} 100%" in shown
        assert "1:30" in shown
        assert "● 1 live" in text_of(pilot.app.screen)

    with RunLock(folder.lock):
        ProcessIdentity.current().write(folder.process)
        play(bench, script, (120, 24))


def test_the_filter_chooses_and_comes_back_at_the_next_start(bench: Bench) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("slash", *"auc<0.6", "enter")
        assert table(pilot).chosen == ["20261102-000000-vae-500-bbbb"]
        assert "1 of 3 runs" in text_of(pilot.app.screen)

    async def again(pilot: "Pilot[None]") -> None:
        assert pilot.app.screen.query_one("#filter", Input).value == "auc<0.6"
        assert table(pilot).total == 1
        await pilot.press("escape")
        assert table(pilot).total == 3

    play(bench, script)
    play(bench, again)


@pytest.mark.parametrize(
    ("term", "said"), [("quality>1", "quality"), ("genrator.x>1", "genrator: unknown; did you mean generator?")]
)
def test_a_filter_that_makes_no_sense_says_so_and_hides_nothing(bench: Bench, term: str, said: str) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("slash", *term)
        await pilot.pause(0.1)
        status = pilot.app.screen.query_one("#status")
        assert said in " ".join(text_of(status).split())
        assert table(pilot).total == 3
        await pilot.press("escape")
        await until(pilot, lambda: "3 runs, by age" in text_of(status) and status.size.height == 1)

    play(bench, script)


def test_sorting_by_keys(bench: Bench) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        screen = pilot.app.screen
        screen._set_order("auc")  # type: ignore[attr-defined]
        await pilot.pause()
        assert [row.run.name for row in table(pilot)._rows] == ["small", "real", ""]
        await pilot.press("exclamation_mark")
        assert [row.run.name for row in table(pilot)._rows] == ["real", "small", ""]
        await pilot.press("less_than_sign")
        assert "by left" in text_of(screen)

    play(bench, script)


def test_the_mark_of_an_order_says_how_what_is_shown_goes_from_the_top_down(bench: Bench) -> None:
    write_three(bench)

    async def clicked(pilot: "Pilot[None]", title: str) -> str:
        heading = text_of(table(pilot)).splitlines()[0]
        await pilot.click(table(pilot), offset=(heading.rindex(title), 0))
        await pilot.pause(0.3)
        return text_of(table(pilot)).splitlines()[0]

    def names(pilot: "Pilot[None]") -> list[str]:
        return [row.run.name for row in table(pilot)._rows]

    async def script(pilot: "Pilot[None]") -> None:
        # The youngest stands on top, so ages rise.
        assert "age ▲" in text_of(table(pilot)).splitlines()[0]
        assert "age ▼" in await clicked(pilot, "age")
        assert names(pilot) == ["real", "small", ""]
        assert "by age, oldest first" in text_of(pilot.app.screen)
        assert "age ▲" in await clicked(pilot, "age")
        assert "test AUC ▲" in await clicked(pilot, "test AUC")
        assert names(pilot) == ["small", "real", ""]
        assert "test AUC ▼" in await clicked(pilot, "test AUC")
        assert names(pilot) == ["real", "small", ""]
        await pilot.press("greater_than_sign", "greater_than_sign")
        assert "age ▲" in text_of(table(pilot)).splitlines()[0]
        assert names(pilot) == ["", "small", "real"]

    play(bench, script, (120, 24))


def test_an_order_that_is_remembered_and_no_more_known_is_forgotten(bench: Bench) -> None:
    write_three(bench)
    (bench.folder / "state.json").write_text('{"sort": "-quality"}')

    async def script(pilot: "Pilot[None]") -> None:
        assert table(pilot).total == 3
        assert "by age, newest first" in text_of(pilot.app.screen)

    play(bench, script)


def test_names_tags_and_notes_are_written_to_meta_alone(bench: Bench) -> None:
    folder = bench.write("20261101-000000-vae-500-aaaa", DONE)
    config = folder.config.read_bytes()

    def meta() -> dict[str, object]:
        saved: dict[str, object] = json.loads(folder.meta.read_text())
        return saved

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("e")
        assert f"Name of {folder.id}" in text_of(pilot.app.screen)
        await pilot.press(*"pilot", "enter")
        await until(pilot, lambda: meta()["name"] == "pilot")
        await pilot.press("t", *"good keep", "enter")
        await until(pilot, lambda: meta()["tags"] == ["good", "keep"])
        await pilot.press("m", *"paler", "enter")
        await until(pilot, lambda: meta()["notes"] == "paler")
        await until(pilot, lambda: "pilot" in text_of(table(pilot)))

    play(bench, script)
    assert folder.config.read_bytes() == config


def test_tags_of_several_runs_are_added_and_taken_away_and_no_others_lost(bench: Bench) -> None:
    ids = [f"2026110{number}-000000-vae-500-aaaa" for number in (1, 2, 3)]
    folders = [bench.write(name, DONE) for name in ids]
    for folder, tags in zip(folders, (["lone"], ["b", "both"], ["both", "c"]), strict=True):
        RunStore(bench.runs).edit_meta(folder, tags=tags)

    def tags() -> list[list[str]]:
        return [json.loads(folder.meta.read_text())["tags"] for folder in folders]

    async def script(pilot: "Pilot[None]") -> None:
        # The highlight goes on to the third, whose tags are none of theirs.
        await pilot.press("space", "space", "t")
        prompt = pilot.app.screen
        assert isinstance(prompt, TextPrompt) and prompt.query_one(Input).value == "both"
        assert "Tags of 2 runs" in text_of(prompt) and "those that all 2 runs have; others stay" in text_of(prompt)
        await pilot.press("end", *" good", "enter")
        await until(pilot, lambda: tags() == [["lone"], ["b", "both", "good"], ["both", "c", "good"]])
        await until(pilot, lambda: "good" in (app_of(pilot).summary(ids[2]) or DONE).tags)  # type: ignore[union-attr]
        await pilot.press("t", "home", *(["delete"] * 5), "enter")
        await until(pilot, lambda: tags() == [["lone"], ["b", "good"], ["c", "good"]])

    play(bench, script)


def test_tags_given_since_the_listing_was_read_stay(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bench.write("20261101-000000-vae-500-aaaa", DONE)
    store = RunStore(bench.runs)
    store.edit_meta(folder, tags=["old", "gone"])
    monkeypatch.setattr(watcher, "LISTING_SECONDS", 3600)

    async def script(pilot: "Pilot[None]") -> None:
        store.edit_meta(folder, tags=["old", "gone", "fresh"])
        await pilot.press("t", "home", *(["delete"] * 5), "enter")
        await until(pilot, lambda: json.loads(folder.meta.read_text())["tags"] == ["fresh", "old"])

    play(bench, script)


def test_what_a_filter_hides_stays_selected(bench: Bench) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("space", "space", "slash", *"bas")
        await until(pilot, lambda: "selected" not in text_of(pilot.app.screen))
        assert table(pilot).chosen == ["20261101-000000-baseline-aaaa"]
        await pilot.press("backspace", "backspace", "backspace")
        await until(pilot, lambda: "2 selected" in text_of(pilot.app.screen))
        assert len(table(pilot).chosen) == 2

    play(bench, script)


def test_escape_selects_nothing_and_leaves_the_highlight(bench: Bench) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("space", "down", "escape")
        await until(pilot, lambda: "▪" not in text_of(pilot.app.screen))
        assert table(pilot).chosen == [table(pilot).current] == ["20261101-000000-baseline-aaaa"]

    play(bench, script)


def test_a_live_run_among_others_keeps_none_of_them_from_the_trash(bench: Bench) -> None:
    write_three(bench)
    live = bench.write("20261104-000000-vae-500-dddd", (RunStarted(), StageStarted(stage="prepare")))

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("space", "space", "space", "x", "y")
        await until(pilot, lambda: table(pilot).total == 2)
        assert "2 runs in the trash" in notices(app_of(pilot)) and "histotui stop" in notices(app_of(pilot))
        assert "▪" not in text_of(table(pilot))

    with RunLock(live.lock):
        ProcessIdentity.current().write(live.process)
        play(bench, script)
    assert live.path.exists() and (bench.runs / "20261101-000000-baseline-aaaa").exists()


def test_a_name_that_is_not_allowed_stays_in_its_dialogue(bench: Bench) -> None:
    folder = bench.write("20261101-000000-vae-500-aaaa", DONE)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("e", *"a/b", "enter")
        assert isinstance(pilot.app.screen, TextPrompt)
        assert "1 to 100 letters" in text_of(pilot.app.screen)

    play(bench, script)
    assert json.loads(folder.meta.read_text())["name"] == ""


def test_trash_asks_and_restore_brings_back(bench: Bench) -> None:
    write_three(bench)
    folder = bench.runs / "20261103-000000-gan-bce-cccc"

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("x")
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("n")
        assert folder.exists()
        await pilot.press("x", "y")
        await until(pilot, lambda: table(pilot).total == 2)
        assert not folder.exists()
        await pilot.press("u", "enter")
        await until(pilot, lambda: table(pilot).total == 3)

    play(bench, script)
    assert folder.exists()


def test_the_trash_says_of_each_run_what_the_table_says(bench: Bench) -> None:
    write_three(bench)
    bench.write("20261104-000000-vae-500-dddd", DONE, scores=[score()], config=PRESETS["vae-4000-c256"].config)
    RunStore(bench.runs).trash(RunFolder(bench.runs / "20261103-000000-gan-bce-cccc"))
    RunStore(bench.runs).trash(RunFolder(bench.runs / "20261104-000000-vae-500-dddd"))

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("u")
        await until(pilot, lambda: "Bring back" in text_of(pilot.app.screen))
        lines = text_of(pilot.app.screen).splitlines()
        assert any("✓ finished  vae-500-dddd        vae-4000-c256  0.7503 tissue " in line for line in lines)
        assert any("✗ failed    gan-bce-cccc        vae-500        – " in line for line in lines)

    play(bench, script)


def test_a_run_on_one_line() -> None:
    folder = RunFolder(Path("20261101-000000-vae-500-aaaa"))
    real = ({"role": "answer", "auc": 0.87521, "tested_on": "real"},)
    run = RunSummary(folder, "", "vae-500", "finished", "", 1000.0, None, "", scores=real)
    assert run_line(run, 1000.0 + 3 * 3600) == "✓ finished  vae-500-aaaa        vae-500        0.8752            3 h"
    longest = replace(
        run,
        name="細胞" * 30,
        preset="p\n" * 9,
        state="unreadable",
        created=0.0,
        scores=({**real[0], "tested_on": "tissue"},),
    )
    assert width(run_line(longest, 86400.0 * 99999)) == 69
    assert "\n" not in run_line(longest, 0.0)


def test_a_live_run_cannot_be_trashed(bench: Bench) -> None:
    folder = bench.write("20261101-000000-vae-500-aaaa", (RunStarted(), StageStarted(stage="prepare")))

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("x", "y")
        await until(pilot, lambda: "histotui stop" in notices(app_of(pilot)))

    with RunLock(folder.lock):
        ProcessIdentity.current().write(folder.process)
        play(bench, script)
    assert folder.path.exists()


def test_stop_leaves_a_checkpoint_and_resume_goes_on(bench: Bench) -> None:
    bench.engine("slow")
    assert bench("run", "--preset", "baseline", "--detach", "--quiet").code == 0
    folder = bench.only_run()

    async def script(pilot: "Pilot[None]") -> None:
        app = app_of(pilot)
        await until(pilot, lambda: app.listing and app.listing[0].state == "running")
        await pilot.press("s")
        await until(pilot, lambda: app.listing and app.listing[0].state == "stopped")
        assert "‖ stopped" in text_of(table(pilot))
        bench.engine("finish")
        await pilot.press("r")
        await until(pilot, lambda: app.listing and app.listing[0].state == "finished")
        await until(pilot, lambda: "has finished: test AUC on tissue 0.7503" in notices(app))

    play(bench, script)
    assert folder.scores.exists()


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([score(tested_on="real")], "pilot has finished: test AUC 0.7503"),
        ([score(tested_on="tissue")], "pilot has finished: test AUC on tissue 0.7503"),
        ([], "pilot has finished"),
    ],
)
def test_a_run_that_ends_says_its_auc_and_where_it_was_tested(
    bench: Bench, scores: list[dict[str, object]], said: str
) -> None:
    folder = bench.write("20261101-000000-vae-500-aaaa", (RunStarted(),), name="pilot")

    async def script(pilot: "Pilot[None]") -> None:
        app = app_of(pilot)
        with RunLock(folder.lock):
            ProcessIdentity.current().write(folder.process)
            await until(pilot, lambda: app.listing and app.listing[0].state == "running")
            folder.scores.write_text(json.dumps({"scores": scores, "notes": []}))
            with EventWriter(folder.events) as writer:
                writer.write(RunFinished(seconds=1.0))
            await until(pilot, lambda: said in notices(app).splitlines())

    play(bench, script)


def test_who_leaves_does_not_wait_for_a_run_that_is_to_stop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("20261101-000000-vae-500-aaaa", (RunStarted(),))
    monkeypatch.setattr(RunsScreen, "_live", lambda self, verb: self.chosen_folders)
    waited: list[str] = []

    def wait(folder: RunFolder, say: Say, is_called_off: Question) -> None:
        waited.append("begun")
        for _ in range(200):
            if is_called_off():
                waited.append("called off")
                break
            time.sleep(0.05)
        say("stopped")

    monkeypatch.setattr(operations, "stop_run", wait)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("s")
        await until(pilot, lambda: waited == ["begun"])

    assert "stopped" not in notices(play(bench, script)).splitlines()
    assert waited == ["begun", "called off"]


def test_like_a_run_whose_settings_are_no_longer_valid_says_so(bench: Bench) -> None:
    folder = bench.write("20261101-000000-vae-500-aaaa", (RunStarted(),))
    config = json.loads(folder.config.read_text())
    config["generator"]["latent_dim"] = 0
    folder.config.write_text(json.dumps(config))

    async def script(pilot: "Pilot[None]") -> None:
        app = app_of(pilot)
        await pilot.press("l")
        await until(pilot, lambda: "generator.latent_dim" in notices(app))
        assert isinstance(app.screen, RunsScreen)

    play(bench, script)


def test_what_has_ended_cannot_be_stopped(bench: Bench) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("s")
        assert "there is nothing to stop: no selected run is live" in notices(app_of(pilot))

    play(bench, script)


def test_comparing_needs_two_and_takes_the_selected(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    write_three(bench)
    compared: list[list[str]] = []
    monkeypatch.setattr(HistoTUI, "compare", lambda self, ids: compared.append(list(ids)))

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("c")
        assert "select two or more runs" in notices(app_of(pilot))
        await pilot.press("space", "space")
        assert "2 selected" in text_of(pilot.app.screen)
        await pilot.press("c")

    play(bench, script)
    assert compared == [["20261103-000000-gan-bce-cccc", "20261102-000000-vae-500-bbbb"]]


def test_the_preview_shows_scores_and_curves_of_the_highlighted_run(bench: Bench) -> None:
    write_three(bench)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("down")
        await until(pilot, lambda: "answer: synthetic → tissue" in text_of(pilot.app.screen))
        assert "reference: synthetic → tissue" in text_of(pilot.app.screen)
        await pilot.press("p")
        assert "answer: synthetic" not in text_of(pilot.app.screen)

    play(bench, script, (160, 48))


def test_the_help_names_every_key_and_its_binding(bench: Bench) -> None:
    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("question_mark")
        shown = text_of(pilot.app.screen)
        assert "Stop with a checkpoint" in shown and " stop" in shown
        assert "Draw pictures in the next way that there is" in shown and " images" in shown
        await pilot.press("escape")

    play(bench, script, (120, 60))


@pytest.mark.parametrize(("key", "place"), [("n", "new run"), ("D", "data")])
def test_the_line_above_a_screen_says_where_one_is(bench: Bench, key: str, place: str) -> None:
    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press(key)
        await until(pilot, lambda: text_of(pilot.app.screen).lstrip().startswith(f"histotui  {place}  "))

    play(bench, script)


def test_keys_can_be_given_other_places(bench: Bench) -> None:
    bench.write("20261101-000000-vae-500-aaaa", DONE)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.press("e")
        assert not isinstance(pilot.app.screen, TextPrompt)
        await pilot.press("f4")
        assert isinstance(pilot.app.screen, TextPrompt)

    play(bench, script, settings=Settings(bell=False, keys={"rename": "f4"}))


def test_names_are_seen_whole_where_there_is_room() -> None:
    def widths(columns: int, longest: int) -> dict[str, int]:
        return {column.field: column.width for column in fitting(columns, longest)}

    short = {"state": 10, "name": 20, "progress": 17, "auc": 21}
    assert widths(80, 25) == widths(80, 8) == short
    assert widths(100, 8) == {**short, "gap": 7, "left": 7}
    assert widths(100, 25) == {**short, "name": 25, "gap": 7}
    assert widths(160, 99)["name"] == 32
    assert widths(0, 25) == {} and widths(30, 25) == {"state": 10}


def test_a_long_name_makes_its_column_wider(bench: Bench) -> None:
    bench.write("20261101-000000-vae-500-aaaa", DONE, name="latent-flow resnet seed 2")

    async def script(pilot: "Pilot[None]") -> None:
        assert "latent-flow resnet seed 2" in text_of(table(pilot))

    play(bench, script, (100, 24))


def test_ten_thousand_rows_come_a_page_at_a_time(bench: Bench) -> None:
    for number in range(230):
        folder = RunFolder(bench.runs / f"20261101-{number:06d}-vae-500-aaaa")
        folder.path.mkdir(parents=True)
        folder.config.write_text("{}")

    async def script(pilot: "Pilot[None]") -> None:
        # A busy machine may take a listing in several goes.
        await until(pilot, lambda: table(pilot).total == 230)
        assert table(pilot).row_count == 200
        await pilot.press("end")
        await until(pilot, lambda: table(pilot).row_count == 230)
        await until(pilot, lambda: table(pilot).current == "20261101-000000-vae-500-aaaa")

    play(bench, script)
