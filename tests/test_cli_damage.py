"""Values of the wrong type in any file of a run folder: never a traceback, and never a broken list."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_engine import score
from workbench import Bench

from engine.spec.events import Metrics, Progress, RunFinished, RunStarted, StageFinished, StageStarted, Warned
from engine.spec.run_folder import RunFolder

WRONG: list[Any] = [None, "\x1b[31m", 1.5, [1], {"a": 1}, True, float("nan")]
COMMANDS = (
    ["ls", "--json"],
    ["ls", "--sort", "-auc", "--filter", "auc>0.1"],
    ["show", "@last"],
    ["show", "@last", "--json"],
    ["compare", "@last"],
)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def run(bench: Bench) -> RunFolder:
    events = (
        RunStarted(device="cpu"),
        StageStarted(stage="generator"),
        Progress(stage="generator", what="unpacking", step=1, total=5),
        Metrics(stage="generator", step=5, epoch=1, values={"kl": 1.0}),
        Warned(stage="generator", message="careful"),
        StageFinished(stage="generator", seconds=1.0),
        RunFinished(seconds=2.0),
    )
    return bench.write("20251123-120000-vae-500-aaaa", events, scores=[score()], name="pilot")


def check(bench: Bench) -> None:
    for command in COMMANDS:
        result = bench(*command)
        assert result.code in (0, 1, 3)
        assert "\x1b" not in result.out + result.err
        if "--json" in command and result.code == 0:
            json.loads(result.out, parse_constant=pytest.fail)


def wreck(file: Path, line: int, name: str) -> list[str]:
    """The file's text with each wrong value in turn at a name of a line's object."""
    lines = file.read_text().splitlines()
    return ["\n".join([*lines[:line], json.dumps({**json.loads(lines[line]), name: wrong}), *lines[line + 1 :]]) + "\n"
            for wrong in WRONG]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "name"),
    [(0, "time"), (0, "schema"), (0, "device"), (1, "stage"), (2, "total"), (2, "what"), (3, "values"), (3, "step"),
     (4, "message"), (5, "seconds"), (6, "seconds"), (6, "time"), (6, "type")],
)  # fmt: skip
def test_events(bench: Bench, run: RunFolder, line: int, name: str) -> None:
    for text in wreck(run.events, line, name):
        run.events.write_text(text)
        check(bench)


@pytest.mark.parametrize("name", ["generator", "classifier", "evaluation", "preset", "device", "data"])
def test_config(bench: Bench, run: RunFolder, name: str) -> None:
    for text in wreck(run.config, 0, name):
        run.config.write_text(text)
        check(bench)


@pytest.mark.parametrize("name", ["name", "tags"])
def test_meta(bench: Bench, run: RunFolder, name: str) -> None:
    for text in wreck(run.meta, 0, name):
        run.meta.write_text(text)
        check(bench)


@pytest.mark.parametrize("name", ["auc", "confusion", "role", "trained_on", "n_test", "auc_low", "loss"])
def test_scores(bench: Bench, run: RunFolder, name: str) -> None:
    for wrong in WRONG:
        run.scores.write_text(json.dumps({"scores": [score(**{name: wrong})], "notes": wrong}))
        check(bench)


def test_a_confusion_matrix_of_another_shape(bench: Bench, run: RunFolder) -> None:
    for wrong in ([[1, 2]], [[1, 2], [3]], [[1.0, 2.0], [3.0, 4.0]], [[1, 2], 3]):
        run.scores.write_text(json.dumps({"scores": [score(confusion=wrong)]}))
        assert bench("show", "@last").code == 3
        assert bench("ls", "--json").json[0]["state"] == "unreadable"


@pytest.mark.parametrize("file", ["process.json", "run.lock", "log.txt", "samples", "data"])
def test_something_else_in_a_files_place(bench: Bench, run: RunFolder, file: str) -> None:
    path = run.path / file
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    check(bench)
    path.rmdir()
    path.write_text("{")
    check(bench)
