"""One run on its screen: curves, samples, settings, log and events, live and past."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_engine import score
from PIL import Image
from stage import notices, play, text_of, until
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Label, Log, OptionList, TabbedContent
from workbench import Bench

from engine.spec.event_log import EventWriter
from engine.spec.events import Event, ImageSaved, Metrics, RunFailed, RunFinished, RunStarted, StageStarted, Warned
from engine.spec.presets import PRESETS
from engine.spec.process import ProcessIdentity, RunLock
from engine.spec.resolve import dump
from engine.spec.run_folder import RunFolder
from histotui.app import HistoTUI
from histotui.screens.run import RunScreen
from histotui.widgets.chart import Chart
from histotui.widgets.config_pane import ConfigPane
from histotui.widgets.curves_pane import CurvesPane
from histotui.widgets.events_pane import EventsPane
from histotui.widgets.log_pane import LogPane
from histotui.widgets.samples_pane import SamplesPane

ID = "20261101-000000-vae-500-aaaa"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def metrics(step: int, **values: float) -> Metrics:
    return Metrics(stage="generator", step=step, epoch=1, values=values)


def write_grid(folder: RunFolder, path: str, shade: int) -> None:
    (folder.path / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((262, 526, 3), shade, np.uint8)).save(folder.path / path)


def write_run(bench: Bench, *more: Event) -> RunFolder:
    events = [RunStarted(device="cpu (test)"), StageStarted(stage="generator"), metrics(50, recon=400.0, kl=3.0)]
    return bench.write(ID, [*events, *more], scores=[score()])


def grids(folder: RunFolder) -> list[ImageSaved]:
    """Real patches, and samples of three epochs."""
    places = [("prepare", 0), ("generator", 50), ("generator", 100), ("generator", 150)]
    images = [
        ImageSaved(stage=stage, step=step, path=f"samples/{stage}/step-{step:06d}.png", caption=f"after step {step}")
        for stage, step in places
    ]
    for image in images:
        write_grid(folder, image.path, 40 + image.step)
    return images


async def opened(pilot: "Pilot[None]") -> HistoTUI:
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.is_mounted)
    app = pilot.app
    assert isinstance(app, HistoTUI)
    await until(pilot, lambda: ID in app.snapshots)
    return app


def active_tab(pilot: "Pilot[None]") -> str:
    return pilot.app.screen.query_one(TabbedContent).active


def charts(pilot: "Pilot[None]") -> list[Chart]:
    return list(pilot.app.screen.query_one(CurvesPane).query(Chart))


def drawn(pilot: "Pilot[None]") -> list[str]:
    return [chart._title for chart in charts(pilot) if chart.display]


def test_every_metric_has_a_chart_under_its_own_name(bench: Bench) -> None:
    write_run(bench, metrics(100, recon=300.0, kl=4.0), RunFinished(seconds=3.0))

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await until(pilot, lambda: drawn(pilot) == ["generator: recon", "generator: kl"])
        chart = charts(pilot)[0]
        assert chart.readout() == ["step 100", "recon 300.0"]

    play(bench, script, (160, 48))


def test_one_that_is_silent_has_the_command_that_tells_where_it_hangs(bench: Bench) -> None:
    folder = bench.write(ID, [RunStarted(time=1000.0), StageStarted(time=1000.0, stage="generator")])
    ProcessIdentity.current().write(folder.process)
    for path in (folder.events, folder.process):
        os.utime(path, (1000.0, 1000.0))

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await until(pilot, lambda: f"silent: histotui logs {ID} --stack" in text_of(pilot.app.screen))

    with RunLock(folder.lock):
        play(bench, script, (80, 24))


def test_one_that_cannot_be_asked_where_it_hangs_has_no_such_command(bench: Bench) -> None:
    folder = bench.write(ID, [RunStarted(time=1000.0), StageStarted(time=1000.0, stage="generator")])
    os.utime(folder.events, (1000.0, 1000.0))

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await until(pilot, lambda: "stalled" in text_of(pilot.app.screen) and "generator" in text_of(pilot.app.screen))
        assert "--stack" not in text_of(pilot.app.screen)

    with RunLock(folder.lock):
        play(bench, script, (80, 24))


def test_in_a_small_window_the_list_chooses_the_one_chart(bench: Bench) -> None:
    write_run(bench, RunFinished(seconds=3.0))

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await until(pilot, lambda: drawn(pilot) == ["generator: recon"])
        await pilot.press("down")
        await until(pilot, lambda: drawn(pilot) == ["generator: kl"])

    play(bench, script)


def test_another_stage_is_seen_whole_whatever_was_zoomed_into_before(bench: Bench) -> None:
    steps = [metrics(step, recon=300.0, kl=4.0) for step in range(100, 2100, 100)]
    other = Metrics(time=1400.0, stage="classifier", step=5, epoch=1, values={"bce": 0.5})
    write_run(bench, *steps, other, replace(other, step=9), RunFinished(seconds=3.0))

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await until(pilot, lambda: drawn(pilot)[0].startswith("generator"))
        chart = charts(pilot)[0]
        chart.focus()
        await pilot.press("end", "i", "i")
        await until(pilot, lambda: chart.view is not None and chart.cursor == 2000)
        pane = pilot.app.screen.query_one(CurvesPane)
        pane.query_one(OptionList).focus()
        await pilot.press("down", "down")
        await until(pilot, lambda: drawn(pilot) == ["classifier: bce"])
        assert chart.view is None and chart.cursor is None and chart.readout()[0] == "step 9"

    play(bench, script)


def test_the_settings_of_a_run_that_is_not_listed_yet_come_with_its_listing(bench: Bench) -> None:
    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield ConfigPane({})

    async def script() -> None:
        async with Alone().run_test() as pilot:
            pane = pilot.app.query_one(ConfigPane)
            pane.show(dump(PRESETS["vae-500"].config))
            await until(pilot, lambda: "as the preset vae-500 has it" in text_of(pilot.app.screen))

    asyncio.run(script())


def test_curves_grow_while_the_run_lives_and_the_axis_is_remembered(bench: Bench) -> None:
    folder = write_run(bench)

    async def script(pilot: "Pilot[None]") -> None:
        app = await opened(pilot)
        with EventWriter(folder.events) as writer:
            writer.write(metrics(100, recon=250.0, kl=5.0))
        chart = charts(pilot)[0]
        await until(pilot, lambda: "recon 250.0" in chart.readout())
        await pilot.press("a")
        assert chart.x_axis.title == "epoch"
        assert app.memory.state.x_axis == "epoch"

    with RunLock(folder.lock):
        ProcessIdentity.current().write(folder.process)
        play(bench, script)


def test_samples_can_be_stepped_back_to_the_first_and_follow_the_newest(bench: Bench) -> None:
    folder = write_run(bench)
    images = grids(folder)
    with EventWriter(folder.events) as writer:
        for image in images[:-1]:
            writer.write(image)

    async def script(pilot: "Pilot[None]") -> None:
        app = await opened(pilot)
        await until(pilot, lambda: len(app.snapshots[ID].images) == 3)
        await pilot.press("2")
        pane = pilot.app.screen.query_one(SamplesPane)
        when = pane.query_one("#when", Label)
        await until(pilot, lambda: "2 of 2  step 100  after step 100" in text_of(when))
        await pilot.press("left")
        await until(pilot, lambda: "1 of 2  step 50" in text_of(when))
        await pilot.press("right")
        with EventWriter(folder.events) as writer:
            writer.write(images[-1])
        await until(pilot, lambda: "3 of 3  step 150" in text_of(when))
        assert pane._real is not None and pane._real.stage == "prepare"

    play(bench, script, (120, 40))


def test_real_patches_can_take_the_whole_screen(bench: Bench) -> None:
    folder = write_run(bench)
    with EventWriter(folder.events) as writer:
        for image in grids(folder):
            writer.write(image)

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await pilot.press("2", "b")
        screen = pilot.app.screen
        await until(pilot, lambda: screen.query_one("#real").display and not screen.query_one("#synthetic").display)
        assert "esc back" in text_of(screen)
        await pilot.press("b")
        await until(pilot, lambda: screen.query_one("#synthetic").display and not screen.query_one("#real").display)
        await pilot.press("escape")
        await until(pilot, lambda: screen.query_one("#synthetic").display and screen.query_one("#real").display)

    play(bench, script)


def test_only_what_can_be_done_to_a_run_has_a_key(bench: Bench) -> None:
    write_run(bench, RunFinished(seconds=3.0))

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        footer = text_of(pilot.app.screen).splitlines()[-1]
        assert "Back" in footer and "Stop" not in footer and "Resume" not in footer

    play(bench, script)


def test_one_grid_can_take_the_whole_screen(bench: Bench) -> None:
    folder = write_run(bench)
    with EventWriter(folder.events) as writer:
        for image in grids(folder):
            writer.write(image)

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await pilot.press("2", "f")
        await pilot.pause(0.3)
        assert "Evaluation" not in text_of(pilot.app.screen)
        assert not pilot.app.screen.query_one("#real").display
        await pilot.press("escape")
        await pilot.pause(0.3)
        assert "Evaluation" in text_of(pilot.app.screen)
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, RunScreen)

    play(bench, script, (120, 40))


def test_settings_that_differ_from_the_preset_are_marked(bench: Bench) -> None:
    from engine.spec.presets import PRESETS
    from engine.spec.resolve import apply

    config = apply(PRESETS["vae-500"].config, [{"generator": {"epochs": 7}}])
    bench.write(ID, [RunStarted(), RunFinished(seconds=1.0)], config=config)

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await pilot.press("4")
        await until(pilot, lambda: "1 setting differs" in text_of(pilot.app.screen))
        await until(pilot, lambda: "▸ generator.epochs = 7  (preset: 100)" in text_of(pilot.app.screen))

    play(bench, script, (120, 60))


def test_a_failed_run_opens_on_its_error_and_the_end_of_its_log(bench: Bench) -> None:
    failed = RunFailed(error="Diverged", message="kl is not finite at step 51", exit_code=4, stage="generator")
    folder = write_run(bench, failed)
    folder.log.write_text("\n".join(f"line {number}" for number in range(100)) + "\nTraceback: kl\n")

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await until(pilot, lambda: active_tab(pilot) == "log")
        await until(pilot, lambda: "Traceback: kl" in text_of(pilot.app.screen))
        assert "kl is not finite at step 51" in text_of(pilot.app.screen)

    play(bench, script)


def test_the_last_line_of_a_log_is_shown_before_it_ends_and_replaced_as_it_grows(bench: Bench) -> None:
    folder = write_run(bench, RunFinished(seconds=1.0))
    folder.log.write_text("first\n\nsecond: 1")

    def lines(pilot: "Pilot[None]") -> list[str]:
        shown = (text.strip(" ▎") for text in text_of(pilot.app.screen.query_one(LogPane)).splitlines())
        return [text for text in shown if "second" in text or "third" in text]

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await pilot.press("5")
        await until(pilot, lambda: lines(pilot) == ["second: 1"])
        for added, expected in (("0", ["second: 10"]), ("0\nthird", ["second: 100", "third"])):
            with folder.log.open("a") as file:
                file.write(added)
            await until(pilot, lambda expected=expected: lines(pilot) == expected)
        await pilot.press("slash", *"third", "enter")
        await until(pilot, lambda: "1 of 1: third" in text_of(pilot.app.screen))
        assert pilot.app.screen.query_one(Log).lines == ["first", " ", "second: 100", "third"]

    play(bench, script)


def test_the_log_is_searched(bench: Bench) -> None:
    folder = write_run(bench, RunFinished(seconds=1.0))
    folder.log.write_text("\n".join(f"line {number}" for number in range(300)) + "\n")

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await pilot.press("5")
        await until(pilot, lambda: "line 299" in text_of(pilot.app.screen))
        await pilot.press("slash", *"line 17", "enter")
        await until(pilot, lambda: "11 of 11: line 179" in text_of(pilot.app.screen))
        await pilot.press("N")
        await until(pilot, lambda: "10 of 11: line 178" in text_of(pilot.app.screen))

    play(bench, script)


def test_events_are_lines_without_progress_and_metrics(bench: Bench) -> None:
    write_run(bench, Warned(stage="prepare", message="two slides share a patch"), RunFinished(seconds=1.0))

    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot)
        await pilot.press("6")
        await until(pilot, lambda: "two slides share a patch" in text_of(pilot.app.screen))
        lines = text_of(pilot.app.screen.query_one(EventsPane))
        assert "run_finished" in lines and "metrics" not in lines

    play(bench, script, (120, 30))


def test_a_live_run_is_stopped_from_its_screen_and_resumed(bench: Bench) -> None:
    bench.engine("slow")
    assert bench("run", "--preset", "baseline", "--detach", "--quiet").code == 0

    async def script(pilot: "Pilot[None]") -> None:
        app = pilot.app
        assert isinstance(app, HistoTUI)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "● running" in text_of(app.screen))
        assert "classifier (2 of 3)" in text_of(app.screen)
        await pilot.press("s")
        await until(pilot, lambda: "‖ stopped" in text_of(app.screen))
        bench.engine("finish")
        await pilot.press("R")
        await until(pilot, lambda: "✓ finished" in text_of(app.screen) and "0.7503" in text_of(app.screen))

    play(bench, script)


def test_why_a_live_run_s_log_cannot_be_read_stands_in_its_heading(bench: Bench) -> None:
    folder = bench.write(ID, [RunStarted(device="cpu (test)")])

    async def script(pilot: "Pilot[None]") -> None:
        with RunLock(folder.lock):
            ProcessIdentity.current().write(folder.process)
            await pilot.press("enter")
            await until(pilot, lambda: "● running" in text_of(pilot.app.screen))
            folder.events.unlink()
            folder.events.mkdir()
            await until(pilot, lambda: "✗" in text_of(pilot.app.screen.query_one("#heading")))
            assert "events.jsonl cannot be read: Is a directory" in text_of(pilot.app.screen.query_one("#heading"))

    play(bench, script, (120, 30))


def test_a_live_run_is_killed_only_after_a_yes(bench: Bench) -> None:
    bench.engine("stubborn")
    assert bench("run", "--preset", "baseline", "--detach", "--quiet").code == 0
    run = bench.only_run().id

    async def script(pilot: "Pilot[None]") -> None:
        app = pilot.app
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "● running" in text_of(app.screen))
        await pilot.press("S")
        await until(pilot, lambda: f"Kill {run}?" in text_of(app.screen))
        await pilot.press("n")
        assert "● running" in text_of(app.screen)
        await pilot.press("S")
        await until(pilot, lambda: f"Kill {run}?" in text_of(app.screen))
        await pilot.press("y")
        await until(pilot, lambda: "? lost" in text_of(app.screen))

    play(bench, script)


def test_the_command_is_copied_and_shown(bench: Bench) -> None:
    folder = write_run(bench, RunFinished(seconds=1.0))
    folder.command.write_text("histotui run --preset vae-500\n")

    async def script(pilot: "Pilot[None]") -> None:
        app = await opened(pilot)
        await pilot.press("y")
        assert "histotui run --preset vae-500" in notices(app)
        assert app.clipboard == "histotui run --preset vae-500"

    play(bench, script)
