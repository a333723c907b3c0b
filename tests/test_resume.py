"""A run that is killed or stopped, as often as one likes, ends like one that was not."""

import json
import random
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine.soak.engines import Engines
from engine.spec.event_log import EventReader
from engine.spec.events import ImageSaved, Metrics, Progress, Resumed, RunStopped
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder

SMALL = {
    "data": {"crop": 32, "tissue": {"train": 160, "test": 64, "slides": 4}},
    "generator": {"epochs": 8, "batch_size": 8, "latent_dim": 8, "channels": 4},
    "synthesis": {"batch_size": 8},
    "classifier": {"epochs": 8, "batch_size": 8, "channels": 4},
    "training": {"threads": 1, "log_every": 5, "checkpoint_seconds": 0.05},
}


def make_run(folder: Path, seed: int = 0) -> RunFolder:
    run = RunFolder(folder)
    config = apply(PRESETS["vae-100"].config, [SMALL, {"seed": seed}])
    folder.mkdir(parents=True)
    run.config.write_text(json.dumps(dump(config)))
    return run


def start(run: RunFolder, cache: Path) -> ForkServerProcess:
    return Engines(cache).start(run)


def ended(process: ForkServerProcess) -> int:
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def events_said(run: RunFolder) -> int:
    return len(EventReader(run.events).read())


def wait_for_more(run: RunFolder, process: ForkServerProcess, more: int) -> None:
    """Until the run has said so much more, or is over."""
    begin = events_said(run)
    while process.is_alive() and events_said(run) < begin + more:
        time.sleep(0.005)


def rows(run: RunFolder) -> list[tuple[object, ...]]:
    """Every metrics row and picture, wall clock left out."""
    return [
        (event.stage, event.step, event.values if isinstance(event, Metrics) else event.path)
        for event in EventReader(run.events).read()
        if isinstance(event, Metrics | ImageSaved)
    ]


def assert_same_end(disturbed: RunFolder, undisturbed: RunFolder) -> None:
    assert json.loads(disturbed.scores.read_text()) == json.loads(undisturbed.scores.read_text())
    for path in sorted(undisturbed.checkpoints.glob("*/final/state.safetensors")):
        other = load_file(disturbed.path / path.relative_to(undisturbed.path))
        for name, tensor in load_file(path).items():
            assert np.array_equal(other[name], tensor), (path, name)
    assert np.array_equal(np.load(disturbed.synthetic / "images.npy"), np.load(undisturbed.synthetic / "images.npy"))
    for picture in sorted(undisturbed.samples.rglob("*.png")):
        assert (disturbed.path / picture.relative_to(undisturbed.path)).read_bytes() == picture.read_bytes()
    assert rows(disturbed) == rows(undisturbed)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, RunFolder]:
    """A run from beginning to end, and one of another seed, in runs folders of their own."""
    runs = {}
    for seed in (0, 1):
        runs[seed] = make_run(tmp_path_factory.mktemp("undisturbed") / "whole", seed)
        assert ended(start(runs[seed], tmp_path_factory.getbasetemp() / "cache")) == 0, runs[seed].log.read_text()
    return runs


def test_killed_at_five_random_moments(
    undisturbed: dict[int, RunFolder], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run, cache = make_run(tmp_path / "runs" / "killed"), tmp_path_factory.getbasetemp() / "cache"
    moments = random.Random(2)
    for _ in range(5):
        process = start(run, cache)
        wait_for_more(run, process, moments.randint(3, events_said(undisturbed[0]) // 6))
        time.sleep(moments.random() / 20)
        assert process.is_alive(), "over before it was killed five times"
        process.kill()
        assert ended(process) == -signal.SIGKILL
    assert ended(start(run, cache)) == 0, run.log.read_text()
    assert_same_end(run, undisturbed[0])
    assert sum(isinstance(event, Resumed) for event in EventReader(run.events).read()) >= 4


def test_asked_to_stop_it_leaves_a_checkpoint_and_goes_on_from_there(
    undisturbed: dict[int, RunFolder], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run, cache = make_run(tmp_path / "runs" / "stopped"), tmp_path_factory.getbasetemp() / "cache"
    codes = []
    while not codes or codes[-1] == 75:
        process = start(run, cache)
        wait_for_more(run, process, 25 if len(codes) < 3 else 10**6)
        process.terminate()
        codes.append(ended(process))
    assert codes[-1] == 0 and len(codes) == 4, run.log.read_text()
    stops = [event for event in EventReader(run.events).read() if isinstance(event, RunStopped)]
    assert {"generator", "classifier"} & {stop.stage for stop in stops}
    assert_same_end(run, undisturbed[0])


def test_the_comparison_is_not_blind(undisturbed: dict[int, RunFolder]) -> None:
    with pytest.raises((AssertionError, FileNotFoundError)):
        assert_same_end(undisturbed[1], undisturbed[0])


def test_progress_never_goes_beyond_its_total(undisturbed: dict[int, RunFolder]) -> None:
    for run in undisturbed.values():
        for event in EventReader(run.events).read():
            if isinstance(event, Progress):
                assert 0 <= event.step <= event.total
                assert event.epoch <= event.epochs
