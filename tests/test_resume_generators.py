"""Every generator, stopped in each of its stages, ends bit for bit like one that was not: EMA and latent prior too."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_engine import stop_after
from test_generators import TOYS
from toys import same

from engine.__main__ import main
from engine.checkpoints import CheckpointFolder, State
from engine.pipeline import STAGES
from engine.spec.classifier_config import CnnConfig
from engine.spec.config import DataConfig, RunConfig, SynthesisConfig, TissueConfig, TrainingConfig
from engine.spec.config_parts import FitConfig
from engine.spec.event_log import EventReader
from engine.spec.events import Metrics, RunStopped
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder
from engine.trainer import Trainer

pytestmark = pytest.mark.usefixtures("in_process")

TRAINED = [kind for kind, config in TOYS.items() if isinstance(config, FitConfig)]


def make_run(path: Path, kind: str, seed: int = 0) -> RunFolder:
    """A run of a toy generator for a few steps in each of its parts, on a few rendered patches."""
    brief = {"epochs": 3, "batch_size": 8}
    config = RunConfig(
        generator=TOYS[kind],
        data=DataConfig(crop=16, tissue=TissueConfig(train=48, test=24, slides=4)),
        synthesis=SynthesisConfig(ratio=0.5),
        classifier=CnnConfig(train_on="real", epochs=1, batch_size=8, channels=2),
        training=TrainingConfig(threads=1, log_every=2),
        seed=seed,
    )
    part = {"latent_prior": brief} if hasattr(TOYS[kind], "latent_prior") else {}
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(dump(apply(config, [{"generator": {**brief, **part}}]))))
    return RunFolder(path)


def ends(run: RunFolder) -> dict[str, State]:
    stages = [stage.name for stage in STAGES if (run.checkpoints / stage.name).is_dir()]
    return {stage: CheckpointFolder(run.checkpoints / stage).load_final() for stage in stages}


def rows(run: RunFolder) -> list[tuple[Any, ...]]:
    events = EventReader(run.events).read()
    return [(each.stage, each.step, each.values) for each in events if isinstance(each, Metrics)]


def differing(run: RunFolder, other: RunFolder) -> list[str]:
    """What two runs end differently in."""
    left, right = ends(run), ends(other)
    found = [stage for stage in left if not same(left[stage], right[stage])]
    images = [np.load(each.synthetic / "images.npy", allow_pickle=False) for each in (run, other)]
    found += [] if np.array_equal(*images) else ["synthetic"]
    grids = [{path.name: path.read_bytes() for path in each.samples.rglob("*.png")} for each in (run, other)]
    return found + ([] if grids[0] == grids[1] else ["grids"]) + ([] if rows(run) == rows(other) else ["metrics"])


@pytest.mark.parametrize("kind", TRAINED)
def test_a_run_stopped_in_each_stage_ends_like_one_that_was_not(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = make_run(tmp_path / "whole" / "run", kind), make_run(tmp_path / "stopped" / "run", kind)
    assert main([str(whole.path)]) == 0
    stops = 0
    # No part of a generator takes fewer steps than seven, so that every one is stopped in.
    while stop_after(monkeypatch, stopped, 7) == 75:
        stops += 1
    stages = {event.stage for event in EventReader(stopped.events).read() if isinstance(event, RunStopped)}
    assert stages >= ends(whole).keys() - {"classifier"}
    assert stops >= 2
    assert differing(stopped, whole) == []


@pytest.mark.parametrize(
    ("kind", "part", "stage"),
    [*((kind, "exp_avg", "generator") for kind in TRAINED), ("vqvae", "average", "latent_prior")],
)
def test_what_a_checkpoint_leaves_out_is_noticed(
    kind: str, part: str, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = make_run(tmp_path / "whole" / "run", kind), make_run(tmp_path / "stopped" / "run", kind)
    assert main([str(whole.path)]) == 0
    load, forgotten = Trainer.load, set[str]()

    def forgetful(trainer: Trainer, state: State) -> None:
        lost = {name for name in state.tensors if part in name}
        forgotten.update(lost)
        load(
            trainer, replace(state, tensors={name: state.tensors[name] * (name not in lost) for name in state.tensors})
        )

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "load", forgetful)
        while stop_after(monkeypatch, stopped, 7) == 75:
            pass
    assert forgotten and stage in differing(stopped, whole)
    assert differing(make_and_run(tmp_path / "seed" / "run", kind, 1), whole)


def make_and_run(path: Path, kind: str, seed: int) -> RunFolder:
    run = make_run(path, kind, seed)
    assert main([str(run.path)]) == 0
    return run
