"""The flow against closed forms, the latents that it learns, and both parts through steps, checkpoints and samples."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_trainer import snapshot
from torch import Tensor, nn
from toys import CPU, same, toy_context, toy_patches

from engine.classifiers.augment import dihedral
from engine.generators.flow import Flow, between, heun
from engine.generators.latent_flow import LatentFlow
from engine.latents import LatentBatches, latents_of
from engine.pipeline import STAGES, remaining
from engine.progress import silent
from engine.randomness import generator as rng_at
from engine.randomness import seed_torch
from engine.spec.config import RunConfig, TrainingConfig
from engine.spec.errors import ConfigError, HistotuiError
from engine.spec.generator_config import FlowConfig, LatentFlowConfig, NullConfig
from engine.stages import generator, latent_prior
from engine.trainer import Trainer

TOY = FlowConfig(width=16, blocks=1, sampling_steps=8, label_dropout=0.0, guidance=1.0)
SMALL = LatentFlowConfig(latent_dim=3, channels=2, latent_prior=TOY)


def test_paths_are_straight_from_noise_to_data() -> None:
    noise, data = torch.tensor([[0.0, 2.0], [1.0, 1.0]]), torch.tensor([[4.0, 0.0], [3.0, -1.0]])
    assert between(noise, data, torch.tensor([0.25, 1.0])).tolist() == [[1.0, 1.5], [3.0, -1.0]]


def test_heun_is_exact_where_velocity_is_linear_in_time_and_of_second_order_elsewhere() -> None:
    start = torch.ones(1, 1)
    assert heun(lambda x, t: torch.full_like(x, 2 * t), start, 3).item() == pytest.approx(2)
    errors = [abs(heun(lambda x, t: x, start.double(), steps).item() - np.e) for steps in (10, 20)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def gaussian_latents(count: int = 2000) -> tuple[Tensor, Tensor]:
    """Two classes of vectors, far apart in the first dimension, with a known variance of their own."""
    labels = torch.arange(count) % 2
    mu = torch.randn(count, 2, generator=rng_at(0)) * torch.tensor([1.0, 3.0])
    mu[:, 0] += 10 * labels
    return torch.cat([mu, torch.full((count, 2), np.log(0.25))], dim=1), labels


def test_the_scale_counts_the_variance_of_each_latent_too() -> None:
    latents, labels = gaussian_latents()
    flow = Flow(TOY, 2)
    flow.prepare(lambda: iter([(latents[:700], labels[:700]), (latents[700:], labels[700:])]), rng_at(0))
    mu = latents[:, :2].double()
    assert torch.allclose(flow.mean.double(), mu.mean(0), atol=1e-5)
    assert torch.allclose(flow.std.double(), (mu.var(0, correction=0) + 0.25).sqrt(), rtol=1e-5)


def test_each_class_is_drawn_from_where_its_latents_are() -> None:
    latents, labels = gaussian_latents()
    seed_torch(CPU, "weights")
    flow = Flow(TOY.model_copy(update={"width": 64, "learning_rate": 5e-3, "ema_decay": 0.98}), 2)
    batches = LatentBatches(latents[None], labels.numpy().astype(np.uint8), 250, 0, CPU)
    flow.prepare(batches.in_order, rng_at(0))
    trainer = Trainer(flow, batches, TrainingConfig(), 0, CPU, 400)
    for _ in range(400):
        trainer.advance()
    flow.eval()
    with torch.no_grad():
        drawn = flow.draw(labels, rng_at(1))
    for label, mean in ((0, 0.0), (1, 10.0)):
        assert drawn[labels == label].mean(0).tolist() == pytest.approx([mean, 0], abs=0.5)
        assert drawn[labels == label].std(0).tolist() == pytest.approx([1.25**0.5, 9.25**0.5], rel=0.2)


class Obedient(nn.Module):
    """Moves every vector by one a unit of time where it is told the label, and not at all where it is not."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Tensor] = []

    def forward(self, x: Tensor, time: Tensor, told: Tensor) -> Tensor:
        self.told.append(told)
        return told.sum(1, keepdim=True).expand_as(x)


@pytest.mark.parametrize(("guidance", "calls"), [(1.0, 16), (2.5, 32), (0.0, 32)])
def test_guidance_goes_beyond_what_the_label_alone_leads_to(guidance: float, calls: int) -> None:
    flow = Flow(TOY.model_copy(update={"guidance": guidance}), 2)
    obedient = Obedient()
    flow.average.network = obedient
    labels = torch.tensor([0, 1, 1])
    moved = flow.draw(labels, rng_at(0)) - torch.randn(3, 2, generator=rng_at(0))
    assert torch.allclose(moved, torch.full((3, 2), guidance), atol=1e-5)
    assert len(obedient.told) == calls


def test_some_latents_are_learned_without_their_label() -> None:
    latents, labels = gaussian_latents()
    for share in (0.0, 0.3):
        flow = Flow(TOY.model_copy(update={"label_dropout": share}), 2)
        flow.network = obedient = Obedient()  # type: ignore[assignment]
        torch.manual_seed(0)
        flow.loss("flow", latents, labels)
        (told,) = obedient.told
        kept = told.sum(1) == 1
        assert 1 - kept.float().mean().item() == pytest.approx(share, abs=0.04)
        assert torch.equal(told[kept].argmax(1), labels[kept]) and not told[~kept].any()


def test_guidance_without_samples_of_no_label_is_refused() -> None:
    with pytest.raises(ValueError, match=r"set generator\.latent_prior\.label_dropout above 0"):
        FlowConfig(guidance=2, label_dropout=0.0)


def test_latents_are_those_of_every_patch_in_every_orientation() -> None:
    model, patches = LatentFlow(SMALL, 16).eval(), toy_patches(10)
    found = latents_of(model, patches, flips=True, device=CPU, report=silent)
    images = torch.from_numpy(patches.images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        turned = model.latents(dihedral(images, torch.full((10,), 5)), torch.zeros(10, dtype=torch.int64))
    assert found.shape == (8, 10, 6)
    assert torch.allclose(found[5].float(), turned.float(), atol=2e-3)
    assert latents_of(model, patches, flips=False, device=CPU, report=silent).shape == (1, 10, 6)


def test_latents_do_not_know_the_label() -> None:
    model, images = LatentFlow(SMALL, 16).eval(), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(model.latents(images, torch.tensor([0, 0])), model.latents(images, torch.tensor([1, 0])))


def numbered_latents(views: int = 4, count: int = 10) -> tuple[Tensor, NDArray[np.uint8]]:
    return torch.arange(views * count).view(views, count, 1), (np.arange(count) % 2).astype(np.uint8)


def test_an_epoch_sees_every_patch_once_in_views_that_change() -> None:
    latents, labels = numbered_latents()
    batches = LatentBatches(latents, labels, 5, 0, CPU)
    seen = [batches.at(step) for step in range(8)]
    for epoch in range(4):
        numbers = torch.cat([seen[2 * epoch][0], seen[2 * epoch + 1][0]]).flatten()
        told = torch.cat([seen[2 * epoch][1], seen[2 * epoch + 1][1]])
        assert sorted((numbers % 10).tolist()) == list(range(10))
        assert (numbers % 10 % 2).tolist() == told.tolist()
    assert len({int(number) // 10 for latents, _ in seen for number in latents}) == 4
    again = LatentBatches(latents, labels, 5, 0, CPU)
    assert all(torch.equal(again.at(step)[0], seen[step][0]) for step in (7, 0, 3))
    assert (again.positions(3) == (seen[3][0].flatten() % 10).numpy()).all()


def test_fewer_patches_than_a_batch_are_refused_by_the_settings_name() -> None:
    latents, labels = numbered_latents()
    with pytest.raises(ConfigError, match=r"set generator\.latent_prior\.batch_size to at most 10"):
        LatentBatches(latents, labels, 11, 0, CPU)


def toy_prior_trainer() -> Trainer:
    latents, labels = gaussian_latents(40)
    seed_torch(CPU, "weights")
    flow = Flow(TOY, 2)
    batches = LatentBatches(latents[None], labels.numpy().astype(np.uint8), 8, 0, CPU)
    flow.prepare(batches.in_order, rng_at(0))
    return Trainer(flow, batches, TrainingConfig(), 0, CPU, 20)


def test_a_prior_goes_on_from_its_state_as_if_nothing_had_been() -> None:
    whole, first, second = toy_prior_trainer(), toy_prior_trainer(), toy_prior_trainer()
    for _ in range(12):
        whole.advance()
    for _ in range(5):
        first.advance()
    second.load(snapshot(first))
    forgetful = toy_prior_trainer()
    forgetful.load(snapshot(first))
    assert isinstance(forgetful.model, Flow)
    with torch.no_grad():
        for parameter in forgetful.model.average.parameters():
            parameter.zero_()
    for trainer in (second, forgetful):
        for _ in range(7):
            trainer.advance()
    assert same(second.state(), whole.state())
    assert not same(forgetful.state(), whole.state()), "the average of the weights is part of what is compared"


def test_the_stage_stands_between_the_networks_and_the_samples(tmp_path: Path) -> None:
    context = toy_context(tmp_path)
    flow, null = RunConfig(generator=SMALL), RunConfig(generator=NullConfig())
    assert [stage.name for stage in remaining(context.folder, flow)][1:4] == ["generator", "latent_prior", "synthesis"]
    assert "latent_prior" not in [stage.name for stage in remaining(context.folder, null)]
    assert len({stage.name for stage in STAGES}) == len(STAGES)


def test_a_prior_before_its_networks_is_refused(tmp_path: Path) -> None:
    context = toy_context(tmp_path, RunConfig(generator=SMALL))
    with pytest.raises(HistotuiError):
        latent_prior._settled(context)
    with pytest.raises(HistotuiError):
        generator.load(context)
