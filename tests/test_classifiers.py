"""Classifiers: shapes, sizes, stains of known density, learning rates over a fit."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from toys import CPU, toy_patches

from engine.batches import TrainingBatches, to_bytes, to_float
from engine.classifiers import CLASSIFIERS, build_classifier
from engine.classifiers.augment import STAINS, StainJitter, blurred, change_stains, noisy
from engine.classifiers.resnet import PreActivationBlock, Resnet
from engine.generators.base import parameters_of
from engine.schedules import warm_cosine
from engine.spec.classifier_config import ClassifierConfig, CnnConfig, ResnetConfig
from engine.spec.config import TrainingConfig
from engine.spec.resolve import kinds
from engine.trainer import Trainer

TOYS: dict[str, ClassifierConfig] = {"cnn": CnnConfig(channels=2), "resnet": ResnetConfig(channels=2)}
PLAIN: dict[str, ClassifierConfig] = {
    "cnn": CnnConfig(channels=2),
    "resnet": ResnetConfig(channels=2, flips=False, blur=0, noise=0, stain_jitter=0),
}
"""Without any augmentation."""
MIX = torch.tensor(STAINS)


def test_registry_and_configuration_name_the_same_classifiers() -> None:
    assert set(CLASSIFIERS) == set(kinds()["classifier"]) == set(TOYS)


@pytest.mark.parametrize("side", [16, 64, 96])
@pytest.mark.parametrize("kind", TOYS)
def test_a_patch_has_one_logit(kind: str, side: int) -> None:
    logits = build_classifier(TOYS[kind], side)(torch.zeros(3, 3, side, side))
    assert logits.shape == (3,)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (CnnConfig(), 175_089),
        (ResnetConfig(), 690_577),
        (ResnetConfig(blocks=2), 1_573_297),
        (ResnetConfig(channels=48), 2_756_641),
    ],
)
def test_sizes_at_64_pixels(config: ClassifierConfig, parameters: int) -> None:
    model = build_classifier(config, 64)
    assert sum(each.numel() for each in model.parameters() if each.requires_grad) == parameters


@pytest.mark.parametrize("kind", TOYS)
def test_every_parameter_is_trained(kind: str) -> None:
    model = build_classifier(TOYS[kind], 32).train()
    images, labels = torch.rand(8, 3, 32, 32) * 2 - 1, torch.arange(8) % 2
    model.loss("model", images, labels).total.backward()
    trained = tuple(each for each in parameters_of(model) if each.requires_grad)
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in trained)
    (phase,) = model.phases()
    assert phase.parameters == trained


def test_a_residual_block_without_its_residual_is_the_identity() -> None:
    block = PreActivationBlock(3, 3, stride=1)
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(4, 3, 5, 5)
    assert torch.equal(block(x), x)
    assert PreActivationBlock(3, 6, stride=2)(torch.randn(4, 3, 8, 8)).shape == (4, 6, 4, 4)


def stained(*densities: float) -> Tensor:
    """A patch with these densities of haematoxylin, eosin and what is left over, (1, 3, 2, 2) in [-1, 1]."""
    light = torch.exp(-(torch.tensor([densities]) @ MIX))
    return (2 * light - 1)[:, :, None, None].expand(1, 3, 2, 2)


def changed(images: Tensor, gain: tuple[float, ...], offset: tuple[float, ...]) -> Tensor:
    ones = torch.ones(len(images), 1)
    return change_stains(images, ones * torch.tensor(gain), ones * torch.tensor(offset), MIX, torch.linalg.inv(MIX))


@pytest.mark.parametrize(
    ("before", "gain", "offset", "after"),
    [
        ((0.8, 0.5, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.8, 0.5, 0.0)),
        ((0.8, 0.5, 0.0), (1.5, 1.0, 1.0), (0.0, 0.0, 0.0), (1.2, 0.5, 0.0)),
        ((0.8, 0.5, 0.0), (1.0, 0.5, 1.0), (0.0, 0.0, 0.0), (0.8, 0.25, 0.0)),
        ((0.8, 0.5, 0.2), (1.0, 1.0, 2.0), (0.1, -0.2, 0.0), (0.9, 0.3, 0.4)),
        ((0.0, 0.0, 0.0), (1.5, 1.5, 1.5), (0.3, 0.0, 0.0), (0.3, 0.0, 0.0)),
    ],
)
def test_a_known_stain_gets_the_density_asked_for(
    before: tuple[float, ...], gain: tuple[float, ...], offset: tuple[float, ...], after: tuple[float, ...]
) -> None:
    assert torch.allclose(changed(stained(*before), gain, offset), stained(*after), atol=1e-5)


@pytest.mark.parametrize(
    ("gain", "offset", "densities"),
    [
        ((2.0, 1.0, 1.0), (0.0, 0.0, 0.0), (2 * 0.65, 2 * 0.70, 2 * 0.29)),
        ((1.0, 1.0, 1.0), (0.0, 0.5, 0.0), (0.65 + 0.5 * 0.07, 0.70 + 0.5 * 0.99, 0.29 + 0.5 * 0.11)),
        ((0.0, 1.0, 1.0), (0.0, 0.0, 1.0), (0.27, 0.57, 0.78)),
    ],
)
def test_pure_haematoxylin_becomes_what_the_published_densities_say(
    gain: tuple[float, ...], offset: tuple[float, ...], densities: tuple[float, ...]
) -> None:
    haematoxylin = 2 * torch.exp(-torch.tensor([0.65, 0.70, 0.29])) - 1
    light = (changed(haematoxylin[None, :, None, None], gain, offset)[0, :, 0, 0] + 1) / 2
    assert light.tolist() == pytest.approx([math.exp(-density) for density in densities], rel=1e-4)


def test_less_than_no_stain_is_white() -> None:
    assert torch.equal(changed(stained(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (-0.5, -0.5, -0.5)), torch.ones(1, 3, 2, 2))


def test_stains_left_alone_change_no_byte() -> None:
    every = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert torch.equal(to_bytes(StainJitter(0.0)(to_float(every))), every)


def test_stains_change_from_patch_to_patch_and_follow_the_seed() -> None:
    images, jitter = stained(0.8, 0.5, 0.1).expand(6, 3, 2, 2), StainJitter(0.2)
    torch.manual_seed(3)
    one, after = jitter(images), jitter(images)
    torch.manual_seed(3)
    assert torch.equal(jitter(images), one) and not torch.equal(one, after)
    assert len(torch.unique(one[:, :, 0, 0], dim=0)) == 6
    assert all(torch.equal(image, image[:, :1, :1].expand(3, 2, 2)) for image in one)


def test_densities_stay_within_the_strength() -> None:
    torch.manual_seed(0)
    light = (StainJitter(0.2)(stained(1.0, 1.0, 1.0).expand(500, 3, 2, 2))[:, :, 0, 0] + 1) / 2
    densities = -light.log() @ torch.linalg.inv(MIX)
    assert 0.6 - 1e-4 <= densities.min() < 0.7 and 1.3 < densities.max() <= 1.4 + 1e-4


def test_half_precision_around_it_does_not_coarsen_the_stains() -> None:
    images = stained(0.8, 0.5, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = changed(images, (1.2, 0.9, 1.0), (0.1, 0.0, 0.0))
    assert torch.equal(coarse, changed(images, (1.2, 0.9, 1.0), (0.1, 0.0, 0.0)))


@pytest.mark.parametrize(("strength", "kept"), [(0.0, True), (0.2, False)])
def test_the_strength_decides_whether_stains_change(strength: float, kept: bool) -> None:
    model = build_classifier(PLAIN["resnet"].model_copy(update={"stain_jitter": strength}), 16)
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    assert torch.equal(model.augment(images), images) is kept


def test_only_training_changes_stains() -> None:
    model = build_classifier(TOYS["resnet"], 16).eval()
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    assert torch.equal(model(images), model(images))
    assert not any("stain" in name or "separation" in name for name in model.state_dict())


def test_the_learning_rate_rises_and_falls_along_a_cosine() -> None:
    assert [warm_cosine(done) for done in (0.0, 0.025, 0.05, 1.0)] == pytest.approx([0, 0.5, 1, 0])
    assert warm_cosine((1 + 0.05) / 2) == pytest.approx(0.5)


def toy_trainer(config: ClassifierConfig, steps: int | None) -> Trainer:
    torch.manual_seed(0)
    batches = TrainingBatches(toy_patches(), 8, 0, CPU)
    return Trainer(build_classifier(config, 16), batches, TrainingConfig(), 0, CPU, steps)


def rates(trainer: Trainer, steps: int) -> list[float]:
    """The learning rate of each step."""
    found = []
    for _ in range(steps):
        trainer.advance()
        found.append(trainer._updaters[0].optimizer.param_groups[0]["lr"])
    return found


def test_a_fit_of_known_length_takes_its_steps_by_the_schedule() -> None:
    config = ResnetConfig(channels=2, learning_rate=0.01)
    wanted = [0.01 * warm_cosine((step + 0.5) / 20) for step in range(20)]
    assert rates(toy_trainer(config, 20), 20) == pytest.approx(wanted)
    assert rates(toy_trainer(config, None), 3) == [0.01] * 3
    assert rates(toy_trainer(CnnConfig(channels=2, learning_rate=0.01), 20), 3) == [0.01] * 3


def test_weights_without_a_gradient_decay_by_the_step_size() -> None:
    config = ResnetConfig(channels=2, learning_rate=0.01, weight_decay=0.5)
    trainer = toy_trainer(config, None)
    assert isinstance(trainer.model, Resnet)
    with torch.no_grad():
        trainer.model.network.logit.weight.zero_()  # nothing before it gets a gradient
    before = trainer.model.network.stem.weight.detach().clone()
    trainer.advance()
    assert torch.allclose(trainer.model.network.stem.weight, before * (1 - 0.01 * 0.5), atol=1e-7)


@torch.no_grad()
def test_a_resnet_classifies_with_the_average_of_its_weights() -> None:
    trainer = toy_trainer(ResnetConfig(channels=2, learning_rate=0.01, ema_decay=0.5), None)
    model, images = trainer.model, torch.rand(4, 3, 16, 16) * 2 - 1
    assert isinstance(model, Resnet)
    expected = model.network.logit.weight.clone()
    for decay in (1 / 10, 2 / 11, 3 / 12):
        with torch.enable_grad():
            trainer.advance()
        expected = decay * expected + (1 - decay) * model.network.logit.weight
    assert torch.allclose(model.average.network.logit.weight, expected, atol=1e-7)
    model.eval()
    assert torch.equal(model(images), model.average.network(images))
    assert not torch.allclose(model(images), model.network(images))
    assert torch.equal(model.features(images), model.average.network.activations(images).mean((2, 3)))
    model.train()
    assert torch.equal(model.activations(images), model.network.activations(images))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_the_gaussian_filter_of_scipy(sigma: float) -> None:
    images = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode="mirror", radius=(0, 0, 4, 4))
    np.testing.assert_allclose(blurred(images, torch.full((2,), sigma)).numpy(), expected, atol=2e-6)


def test_each_patch_is_blurred_by_its_own_amount() -> None:
    images = torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    left = blurred(images, torch.tensor([0.0, 0.5, 2.0]))
    assert torch.equal(left[0], images[0])
    contrasts = left.std((1, 2, 3)) / images.std((1, 2, 3))
    assert contrasts[0] > contrasts[1] + 0.2 > contrasts[2] + 0.4


def test_noise_has_the_standard_deviation_of_each_patch_and_stays_in_range() -> None:
    torch.manual_seed(0)
    added = noisy(torch.zeros(3, 3, 64, 64), torch.tensor([0.0, 0.1, 0.3]))
    assert added.std((1, 2, 3)).tolist() == pytest.approx([0, 0.1, 0.3], rel=0.03, abs=1e-7)
    assert noisy(torch.ones(1, 3, 16, 16), torch.tensor([0.3])).max() == 1


@pytest.mark.parametrize("kind", TOYS)
@pytest.mark.parametrize("name", ["blur", "noise"])
def test_blur_and_noise_are_for_those_who_ask(kind: str, name: str) -> None:
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    for strength, kept in ((0.0, True), (0.5, False)):
        model = build_classifier(PLAIN[kind].model_copy(update={name: strength}), 16)
        assert torch.equal(model.augment(images), images) is kept
