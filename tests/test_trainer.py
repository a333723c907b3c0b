"""The training step: phases, exact resumption, and what happens to a loss that is not finite."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from toys import CPU, same, toy_patches

from engine.batches import TrainingBatches, to_bytes
from engine.checkpoints import State
from engine.classifiers import build_classifier
from engine.finite import DeviceGuard, Guard, HostGuard
from engine.generators import build_generator
from engine.generators.base import Loss, Model, Phase, parameters_of
from engine.spec.classifier_config import ClassifierFitConfig, CnnConfig, ResnetConfig
from engine.spec.config import TrainingConfig
from engine.spec.config_parts import FitConfig
from engine.spec.errors import ConfigError, Diverged
from engine.spec.generator_config import DiffusionConfig, GanConfig, ProjectionGanConfig, VaeConfig
from engine.trainer import Trainer

MODELS: dict[str, FitConfig] = {
    "vae": VaeConfig(latent_dim=4, channels=2),
    "gan": GanConfig(latent_dim=4, channels=2, embedding_dim=3, discriminator_steps=2),
    "wgan": GanConfig(
        loss="wasserstein", latent_dim=4, channels=2, embedding_dim=3, discriminator_norm="none", gradient_penalty=10
    ),
    "projection-gan": ProjectionGanConfig(latent_dim=4, channels=2, spectral_norm=True, discriminator_steps=2),
    "diffusion": DiffusionConfig(channels=2, blocks=1),
    "cnn": CnnConfig(channels=2, flips=True, colour_jitter=0.1),
    "resnet": ResnetConfig(channels=2, colour_jitter=0.1),
}


def toy_trainer(config: FitConfig, seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    model: Model
    model = build_classifier(config, 16) if isinstance(config, ClassifierFitConfig) else build_generator(config, 16)  # type: ignore[arg-type]
    return Trainer(model, TrainingBatches(toy_patches(), 8, seed, CPU), TrainingConfig(), seed, CPU, steps=13)


def advance(trainer: Trainer, steps: int) -> Trainer:
    for _ in range(steps):
        trainer.advance()
    return trainer


def snapshot(trainer: Trainer) -> State:
    state = trainer.state()
    return State({name: tensor.clone() for name, tensor in state.tensors.items()}, dict(state.meta))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stop_at", [1, 5, 6, 7])
def test_a_resumed_fit_ends_bit_for_bit_like_an_undisturbed_one(name: str, stop_at: int) -> None:
    undisturbed = snapshot(advance(toy_trainer(MODELS[name]), 13))
    stopped = snapshot(advance(toy_trainer(MODELS[name]), stop_at))
    resumed = toy_trainer(MODELS[name], seed=0)
    with torch.no_grad():
        for parameter in resumed.model.parameters():
            parameter.add_(1)  # what it starts with must not matter
    resumed.load(stopped)
    assert same(snapshot(advance(resumed, 13 - stop_at)), undisturbed)


@pytest.mark.parametrize("lost", ["optimizer", "sum", "model.decoder.1.running_mean"])
def test_the_comparison_notices_what_a_checkpoint_leaves_out(lost: str) -> None:
    undisturbed = snapshot(advance(toy_trainer(MODELS["vae"]), 8))
    stopped = snapshot(advance(toy_trainer(MODELS["vae"]), 3))
    assert any(key.startswith(lost) for key in stopped.tensors)
    resumed = toy_trainer(MODELS["vae"])
    whole = snapshot(resumed).tensors | stopped.tensors
    kept = {key: value for key, value in whole.items() if not key.startswith(lost) or lost.startswith("model")}
    if lost.startswith("model"):
        kept[lost] = snapshot(toy_trainer(MODELS["vae"])).tensors[lost]
    meta = dict(stopped.meta) if lost != "sum" else {**stopped.meta, "counts": {}}
    resumed.load(State(kept, meta))
    assert not same(snapshot(advance(resumed, 5)), undisturbed)


class Scripted(Model):
    """One weight per phase; the loss of a phase at one of its calls is not finite."""

    def __init__(self, bad_phase: str, bad_call: int, bad: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(1, 1), nn.Linear(1, 1)
        self.bad_phase, self.bad_call, self.bad, self.calls = bad_phase, bad_call, bad, {"first": 0, "second": 0}

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("first", parameters_of(self.first), 0.1, (0.9, 0.999)),
            Phase("second", parameters_of(self.second), 0.1, (0.9, 0.999), every=3, start=3, weight_clip=0.05),
        )

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        layer = self.first if phase == "first" else self.second
        total = layer(torch.ones(1, 1)).square().sum()
        total = total * (self.bad if (phase, self.calls[phase]) == (self.bad_phase, self.bad_call) else 1.0)
        self.calls[phase] += 1
        return Loss(total, {f"loss_{phase}": total})


def scripted(bad_phase: str = "", bad_call: int = -1, bad: float = 1.0) -> Trainer:
    torch.manual_seed(0)
    return Trainer(
        Scripted(bad_phase, bad_call, bad), TrainingBatches(toy_patches(), 8, 0, CPU), TrainingConfig(), 0, CPU
    )


@pytest.mark.parametrize("guard", [HostGuard, partial(DeviceGuard, CPU)])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_never_reaches_the_weights(bad: float, guard: Callable[[], Guard]) -> None:
    trainer, healthy = scripted("first", 4, bad), scripted()
    trainer._guard = guard()
    advance(trainer, 9)
    advance(healthy, 4)
    for name, weight in trainer.model.state_dict().items():
        assert torch.equal(weight, healthy.model.state_dict()[name])
    with pytest.raises(Diverged, match="step 4, phase first: loss_first, grad_norm_f"):
        trainer.take_means()


@pytest.mark.parametrize("guard", [HostGuard, partial(DeviceGuard, CPU)])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nor_does_that_of_a_later_phase_which_keeps_all_later_steps_back(
    bad: float, guard: Callable[[], Guard]
) -> None:
    trainer, healthy = scripted("second", 1, bad), scripted()
    trainer._guard = guard()
    advance(trainer, 9)
    advance(healthy, 6)
    second = healthy.model.second.weight.clone()  # type: ignore[operator, union-attr]
    # Its second turn is in step 8, whose first phase had taken its step before.
    assert torch.equal(trainer.model.second.weight, second)  # type: ignore[arg-type, union-attr]
    advance(healthy, 3)
    assert torch.equal(trainer.model.first.weight, healthy.model.first.weight)  # type: ignore[arg-type, union-attr]
    assert not torch.equal(healthy.model.second.weight, second)  # type: ignore[arg-type, union-attr]
    with pytest.raises(Diverged, match="step 8, phase second: loss_second, grad_norm_s"):
        trainer.take_means()
    at_the_end = trainer.model.first.weight.clone()  # type: ignore[operator, union-attr]
    advance(trainer, 3)
    assert torch.equal(trainer.model.first.weight, at_the_end)  # type: ignore[arg-type, union-attr]


def test_phases_take_part_when_due_and_keep_their_weights_clipped() -> None:
    trainer = scripted()
    before = trainer.model.second.weight.clone()  # type: ignore[union-attr, operator]
    advance(trainer, 5)
    assert torch.equal(trainer.model.second.weight, before)  # type: ignore[arg-type, union-attr]
    advance(trainer, 1)
    assert trainer.model.second.weight.abs().max() <= 0.05  # type: ignore[operator, union-attr]
    assert trainer.take_means().keys() == {"loss_first", "loss_second", "grad_norm_f", "grad_norm_s"}


class Pulled(Model):
    """A weight (2,) whose gradient is always (3, 4)."""

    def __init__(self, clip: float | None) -> None:
        super().__init__()
        self.weight, self._clip = nn.Parameter(torch.zeros(2)), clip

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("model", (self.weight,), 0.1, (0.9, 0.999), gradient_clip=self._clip),)

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        pull = self.weight @ torch.tensor([3.0, 4.0])
        return Loss(pull, {"pull": pull})


@pytest.mark.parametrize(("clip", "length"), [(None, 5.0), (10.0, 5.0), (1.0, 1.0), (0.25, 0.25)])
def test_gradients_are_shortened_to_their_limit_and_told_as_they_were(clip: float | None, length: float) -> None:
    trainer = Trainer(Pulled(clip), TrainingBatches(toy_patches(), 8, 0, CPU), TrainingConfig(), 0, CPU)
    trainer.advance()
    moment = trainer.state().tensors["optimizer.model.0.exp_avg"]
    assert torch.allclose(moment, 0.1 * length * torch.tensor([0.6, 0.8]))
    assert trainer.take_means()["grad_norm"] == pytest.approx(5)


def test_means_are_over_the_steps_since_the_last_call() -> None:
    trainer, losses = scripted(), []
    for _ in range(3):
        model = trainer.model
        losses.append(float(model.first(torch.ones(1, 1)).detach().square().sum()))  # type: ignore[operator]
        trainer.advance()
    assert trainer.take_means()["loss_first"] == pytest.approx(sum(losses) / 3)


def test_batches_are_a_function_of_the_step_and_cover_each_epoch_once() -> None:
    patches = toy_patches(50)
    one, other = (TrainingBatches(patches, 8, 7, CPU) for _ in range(2))
    epoch = [tuple(one.positions(step)) for step in range(6)]
    assert len({position for batch in epoch for position in batch}) == 48
    assert tuple(other.positions(4)) == epoch[4]
    assert tuple(one.positions(6)) != epoch[0]
    images, labels = one.at(2)
    assert torch.equal(to_bytes(images), torch.from_numpy(patches.images[one.positions(2)]))
    assert labels.tolist() == patches.labels[one.positions(2)].tolist()


def test_fewer_patches_than_a_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="6 training patches are fewer than one batch of 8"):
        TrainingBatches(toy_patches(6), 8, 0, CPU)
