"""What the soak looks for, found where it is and nowhere else; and a few of its trials."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.soak import faults, trial
from engine.soak.ending import differences, ending, rows_of
from engine.soak.engines import Engines
from engine.soak.toys import toy_config, toy_run
from engine.soak.trial import Findings, _finish, _look, common, processes_of
from engine.spec.config_parts import FitConfig
from engine.spec.presets import PRESETS
from engine.spec.process import RunLock
from engine.spec.run_folder import RunFolder

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def done(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = toy_run(tmp_path_factory.mktemp("done") / "run", toy_config("vqvae"))
    assert engines.finish(run) == 0
    return run


@pytest.fixture
def run(done: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(done.path, tmp_path / "run")))


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


class TestEnding:
    def test_a_copy_ends_alike_and_time_does_not_count(self, run: RunFolder, done: RunFolder) -> None:
        tree = json.loads(run.scores.read_text())
        tree["scores"][0]["training_seconds"] = 1e6
        run.scores.write_text(json.dumps(tree))
        assert differences(ending(run), ending(done)) == []

    @pytest.mark.parametrize(
        "part",
        [
            "checkpoints/generator/final/state.safetensors",
            "checkpoints/latent_prior/final/state.safetensors",
            "checkpoints/classifier/final/state.safetensors",
            "checkpoints/generator/final/state.json",
            "synthetic/images.npy",
            "samples/generator/step-000012.png",
            "data/manifest.json",
        ],
    )
    def test_a_bit_anywhere_is_seen(self, part: str, run: RunFolder, done: RunFolder) -> None:
        if part.endswith(".json"):
            (run.path / part).write_text(json.dumps({"another": 1}))
        else:
            change(run.path / part)
        assert differences(ending(run), ending(done)) == [part]

    def test_results_and_rows_are_seen(self, run: RunFolder, done: RunFolder) -> None:
        run.scores.write_text(run.scores.read_text().replace('"auc": 0', '"auc": 9', 1))
        with np.load(run.predictions) as arrays:
            np.savez(run.predictions, **({name: arrays[name] for name in arrays} | {"answer_logits": np.zeros(3)}))
        lines = run.events.read_text().splitlines()
        place = next(place for place, line in enumerate(lines) if '"type":"metrics"' in line)
        run.events.write_text("\n".join(lines[:place] + lines[place + 1 :]) + "\n")
        assert differences(ending(run), ending(done)) == ["predictions.npz", "rows of generator", "scores.json"]


class TestLooking:
    def test_lost_rows_are_counted(self, run: RunFolder) -> None:
        before = rows_of(run)
        lines = run.events.read_text().splitlines()
        metrics = [place for place, line in enumerate(lines) if '"type":"metrics"' in line and "classifier" in line]
        run.events.write_text("\n".join(lines[: metrics[1]]) + "\n")
        found = Findings(runs=1)
        _look(run, before, -1, found)
        assert found.records_lost > 0 and not found.is_clean

    def test_rows_that_changed_are_lost(self) -> None:
        assert common([(1,), (2,), (3,)], [(1,), (2,), (4,), (5,)]) == [(1,), (2,)]
        assert common([(1,), (2,)], [(1,)]) == [(1,)] and common([(1,)], [(1,), (2,)]) == [(1,)]

    def test_a_lock_that_is_held_is_seen(self, run: RunFolder) -> None:
        found = Findings()
        with RunLock(run.lock):
            _look(run, {}, -1, found)
        assert "locked though its engine has ended" in found.problems[0]

    def test_processes_that_are_left_are_seen(self, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trial, "GRACE", 0.2)
        found = Findings()
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
            while processes_of(process.pid) != [process.pid]:
                time.sleep(0.01)
            _look(run, {}, process.pid, found)
            process.kill()
        assert found.orphans == 1 and f"left process {process.pid} (sleep 60)" in found.problems[0]
        assert processes_of(process.pid) == []

    def test_those_that_end_by_themselves_are_not_left(self, run: RunFolder) -> None:
        found = Findings()
        with subprocess.Popen(["sleep", "0.5"], start_new_session=True) as process:
            while processes_of(process.pid) != [process.pid]:
                time.sleep(0.01)
            _look(run, {}, process.pid, found)
        assert found.orphans == 0 and not found.problems

    def test_a_checkpoint_that_does_not_load_is_seen(self, run: RunFolder) -> None:
        change(run.checkpoints / "generator" / "final" / "state.safetensors")
        found = Findings()
        _look(run, {}, -1, found)
        assert "damaged" in found.problems[0]

    def test_another_ending_is_seen(self, run: RunFolder, done: RunFolder, engines: Engines) -> None:
        change(run.synthetic / "images.npy")
        found = Findings(runs=1)
        _finish(engines, run, ending(done), found)
        assert "ended differently in synthetic/images.npy" in found.problems[0] and not found.is_clean


class TestFaults:
    @pytest.mark.parametrize("name", faults.FAULTS)
    def test_each_does_something(self, name: str, engines: Engines, tmp_path: Path) -> None:
        codes = []
        for seed in range(12):
            run = toy_run(tmp_path / str(seed), toy_config("vae-100"))
            codes.append(faults.FAULTS[name](engines, run, random.Random(seed)).exit_code)
            if codes[-1]:
                break
        expected = {
            "killed at a failpoint": {-signal.SIGKILL},
            "killed at any moment": {-signal.SIGKILL},
            "asked to stop": {75, -signal.SIGTERM},
            "asked to stop twice": {75, -signal.SIGTERM, 128 + signal.SIGTERM},
            "out of memory": {3},
            "refused by the disk": {3},
            "short of file size": {3},
            "loss or gradient not finite": {4},
        }
        assert codes[-1] in expected[name], codes

    def test_damage_is_done_to_what_is_there(self, tmp_path: Path, engines: Engines) -> None:
        run, rng = toy_run(tmp_path / "run", toy_config("vae-100")), random.Random(0)
        assert not any(damage(run, rng) for damage in faults.DAMAGES.values())
        assert engines.finish(run, "step.done:9:kill9") == -signal.SIGKILL
        before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
        assert all(damage(run, rng) for damage in faults.DAMAGES.values())
        changed = {path for path, content in before.items() if path.read_bytes() != content}
        assert len(changed) == 2 and run.events in changed and "step-" in str(changed - {run.events})
        assert not run.events.read_bytes().endswith(b"\n")


def sizes(config: object) -> list[int]:
    return [value for name, value in config if name in ("epochs", "batch_size", "channels", "width", "latent_dim")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_toy(preset: str) -> None:
    config = toy_config(preset)
    assert config.preset == preset and config.data.tissue.train == 48
    if isinstance(config.generator, FitConfig):
        assert max(sizes(config.generator)) <= 8
        assert config.latent_prior is None or max(sizes(config.latent_prior)) <= 8


def test_trials_end_clean(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """By the command; what is broken must be some of it."""
    command = [sys.executable, "-m", "engine.soak", "--minutes", "0.1", "--json"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr.decode()
    record_property("faults", sum(found["faults"].values()))
    assert found["runs"] == found["exact"] > 0 and found["resumed"] > 0
    assert (found["records_lost"], found["orphans"], found["problems"]) == (0, 0, [])
    assert not list(tmp_path.glob("histotui-soak-*"))
