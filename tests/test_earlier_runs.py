"""What a run takes that an earlier one has trained, from which runs it may, and what it says of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import CPU

from engine import environment
from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.control import StopFlag
from engine.earlier_runs import lender_notes, networks_of_earlier
from engine.environment import digest_of_source
from engine.generators import build_generator
from engine.generators.base import LatentGenerator
from engine.monitoring.samples import Samples
from engine.pipeline import run_stages
from engine.spec.config import RunConfig
from engine.spec.errors import Stopped
from engine.spec.event_log import EventReader, EventWriter
from engine.spec.events import Metrics
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder
from engine.stages import latent_prior, synthesis

SMALL: dict[str, Any] = {
    "data": {"crop": 16, "tissue": {"train": 120, "test": 60, "slides": 4}},
    "synthesis": {"batch_size": 50},
    "classifier": {"epochs": 1, "batch_size": 8, "channels": 2},
    "training": {"threads": 1},
}
PRIORS: dict[str, dict[str, Any]] = {
    "latent-flow": {
        "generator": {
            "epochs": 1,
            "batch_size": 8,
            "latent_dim": 4,
            "channels": 2,
            "latent_prior": {"epochs": 1, "batch_size": 8, "width": 8, "blocks": 1},
        }
    },
    "vqvae": {
        "generator": {
            "epochs": 1,
            "batch_size": 8,
            "channels": 4,
            "codebook_size": 8,
            "latent_prior": {"epochs": 1, "batch_size": 8, "width": 8, "layers": 1, "heads": 2},
        }
    },
}
OTHER: dict[str, dict[str, Any]] = {
    "latent-flow": {"guidance": 3.0, "sampling_steps": 7},
    "vqvae": {"temperature": 0.5, "top_k": 3, "top_p": 0.5},
}
"""Another value of each setting that only sampling follows."""
TRAINED = {"generator", "latent_prior"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # The engine's edge sets it from the config, and these runs go past it; two processes of two threads each are slow.
    torch.set_num_threads(1)


def small(kind: str, **prior: Any) -> RunConfig:
    return apply(PRESETS[kind].config, [SMALL, PRIORS[kind], {"generator": {"latent_prior": prior}}])


def new_run(path: Path, config: RunConfig) -> Context:
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    folder.config.write_text(json.dumps(dump(config)))
    return Context(folder, config, CPU, EventWriter(folder.events), StopFlag())


def finished(path: Path, config: RunConfig) -> Context:
    """A run that has gone through all of its stages."""
    run = new_run(path, config)
    run_stages(run, lambda stage: None)
    return run


def trained_in(run: Context) -> set[str]:
    """The stages of its generator that a run has trained itself."""
    events = EventReader(run.folder.events).read()
    return {event.stage for event in events if isinstance(event, Metrics)} & TRAINED


def last_grid(run: Context, stage: str) -> bytes:
    return max((run.folder.samples / stage).glob("*.png")).read_bytes()


class TestFromBeginningToEnd:
    @pytest.mark.parametrize("kind", PRIORS)
    def test_another_prior_takes_the_networks_and_other_sampling_the_prior_too(self, kind: str, tmp_path: Path) -> None:
        finished(tmp_path / "runs" / "one", small(kind))
        sampling = dict([next(iter(OTHER[kind].items()))])
        for name, changes, taken in (("wider", {"width": 16}, {"generator"}), ("sampled", sampling, TRAINED)):
            config = small(kind, **changes)
            run, alone = finished(tmp_path / "runs" / name, config), finished(tmp_path / "alone" / name / "run", config)
            assert np.array_equal(synthesis.load(run.folder).images, synthesis.load(alone.folder).images), name
            assert last_grid(run, "latent_prior") == last_grid(alone, "latent_prior")
            assert (trained_in(run), trained_in(alone)) == (TRAINED - taken, TRAINED)
            notes = json.loads(run.folder.scores.read_text())["notes"]
            assert [note for note in notes if "are those of" in note] == lender_notes(run.folder)
            assert len(lender_notes(run.folder)) == len(taken) and "are those of" not in alone.folder.scores.read_text()

    def test_who_trained_them_is_said_however_many_runs_they_went_through(self, tmp_path: Path) -> None:
        for name, width in (("one", 8), ("two", 16)):
            finished(tmp_path / name, small("latent-flow", width=width))
        # No longer there to be taken from.
        (tmp_path / "one" / "config.json").unlink()
        third = finished(tmp_path / "three", small("latent-flow", width=24))
        assert lender_notes(third.folder) == [
            "The networks of stage generator are those of one, which trained them with the same settings."
        ]

    def test_a_stop_while_the_samples_of_a_taken_prior_are_drawn_leaves_them_to_be_drawn(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        finished(tmp_path / "one", small("latent-flow"))
        run = new_run(tmp_path / "two", small("latent-flow"))

        def stopped(*_: object) -> None:
            raise Stopped

        with monkeypatch.context() as patched, pytest.raises(Stopped):
            patched.setattr(Samples, "draw", stopped)
            run_stages(run, lambda stage: None)
        run_stages(run, lambda stage: None)
        assert last_grid(run, "latent_prior") and not trained_in(run)

    def test_a_generator_without_a_prior_of_its_own_is_trained_again(self, tmp_path: Path) -> None:
        generator = {"epochs": 1, "batch_size": 8, "latent_dim": 4, "channels": 2}
        config = apply(PRESETS["vae-100"].config, [SMALL, {"generator": generator}])
        assert all(trained_in(finished(tmp_path / name, config)) == {"generator"} for name in ("one", "two"))


PROGRAM = {
    "engine_sha256": "e",
    "device": "cpu",
    "device_name": "fake",
    "threads": 1,
    "packages": {"torch": "2"},
}


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Context, RunFolder]:
    """A run that is about to train its prior, and one beside it that has; their generators are the same."""
    one, two = (new_run(tmp_path / name, small("latent-flow")) for name in ("one", "two"))
    for run in (one, two):
        run.folder.data.mkdir()
        (run.folder.data / "manifest.json").write_text(json.dumps({"fingerprint": "f"}))
        run.folder.environment.write_text(json.dumps(PROGRAM))
        CheckpointFolder(run.folder.checkpoints / "generator").save_final(State({"weight": torch.ones(2)}, {}))
    CheckpointFolder(one.folder.checkpoints / "latent_prior").save_final(State({"own": torch.zeros(1)}, {"step": 3}))
    return two, one.folder


def taken(run: Context) -> State | None:
    return networks_of_earlier(run, "latent_prior", latent_prior.recipe, upon="generator")


def rewritten(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def new_generator(folder: RunFolder) -> None:
    checkpoints = CheckpointFolder(folder.checkpoints / "generator")
    (checkpoints.path / "final").rename(checkpoints.path / "old")
    checkpoints.save_final(State({"weight": torch.full((2,), 1.0000001)}, {}))


def other_seed(folder: RunFolder) -> None:
    rewritten(folder.config, seed=1)


class TestFromWhom:
    def test_what_is_taken_says_from_whom(self, pair: tuple[Context, RunFolder]) -> None:
        found = taken(pair[0])
        assert found is not None and found.meta == {"run": "one", "step": 3} and found.tensors["own"] == 0

    @pytest.mark.parametrize(
        "spoil",
        [
            new_generator,
            other_seed,
            lambda folder: rewritten(folder.data / "manifest.json", fingerprint="g"),
            lambda folder: rewritten(folder.data / "manifest.json", grouping="h"),
            # Another program has begun what this one has finished.
            lambda folder: rewritten(folder.environment, earlier=[{**PROGRAM, "engine_sha256": "d"}]),
            lambda folder: rewritten(folder.environment, engine_sha256="d"),
            lambda folder: rewritten(folder.environment, device_name="another"),
            lambda folder: rewritten(folder.environment, device="cuda:0"),
            lambda folder: rewritten(folder.environment, threads=2),
            lambda folder: rewritten(folder.environment, packages={"torch": "3"}),
            lambda folder: folder.environment.unlink(),
            lambda folder: folder.environment.write_text("[]"),
            lambda folder: (folder.checkpoints / "latent_prior" / "final" / "state.safetensors").write_bytes(b"no"),
            lambda folder: (folder.checkpoints / "generator" / "final" / "manifest.json").write_text("{}"),
        ],
    )
    def test_nothing_is_taken_from_a_run_that_is_not_alike(
        self, spoil: Callable[[RunFolder], object], pair: tuple[Context, RunFolder]
    ) -> None:
        run, lender = pair
        spoil(lender)
        assert taken(run) is None

    def test_a_stage_that_has_begun_is_finished_where_it_began(self, pair: tuple[Context, RunFolder]) -> None:
        CheckpointFolder(pair[0].folder.checkpoints / "latent_prior").save(1, State({}, {}))
        assert taken(pair[0]) is None

    def test_this_run_may_have_been_begun_by_another_program(self, pair: tuple[Context, RunFolder]) -> None:
        run, lender = pair
        rewritten(run.folder.environment, earlier=[{**PROGRAM, "engine_sha256": "d"}])
        rewritten(lender.environment, earlier=[{**PROGRAM, "host": "another"}])
        assert taken(run) is not None

    def test_reuse_can_be_declined(self, pair: tuple[Context, RunFolder]) -> None:
        run, _ = pair
        anew = apply(run.config, [{"training": {"reuse": False}}])
        assert taken(Context(run.folder, anew, CPU, run.events, StopFlag())) is None


class TestRecipe:
    @pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, others in OTHER.items() for name in others])
    def test_how_samples_are_drawn_is_no_part_of_what_a_prior_learns(self, kind: str, name: str) -> None:
        config, other = small(kind), small(kind, **{name: OTHER[kind][name]})
        assert latent_prior.recipe(config) == latent_prior.recipe(other)
        losses = []
        for each in (config, other):
            torch.manual_seed(0)
            assert each.generator is not None
            model = build_generator(each.generator, 16)
            assert isinstance(model, LatentGenerator)
            images, labels = torch.rand(4, 3, 16, 16) * 2 - 1, torch.tensor([0, 1, 0, 1])
            latents = model.latents(images, labels).detach()
            torch.manual_seed(1)
            losses.append(model.latent_prior.loss("prior", latents, labels).total.item())
        assert losses[0] == losses[1]

    @pytest.mark.parametrize("kind", OTHER)
    def test_all_settings_of_sampling_are_known_here_and_no_other_is_left_out(self, kind: str) -> None:
        config = small(kind)
        prior = config.latent_prior
        assert prior is not None and prior.sampling == OTHER[kind].keys()
        left = type(prior).model_fields.keys() - prior.sampling
        told = str(latent_prior.recipe(config))
        assert all(f"'{name}'" in told for name in left) and not any(f"'{name}'" in told for name in prior.sampling)

    def test_where_samples_choose_the_epoch_all_that_they_follow_counts(self) -> None:
        choosing = {"monitoring": {"generator_choice": "usefulness"}}
        config = apply(small("latent-flow"), [choosing])
        for changes in (
            {"generator": {"latent_prior": {"sampling_steps": 2}}},
            {"classifier": {"validation_fraction": 0.3}},
            {"monitoring": {"passes": 3}},
        ):
            assert latent_prior.recipe(apply(config, [changes])) != latent_prior.recipe(config), changes
            assert latent_prior.recipe(apply(small("latent-flow"), [changes])) == latent_prior.recipe(
                small("latent-flow")
            )


def test_what_worked_on_a_run_before_is_kept_where_it_was_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, commits = tmp_path / "environment.json", iter("aabba")
    monkeypatch.setattr(environment, "describe_environment", lambda _: {"commit": next(commits)})
    earlier = []
    for _ in range(5):
        environment.write_environment(path, CPU)
        earlier.append([said["commit"] for said in json.loads(path.read_text()).get("earlier", ())])
    assert earlier == [[], [], ["a"], ["a"], ["b"]]
    path.write_text("torn")
    monkeypatch.setattr(environment, "describe_environment", lambda _: {"commit": "c"})
    environment.write_environment(path, CPU)
    assert json.loads(path.read_text()) == {"commit": "c"}


def test_a_program_is_its_files_and_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.txt").write_text("1")
    first = digest_of_source(tmp_path)
    (tmp_path / "b.txt").write_text("2")
    assert digest_of_source(tmp_path) == first
    (tmp_path / "a.py").write_text("2")
    second = digest_of_source(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    assert len({first, second, digest_of_source(tmp_path)}) == 3
