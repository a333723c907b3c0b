"""`run --repeat`: the same run with several seeds, and the spread of their AUCs."""

import json
import math
from pathlib import Path

import pytest
from fake_engine import score
from workbench import Bench

from engine.spec.errors import ConfigError
from engine.spec.events import RunFinished, RunStarted
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, load
from engine.spec.run_folder import RunFolder
from histotui.repeating import Spread, with_seeds

DONE = (RunStarted(time=100.0, device="cpu"), RunFinished(time=160.0, seconds=60.0))
VAE = PRESETS["vae-500"].config


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def runs_of(bench: Bench) -> list[RunFolder]:
    return [RunFolder(path) for path in sorted(bench.runs.iterdir()) if not path.name.startswith(".")]


def write_seed(bench: Bench, seed: int, auc: float, reference: float) -> None:
    """A finished run of this seed, as one would be that was repeated earlier."""
    scores = [score(auc=auc), score(role="reference", trained_on="real", auc=reference)]
    config = apply(VAE, [{"seed": seed, "data": {"source": "tissue"}}])
    bench.write(f"2025112{seed}-120000-vae-500-aaa{seed}", DONE, scores=scores, config=config)


def test_a_spread_is_the_sample_standard_deviation() -> None:
    spread = Spread.of([0.5, 0.6, 0.7])
    assert (spread.runs, spread.mean) == (3, pytest.approx(0.6))
    assert spread.deviation == pytest.approx(0.1)
    assert Spread.of([0.5]).deviation is None


def test_each_run_has_a_seed_and_a_name_of_its_own(bench: Bench) -> None:
    said = bench("run", "--preset", "vae-500", "--set", "seed=7", "--repeat", "3", "--name", "vae")
    assert said.code == 0
    # Runs of one second are told apart by chance.
    runs = sorted(runs_of(bench), key=lambda run: load(run.config).seed)
    assert [load(run.config).seed for run in runs] == [7, 8, 9]
    assert [json.loads(run.meta.read_text())["name"] for run in runs] == ["vae seed 7", "vae seed 8", "vae seed 9"]
    assert "--set seed=8" in runs[1].command.read_text() and "--repeat" not in runs[1].command.read_text()
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["SEED", "7", "8", "9"]
    assert "answer    AUC 0.7503 in the mean of 3 seeds, standard deviation 0" in said.out


def test_what_is_done_is_not_run_again(bench: Bench) -> None:
    write_seed(bench, 0, 0.5, 0.9)
    write_seed(bench, 1, 0.7, 0.8)
    said = bench("run", "--preset", "vae-500", "--repeat", "2", "--json")
    assert len(runs_of(bench)) == 2
    assert "seed 1: done before by 20251121-120000-vae-500-aaa1" in said.err
    answer, reference = said.json["auc"]["answer"], said.json["auc"]["reference"]
    assert (answer["runs"], answer["mean"]) == (2, pytest.approx(0.6))
    assert answer["standard_deviation"] == pytest.approx(math.sqrt(2) * 0.1)
    assert reference["mean"] == pytest.approx(0.85)
    assert [run["config"]["seed"] for run in said.json["runs"]] == [0, 1]


def test_what_was_done_on_other_patches_is_run_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench("run", "--preset", "vae-500", "--repeat", "2")
    for path in bench.runs.iterdir():
        (path / "data").mkdir()
        (path / "data" / "manifest.json").write_text(json.dumps({"source_fingerprint": "then"}))
    monkeypatch.setenv("FAKE_FINGERPRINT", "then")
    bench("run", "--preset", "vae-500", "--repeat", "2")
    assert len(list(bench.runs.iterdir())) == 2
    monkeypatch.setenv("FAKE_FINGERPRINT", "now")
    bench("run", "--preset", "vae-500", "--repeat", "2")
    assert len(list(bench.runs.iterdir())) == 4


def test_one_that_fails_ends_all_and_the_next_time_goes_on_behind_what_is_done(bench: Bench) -> None:
    write_seed(bench, 0, 0.5, 0.9)
    bench.engine("fail")
    assert bench("run", "--preset", "vae-500", "--repeat", "3").code != 0
    assert len(runs_of(bench)) == 2
    bench.engine("finish")
    said = bench("run", "--preset", "vae-500", "--repeat", "3", "--json")
    assert [run["config"]["seed"] for run in said.json["runs"]] == [0, 1, 2]
    assert len(runs_of(bench)) == 4


def test_seeds_that_would_run_out_are_refused() -> None:
    config = apply(VAE, [{"seed": 2**31 - 2}])
    assert [each.seed for each in with_seeds(config, 2)] == [2**31 - 2, 2**31 - 1]
    with pytest.raises(ConfigError, match="seed: 2147483646 leaves no room for 3 seeds"):
        with_seeds(config, 3)


def test_repeats_cannot_be_left_alone(bench: Bench) -> None:
    said = bench("run", "--preset", "vae-500", "--repeat", "2", "--detach")
    assert said.code == 2 and "leave --detach out" in said.err
    assert not bench.runs.exists()
