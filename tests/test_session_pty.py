"""A whole session by keys alone, in the real program with the real engine, in a small and in a large terminal."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from terminal import DOWN, ENTER, ESCAPE, UP, Terminal, environment, histotui

from engine.spec.run_folder import RunFolder
from histotui.runs import Life, life_of

CTRL_K, CTRL_R, CTRL_U, PAGE_DOWN = "\x0b", "\x12", "\x15", "\x1b[6~"
TRAIN, TEST = 240, 120
HOME, RUN, COMPARE = "D Data", "1 Curves", "2 Curves"
"""Words that only one screen has."""

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Engines beside each other on few cores take many times as long with threads that wait for each other."""
RUNS = [("vae-2000", 64, ""), ("baseline", None, "real-patches")]
"""Preset, latent dimensions and name of the two, as they are compared."""

Score = dict[str, Any]


def start(folder: Path, size: tuple[int, int]) -> Terminal:
    return Terminal(histotui("--images", "halfcell"), ONE_THREAD | environment(folder), size)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a user who has made a run on real patches to compare with, from a script."""
    folder = tmp_path_factory.mktemp("user")
    settings = (f"data.tissue.train={TRAIN}", f"data.tissue.test={TEST}", "classifier.epochs=8")
    words = ["run", "--preset", "baseline", "--quick", "--quiet", "--name", "real-patches"]
    command = histotui(*words, *(word for setting in settings for word in ("--set", setting)))
    subprocess.run(command, env=ONE_THREAD | environment(folder), check=True, capture_output=True)
    return folder


def scores_of(folder: Path, run: str) -> Score:
    """The scores that answer a run's question, as a script reads them."""
    shown = subprocess.run(histotui("show", run, "--json"), env=environment(folder), check=True, capture_output=True)
    (answer,) = (score for score in json.loads(shown.stdout)["scores"] if score["role"] == "answer")
    return cast(Score, answer)


def assert_exported(exported: Path, auc: str) -> None:
    """The tables have the AUC in every format, and the figures are pictures."""
    for kind in ("md", "tex"):
        assert auc in (exported / f"table.{kind}").read_text(), kind
    with (exported / "table.csv").open(newline="") as file:
        assert next(f"{float(row['auc']):.4f}" for row in csv.DictReader(file)) == auc
    rows = json.loads((exported / "table.json").read_text())["runs"]
    assert [(row["preset"], row["latent"], row["name"]) for row in rows] == RUNS
    assert f"{rows[0]['auc']:.4f}" == auc
    for figure in ("roc", "training", "confusion"):
        assert (exported / f"{figure}.png").read_bytes().startswith(b"\x89PNG"), figure


def step_on(terminal: Terminal) -> int:
    """The step of the sample grid that is on the screen; 0 for none."""
    found = re.search(r"\d+ of \d+ +step (\d+)", terminal.text)
    return int(found.group(1)) if found else 0


def signal_engine(folder: Path, number: signal.Signals) -> None:
    """Send the newest run's engine a signal."""
    newest = max((folder / "runs").glob("2*/process.json"))
    os.kill(json.loads(newest.read_text())["pid"], number)


def launch(terminal: Terminal) -> None:
    """A run from vae-2000, quick, with smaller settings, its keys without a pause between fields."""
    terminal.type("n")
    terminal.sees("Built in", "vae-2000-c64")
    terminal.type(3 * DOWN + ENTER)
    terminal.sees("tissue.train")
    numbers = [*(12 * [DOWN]), CTRL_U, str(TRAIN), DOWN, CTRL_U, str(TEST)]
    generator = [PAGE_DOWN, DOWN, CTRL_U, "12", DOWN, DOWN, CTRL_U, "64", DOWN, CTRL_U, "4"]
    terminal.type("".join([*numbers, *generator, CTRL_K]))
    terminal.sees("generator.channels: ", "quick: on")
    terminal.type(CTRL_R)


@pytest.fixture
def folder(baseline: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that; runs that a failed test leaves behind are killed, as they outlive their application."""
    own = shutil.copytree(baseline, tmp_path / "user")
    yield own
    for run in map(RunFolder, (own / "runs").iterdir()):
        if life_of(run) is Life.ALIVE:
            subprocess.run(histotui("stop", "--now", run.id), env=environment(own), capture_output=True)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_configure_watch_leave_come_back_compare_export_trash_and_restore(folder: Path, size: tuple[int, int]) -> None:
    with start(folder, size) as terminal:
        terminal.sees(HOME, "real-patches", "✓ finished")
        launch(terminal)
        terminal.sees(RUN, "● running", "recon")
        terminal.type("2")
        terminal.until(lambda: step_on(terminal) > 0, "a first grid")
        first = step_on(terminal)
        terminal.until(lambda: step_on(terminal) > first, "a later grid")
        # It must neither end before it is seen again nor be long.
        signal_engine(folder, signal.SIGSTOP)
        terminal.type("q")
        terminal.sees(HOME, "● running")
        terminal.type("q")
        assert terminal.end() == 0
    with start(folder, size) as terminal:
        terminal.sees(HOME, "● running", "vae-2000")
        terminal.type(ENTER)
        terminal.sees(RUN, "● running", "vae-2000")
        terminal.type("1")
        terminal.sees("recon")
        signal_engine(folder, signal.SIGCONT)
        terminal.type("3")
        terminal.sees("✓ finished", "synthetic")
        auc = f"{scores_of(folder, '@last')['auc']:.4f}"
        terminal.sees(auc)
        terminal.type("q")
        terminal.sees(HOME, "2 runs", auc)
        terminal.type(f" {DOWN} c")
        terminal.sees(COMPARE, "real-patches", auc)
        terminal.type(f"e{CTRL_U}{folder / 'exported'}{ENTER}")
        terminal.sees("exported to")
        assert_exported(folder / "exported", auc)
        terminal.type("q")
        terminal.sees(HOME, "2 selected")
        terminal.type(f"{ESCAPE}{UP}")
        terminal.type("x")
        terminal.sees("Move", "to the trash?")
        terminal.type("y")
        terminal.sees("1 run")
        assert auc not in terminal.text
        terminal.type("u")
        terminal.sees("Bring back", auc)
        terminal.type(ENTER)
        terminal.sees(HOME, "2 runs", auc)
        terminal.type("q")
        assert terminal.end() == 0
