"""The screen that configures and launches a run: form, consequences, presets, launch."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Checkbox, Input, OptionList, Static, Tabs
from workbench import Bench, until

import histotui.app
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.presets import PRESETS, load_preset
from engine.spec.resolve import apply, load
from engine.spec.run_folder import RunFolder
from histotui.app import HistoTUI
from histotui.ask import Asking
from histotui.graphics import Graphics
from histotui.screens import new_run
from histotui.screens.new_run import NewRunScreen
from histotui.screens.prompts import Confirm, TextPrompt
from histotui.settings import command_for
from histotui.starting_points import Found, find_point, gather
from histotui.store import RunStore
from histotui.suggesting import SourceSuggester
from histotui.user_presets import save_preset
from histotui.widgets import forecast
from histotui.widgets.config_form import ConfigForm
from histotui.widgets.consequences import Consequences

Steps = Callable[["Launching", Pilot[None]], Coroutine[Any, Any, None]]
FITS = {"fits": True, "device": "cpu", "data": {"splits": {"train": 30}}, "warnings": []}


class Launching(HistoTUI):
    """The application with this screen alone, and nothing that follows runs."""

    CSS_PATH = str(Path(histotui.app.__file__).with_name("histotui.tcss"))

    def __init__(self, root: Path, base: str | None = None) -> None:
        super().__init__(RunStore(root), Graphics("off", "off in tests"))
        self.base = base
        self.animation_level = "none"
        self.launched: list[str | None] = []

    def on_mount(self, event: events.Mount | None = None) -> None:
        if event is not None:
            event.prevent_default()
        base = None if self.base is None else find_point(self.base, self.store)
        self.push_screen(NewRunScreen(self.store, base), self.launched.append)

    @property
    def new_run_screen(self) -> NewRunScreen:
        (screen,) = (screen for screen in self.screen_stack if isinstance(screen, NewRunScreen))
        return screen

    @property
    def form(self) -> ConfigForm:
        return self.new_run_screen.query_one(ConfigForm)

    @property
    def consequences(self) -> str:
        """What the pane on the right says."""
        pane = self.new_run_screen.query_one(Consequences)
        return "\n".join(str(part.render()) for part in pane.query(Static) if part.display)

    @property
    def said(self) -> str:
        return "\n".join(note.message for note in self._notifications)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(forecast, "DEBOUNCE", 0.02)
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """What the engine is asked, in place of a process."""
    configs: list[RunConfig] = []

    def ask(query: str, body: dict[str, Any], on_progress: object, asking: Asking) -> dict[str, Any]:
        configs.append(RunConfig.model_validate_json(json.dumps(body["config"])))
        return FITS

    monkeypatch.setattr(forecast, "ask", ask)
    return configs


def go(bench: Bench, steps: Steps, base: str | None = "vae-500", size: tuple[int, int] = (160, 48)) -> Launching:
    app = Launching(bench.runs, base)

    async def drive() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(drive())
    return app


async def when(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait for a condition; AssertionError where it does not come true."""
    for _ in range(500):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError("waited in vain")


async def type_into(app: Launching, pilot: Pilot[None], path: str, text: str) -> None:
    control = app.form.control_of(path)
    control.focus()
    await pilot.pause()
    await pilot.press("end", "ctrl+u", *text)
    await pilot.pause()


class TestForm:
    def test_an_error_stands_beside_its_field_while_it_is_typed(self, bench: Bench, asked: list[RunConfig]) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await type_into(app, pilot, "generator.latent_dim", "0")
            (error,) = app.form.query(".error")
            control = app.form.control_of("generator.latent_dim")
            assert str(error.render()) == "✗ 0 is not allowed; it should be greater than or equal to 1"
            assert error.region.y == control.region.y + 1 and error.region.x == control.region.x
            assert "settings are not valid" in app.consequences
            await pilot.press("backspace", "9")
            await pilot.pause()
            assert not app.form.query(".error") and app.new_run_screen.asked is not None
            assert app.new_run_screen.asked.generator is not None
            assert app.new_run_screen.asked.generator.latent_dim == 9

        go(bench, steps)

    def test_another_generator_swaps_the_fields_and_keeps_the_shared(
        self, bench: Bench, asked: list[RunConfig]
    ) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await type_into(app, pilot, "generator.epochs", "7")
            app.form.control_of("generator.kind").focus()
            await pilot.press("enter", "down", "enter")
            await pilot.pause()
            section = app.form.query_one("#section-generator")
            labels = [str(label.render()) for label in section.query(".label").results(Static)]
            config = app.new_run_screen.asked
            assert config is not None and config.generator is not None
            wanted = [entry.name for entry in app.form.fields if entry.section == "generator"]
            assert (config.generator.kind, config.generator.epochs, config.generator.latent_dim) == ("gan", 7, 500)
            assert labels == wanted and "embedding_dim" in labels and "kl_weight" not in labels
            assert app.focused is app.form.control_of("generator.kind")

        go(bench, steps)

    def test_what_is_wrong_between_fields_is_shown_once(self, bench: Bench, asked: list[RunConfig]) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await type_into(app, pilot, "generator.gradient_penalty", "10")
            assert "set generator.discriminator_norm to 'none'" in str(app.form.query_one(".hint", Static).render())
            assert not app.form.query(".error")

        go(bench, steps, base="gan-bce")

    def test_arrows_go_to_fields_and_pages_to_sections_each_described(
        self, bench: Bench, asked: list[RunConfig]
    ) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            assert app.focused is app.form.control_of("data.source")
            await pilot.press("down", "down", "up")
            assert app.focused is app.form.control_of("data.crop")
            await pilot.press("pagedown", "pagedown")
            assert app.focused is app.form.control_of("synthesis.ratio")
            await pilot.press("down", "pageup")
            assert app.focused is app.form.control_of("synthesis.ratio")
            hint = str(app.form.query_one(".hint", Static).render())
            assert hint == "synthesis.ratio: Synthetic patches per real training patch. Above 0 to 100."

        go(bench, steps, size=(80, 24))

    def test_keys_that_arrive_at_once_go_into_the_fields_that_they_move_to(
        self, bench: Bench, asked: list[RunConfig]
    ) -> None:
        def burst(app: Launching, *keys: str) -> None:
            for key in keys:
                app.post_message(events.Key(key, key if len(key) == 1 else None))

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            clear = ("end", "ctrl+u")
            burst(app, "pagedown", "down", *clear, *"12", "down", *clear, *"8", "pagedown", *clear, *"0.5", "ctrl+k")
            await when(pilot, lambda: app.new_run_screen.query_one("#quick", Checkbox).value)
            config = app.new_run_screen.asked
            assert config is not None and config.generator is not None
            assert (config.generator.epochs, config.generator.batch_size, config.synthesis.ratio) == (12, 8, 0.5)
            assert app.form.edited == {"generator.epochs", "generator.batch_size", "synthesis.ratio"}

        go(bench, steps, size=(80, 24))


class TestConsequences:
    def test_the_engine_is_asked_once_after_typing(
        self, bench: Bench, asked: list[RunConfig], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await when(pilot, lambda: len(asked) == 1 and "fits" in app.consequences)
            monkeypatch.setattr(forecast, "DEBOUNCE", 3600)
            field = app.form.control_of("generator.epochs")
            assert isinstance(field, Input)
            for field.value in ("1", "12", "123"):
                await pilot.pause()
            # The last answer stays until there is another.
            assert "asking the engine" in app.consequences and "fits" in app.consequences
            monkeypatch.setattr(forecast, "DEBOUNCE", 0.02)
            field.value = "1234"
            await when(pilot, lambda: len(asked) == 2 and "asking" not in app.consequences)

        go(bench, steps)
        assert [config.generator.epochs for config in asked if config.generator] == [100, 1234]

    def test_a_superseded_question_is_called_off(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        questions: list[Asking] = []

        def ask(query: str, body: dict[str, Any], on_progress: object, asking: Asking) -> dict[str, Any]:
            questions.append(asking)
            until(lambda: asking.is_off or len(questions) == 2)
            return {**FITS, "parameters": len(questions)}

        monkeypatch.setattr(forecast, "ask", ask)

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await when(pilot, lambda: len(questions) == 1)
            await type_into(app, pilot, "seed", "4")
            assert questions[0].is_off
            await when(pilot, lambda: "parameters  2" in app.consequences)

        go(bench, steps)
        assert not questions[1].is_off

    def test_leaving_calls_the_question_off(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        questions: list[Asking] = []

        def ask(query: str, body: dict[str, Any], on_progress: object, asking: Asking) -> dict[str, Any]:
            questions.append(asking)
            until(lambda: asking.is_off)
            return FITS

        monkeypatch.setattr(forecast, "ask", ask)

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await when(pilot, lambda: len(questions) == 1)
            await pilot.press("escape")
            await when(pilot, lambda: questions[0].is_off)
            assert app.launched == [None]

        go(bench, steps)

    def test_a_process_that_answers_is_killed_when_called_off(self) -> None:
        for early in (True, False):
            asking = Asking()
            if early:
                asking.call_off()
            process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            asking.began(process)
            asking.call_off()
            assert process.wait() == -9

    def test_what_differs_from_the_preset_and_by_quick_is_listed(self, bench: Bench, asked: list[RunConfig]) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await type_into(app, pilot, "generator.epochs", "50")
            await pilot.press("ctrl+k")
            await when(pilot, lambda: "Quick scaling" in app.consequences)
            changed, scaled = app.consequences.split("Quick scaling")
            assert "Changed from vae-500\ngenerator.epochs 100 → 50\n" in changed
            assert "classifier.epochs 100 → 12" in scaled
            # What was changed by hand is the user's.
            assert "generator.epochs" not in scaled
            assert app.new_run_screen.config is not None and app.new_run_screen.config.generator is not None
            assert app.new_run_screen.config.generator.epochs == 50
            await pilot.press("ctrl+k")
            await pilot.pause()
            assert "Quick scaling" not in app.consequences
            assert app.new_run_screen.config == app.new_run_screen.asked

        go(bench, steps)

    def test_why_it_cannot_begin_is_shown(self, bench: Bench) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await when(pilot, lambda: "✗ cannot begin: no patches there" in app.consequences)
            await pilot.press("ctrl+r")
            await when(pilot, lambda: "no patches there" in app.said)
            assert app.launched == []

        bench.answers("error")
        go(bench, steps)
        assert not bench.runs.exists()


class TestLaunch:
    def test_a_launch_says_what_is_needed_then_creates_the_run_and_starts_the_engine(self, bench: Bench) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await when(pilot, lambda: "1,234,567" in app.consequences)
            for said in ("✓ fits", "2.00 GB of 8.00 GB", "1.00 kB of 10.0 kB", "unknown: nothing like it ran here"):
                assert said in app.consequences
            await type_into(app, pilot, "generator.epochs", "42")
            app.new_run_screen.query_one("#name", Input).focus()
            await pilot.press(*"pilot", "ctrl+r")
            await when(pilot, lambda: bool(app.launched))

        app = go(bench, steps)
        folder = bench.only_run()
        assert app.launched == [folder.id]
        wanted = apply(PRESETS["vae-500"].config, [{"generator": {"epochs": 42}}])
        assert load(folder.config) == wanted
        assert folder.command.read_text() == command_for(wanted, "pilot") + "\n"
        assert json.loads(folder.meta.read_text())["name"] == "pilot"
        until(lambda: folder.events.exists() and b"run_finished" in folder.events.read_bytes())

    def test_the_key_pressed_twice_starts_one_run(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        create = RunStore.create

        def slowly(*arguments: Any) -> RunFolder:
            time.sleep(0.3)
            return create(*arguments)

        monkeypatch.setattr(RunStore, "create", slowly)

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await when(pilot, lambda: "✓ fits" in app.consequences)
            for _ in range(3):
                app.new_run_screen.action_launch()
                await asyncio.sleep(0.05)
            await when(pilot, lambda: bool(app.launched))

        assert go(bench, steps).launched == [bench.only_run().id]

    @pytest.mark.parametrize(("fresh", "times"), [(3600.0, 1), (0.0, 2)])
    def test_what_was_said_of_memory_some_time_ago_is_asked_again(
        self, bench: Bench, asked: list[RunConfig], monkeypatch: pytest.MonkeyPatch, fresh: float, times: int
    ) -> None:
        monkeypatch.setattr(forecast, "FRESH", fresh)

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await when(pilot, lambda: "✓ fits" in app.consequences)
            await pilot.press("ctrl+r")
            await when(pilot, lambda: bool(app.launched))

        go(bench, steps)
        assert len(asked) == times

    def test_what_was_in_its_way_is_asked_again(self, bench: Bench) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await pilot.press("ctrl+r")
            await when(pilot, lambda: "no patches there" in app.said)
            bench.answers("fits")
            await pilot.press("ctrl+r")
            await when(pilot, lambda: bool(app.launched))

        bench.answers("error")
        assert go(bench, steps).launched == [bench.only_run().id]

    def test_what_does_not_fit_is_started_only_when_confirmed(self, bench: Bench) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await pilot.press("ctrl+r")
            await when(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("n")
            await pilot.pause()
            assert not bench.runs.exists() and app.launched == []
            assert "classifier.batch_size=16 would fit" in app.consequences
            await pilot.press("ctrl+r")
            await when(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("y")
            await when(pilot, lambda: bool(app.launched))

        bench.answers("small")
        app = go(bench, steps)
        assert app.launched == [bench.only_run().id]

    def test_what_is_not_valid_is_not_launched(self, bench: Bench, asked: list[RunConfig]) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await type_into(app, pilot, "seed", "x")
            app.form.control_of("data.source").focus()
            await pilot.press("ctrl+r")
            await pilot.pause()
            assert app.focused is app.form.control_of("seed")
            assert 'seed: "x" is not allowed' in app.said
            app.form.show(PRESETS["vae-100"].config)
            app.new_run_screen.query_one("#name", Input).focus()
            await pilot.press(*"../x", "ctrl+r")
            await pilot.pause()
            assert "use 1 to 100 letters" in str(app.new_run_screen.query_one("#wrong", Static).render())

        go(bench, steps)
        assert not bench.runs.exists()

    def test_like_an_earlier_run(self, bench: Bench, asked: list[RunConfig]) -> None:
        config = apply(PRESETS["vae-100"].config, [{"seed": 5}])
        folder = bench.write("20251123-154501-vae-100-a1b2", config=config, name="pilot")

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await when(pilot, lambda: app.new_run_screen.asked == config)
            assert "Changed from pilot\nnothing" in app.consequences

        go(bench, steps, base=folder.id)

    def test_an_earlier_run_s_patches_as_data(self, bench: Bench, asked: list[RunConfig]) -> None:
        data = {"data": {"limit": 4000, "tissue": {"train": 5000, "seed": 3}}}
        config = apply(PRESETS["vae-100"].config, [data, {"synthesis": {"ratio": 0.5}, "seed": 5}])
        folder = bench.write("20251123-154501-vae-100-a1b2", config=config)

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            points = app.new_run_screen.query_one(OptionList)
            await when(pilot, lambda: points.option_count > len(PRESETS) + 1)
            points.focus()
            await pilot.press("end", "d")
            await when(pilot, lambda: bool(asked) and asked[-1].synthesis.source == str(folder.path))
            lent = {"synthesis": {"source": str(folder.path), "ratio": 0.5}, "classifier": {"train_on": "synthetic"}}
            assert asked[-1] == apply(PRESETS["baseline"].config, [lent, data])

        go(bench, steps)

    def test_a_run_that_cannot_be_read_has_no_patches(self, bench: Bench, asked: list[RunConfig]) -> None:
        bench.write("20251123-154501-vae-100-a1b2").config.write_text("{")

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            points = app.new_run_screen.query_one(OptionList)
            await when(pilot, lambda: points.option_count > len(PRESETS) + 1)
            points.focus()
            await pilot.press("end", "d")
            await when(pilot, lambda: "not a JSON file" in app.said)
            assert app.new_run_screen.asked == PRESETS["vae-500"].config

        go(bench, steps)

    def test_runs_are_offered_for_their_patches(self, bench: Bench, asked: list[RunConfig]) -> None:
        folder = bench.write("20251123-154501-vae-100-a1b2")

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            control = app.form.control_of("synthesis.source")
            assert isinstance(control, Input)
            await when(pilot, lambda: control.suggester is not None)
            await type_into(app, pilot, "synthesis.source", "2025")
            await when(pilot, lambda: control._suggestion == folder.id)

        go(bench, steps, base="baseline")

    def test_escape_warns_of_settings_that_would_be_lost(self, bench: Bench, asked: list[RunConfig]) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await type_into(app, pilot, "seed", "4")
            await pilot.press("escape")
            await pilot.pause()
            assert app.launched == [] and "not saved" in app.said
            await pilot.press("escape")
            await pilot.pause()
            assert app.launched == [None]

        go(bench, steps)


class TestCommand:
    def test_the_command_is_the_one_that_makes_the_run(
        self, bench: Bench, asked: list[RunConfig], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copied: list[str] = []
        monkeypatch.setattr(HistoTUI, "copy_to_clipboard", lambda self, text: copied.append(text))

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await type_into(app, pilot, "generator.epochs", "42")
            await pilot.press("ctrl+y")
            await when(pilot, lambda: bool(copied))
            assert copied[0] in app.consequences and copied[0] in app.said
            await pilot.press("escape", "escape")

        bench.runs = bench.folder / "elsewhere"
        go(bench, steps)
        wanted = apply(PRESETS["vae-500"].config, [{"generator": {"epochs": 42}}])
        assert copied == [command_for(wanted, runs=bench.folder / "elsewhere")]
        assert copied[0].endswith(f"--runs {bench.folder / 'elsewhere'}")


class TestPresets:
    @pytest.mark.parametrize(
        ("base", "changes"),
        [
            ("vae-500", {"generator": {"epochs": 7}, "data": {"source": '/a "b"\\c\x7f é', "limit": 40}}),
            ("gan-wasserstein", {"generator": {"weight_clip": None}}),
            ("vae-100", {"generator": None, "classifier": {"train_on": "real", "flips": True}}),
            ("baseline", {"generator": {"kind": "gan"}}),
            ("baseline", {"synthesis": {"source": "/runs/one"}, "classifier": {"train_on": "both"}}),
            ("vae-100", {"generator": None, "synthesis": {"source": "/runs/one"}}),
            ("baseline", {"classifier": {"kind": "resnet", "flips": False, "channels": 16}}),
            ("baseline-resnet", {"classifier": {"kind": "cnn", "learning_rate": 0.002}}),
        ],
    )
    def test_a_saved_preset_reads_back_the_same(self, base: str, changes: dict[str, Any], tmp_path: Path) -> None:
        config = apply(PRESETS[base].config, [changes])
        path = save_preset("mine", config, tmp_path)
        assert path == tmp_path / "mine.toml" and list(tmp_path.iterdir()) == [path]
        assert load_preset(path).config == config.model_copy(update={"preset": "mine"})

    @pytest.mark.parametrize("name", ["vae-100", "../x", "", ".hidden", "a b", "x" * 65])
    def test_names_that_no_preset_of_one_s_own_can_have(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="preset"):
            save_preset(name, PRESETS["vae-100"].config, tmp_path)
        assert not list(tmp_path.iterdir())

    def test_saving_asks_for_a_name_and_lists_the_preset_beside_a_broken_one(
        self, bench: Bench, asked: list[RunConfig]
    ) -> None:
        folder = bench.folder / "config" / "histotui" / "presets"
        folder.mkdir(parents=True)
        (folder / "broken.toml").write_text("seed = [")

        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            await type_into(app, pilot, "seed", "4")
            await pilot.press("ctrl+s")
            await when(pilot, lambda: isinstance(app.screen, TextPrompt))
            await pilot.press(*"vae-100", "enter")
            await pilot.pause()
            assert "vae-100 is a built-in preset" in str(app.screen.query_one("#hint", Static).render())
            await pilot.press("ctrl+u", *"mine", "enter")
            points = app.new_run_screen.query_one(OptionList)
            await when(pilot, lambda: "Yours:mine" in {option.id for option in points.options})
            points.focus()
            await pilot.press("end", "up", "enter")
            await pilot.pause()
            assert "cannot be read as TOML" in app.said

        go(bench, steps)
        wanted = apply(PRESETS["vae-500"].config, [{"seed": 4, "preset": "mine"}])
        assert load_preset(folder / "mine.toml").config == wanted


class TestPanes:
    def test_one_pane_at_a_time_where_it_is_narrow_and_all_by_keys(self, bench: Bench, asked: list[RunConfig]) -> None:
        async def steps(app: Launching, pilot: Pilot[None]) -> None:
            screen = app.new_run_screen
            shown = []
            for _ in range(3):
                shown.append(
                    [pane for pane in ("points", "form", "consequences") if screen.query_one(f"#{pane}").display]
                )
                assert screen.query_one(Tabs).active == f"tab-{shown[-1][0]}"
                await pilot.press("ctrl+o")
                await pilot.pause()
            assert shown == [["points"], ["form"], ["consequences"]]
            await pilot.click("#tab-form")
            await pilot.pause()
            assert screen.query_one("#form").display and not screen.query_one("#consequences").display
            await pilot.click("#tab-points")
            await pilot.press("down", "down", "enter")
            await pilot.pause()
            assert screen.asked == PRESETS["vae-500"].config
            assert app.focused is app.form.control_of("data.source")

        go(bench, steps, base=None, size=(80, 24))


def test_sources_are_completed_by_runs_and_by_folders(tmp_path: Path) -> None:
    (tmp_path / "patches").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a-file").touch()
    suggester = SourceSuggester(["tissue", "20251123-154501-vae-100-a1b2"])

    def suggested(value: str) -> str | None:
        return asyncio.run(suggester.get_suggestion(value))

    assert suggested("ti") == "tissue"
    assert suggested("2025") == "20251123-154501-vae-100-a1b2"
    assert suggested(f"{tmp_path}/p") == f"{tmp_path}/patches"
    assert suggested(f"{tmp_path}/a") is None and suggested(f"{tmp_path}/none/x") is None


def test_presets_and_runs_are_what_there_is_to_start_from(bench: Bench) -> None:
    store = RunStore(bench.runs)
    folder = bench.write("20251123-154501-vae-100-a1b2", name="pilot")
    assert [point.title for point in gather(store).points] == [*PRESETS, "pilot"]
    assert find_point("pilot", store).run == folder.id
    with pytest.raises(RunFolderError, match="nowhere"):
        find_point("nowhere", store)


def test_what_is_edited_while_earlier_runs_are_read_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bench.write("20251123-154501-vae-100-a1b2", name="pilot")
    bench.write("20251124-154501-vae-100-a1b2", name="newer")
    may_read = threading.Event()

    def slowly(store: RunStore) -> Found:
        assert may_read.wait(20)
        return gather(store)

    monkeypatch.setattr(new_run, "gather", slowly)

    async def steps(app: Launching, pilot: Pilot[None]) -> None:
        await type_into(app, pilot, "seed", "12")
        may_read.set()
        points = app.new_run_screen.query_one(OptionList)
        await when(pilot, lambda: points.option_count == len(PRESETS) + 4)
        assert points.highlighted_option and points.highlighted_option.id == f"run:{folder.id}"
        assert app.new_run_screen.asked and app.new_run_screen.asked.seed == 12
        assert "Changed from pilot" in app.consequences

    go(bench, steps, base=folder.id)
