"""The real program on a pty: keys, signals, kill -9 in mid-run, hostile run folders, and poor terminals."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import paced_engine
import pytest
from fake_engine import score
from paced_engine import HALF, HOSTILE, TOTAL, go_file
from PIL import Image
from terminal import DOWN, ENTER, ESCAPE, UP, Terminal, environment, histotui
from workbench import until

from engine.spec.event_log import EventReader, EventWriter
from engine.spec.events import (
    Event,
    ImageSaved,
    Metrics,
    RunFailed,
    RunFinished,
    RunStarted,
    Scored,
    StageFinished,
    StageStarted,
    Warned,
)
from engine.spec.presets import PRESETS
from engine.spec.resolve import dump
from engine.spec.run_folder import RunFolder
from histotui.runs import Life, life_of

PACED = Path(paced_engine.__file__)
ONE, OTHER = "20260102-030405-vae-500-aaaa", "20260102-030406-vae-500-bbbb"
HOME, RUN = "Quit", "1 Curves"
"""Words that only the home screen and only a run's screen have."""

NEVER_WRITTEN = (
    *(b"\x1b]52", b"\x1b]0;", b"\x1b[6n", b"\x1bc", b"\x00", b"\x07", b"\x08", b"\x7f"),
    *(mark.encode() for mark in "\x90\x9b\x9c\u202e\u2066\u2028"),
)

SHOWN = {
    "5": ("message", "logged2", "[@click=app.bell]x[/]"),
    "1": ("metric",),
    "2": ("1 of 1  step 2",),
    "3": ("0.7503", "remark"),
    "4": ("source", "preset"),
    "6": ("run_started", "cautioned"),
}
COMPARED = {
    "1": "refused\\x1b",
    "2": "metric",
    "3": "sensitivity",
    "4": "called tumour",
    "5": "step 2",
    "6": "value\\x1b",
}
"""What each tab shows of the hostile runs."""
NOT_GREY = rb"[34]8;2;(?!(\d+);\1;\1[;m])"
OWN_BELL = b"\x1b]22;default\x07"
"""Textual's own question for the mouse's shape, which ends with what would ring alone."""


def start(folder: Path, *, size: tuple[int, int] = (80, 24), engine: Path | None = PACED, **more: str) -> Terminal:
    """The application on a terminal."""
    return Terminal(histotui(engine=engine), environment(folder, **more), size)


def write_run(folder: Path, run_id: str, name: str, *events: Event) -> RunFolder:
    """A run folder as an engine that has ended would have left it."""
    run = RunFolder(folder / "runs" / run_id)
    run.path.mkdir(parents=True)
    run.config.write_text(json.dumps(dump(PRESETS["vae-500"].config)))
    run.meta.write_text(json.dumps({"name": name, "tags": [], "notes": ""}))
    with EventWriter(run.events) as writer:
        for event in events:
            writer.write(event)
    return run


def finished(step: int = 100) -> tuple[Event, ...]:
    """What a short run says from its beginning to its end."""
    return (
        RunStarted(time=1.0, device="cpu"),
        StageStarted(time=1.0, stage="classifier"),
        *(Metrics(time=2.0 + at, stage="classifier", step=at, epoch=1, values={"bce": 1 / at}) for at in (1, step)),
        StageFinished(time=9.0, stage="classifier", seconds=8.0),
        RunFinished(time=9.0, seconds=8.0),
    )


def steps(run: RunFolder) -> list[int]:
    """The steps whose values a run has logged, in the order of the log."""
    return [event.step for event in EventReader(run.events).read() if isinstance(event, Metrics)]


def assert_given_back(terminal: Terminal) -> None:
    """The terminal is as the program found it: its screen, its cursor, its mouse, and how keys are read."""
    assert b"\x1b[?1049h" in terminal.written
    assert b"\x1b[?1049h" not in terminal.after_the_last_screen
    assert b"\x1b[?25h" in terminal.after_the_last_screen
    assert b"\x1b[?1000l" in terminal.after_the_last_screen
    assert terminal.is_restored


def test_a_run_opens_and_q_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    write_run(tmp_path, ONE, "pilot", *finished())
    with start(tmp_path) as terminal:
        terminal.sees(HOME, "pilot", "✓ finished", "1 run")
        assert not terminal.is_restored
        terminal.type(ENTER)
        terminal.sees(RUN, "pilot", "step 100", "bce 0.01")
        terminal.type("q")
        terminal.sees(HOME, "1 run")
        terminal.type(ENTER)
        terminal.sees(RUN)
        terminal.type(ESCAPE)
        terminal.sees(HOME, "1 run")
        terminal.type("q")
        assert terminal.end() == 0, terminal.text
        assert_given_back(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(tmp_path: Path, number: signal.Signals) -> None:
    write_run(tmp_path, ONE, "pilot", *finished())
    with start(tmp_path) as terminal:
        terminal.sees(HOME, "pilot")
        terminal.type(ENTER)
        terminal.sees(RUN)
        terminal.signal(number)
        assert terminal.end() == 128 + number
        assert_given_back(terminal)


@pytest.fixture
def going(tmp_path: Path) -> Iterator[RunFolder]:
    """A run in its middle, launched by keys in an application that was then killed."""
    (tmp_path / "runs").mkdir()
    with start(tmp_path) as terminal:
        terminal.sees("There are no runs here yet")
        terminal.type("n")
        terminal.sees("Start from", "baseline")
        terminal.type("\x12")
        terminal.sees(RUN, "● running", f"step {HALF}")
        terminal.signal(signal.SIGKILL)
        assert terminal.end() == -signal.SIGKILL
    (path,) = (path for path in (tmp_path / "runs").iterdir() if not path.name.startswith("."))
    yield RunFolder(path)
    go_file(tmp_path / "runs").touch()
    until(lambda: life_of(RunFolder(path)) is not Life.ALIVE)


def test_a_run_outlives_its_application_and_two_others_watch_it(going: RunFolder, tmp_path: Path) -> None:
    assert life_of(going) is Life.ALIVE
    with start(tmp_path) as first, start(tmp_path, size=(160, 48)) as second:
        for terminal in (first, second):
            terminal.sees(HOME, "● running", "baseline")
            terminal.type(ENTER)
            terminal.sees(RUN, "● running", f"step {HALF}", f"bce {1 / HALF:g}")
        go_file(tmp_path / "runs").touch()
        for terminal in (first, second):
            terminal.sees("✓ finished", f"step {TOTAL}", f"bce {1 / TOTAL:g}", "0.7503 [0.711, 0.790]")
    assert steps(going) == list(range(1, TOTAL + 1))


def write_hostile_run(folder: Path, run_id: str, order: int) -> RunFolder:
    """A failed run whose every text is hostile; its marks stand before what is hostile, or behind it."""

    def bad(mark: str) -> str:
        return f"{mark}{HOSTILE}" if order else f"{HOSTILE}{mark}"

    run = write_run(
        folder,
        run_id,
        "",
        RunStarted(time=1.0, device=bad("device")),
        StageStarted(time=1.0, stage="generator"),
        Warned(time=1.0, stage="generator", message=bad("cautioned")),
        Metrics(time=2.0, stage="generator", step=1, epoch=1, values={bad("metric"): 1.0, "kl": 2.0}),
        Metrics(time=3.0, stage="generator", step=2, epoch=1, values={bad("metric"): 2.0, "kl": 1.0}),
        ImageSaved(time=3.0, stage="generator", step=2, path="samples/2.png", caption=bad("caption")),
        Scored(
            time=4.0,
            trained_on=bad("trained"),
            tested_on="real",
            role="answer",
            n_test=600,
            accuracy=0.7,
            auc=0.75,
            auc_low=0.7,
            auc_high=0.8,
        ),
        StageStarted(time=4.0, stage=bad("stage")),
        RunFailed(time=5.0, error=bad("Fault"), message=bad("message"), exit_code=1, stage=bad("stage")),
    )
    config = dump(PRESETS["vae-500"].config)
    config["preset"], config["data"]["source"], config[bad("key")] = bad("preset"), bad("source"), bad("value")
    run.config.write_text(json.dumps(config))
    run.meta.write_text(json.dumps({"name": bad("name"), "tags": [bad("tag")], "notes": bad("notes")}))
    run.log.write_text("".join(f"{bad(f'logged{number}')}\n" for number in range(3)))
    run.command.write_text(bad("command"))
    said = {"data": bad("scored"), "trained_on": bad("trained"), "tested_on": bad("tested"), "interval": bad("way")}
    run.scores.write_text(json.dumps({"scores": [score(**said)], "notes": [bad("remark")]}))
    run.samples.mkdir()
    Image.new("RGB", (64, 64)).save(run.samples / "2.png")
    return run


def test_nothing_of_hostile_run_folders_reaches_the_terminal(tmp_path: Path) -> None:
    write_hostile_run(tmp_path, ONE, order=0)
    write_hostile_run(tmp_path, OTHER, order=1)
    with start(tmp_path, size=(200, 60)) as terminal:
        terminal.sees(HOME, "✗ failed", "name\\x1b]52", "2 runs")
        terminal.sees("notes", "caption")
        for keys in (ENTER, f"{ESCAPE}{DOWN}{ENTER}"):
            terminal.type(keys)
            look_at_every_tab(terminal)
        terminal.type(ESCAPE)
        terminal.sees(HOME, "2 runs")
        terminal.type(f" {UP} c")
        terminal.sees("1 Table")
        for tab, word in COMPARED.items():
            terminal.type(tab)
            terminal.sees(word)
        terminal.type(ESCAPE)
        terminal.sees(HOME, "2 runs")
        terminal.type("q")
        assert terminal.end() == 0, terminal.text
        written = terminal.written.replace(OWN_BELL, b"")
        assert [mark for mark in NEVER_WRITTEN if mark in written] == []
        assert_given_back(terminal)


def look_at_every_tab(terminal: Terminal) -> None:
    """Each tab of the run on the screen, and the help over it."""
    for tab, words in SHOWN.items():
        terminal.type(tab)
        terminal.sees(*words)
    terminal.type("?")
    terminal.sees("Moving about")
    terminal.type(ESCAPE)
    terminal.until(lambda: "Moving about" not in terminal.text, "the help to close")


@pytest.mark.parametrize(
    ("variables", "never"),
    [
        ({"NO_COLOR": "1"}, [NOT_GREY]),
        ({"TERM": "xterm", "COLORTERM": "", "TEXTUAL_ANIMATIONS": "none"}, [rb"[34]8;[25];"]),
    ],
    ids=["NO_COLOR", "16 colours"],
)
def test_a_poor_terminal_of_80_by_24_will_do(tmp_path: Path, variables: dict[str, str], never: list[bytes]) -> None:
    write_run(tmp_path, ONE, "pilot", *finished())
    with start(tmp_path, **variables) as terminal:
        terminal.sees(HOME, "state", "✓ finished", "pilot")
        terminal.type(ENTER)
        terminal.sees(RUN, "✓ finished", "step 100", "bce 0.01")
        terminal.type("q")
        terminal.sees(HOME)
        terminal.type("q")
        assert terminal.end() == 0, terminal.text
        assert_given_back(terminal)
        assert [colour for colour in never if re.search(colour, terminal.written)] == []
