"""The projection GAN: its losses and penalties by hand, its augmentations, and its averaged weights in use."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_trainer import advance, snapshot, toy_trainer
from torch import Tensor, nn
from toys import CPU, same, toy_patches

from engine.batches import TrainingBatches
from engine.checkpoints import State
from engine.classifiers.augment import dihedral
from engine.generators.diff_augment import change_colours, cut_out, diff_augment, shifted
from engine.generators.projection_gan import ProjectionGan, hinge, relativistic, squared_gradient_norms, trapezium
from engine.generators.residual import (
    Doubled,
    ProjectionDiscriminator,
    ResidualGenerator,
    UnitSpectrum,
    normalise_spectra,
)
from engine.randomness import generator as rng_at
from engine.spec.config import TrainingConfig
from engine.spec.errors import ConfigError
from engine.spec.generator_config import GanConfig, ProjectionGanConfig
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply
from engine.trainer import Trainer

TOY = ProjectionGanConfig(latent_dim=4, channels=2)
SAFE = {"flips": False, "translation": 0.0, "cutout": 0.0, "colour": 0.0}
"""Settings under which the discriminator sees patches as they are."""


def toy_gan(side: int = 16, **settings: Any) -> ProjectionGan:
    torch.manual_seed(0)
    return ProjectionGan(ProjectionGanConfig(**{"latent_dim": 4, "channels": 2, **settings}), side)


def largest_singular_values(network: nn.Module) -> list[float]:
    layers = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding))
    return [torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() for layer in layers]


def test_spectral_normalisation_holds_the_largest_singular_value_of_every_layer_at_one() -> None:
    torch.manual_seed(0)
    network = ProjectionDiscriminator(4, spectral=True)
    for _ in range(60):
        network(torch.randn(1, 3, 16, 16), torch.tensor([1]))
    values = largest_singular_values(network)
    assert len(values) == 15
    assert values == pytest.approx([1.0] * len(values), rel=1e-3)
    free = largest_singular_values(ProjectionDiscriminator(4, spectral=False))
    assert max(abs(value - 1) for value in free) > 0.3


def test_singular_values_stay_at_one_while_weights_are_trained() -> None:
    trainer = toy_trainer(TOY.model_copy(update={"spectral_norm": True}))
    advance(trainer, 8)
    values = largest_singular_values(trainer.model.discriminator)  # type: ignore[arg-type]
    assert values == pytest.approx([1.0] * len(values), rel=0.1)


def test_the_singular_value_is_followed_in_training_alone() -> None:
    layer = nn.Linear(5, 7)
    normalise_spectra(layer)
    spectrum = layer.parametrizations.weight[0]  # type: ignore[union-attr, index]
    assert isinstance(spectrum, UnitSpectrum)
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(torch.randn(7, 5))  # type: ignore[union-attr, operator]
    before = spectrum.left.clone()
    layer.eval()(torch.randn(2, 5))
    assert torch.equal(spectrum.left, before)
    layer.train()(torch.randn(2, 5))
    assert not torch.equal(spectrum.left, before)


def test_the_length_of_spectrally_normalised_weights_has_no_gradient() -> None:
    """W / σ(W) does not change with the length of W, so no loss of it has a slope along W."""
    weight = torch.randn(6, 4, requires_grad=True)
    spectrum = UnitSpectrum(weight)
    spectrum._iterate(weight.detach(), 200)
    (slope,) = torch.autograd.grad((spectrum(weight) * torch.randn(6, 4)).sum(), weight)
    assert (slope * weight).sum().item() == pytest.approx(0, abs=1e-5)
    assert slope.norm() > 0.1


def test_hinge_of_known_scores() -> None:
    assert hinge(torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 0.5])).item() == pytest.approx(0.5 + 0.75)
    assert hinge(torch.tensor([1.0]), torch.tensor([-1.0])) == 0


def test_the_relativistic_loss_is_of_differences_pair_by_pair() -> None:
    real, fake = torch.tensor([1.0, 7.0]), torch.tensor([0.0, 9.0])
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(2))) / 2
    assert relativistic(real, fake).item() == pytest.approx(expected)
    assert relativistic(real + 5, fake + 5).item() == pytest.approx(expected)
    assert relativistic(real, real).item() == pytest.approx(math.log(2))


class Quadratic(nn.Module):
    """D(x) = a ‖x‖² / 2, whose slope is a x."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        return self.a * images.flatten(1).square().sum(1) / 2


def test_the_squared_slope_is_that_of_the_closed_form_and_reaches_the_discriminator() -> None:
    critic, images = Quadratic(3.0), torch.randn(6, 3, 2, 2)
    lengths = images.square().flatten(1).sum(1)
    penalties = squared_gradient_norms(critic, images, torch.zeros(6))
    assert torch.allclose(penalties, 9 * lengths)
    penalties.mean().backward()  # type: ignore[no-untyped-call]
    assert critic.a.grad is not None and critic.a.grad.item() == pytest.approx(6 * lengths.mean().item(), rel=1e-5)


def test_the_squared_slope_is_float32_whatever_the_rest_is() -> None:
    discriminator, images = ProjectionDiscriminator(2, spectral=False), torch.randn(3, 3, 16, 16)
    labels = torch.tensor([0, 1, 1])
    with torch.autocast("cpu", torch.bfloat16):
        half = squared_gradient_norms(discriminator, images, labels)
    assert half.dtype == torch.float32
    assert torch.equal(half, squared_gradient_norms(discriminator, images, labels))


@pytest.mark.parametrize(("r1", "r2"), [(0.0, 0.0), (4.0, 0.0), (0.0, 6.0), (4.0, 6.0)])
def test_penalties_are_added_by_half_their_weights(r1: float, r2: float) -> None:
    model = toy_gan(r1=r1, r2=r2)
    loss = model.loss("discriminator", torch.rand(8, 3, 16, 16), torch.arange(8) % 2)
    assert {"r1", "r2"} & set(loss.terms) == {name for name, weight in (("r1", r1), ("r2", r2)) if weight}
    penalties = sum(weight / 2 * loss.terms[name] for name, weight in (("r1", r1), ("r2", r2)) if weight)
    assert loss.total.item() == pytest.approx((loss.terms["loss_d"] + penalties).item())


@pytest.mark.parametrize(("share", "patches"), [(1.0, 8), (0.5, 4), (0.01, 1)])
def test_slopes_are_penalised_at_a_share_of_the_batch(share: float, patches: int) -> None:
    model, batches = toy_gan(r1=1.0, r2=1.0, penalty_share=share), []
    model.discriminator.register_forward_hook(lambda _, inputs, __: batches.append(len(inputs[0])))
    model.loss("discriminator", torch.rand(8, 3, 16, 16), torch.arange(8) % 2)
    assert batches == [16, 2 * patches]


def test_penalties_are_at_real_and_at_generated_patches() -> None:
    images, seen = torch.rand(4, 3, 16, 16), []
    model = toy_gan(r1=1.0, r2=1.0, penalty_share=1.0, **SAFE)
    model.discriminator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    model.loss("discriminator", images, torch.tensor([0, 1, 1, 0]))
    judged, penalised = seen
    assert torch.equal(judged, penalised) and torch.equal(judged[:4], images) and not torch.equal(judged[4:], images)


@pytest.mark.parametrize("loss", ["hinge", "relativistic"])
def test_the_generators_loss_is_that_of_the_scores_of_its_patches(loss: str) -> None:
    model, scores = toy_gan(loss=loss, **SAFE), []
    model.discriminator.register_forward_hook(lambda _, __, output: scores.append(output.detach()))
    images, labels = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 1, 0])
    found = model.loss("generator", images, labels).total
    fake = scores[0]
    expected = (
        -fake.mean() if loss == "hinge" else torch.log1p((model.discriminator(images, labels) - fake).exp()).mean()
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_score_has_a_part_for_all_classes_and_the_projection_onto_its_own() -> None:
    torch.manual_seed(0)
    discriminator, images = ProjectionDiscriminator(2, spectral=False), torch.randn(2, 3, 16, 16)
    features: list[Tensor] = []
    discriminator.score.register_forward_hook(lambda _, inputs, __: features.append(inputs[0]))
    labels = torch.tensor([0, 1])
    scores, swapped = discriminator(images, labels), discriminator(images, 1 - labels)
    common, vectors = discriminator.score, discriminator.of_class.weight
    for given, found in ((labels, scores), (1 - labels, swapped)):
        for each in range(2):
            phi = features[0][each]
            expected = common.weight[0] @ phi + common.bias[0] + vectors[given[each]] @ phi
            assert found[each].item() == pytest.approx(expected.item(), rel=1e-4)
    assert ((scores - swapped).abs() > 1e-3).all()


def test_generated_patches_are_judged_with_the_labels_they_were_made_for() -> None:
    model, seen = toy_gan(r1=0.0, r2=0.0), []
    for network in (model.generator, model.discriminator):
        network.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1].tolist()))
    labels = torch.tensor([0, 1, 1, 0])
    for phase in ("discriminator", "generator"):
        model.loss(phase, torch.zeros(4, 3, 16, 16), labels)
    given = labels.tolist()
    assert seen == [given, given * 2, given, given, given]


def test_a_discriminator_step_leaves_the_generator_without_gradient() -> None:
    model = toy_gan()
    model.loss("discriminator", torch.zeros(4, 3, 16, 16), torch.tensor([0, 1, 1, 0])).total.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in model.generator.parameters())
    assert all(parameter.grad is not None for parameter in model.discriminator.parameters())


def test_phases_have_rates_of_their_own_and_the_generators_comes_less_often() -> None:
    model = toy_gan(discriminator_steps=3, discriminator_learning_rate=4e-4, generator_learning_rate=1e-4)
    discriminator, generator = model.phases()
    assert (discriminator.every, generator.every) == (1, 3)
    assert (discriminator.learning_rate, generator.learning_rate) == (4e-4, 1e-4)
    assert discriminator.schedule is generator.schedule is trapezium


def test_learning_rates_rise_at_first_and_fall_in_the_second_half() -> None:
    shares = [trapezium(done) for done in (0.0, 0.025, 0.05, 0.5, 0.75, 1.0)]
    assert shares == pytest.approx([0, 0.5, 1, 1, 0.5, 0])


def test_shifts_move_pixels_and_leave_nothing_behind() -> None:
    image = torch.arange(1.0, 10.0).view(1, 1, 3, 3).expand(2, 1, 3, 3)
    moved = shifted(image, torch.tensor([1, 0]), torch.tensor([-1, 2]))
    assert moved[0, 0].tolist() == [[0, 0, 0], [2, 3, 0], [5, 6, 0]]
    assert moved[1, 0].tolist() == [[0, 0, 1], [0, 0, 4], [0, 0, 7]]


def test_a_square_is_cut_out_even_where_it_is_half_outside() -> None:
    cut = cut_out(torch.ones(2, 1, 4, 4), 2, torch.tensor([1, -1]), torch.tensor([2, 3]))
    assert cut[0, 0].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    assert cut[1, 0].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_colours_at_known_amounts() -> None:
    images, nothing = torch.randn(1, 3, 2, 2), torch.zeros(1, 1, 1, 1)
    one = torch.ones(1, 1, 1, 1)
    assert torch.equal(change_colours(images, nothing, nothing, nothing), images)
    assert torch.allclose(change_colours(images, one, nothing, nothing), images + 0.5)
    grey = change_colours(images, nothing, -one, nothing)
    assert torch.allclose(grey, images.mean(1, keepdim=True).expand_as(images))
    flat = change_colours(images, nothing, nothing, -one)
    assert torch.allclose(flat - images.mean(), (images - images.mean()) / 2, atol=1e-6)


def test_a_mild_strength_changes_colours_little() -> None:
    torch.manual_seed(0)
    images = torch.rand(64, 3, 8, 8) * 2 - 1
    changes = [(diff_augment(images, 0, 0, strength) - images).abs().mean().item() for strength in (0.1, 1.0)]
    assert 0 < changes[0] < 0.06 < 0.2 < changes[1]


def test_what_is_switched_off_changes_nothing() -> None:
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(diff_augment(images, 0, 0, 0), images)


@pytest.mark.parametrize(
    "operation",
    [
        lambda images: shifted(images, torch.tensor([1, -2]), torch.tensor([0, 1])),
        lambda images: cut_out(images, 2, torch.tensor([0, 1]), torch.tensor([1, -1])),
        lambda images: change_colours(
            images, *(torch.full((2, 1, 1, 1), amount, dtype=torch.float64) for amount in (0.1, 0.2, -0.3))
        ),
    ],
)
def test_gradients_go_through_every_augmentation(operation: Callable[[Tensor], Tensor]) -> None:
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(operation, images)


def test_the_generator_is_reached_through_the_augmentations() -> None:
    model = toy_gan()
    model.loss("generator", torch.zeros(4, 3, 16, 16), torch.tensor([0, 1, 1, 0])).total.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in model.generator.parameters())
    assert sum(parameter.grad.abs().sum().item() for parameter in model.generator.parameters()) > 0  # type: ignore[union-attr]


class Dots(nn.Module):
    """A generator of one picture: a bright pixel in the middle."""

    latent_size = 1

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return dots(len(z))


def dots(count: int) -> Tensor:
    images = torch.zeros(count, 3, 16, 16)
    images[:, :, 8, 8] = 1
    return images


def test_real_and_generated_patches_are_augmented_alike() -> None:
    """The same picture as both: where its dot is moved to is as often anywhere for the one as for the other."""
    model = toy_gan(r1=0.0, r2=0.0, flips=False, cutout=0.0, colour=0.0, translation=0.125)
    model.generator = Dots()  # type: ignore[assignment]
    shown: list[Tensor] = []
    model.discriminator.register_forward_hook(lambda _, inputs, __: shown.append(inputs[0].detach()))
    labels, count = torch.arange(1000) % 2, 1000
    model.loss("discriminator", dots(count), labels)
    model.loss("generator", dots(count), labels)
    real, generated, real_again = shown[0][:count], shown[0][count:], shown[2]
    for images in (real, generated, shown[1], real_again):
        places = Counter(images[:, 0].flatten(1).argmax(1).tolist())
        assert set(places) == {16 * row + column for row in range(6, 11) for column in range(6, 11)}
        assert min(places.values()) > 15 and max(places.values()) < 75
    assert not torch.equal(real, generated)


def test_real_patches_are_shown_in_all_eight_orientations_where_asked_for() -> None:
    torch.manual_seed(0)
    one = torch.rand(1, 3, 16, 16)
    eight = dihedral(one.expand(8, -1, -1, -1), torch.arange(8))
    for flips, expected in ((True, set(range(8))), (False, {0})):
        model, seen = toy_gan(r1=0.0, r2=0.0, **{**SAFE, "flips": flips}), []
        model.discriminator.register_forward_hook(lambda _, inputs, __, seen=seen: seen.append(inputs[0]))
        model.loss("discriminator", one.expand(64, -1, -1, -1), torch.arange(64) % 2)
        found = {next(n for n in range(8) if torch.equal(eight[n], image)) for image in seen[0][:64]}
        assert found == expected


def test_augmentations_keep_float32_within_half_precision() -> None:
    images = torch.rand(4, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        moved = diff_augment(images, 0.125, 0, 0)
    assert moved.dtype == torch.float32
    assert set(moved.flatten().tolist()) <= {0.0, *images.flatten().tolist()}


def samples_of(model: ProjectionGan) -> Tensor:
    with torch.no_grad():
        return model.eval().sample(torch.tensor([0, 1]), rng_at(3))


def test_a_sample_does_not_depend_on_those_beside_it() -> None:
    torch.manual_seed(0)
    network = ResidualGenerator(4, 2, 32)
    z, labels = torch.randn(5, network.latent_size), torch.tensor([0, 1, 1, 0, 1])
    assert network.latent_size == 4 + 4**2 + 8**2 + 16**2
    assert torch.allclose(network(z, labels)[2:3], network(z[2:3], labels[2:3]), atol=1e-6)


@pytest.mark.parametrize("side", [1, 2, 6])
def test_sides_are_doubled_as_by_interpolation(side: int) -> None:
    x = torch.randn(2, 3, side, side)
    expected = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    assert torch.allclose(Doubled(side)(x), expected, atol=1e-6)


def test_every_part_of_z_tells_in_the_sample() -> None:
    torch.manual_seed(0)
    network, labels = ResidualGenerator(4, 2, 16), torch.tensor([0])
    z = torch.randn(1, network.latent_size)
    for place in (0, 4, 4 + 2**2, network.latent_size - 1):
        changed = z.clone()
        changed[0, place] += 1
        assert not torch.equal(network(changed, labels), network(z, labels)), place


def test_samples_come_from_the_average_which_follows_the_generators_steps() -> None:
    model = toy_gan(discriminator_steps=2)
    before = samples_of(model)
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    assert torch.equal(samples_of(model), before)
    model.after_step(0)
    assert torch.equal(samples_of(model), before)
    model.after_step(1)
    assert not torch.equal(samples_of(model), before)


def test_a_step_of_the_trainer_updates_the_average() -> None:
    trainer = toy_trainer(TOY)
    before = snapshot(trainer).tensors
    after = snapshot(advance(trainer, 2)).tensors
    average, weight = (f"model.{part}.first.weight" for part in ("average.network", "generator"))
    assert not torch.equal(after[average], before[average])
    assert not torch.equal(after[average], after[weight])


@pytest.mark.parametrize("lost", [".average.", ".left"])
def test_a_resumed_fit_ends_like_an_undisturbed_one_only_with_all_it_had(lost: str) -> None:
    """The averaged weights, and the vectors by which singular values are followed."""
    config = TOY.model_copy(update={"spectral_norm": True, "discriminator_steps": 2})
    undisturbed, stopped = snapshot(advance(toy_trainer(config), 9)), snapshot(advance(toy_trainer(config), 5))
    fresh = {name: value for name, value in snapshot(toy_trainer(config)).tensors.items() if lost in name}
    assert fresh
    for kept, equal in ((stopped.tensors, True), ({**stopped.tensors, **fresh}, False)):
        resumed = toy_trainer(config)
        resumed.load(State(kept, stopped.meta))
        assert same(snapshot(advance(resumed, 4)), undisturbed) is equal


def test_what_was_learned_of_each_class_is_sampled_without_collapsing() -> None:
    """Dark patches of one class and bright ones of the other, each in many shades."""
    patches = toy_patches(256)
    shades = torch.rand(256, generator=rng_at(0)).numpy() * 60
    base = 30 + 130 * patches.labels + shades
    patches.images[:] = (base[:, None, None, None] + patches.images % 16).astype("uint8")
    rates = {"discriminator_learning_rate": 2e-3, "generator_learning_rate": 2e-3}
    model = toy_gan(channels=4, latent_dim=8, **rates)
    advance(Trainer(model, TrainingBatches(patches, 16, 0, CPU), TrainingConfig(), 0, CPU, steps=150), 150)
    with torch.no_grad():
        samples = model.eval().sample(torch.tensor([0, 1]).repeat_interleave(64), rng_at(0))
    shade = ((samples + 1) * 127.5).mean((1, 2, 3)).reshape(2, 64)
    dark, light = shade.mean(1).tolist()
    assert dark < 110 and light > 145
    assert (shade.std(1) > 0.4 * 60 / math.sqrt(12)).all()


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("cutout", 1.0, "less than 1"),
        ("translation", 0.6, "less than or equal to 0.5"),
        ("penalty_share", 0.0, "greater than 0"),
        ("loss", "hing", "hinge"),
        ("r1", -1.0, "greater than or equal to 0"),
        ("spectral_normalisation", True, "spectral_norm"),
    ],
)
def test_settings_out_of_bounds_are_named(setting: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        apply(PRESETS["gan-stable"].config, [{"generator": {setting: value}}])
    assert f"generator.{setting}" in str(error.value) and words in str(error.value)


def test_the_gradient_penalty_preset_has_the_networks_and_the_loss_of_the_clipped_one() -> None:
    clipped, penalised = (PRESETS[name].config.generator for name in ("gan-wasserstein", "gan-wgan-gp"))
    assert isinstance(clipped, GanConfig) and isinstance(penalised, GanConfig)
    differs = {name for name, value in clipped if value != getattr(penalised, name)}
    assert differs == {
        *("weight_clip", "gradient_penalty", "discriminator_steps", "beta1", "beta2"),
        *("discriminator_learning_rate", "generator_learning_rate"),
    }
    assert (penalised.weight_clip, penalised.gradient_penalty, penalised.discriminator_norm) == (None, 10, "none")
