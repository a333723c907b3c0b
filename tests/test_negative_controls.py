"""What a checkpoint holds is all needed: drop any part of it, and the comparison of two endings says so."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_engine import stop_after

from engine.__main__ import main
from engine.checkpoints import CheckpointFolder, State
from engine.soak.ending import Ending, differences, ending
from engine.soak.toys import toy_config, toy_run
from engine.spec.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("in_process")

PRESET = "latent-flow"
Forget = Callable[[State], State]


def without(belongs: Callable[[str], bool]) -> Forget:
    """Zeros in the place of the tensors whose names are such."""

    def forget(state: State) -> State:
        lost = {name: torch.zeros_like(tensor) for name, tensor in state.tensors.items() if belongs(name)}
        return replace(state, tensors={**state.tensors, **lost})

    return forget


def with_meta(changes: Mapping[str, Any]) -> Forget:
    return lambda state: replace(state, meta={**state.meta, **changes})


def is_weight(name: str) -> bool:
    return name.startswith("model.") and "average" not in name


PARTS: dict[str, tuple[str, Forget]] = {
    "weights": ("generator", without(is_weight)),
    "first moments": ("generator", without(lambda name: name.endswith(".exp_avg"))),
    "second moments": ("generator", without(lambda name: name.endswith(".exp_avg_sq"))),
    "step of the optimizer": ("generator", without(lambda name: name.endswith(".step"))),
    "place in the epoch, random numbers and schedule": ("generator", with_meta({"step": 3})),
    "sums of the row of metrics that is begun": ("generator", without(lambda name: name.startswith("sum."))),
    "counts of that row": ("generator", with_meta({"counts": {"recon": 7, "kl": 7, "grad_norm": 7}})),
    "averaged weights": ("latent_prior", without(lambda name: "average" in name)),
    "moments of the prior": ("latent_prior", without(lambda name: name.endswith(".exp_avg"))),
    "best epoch of the classifier so far": ("classifier", without(lambda name: name.startswith("epoch_end.own"))),
    "running statistics": ("generator", without(lambda name: "running" in name and name.startswith("model."))),
}
"""What is forgotten, and of which stage."""
STOPS = {"generator": 5, "latent_prior": 17, "classifier": 29}
"""The step of the whole run at which it is stopped: inside of each stage, in the middle of a row of metrics."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ending:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        run = toy_run(tmp_path_factory.mktemp("whole") / "run", config())
        assert main([str(run.path)]) == 0
    return ending(run)


def config() -> Any:
    # A checkpoint where it is stopped, and at no other step.
    return toy_config(PRESET, {"training": {"checkpoint_seconds": 1e6}, "classifier": {"epochs": 3}})


def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> RunFolder:
    run = toy_run(tmp_path / "run", config())
    assert stop_after(monkeypatch, run, STOPS[stage]) == 75
    assert (run.checkpoints / stage).is_dir() and not (run.checkpoints / stage / "final").exists()
    return run


@pytest.mark.parametrize("stage", STOPS)
def test_nothing_forgotten_ends_alike(
    stage: str, whole: Ending, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(tmp_path, monkeypatch, stage)
    assert main([str(run.path)]) == 0
    assert differences(ending(run), whole) == []


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_forgotten_is_noticed(
    part: str, whole: Ending, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, forget = PARTS[part]
    run = stopped(tmp_path, monkeypatch, stage)
    load_latest = CheckpointFolder.load_latest
    changed = []

    def forgetful(folder: CheckpointFolder) -> tuple[State | None, list[str]]:
        state, problems = load_latest(folder)
        if state is None or folder.path.name != stage:
            return state, problems
        kept = forget(state)
        changed.append(not alike(kept, state))
        return kept, problems

    monkeypatch.setattr(CheckpointFolder, "load_latest", forgetful)
    assert main([str(run.path)]) in (0, 4)
    assert changed == [True], "there was something to forget"
    assert differences(ending(run), whole)


def alike(one: State, other: State) -> bool:
    same = all(torch.equal(one.tensors[name], tensor) for name, tensor in other.tensors.items())
    return same and one.meta == other.meta
