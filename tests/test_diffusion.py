"""Diffusion against closed forms, and its averaged weights through steps, checkpoints and samples."""

import math
from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from test_trainer import advance, snapshot, toy_trainer
from torch import Tensor
from toys import CPU, same, toy_patches

from engine.batches import TrainingBatches
from engine.checkpoints import State
from engine.classifiers.augment import dihedral
from engine.generators.diffusion import (
    SIGMA_DATA,
    SIGMA_MAX,
    SIGMA_MIN,
    Diffusion,
    denoised,
    heun,
    heun_step,
    loss_weight,
    noise_levels,
    preconditioning,
    sigma_steps,
)
from engine.generators.unet import UNet
from engine.randomness import generator as rng_at
from engine.spec.config import TrainingConfig
from engine.spec.generator_config import DiffusionConfig
from engine.trainer import Trainer

TOY = DiffusionConfig(channels=4, blocks=1, sampling_steps=3)


def test_scales_at_the_noise_that_data_has_itself() -> None:
    scale = preconditioning(torch.tensor([SIGMA_DATA]))
    expected = (0.5, SIGMA_DATA / math.sqrt(2), 1 / (SIGMA_DATA * math.sqrt(2)), math.log(SIGMA_DATA) / 4)
    for found, value in zip((scale.skip, scale.out, scale.into, scale.noise), expected, strict=True):
        assert found.item() == pytest.approx(value)


def test_scales_without_noise_and_with_little_else() -> None:
    scale = preconditioning(torch.tensor([1e-4, 1e4]))
    assert scale.skip.tolist() == pytest.approx([1, 0], abs=1e-6)
    assert scale.out.tolist() == pytest.approx([1e-4, SIGMA_DATA], rel=1e-6)
    assert scale.into.tolist() == pytest.approx([1 / SIGMA_DATA, 1e-4], rel=1e-6)


def test_the_network_is_given_and_asked_for_unit_variance_at_every_noise_level() -> None:
    sigma = torch.logspace(-3, 2, 20)
    scale = preconditioning(sigma)
    given = scale.into.square() * (SIGMA_DATA**2 + sigma.square())
    # (y - c_skip (y + n)) / c_out, whose parts y and n are independent.
    asked = (((1 - scale.skip) * SIGMA_DATA).square() + (scale.skip * sigma).square()) / scale.out.square()
    assert torch.allclose(given, torch.ones(20))
    assert torch.allclose(asked, torch.ones(20), rtol=1e-3)
    assert torch.allclose(loss_weight(sigma) * scale.out.square(), torch.ones(20))


def test_the_denoised_image_is_made_of_the_scaled_parts() -> None:
    noisy, sigma, labels = torch.randn(2, 3, 4, 4), torch.tensor([0.1, 3.0]), torch.tensor([0, 1])
    seen: list[Tensor] = []

    def network(images: Tensor, noise: Tensor, given: Tensor) -> Tensor:
        seen.extend((images, noise, given))
        return torch.full_like(images, 2.0)

    result, scale = denoised(network, noisy, sigma, labels), preconditioning(sigma)
    for each in range(2):
        assert torch.allclose(seen[0][each], noisy[each] * scale.into[each])
        assert torch.allclose(result[each], scale.skip[each] * noisy[each] + 2 * scale.out[each])
    assert torch.equal(seen[1], scale.noise) and torch.equal(seen[2], labels)


def test_the_result_is_float32_though_the_network_computes_in_less() -> None:
    noisy, sigma = torch.randn(1, 3, 4, 4), torch.tensor([0.5])
    result = denoised(lambda images, *_: images.bfloat16(), noisy, sigma, torch.tensor([0]))
    assert result.dtype == torch.float32


def test_trained_noise_is_log_normal() -> None:
    sigma = noise_levels(torch.tensor([-1.0, 0.0, 2.0]), mean=-1.2, std=1.2)
    assert sigma.tolist() == pytest.approx([math.exp(-2.4), math.exp(-1.2), math.exp(1.2)])


@pytest.mark.parametrize("count", [2, 3, 18])
def test_noise_levels_fall_from_the_highest_to_the_lowest_and_end_at_none(count: int) -> None:
    sigmas = sigma_steps(count)
    assert len(sigmas) == count + 1
    assert (sigmas[0], sigmas[count - 1], sigmas[count]) == (pytest.approx(SIGMA_MAX), pytest.approx(SIGMA_MIN), 0)
    assert sigmas == sorted(sigmas, reverse=True)


def test_the_level_in_the_middle_is_the_mean_of_seventh_roots() -> None:
    assert sigma_steps(3)[1] == pytest.approx(((SIGMA_MAX ** (1 / 7) + SIGMA_MIN ** (1 / 7)) / 2) ** 7)


def ideal(mean: float, std: float) -> Callable[[Tensor, float], Tensor]:
    """What noise takes away of a Gaussian, given back: E[y | y + n]."""
    return lambda x, sigma: (std**2 * x + sigma**2 * mean) / (std**2 + sigma**2)


def test_a_step_of_a_known_slope() -> None:
    """Data at 0 alone: dx/dσ = x/σ, which one mean of slopes follows exactly."""
    x = torch.tensor([6.0, -3.0])
    assert torch.allclose(heun_step(lambda x, _: torch.zeros_like(x), x, 3.0, 1.0), x / 3)
    assert torch.equal(heun_step(lambda x, _: torch.ones_like(x), x, 3.0, 0.0), torch.ones(2))


def test_a_step_takes_the_mean_of_both_slopes() -> None:
    x, sigma, following = torch.tensor([2.0]), 2.0, 1.0
    first = (2 - 2 * 0.25 / 4.25) / 2
    reached = 2 - first
    second = reached - reached * 0.25 / 1.25
    assert heun_step(ideal(0, 0.5), x, sigma, following).item() == pytest.approx(2 - (first + second) / 2)


def test_samples_of_a_gaussian_have_its_mean_and_variance() -> None:
    noise = torch.randn(200_000, generator=rng_at(0))
    samples = heun(ideal(0.3, 0.2), noise, sigma_steps(64))
    assert samples.mean().item() == pytest.approx(0.3, abs=0.003)
    assert samples.std().item() == pytest.approx(0.2, rel=0.01)


@pytest.mark.parametrize(("count", "wider"), [(10, 1.30), (18, 1.07), (40, 1.01)])
def test_too_few_steps_exaggerate_contrast_by_so_much(count: int, wider: float) -> None:
    one = heun(ideal(0, 0.2), torch.ones(1, dtype=torch.float64), sigma_steps(count)).item()
    assert one / 0.2 == pytest.approx(wider, abs=0.01)


def test_the_error_falls_with_the_square_of_the_step() -> None:
    """The ODE of a Gaussian has the solution μ + (x - μ)·√((s² + σ²) / (s² + σ_max²))."""
    noise = torch.tensor([1.0], dtype=torch.float64)
    exact = SIGMA_MAX * 0.2 / math.sqrt(0.2**2 + SIGMA_MAX**2)
    errors = [abs(heun(ideal(0, 0.2), noise, sigma_steps(count)).item() - exact) for count in (40, 80, 160)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("count", [2, 5])
def test_every_step_but_the_last_calls_the_network_twice(count: int) -> None:
    levels: list[float] = []

    def denoise(x: Tensor, sigma: float) -> Tensor:
        levels.append(sigma)
        return torch.zeros_like(x)

    heun(denoise, torch.zeros(1), sigma_steps(count))
    assert len(levels) == 2 * count - 1
    assert levels[-1] == pytest.approx(SIGMA_MIN)


def test_an_untrained_network_has_a_loss_of_one_at_every_noise_level() -> None:
    images, labels = torch.randn(256, 3, 16, 16) * SIGMA_DATA, torch.zeros(256, dtype=torch.int64)
    for mean in (-5.0, -1.2, 3.0):
        model = Diffusion(TOY.model_copy(update={"p_mean": mean, "p_std": 0.1}), 16)
        torch.nn.init.zeros_(model.network.last.weight)
        torch.nn.init.zeros_(model.network.last.bias)  # type: ignore[arg-type]
        assert model.loss("model", images, labels).total.item() == pytest.approx(1, rel=0.02)


def seen_in_training(config: DiffusionConfig, images: Tensor) -> Tensor:
    """What the network is given at next to no noise, in the units of the images."""
    model, seen = Diffusion(config.model_copy(update={"p_mean": -10.0, "p_std": 1e-3}), 16), []
    model.network.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    model.loss("model", images, torch.zeros(len(images), dtype=torch.int64))
    return seen[0] * SIGMA_DATA


def test_patches_are_trained_on_in_all_eight_orientations_where_asked_for() -> None:
    torch.manual_seed(0)
    one = torch.rand(1, 3, 16, 16).expand(64, 3, 16, 16)
    eight = dihedral(one[:8], torch.arange(8))
    nearest = (seen_in_training(TOY, one)[:, None] - eight).abs().flatten(2).amax(2).min(1)
    assert nearest.values.max() < 1e-2
    assert set(nearest.indices.tolist()) == set(range(8))
    unflipped = seen_in_training(TOY.model_copy(update={"flips": False}), one)
    assert torch.allclose(unflipped, one, atol=1e-2)


@pytest.mark.parametrize(("side", "unshuffle"), [(16, 1), (16, 2), (16, 4), (48, 4), (64, 2)])
def test_the_network_keeps_shapes_and_answers_to_noise_and_label(side: int, unshuffle: int) -> None:
    network, images = UNet(channels=4, blocks=2, unshuffle=unshuffle, dropout=0.0), torch.randn(2, 3, side, side)
    noise, labels = torch.tensor([0.1, 0.1]), torch.tensor([0, 0])
    output = network(images, noise, labels)
    assert output.shape == images.shape
    assert not torch.allclose(network(images, noise + 0.5, labels), output)
    changed = network(images, noise, torch.tensor([0, 1]))
    assert torch.allclose(changed[0], output[0], atol=1e-6)
    assert not torch.allclose(changed[1], output[1])


def test_a_block_adds_nothing_before_it_has_learned() -> None:
    network, images = UNet(channels=4, blocks=1, unshuffle=2, dropout=0.0), torch.randn(2, 3, 16, 16)
    features: list[Tensor] = []
    first = network.level.down[0]
    first.register_forward_hook(lambda _, inputs, output: features.extend((inputs[0], output)))
    network(images, torch.zeros(2), torch.tensor([0, 1]))
    assert torch.equal(features[0], features[1])


def test_blocks_of_pixels_that_do_not_divide_every_crop_are_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"generator\.unshuffle: 3 does not divide every crop; set it to 1, 2 or 4"
    ):
        DiffusionConfig(unshuffle=3)


def samples_of(model: Diffusion) -> Tensor:
    with torch.no_grad():
        return model.eval().sample(torch.tensor([0, 1]), rng_at(3))


def test_samples_come_from_the_average_which_follows_the_steps() -> None:
    torch.manual_seed(0)
    model = Diffusion(TOY, 16)
    before = samples_of(model)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    assert torch.equal(samples_of(model), before)
    model.after_step(0)
    assert not torch.equal(samples_of(model), before)
    weight, average = model.network.last.weight, model.average.network.last.weight  # type: ignore[union-attr]
    assert not torch.equal(average, weight)  # type: ignore[arg-type]


def test_a_step_of_the_trainer_updates_the_average() -> None:
    trainer = toy_trainer(TOY)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items() if name.startswith("average.")}
    advance(trainer, 2)
    after = trainer.model.state_dict()
    name = "average.network.last.bias"
    assert not torch.equal(after[name], before[name])
    assert not torch.equal(after[name], after["network.last.bias"])


def test_a_resumed_fit_ends_like_an_undisturbed_one_only_with_the_average_it_had() -> None:
    undisturbed, stopped = snapshot(advance(toy_trainer(TOY), 9)), snapshot(advance(toy_trainer(TOY), 5))
    averages = {name: value for name, value in snapshot(toy_trainer(TOY)).tensors.items() if ".average." in name}
    assert averages
    for kept, equal in ((stopped.tensors, True), ({**stopped.tensors, **averages}, False)):
        resumed = toy_trainer(TOY)
        resumed.load(State(kept, stopped.meta))
        assert same(snapshot(advance(resumed, 4)), undisturbed) is equal


def test_what_was_learned_of_each_class_is_sampled() -> None:
    """Dark patches of one class and bright ones of the other, a little noisy."""
    patches = toy_patches(64)
    bright = patches.labels.astype(bool)
    noise = patches.images.astype(int) // 32
    patches.images[:] = (noise + 200 * bright[:, None, None, None] + 20).astype("uint8")
    config = DiffusionConfig(channels=8, blocks=1, unshuffle=4, dropout=0.0, learning_rate=5e-3)
    torch.manual_seed(0)
    model = Diffusion(config, 16)
    advance(Trainer(model, TrainingBatches(patches, 16, 0, CPU), TrainingConfig(), 0, CPU), 100)
    with torch.no_grad():
        samples = model.eval().sample(torch.tensor([0, 1]).repeat_interleave(8), rng_at(0))
    dark, light = ((samples + 1) * 127.5).reshape(2, 8, -1).mean((1, 2)).tolist()
    assert dark == pytest.approx(24, abs=30)
    assert light == pytest.approx(224, abs=30)
