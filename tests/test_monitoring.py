"""What is looked at while a generator trains: usefulness, diversity, what both may cost, and what is chosen by them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_engine import make_run
from test_resume_generators import TRAINED, differing
from test_resume_generators import ends as ends_of
from test_resume_generators import make_run as make_toy_run
from torch import Tensor, nn
from toys import CPU, same, toy_context, toy_patches

from engine.__main__ import main
from engine.batches import TrainingBatches
from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.data.patches import PatchSet
from engine.fitting import Fit
from engine.generators import build_generator
from engine.generators.base import Generator, Loss, Passes, Phase
from engine.monitoring import monitor as module
from engine.monitoring import samples as samples_module
from engine.monitoring.budget import TimeShare, is_due, looks_within, sample_work, step_work
from engine.monitoring.diversity import CollapseAlarm, Diversity, RealDiversity, nearest_other
from engine.monitoring.epoch_ends import EpochEnds
from engine.monitoring.grids import SampleGrids
from engine.monitoring.monitor import Monitor
from engine.monitoring.samples import Samples
from engine.monitoring.usefulness import Usefulness, require_choice, validation_patches
from engine.spec.config import MonitoringConfig, RunConfig, TrainingConfig
from engine.spec.errors import ConfigError
from engine.spec.event_log import EventReader
from engine.spec.events import Metrics, Warned
from engine.spec.generator_config import GanConfig, VaeConfig
from engine.spec.resolve import apply, dump, load
from engine.spec.run_folder import RunFolder
from engine.stages.prepare import RealPatches
from engine.trainer import Trainer

pytestmark = pytest.mark.usefixtures("in_process")

SIDE, BATCH = 16, 48
Make = Callable[[int, Tensor, torch.Generator], Tensor]
"""The samples (B, 3, H, W) of an epoch for labels (B,)."""


def stripes(labels: Tensor, rng: torch.Generator) -> Tensor:
    """Noisy stripes, across for one class and along for the other, of any phase: what `real` patches are too."""
    phase = torch.rand(len(labels), 1, generator=rng) * 2 * torch.pi
    wave = torch.sin(torch.arange(SIDE) * torch.pi / 4 + phase)
    across, along = wave[:, None, :].expand(-1, SIDE, -1), wave[:, :, None].expand(-1, -1, SIDE)
    grey = torch.where(labels[:, None, None] == 1, across, along)[:, None].expand(-1, 3, -1, -1)
    return (0.6 * grey + 0.3 * torch.randn(grey.shape, generator=rng)).clamp(-1, 1)


def noise(labels: Tensor, rng: torch.Generator) -> Tensor:
    """The same stripes whatever the label."""
    return stripes(torch.randint(0, 2, labels.shape, generator=rng), rng)


def as_patches(make: Callable[[Tensor, torch.Generator], Tensor], count: int, seed: int) -> PatchSet:
    labels = torch.arange(count) % 2
    images = make(labels, torch.Generator().manual_seed(seed))
    bytes_ = ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return PatchSet(bytes_, labels.numpy().astype(np.uint8), np.arange(count))


class Untouchable:
    """Stands where test patches would be, and fails whoever looks at them."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"test patches were asked for {name}")

    def __len__(self) -> int:
        raise AssertionError("test patches were counted")


def real_patches(count: int = 96, valid: PatchSet | None = None) -> RealPatches:
    train = as_patches(stripes, count, 1)
    nothing = train.select(np.empty(0, np.int64))
    groups = np.arange(count, dtype=np.uint64) // 4 * 4 + np.arange(count, dtype=np.uint64) % 2
    test: Any = Untouchable()
    return RealPatches(
        train=train,
        valid=nothing if valid is None else valid,
        test=test,
        groups=groups,
        sha1=np.empty((0, 20), np.uint8),
        slides=np.full(count, -1, np.int32),
        manifest={},
    )


class Scripted(Generator):
    """Samples by the epoch; a weight that training moves and a count of steps tell one epoch's state from another's."""

    taken: Tensor

    def __init__(self, make: Make, steps_per_epoch: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3 * SIDE * SIDE, 4)
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))
        self.make, self.steps_per_epoch, self.fits = make, steps_per_epoch, 0

    @property
    def epoch(self) -> int:
        return int(self.taken) // self.steps_per_epoch

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", tuple(self.layer.parameters()), 1e-3, (0.9, 0.999)),)

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        loss = (self.layer(images.flatten(1)) - torch.randn(len(images), 4)).square().mean()
        return Loss(loss, {"loss": loss})

    def after_step(self, step: int) -> None:
        self.taken += 1

    def fit(self, passes: Passes, rng: torch.Generator) -> None:
        self.fits += 1

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self.make(self.epoch, labels, rng)


@dataclass
class Watched:
    """A scripted generator in training with all that looks at it."""

    context: Context
    generator: Scripted
    monitor: Monitor
    fit: Fit

    @property
    def metrics(self) -> list[Metrics]:
        return metrics_of(self.context.folder)

    def curve(self, name: str) -> dict[int, float]:
        """A metric by its epoch."""
        return {event.epoch: event.values[name] for event in self.metrics if name in event.values}

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in EventReader(self.context.folder.events).read() if isinstance(event, Warned)]


def watched(
    path: Path,
    make: Make,
    epochs: int = 6,
    real: RealPatches | None = None,
    clock: Callable[[], float] = lambda: 0.0,
    **settings: Any,
) -> Watched:
    config = RunConfig(monitoring=MonitoringConfig(**{"patches": 128, "passes": 8, **settings}))
    context, real = toy_context(path, config), real or real_patches()
    batches = TrainingBatches(real.train, BATCH, 0, CPU)
    generator = Scripted(make, batches.steps_per_epoch)
    trainer = Trainer(generator, batches, TrainingConfig(), 0, CPU)
    samples = Samples(context, "generator", generator, real.train)
    monitor = Monitor(context, "generator", samples, trainer, real, epochs, clock)
    parts = EpochEnds({"grids": SampleGrids(context, "generator", samples, epochs), "monitor": monitor})
    return Watched(context, generator, monitor, Fit(context, "generator", trainer, epochs, parts))


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is so much work that every epoch may be looked at."""
    monkeypatch.setattr(module, "step_work", lambda trainer: 1e15)


def metrics_of(run: RunFolder) -> list[Metrics]:
    return [event for event in EventReader(run.events).read() if isinstance(event, Metrics)]


def always(make: Callable[[Tensor, torch.Generator], Tensor]) -> Make:
    return lambda epoch, labels, rng: make(labels, rng)


def the_same(labels: Tensor, rng: torch.Generator) -> Tensor:
    """One patch for each class, which tells them apart."""
    return stripes(labels, torch.Generator().manual_seed(3))[:2].repeat(len(labels) // 2 + 1, 1, 1, 1)[: len(labels)]


# What is measured


def test_samples_like_real_patches_teach_and_labels_at_random_do_not(tmp_path: Path) -> None:
    validation = as_patches(stripes, 200, 2)
    found: dict[str, list[float]] = {"stripes": [], "noise": []}
    for seed in range(3):
        config = RunConfig(seed=seed, monitoring=MonitoringConfig(patches=256, passes=8))
        usefulness = Usefulness(toy_context(tmp_path / str(seed), config), validation)
        found["stripes"].append(usefulness.of(as_patches(stripes, 256, seed)))
        found["noise"].append(usefulness.of(as_patches(noise, 256, seed)))
    assert min(found["stripes"]) > 0.95
    assert np.mean(found["noise"]) == pytest.approx(0.5, abs=0.1)
    assert max(found["noise"]) < 0.8


@pytest.mark.usefixtures("roomy")
def test_the_curve_has_a_point_for_each_epoch_looked_at(tmp_path: Path) -> None:
    each = watched(tmp_path, lambda epoch, labels, rng: (noise if epoch < 3 else stripes)(labels, rng), epochs=4)
    each.fit.run()
    curve = each.curve("usefulness_auc")
    assert list(curve) == [1, 2, 3, 4]
    assert max(curve[1], curve[2]) < 0.9 and min(curve[3], curve[4]) > 0.95
    assert {event.stage for event in each.metrics} == {"generator"}
    for word in ("normal", "tumour"):
        assert list(each.curve(f"diversity_{word}").values()) == pytest.approx([1, 1, 1, 1], abs=0.1)
    assert each.warnings == []


@pytest.mark.usefixtures("roomy")
def test_what_is_computed_at_once_is_computed_once_an_epoch(tmp_path: Path) -> None:
    each = watched(tmp_path, always(stripes), epochs=3)
    each.fit.run()
    assert each.generator.fits == 3


def test_validation_patches_are_the_source_s_or_a_held_out_part_of_training_by_whole_groups() -> None:
    config, valid = RunConfig(), as_patches(stripes, 40, 5)
    official = validation_patches(real_patches(valid=valid), config)
    assert official is not None and official.images is valid.images and len(official) == 40
    real = real_patches()
    held_out = validation_patches(real, config)
    assert held_out is not None and set(held_out.rows) < set(real.train.rows)
    chosen = {int(group) for group in real.groups[held_out.rows]}
    assert sum(int(group) in chosen for group in real.groups) == len(held_out)
    fewer = apply(config, [{"monitoring": {"validation_patches": 10}}])
    some = validation_patches(real_patches(valid=valid), fewer)
    assert some is not None and len(some) == 10


def test_without_both_classes_there_is_no_validation() -> None:
    real = real_patches()
    normal = real.train.select(np.flatnonzero(real.train.own_labels == 0))
    assert validation_patches(replace(real, train=normal), RunConfig()) is None


# What is never touched


@pytest.mark.parametrize("kind", TRAINED)
def test_weights_are_the_same_looked_at_or_not(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[float] = []
    # Counted as it is in a run, and then taken to be much.
    monkeypatch.setattr(module, "step_work", lambda trainer: counted.append(step_work(trainer)) or 1e15)
    runs = {}
    for share in (0.0, 1.0):
        run = runs[share] = make_toy_run(tmp_path / str(share) / "run", kind)
        monitoring = {"share": share, "patches": 32, "passes": 1, "channels": 1}
        run.config.write_text(json.dumps(dump(apply(load(run.config), [{"monitoring": monitoring}]))))
        assert main([str(run.path)]) == 0
        names = {name for event in metrics_of(run) for name in event.values}
        assert ("usefulness_auc" in names) == ("diversity_tumour" in names) == (share > 0)
    assert len(counted) == 1
    looked_at, left_alone = ends_of(runs[1.0]), ends_of(runs[0.0])
    assert all(same(looked_at[stage], state) for stage, state in left_alone.items())
    assert not set(differing(runs[1.0], runs[0.0])) - {"metrics"}


def test_counting_a_step_leaves_the_model_as_it_was() -> None:
    model = build_generator(VaeConfig(latent_dim=4, channels=2), SIDE)
    trainer = Trainer(model, TrainingBatches(toy_patches(), 8, 0, CPU), TrainingConfig(), 0, CPU)
    before = State({name: tensor.clone() for name, tensor in trainer.state().tensors.items()}, trainer.state().meta)
    assert step_work(trainer) > 0
    assert same(trainer.state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


# Collapse


@pytest.mark.usefixtures("roomy")
def test_the_alarm_is_raised_once_for_each_fall_and_names_the_class(tmp_path: Path) -> None:
    def make(epoch: int, labels: Tensor, rng: torch.Generator) -> Tensor:
        fallen = (labels == 1) & (epoch in (3, 4, 7))
        return torch.where(fallen[:, None, None, None], the_same(labels, rng), stripes(labels, rng))

    each = watched(tmp_path, make, epochs=8)
    each.fit.run()
    assert [message.partition(":")[0] for message in each.warnings] == ["epoch 3", "epoch 7"]
    assert all("the tumour samples have collapsed" in message and "normal" not in message for message in each.warnings)
    assert [share < 0.25 for share in each.curve("diversity_tumour").values()] == [
        epoch in (3, 4, 7) for epoch in range(1, 9)
    ]


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("count", [2, 4, 8])
def test_the_alarm_is_raised_where_samples_are_copies_of_a_few(tmp_path: Path, count: int) -> None:
    each = watched(tmp_path, always(copies_of(count)), epochs=5)
    each.fit.run()
    assert each.warnings == [
        f"epoch 5: the {word} samples have collapsed: they have another that is 0% as far away as the nearest of real "
        "patches is"
        for word in ("normal", "tumour")
    ]
    for word in ("normal", "tumour"):
        assert min(each.curve(f"diversity_{word}").values()) > 0.25
        assert max(each.curve(f"nearest_{word}").values()) == pytest.approx(0, abs=1e-6)


def copies_of(count: int) -> Callable[[Tensor, torch.Generator], Tensor]:
    """So many patches of each class, over and over."""

    def make(labels: Tensor, rng: torch.Generator) -> Tensor:
        few = stripes(torch.arange(2 * count) % 2, torch.Generator().manual_seed(3))
        return few[2 * (torch.arange(len(labels)) // 2 % count) + labels]

    return make


def test_the_nearest_other_is_by_thumbnails_in_grey_levels() -> None:
    shades = np.array([0, 10, 30, 100], np.uint8)
    images = np.broadcast_to(shades[:, None, None, None], (4, 32, 32, 3))
    assert nearest_other(images[:3]) == pytest.approx(10)
    checks = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)
    # What is finer than a thumbnail tells no patches apart.
    assert nearest_other(np.stack([checks, 255 - checks])[..., None].repeat(3, -1)) == pytest.approx(0)


def test_real_patches_of_which_there_are_two_each_tell_nothing_of_copies() -> None:
    twice = as_patches(copies_of(20), 80, 0)
    found = RealDiversity(twice).diversity_of(as_patches(copies_of(2), 80, 1))
    assert [each.nearest for each in found.values()] == [1.0, 1.0]
    alone = RealDiversity(as_patches(stripes, 2, 0)).diversity_of(as_patches(stripes, 80, 1))
    assert [each.nearest for each in alone.values()] == [1.0, 1.0]


def heard(shares: list[float], **settings: Any) -> list[int]:
    """The epochs at which an alarm was raised."""
    alarm, found = CollapseAlarm(MonitoringConfig(**settings)), [{"normal": Diversity(share, 1.0)} for share in shares]
    return [epoch for epoch, each in enumerate(found, 1) for _ in alarm.hear(epoch, each)]


@pytest.mark.parametrize(
    ("shares", "epochs"),
    [
        ([0.0, 0.1, 0.3, 0.8], []),  # not trained yet
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [5]),  # never anything else
        ([0.3, 0.1, 0.1], [2]),  # within the grace, and it was above before
        ([0.8, 0.1, 0.26, 0.1, 0.26, 0.1], [2]),  # around the threshold it is one fall
        ([0.8, 0.1, 0.8, 0.1], [2, 4]),
        ([0.25, 0.25, 0.25, 0.25, 0.25, 0.25], []),
    ],
)
def test_when_the_alarm_is_raised(shares: list[float], epochs: list[int]) -> None:
    assert heard(shares) == epochs


def test_threshold_and_grace_are_settings() -> None:
    assert heard([0.4, 0.4, 0.4], collapse_below=0.5, collapse_grace=2) == [2]


# What it may cost


@pytest.mark.parametrize("looks", [1, 2, 3, 7, 10])
def test_looks_are_spread_evenly_with_one_at_the_last_epoch(looks: int) -> None:
    due = [epoch for epoch in range(1, 11) if is_due(looks, epoch, 10)]
    assert len(due) == looks and due[-1] == 10
    # Up to none of them has more been looked at than has been trained for.
    assert all(number <= epoch * looks / 10 for number, epoch in enumerate(due, 1))
    assert not any(is_due(0, epoch, 10) for epoch in range(1, 11))


def test_as_many_looks_as_the_share_of_work_allows() -> None:
    assert looks_within(0.05, 100, epoch_work=1.0, look_work=1.0) == 3
    assert looks_within(0.05, 100, epoch_work=1000.0, look_work=1.0) == 100
    assert looks_within(0.05, 10, epoch_work=1.0, look_work=1.0) == 0


def test_work_is_counted_in_floating_point_operations() -> None:
    batches = TrainingBatches(real_patches().train, BATCH, 0, CPU)
    generator = Scripted(lambda epoch, labels, rng: generator.layer(torch.ones(len(labels), 768)), 1)
    product = 2 * 768 * 4
    # Forward, and backward to the weights alone.
    assert step_work(Trainer(generator, batches, TrainingConfig(), 0, CPU)) == 2 * product * BATCH
    assert sample_work(generator, CPU) == product


def test_the_work_of_a_gradient_of_a_gradient_is_counted() -> None:
    batches, works = TrainingBatches(real_patches().train, BATCH, 0, CPU), []
    for penalty in (0.0, 10.0):
        config = GanConfig(
            latent_dim=3, channels=2, embedding_dim=4, discriminator_norm="none", gradient_penalty=penalty
        )
        works.append(step_work(Trainer(build_generator(config, SIDE), batches, TrainingConfig(), 0, CPU)))
    assert 1.2 < works[1] / works[0] < 3


class Time:
    """A clock that stands still but for what is told to take time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def slow(monkeypatch: pytest.MonkeyPatch, clock: Time, step: float, sample: float) -> Make:
    """Every step takes so long, and so does every draw of samples for a look."""
    advance = Trainer.advance

    def timed(trainer: Trainer) -> None:
        clock.now += step if isinstance(trainer.model, Scripted) else 0
        advance(trainer)

    def make(epoch: int, labels: Tensor, rng: torch.Generator) -> Tensor:
        clock.now += sample if len(labels) > 32 else 0
        return stripes(labels, rng)

    monkeypatch.setattr(Trainer, "advance", timed)
    return make


@pytest.mark.usefixtures("roomy")
def test_looks_are_left_out_where_they_take_more_than_their_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time()
    make = slow(monkeypatch, clock, step=3.0, sample=0.7)
    each = watched(tmp_path, make, epochs=20, clock=clock, patches=64, passes=1)
    each.fit.run()
    measured = each.curve("monitoring_share")
    # An epoch takes 6 seconds and a look 0.7: ten looks would be above 5 % of it all, and nine are not.
    assert len(each.curve("usefulness_auc")) == 9
    # What the first look costs is not known before it.
    assert all(share <= 0.05 for epoch, share in measured.items() if epoch > 1)
    assert not each.warnings


@pytest.mark.usefixtures("roomy")
def test_where_weights_are_chosen_no_look_is_left_out_and_the_excess_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time()
    make = slow(monkeypatch, clock, step=3.0, sample=0.7)
    each = watched(tmp_path, make, epochs=5, clock=clock, generator_choice="usefulness")
    each.fit.run()
    assert list(each.curve("usefulness_auc")) == [1, 2, 3, 4, 5]
    assert each.curve("monitoring_share")[5] == pytest.approx(3.5 / 33.5)
    (message,) = each.warnings
    assert "10.4% of the time and not 5.0%" in message


def test_the_measured_share_goes_on_over_a_resumption() -> None:
    clock = Time()
    first = TimeShare(clock)
    clock.now = 10.0
    with first.spending("look"):
        clock.now = 12.0
    later = TimeShare(clock)
    later.load(json.loads(json.dumps(first.state())))
    clock.now = 20.0
    assert (later.elapsed, later.share) == (20.0, 0.1)
    assert later.affords("look", 0.2) and not later.affords("look", 0.15)


def test_nothing_is_looked_at_with_no_share(tmp_path: Path) -> None:
    each = watched(tmp_path, always(stripes), share=0.0)
    each.fit.run()
    assert {name for event in each.metrics for name in event.values} == {"loss", "grad_norm"}
    assert each.generator.fits == 6


def test_training_that_is_too_short_for_a_look_has_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    each = watched(tmp_path, always(stripes))
    each.fit.run()
    assert each.curve("usefulness_auc") == {}
    assert "a look at usefulness is as much work as" in capfd.readouterr().err


@pytest.mark.parametrize(("fewest", "expected"), [(0, [4, 3, 2]), (1, [4, 3, 2, 1]), (2, [4, 3, 2, 1, 0])])
def test_what_is_looked_at_has_some_of_each_class(
    monkeypatch: pytest.MonkeyPatch, fewest: int, expected: list[int]
) -> None:
    monkeypatch.setattr(samples_module, "_FITTED_FOR_A_LOOK", 3)
    order, labels = np.array([4, 3, 2, 1, 0]), np.array([1, 1, 0, 0, 0], np.uint8)
    assert samples_module._first(order, labels, fewest).tolist() == expected


# What is chosen


def best_at_three(epoch: int, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Useful in epoch 3 alone; in epoch 5 each class is one patch, and tells them apart."""
    return (stripes if epoch == 3 else the_same if epoch == 5 else noise)(labels, rng)


@pytest.mark.usefixtures("roomy")
def test_the_most_useful_epoch_is_taken_and_a_collapsed_one_never(tmp_path: Path) -> None:
    each = watched(tmp_path, best_at_three, generator_choice="usefulness")
    each.fit.run()
    curve = each.curve("usefulness_auc")
    assert each.generator.epoch == 6
    said = each.monitor.choose()
    assert said["chosen_epoch"] == 3 and each.generator.epoch == 3
    assert (
        f"epoch 3 of 6: usefulness_auc {curve[3]:.4f}" in said["choice"] and "of 6 looks; 1 at which" in said["choice"]
    )


@pytest.mark.usefixtures("roomy")
def test_a_collapsed_epoch_is_not_chosen_however_useful(tmp_path: Path) -> None:
    each = watched(tmp_path, always(the_same), epochs=2, generator_choice="usefulness")
    each.fit.run()
    assert max(each.curve("usefulness_auc").values()) > 0.6
    said = each.monitor.choose()
    assert said["chosen_epoch"] == 2 and "had collapsed" in said["choice"]
    assert said["choice"] in each.warnings


@pytest.mark.usefixtures("roomy")
def test_the_last_epoch_is_taken_unless_told(tmp_path: Path) -> None:
    each = watched(tmp_path, best_at_three)
    each.fit.run()
    assert each.monitor.choose() == {}
    assert each.generator.epoch == 6
    assert each.monitor.state()[0] == {}


class Killed(BaseException):
    """The end of a process."""


def kill_after(each: Watched, epochs: int) -> None:
    """Train for so many epochs, and lose all but what the checkpoints hold."""
    whole = each.monitor._look

    def look(epoch: int, step: int, at_usefulness: bool) -> None:
        if epoch > epochs:
            raise Killed
        whole(epoch, step, at_usefulness)

    each.monitor._look = look  # type: ignore[method-assign]
    with pytest.raises(Killed):
        each.fit.run()


def ends(each: Watched) -> tuple[State, dict[str, Any], list[tuple[int, dict[str, float]]]]:
    each.fit.run()
    chosen = each.monitor.choose()
    weights = {name: tensor.clone() for name, tensor in each.generator.state_dict().items()}
    return State(weights, {}), chosen, [(event.step, event.values) for event in each.metrics]


def resumable(path: Path, make: Make = best_at_three) -> Watched:
    """In training with a checkpoint after every step."""
    each = watched(path, make, generator_choice="usefulness")
    config = apply(each.context.config, [{"training": {"checkpoint_seconds": 0}}])
    object.__setattr__(each.context, "config", config)
    return each


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("moments", [(1,), (2, 4), (3,), (3, 5)])
def test_killed_between_epochs_it_chooses_the_same_weights(tmp_path: Path, moments: tuple[int, ...]) -> None:
    whole, chosen, rows = ends(resumable(tmp_path / "whole"))
    for moment in moments:
        kill_after(resumable(tmp_path / "killed"), moment)
    resumed, same_choice, same_rows = ends(resumable(tmp_path / "killed"))
    assert same(resumed, whole)
    assert same_choice == chosen and chosen["chosen_epoch"] == 3
    assert same_rows == rows


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("lost", ["weights", "best"])
def test_the_comparison_notices_what_a_checkpoint_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    whole, chosen, _ = ends(resumable(tmp_path / "whole"))
    kill_after(resumable(tmp_path / "killed"), 5)
    forgetful, load = resumable(tmp_path / "killed"), Monitor.load

    def forget(monitor: Monitor, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        fresh = monitor.state()[1]
        tensors = {name: tensor + 1 for name, tensor in tensors.items()} if lost == "weights" else tensors
        load(monitor, tensors, {**meta, **({lost: fresh[lost]} if lost in fresh else {})})

    monkeypatch.setattr(Monitor, "load", forget)
    resumed, other_choice, _ = ends(forgetful)
    assert not same(resumed, whole) or other_choice != chosen


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("forgets", [False, True])
def test_an_alarm_is_not_raised_again_after_a_resumption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgets: bool
) -> None:
    def make(epoch: int, labels: Tensor, rng: torch.Generator) -> Tensor:
        return (stripes if epoch == 1 else the_same)(labels, rng)

    kill_after(resumable(tmp_path, make), 4)
    if forgets:
        monkeypatch.setattr(CollapseAlarm, "load", lambda *_: None)
    each = resumable(tmp_path, make)
    each.fit.run()
    assert [message.partition(" samples")[0] for message in each.warnings] == [
        f"epoch {epoch}: the {word}" for epoch in ((2, 5) if forgets else (2,)) for word in ("normal", "tumour")
    ]


@pytest.mark.usefixtures("roomy")
def test_a_checkpoint_of_before_there_was_a_monitor_is_gone_on_from(tmp_path: Path) -> None:
    parts = watched(tmp_path, always(stripes)).fit.epoch_end
    parts.load({}, {})
    assert parts.state()[1]["monitor"]["looks"] is None


# The settings, and a whole run


def test_a_choice_without_looks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"set monitoring\.share above 0"):
        MonitoringConfig(share=0.0, generator_choice="usefulness")
    each = watched(tmp_path, always(stripes), generator_choice="usefulness")
    with pytest.raises(ConfigError, match=r"nothing to choose by; raise monitoring\.share"):
        each.fit.run()
    assert each.generator.epoch == 1


def test_a_choice_without_validation_patches_is_refused() -> None:
    real, last = real_patches(), RunConfig()
    normal = replace(real, train=real.train.select(np.flatnonzero(real.train.own_labels == 0)))
    useful = apply(last, [{"monitoring": {"generator_choice": "usefulness"}}])
    require_choice(real, useful)
    require_choice(normal, last)
    with pytest.raises(ConfigError, match="one class only"):
        require_choice(normal, useful)


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("choice", ["last", "usefulness"])
def test_the_record_says_which_epoch_was_taken_and_why(tmp_path: Path, choice: str) -> None:
    monitoring = {"generator_choice": choice, "patches": 32, "collapse_below": 0.0}
    run = make_run(tmp_path, "vae-100", {"monitoring": monitoring, "generator": {"epochs": 3}})
    assert main([str(run.path)]) == 0
    meta = CheckpointFolder(run.checkpoints / "generator").final_meta()
    notes = [note for note in json.loads(run.scores.read_text())["notes"] if "weights are those of epoch" in note]
    assert ("chosen_epoch" in meta) == (choice == "usefulness")
    assert notes == ([meta["choice"]] if choice == "usefulness" else [])
    curve = {
        event.epoch: event.values["usefulness_auc"] for event in metrics_of(run) if "usefulness_auc" in event.values
    }
    if choice == "usefulness":
        assert list(curve) == [1, 2, 3]
        assert meta["chosen_epoch"] == max(curve, key=lambda epoch: (curve[epoch], -epoch))
    *of_epochs, last = sorted((run.samples / "generator").glob("step-*.png"))
    if meta.get("chosen_epoch", 3) == 3:
        assert len(of_epochs) == 2
    else:
        assert last.name.endswith("_chosen.png")
        assert last.read_bytes() == of_epochs[meta["chosen_epoch"] - 1].read_bytes()


@pytest.mark.usefixtures("roomy")
def test_what_needs_a_later_stage_is_looked_at_there(tmp_path: Path) -> None:
    small = {"width": 8, "blocks": 1, "sampling_steps": 2}
    brief = {"epochs": 2, "batch_size": 8, "latent_prior": {"epochs": 2, "batch_size": 8, **small}}
    run = make_run(
        tmp_path, "latent-flow", {"generator": brief, "monitoring": {"generator_choice": "usefulness", "patches": 32}}
    )
    assert main([str(run.path)]) == 0
    looked_at = {event.stage for event in metrics_of(run) if "usefulness_auc" in event.values}
    assert looked_at == {"latent_prior"}
    assert "chosen_epoch" in CheckpointFolder(run.checkpoints / "latent_prior").final_meta()
