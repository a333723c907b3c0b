"""Generators and losses on toy sizes: shapes, bounds, closed forms."""

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from toys import toy_patches

from engine.batches import to_bytes, to_float
from engine.classifiers.augment import dihedral, shift_colours
from engine.generators import GENERATORS, build_generator
from engine.generators.base import Generator, LatentGenerator, Passes, Phase, parameters_of
from engine.generators.gan import Gan, discriminator_bce, gradient_penalty, non_saturating_loss
from engine.generators.vae import Vae, kl_to_standard_normal, squared_error
from engine.randomness import generator as rng_at
from engine.spec.errors import ConfigError
from engine.spec.first_run import FIRST_PRESET
from engine.spec.generator_config import (
    DiffusionConfig,
    FlowConfig,
    GanConfig,
    GeneratorConfig,
    LatentFlowConfig,
    NullConfig,
    ProjectionGanConfig,
    TransformerConfig,
    VaeConfig,
    VqvaeConfig,
)
from engine.spec.presets import PRESETS
from engine.spec.resolve import kinds
from engine.spec.study import all_rows, select

TOYS: dict[str, GeneratorConfig] = {
    "diffusion": DiffusionConfig(channels=2, blocks=1, sampling_steps=2),
    "vae": VaeConfig(latent_dim=3, channels=2),
    "gan": GanConfig(latent_dim=3, channels=2, embedding_dim=4),
    "latent-flow": LatentFlowConfig(
        latent_dim=3, channels=2, latent_prior=FlowConfig(width=8, blocks=1, sampling_steps=2)
    ),
    "null": NullConfig(components=3),
    "projection-gan": ProjectionGanConfig(latent_dim=3, channels=2, spectral_norm=True),
    "vqvae": VqvaeConfig(
        channels=2,
        blocks=1,
        codebook_size=8,
        code_dim=2,
        latent_prior=TransformerConfig(width=8, layers=1, heads=2),
    ),
}
APPLICATION = Path(__file__).resolve().parents[1] / "histotui"
BLIND = VaeConfig(latent_dim=3, channels=2, prior="gaussian", conditional=False)


def toy_passes(side: int, count: int = 40) -> Passes:
    """Patches whose brightness tells the class, in batches of 16."""

    def passes() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        patches = toy_patches(count, side)
        labels = torch.from_numpy(patches.labels.astype("int64"))
        for start in range(0, count, 16):
            yield to_float(torch.from_numpy(patches.images[start : start + 16])), labels[start : start + 16]

    return passes


@torch.no_grad()
def fitted(config: GeneratorConfig, side: int) -> Generator:
    """A generator that has seen toy patches, as far as it takes them at once."""
    torch.manual_seed(0)
    model = build_generator(config, side).eval()
    model.fit(toy_passes(side), rng_at(0))
    if isinstance(model, LatentGenerator):
        model.latent_prior.prepare(latent_passes(model, side), rng_at(0))
    return model


def latent_passes(model: LatentGenerator, side: int) -> Passes:
    """The latents of toy patches."""
    return lambda: ((model.latents(images, labels), labels) for images, labels in toy_passes(side)())


def test_registry_and_configuration_name_the_same_generators() -> None:
    assert set(GENERATORS) == set(kinds()["generator"]) == set(TOYS)


@pytest.mark.parametrize("side", [16, 64, 96])
@pytest.mark.parametrize("kind", TOYS)
def test_samples_are_bounded_and_follow_the_generator_alone(kind: str, side: int) -> None:
    model = fitted(TOYS[kind], side)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("latent_prior"):
                parameter.mul_(30)  # far enough that an unbounded output would leave [-1, 1]
        labels = torch.tensor([0, 1, 1])
        one, other = (model.sample(labels, rng_at(5, "x")) for _ in range(2))
    assert one.shape == (3, 3, side, side)
    assert one.abs().max() <= 1
    assert torch.equal(one, other)
    assert not torch.equal(one[1], one[2])


@pytest.mark.parametrize("kind", TOYS)
def test_the_label_decides_the_sample(kind: str) -> None:
    model = fitted(TOYS[kind], 16)
    with torch.no_grad():
        normal, tumour = (model.sample(torch.full((32,), label), rng_at(1)) for label in (0, 1))
    assert not torch.equal(normal, tumour)


def test_the_null_generator_has_the_classes_means_and_spread() -> None:
    model = fitted(NullConfig(components=39), 16)
    images = torch.cat([images for images, _ in toy_passes(16)()])
    labels = torch.cat([labels for _, labels in toy_passes(16)()])
    with torch.no_grad():
        made = [model.sample(torch.full((400,), label), rng_at(label)) for label in (0, 1)]
    for label, samples in enumerate(made):
        real = images[labels == label]
        assert samples.mean().item() == pytest.approx(real.mean().item(), abs=0.02)
        assert samples.var(0).sum().item() == pytest.approx(real.var(0, correction=0).sum().item(), rel=0.1)


def test_components_that_the_patches_do_not_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"more than 40 training patches and there are 40; set it to at most 39"):
        build_generator(NullConfig(components=40), 16).require([19, 21])
    with pytest.raises(ConfigError, match="class 1 has 1 training patches, and a Gaussian needs two at least"):
        build_generator(NullConfig(components=3), 16).require([39, 1])
    with pytest.raises(ConfigError, match="4000 are more than the 768 values of a patch"):
        build_generator(NullConfig(components=4000), 16)


def test_steps_of_the_null_generator_are_refused() -> None:
    with pytest.raises(ValueError, match="has no phase 'model'"):
        build_generator(NullConfig(), 16).loss("model", torch.zeros(1, 3, 16, 16), torch.zeros(1, dtype=torch.int64))


@torch.no_grad()
def test_a_fitted_prior_is_the_aggregate_posterior_of_each_class() -> None:
    model = fitted(BLIND, 16)
    assert isinstance(model, Vae) and model.prior is not None
    images = torch.cat([images for images, _ in toy_passes(16)()])
    labels = torch.cat([labels for _, labels in toy_passes(16)()])
    mu, log_var = model.encode(images, labels)
    for label in (0, 1):
        mine = mu[labels == label].double()
        covariance = torch.cov(mine.mT, correction=0) + torch.diag(log_var[labels == label].exp().mean(0).double())
        found = model.prior.factor[label].double()
        assert torch.allclose(model.prior.mean[label].double(), mine.mean(0), atol=1e-5)
        assert torch.allclose(found @ found.mT, covariance, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_networks_that_are_not_told_the_label_do_not_depend_on_it() -> None:
    images, z = torch.rand(2, 3, 16, 16), torch.randn(2, 3)
    for config, depends in ((BLIND, False), (TOYS["vae"], True)):
        model = build_generator(config, 16).eval()
        assert isinstance(model, Vae)
        ones, others = torch.tensor([0, 0]), torch.tensor([1, 1])
        assert torch.equal(model.encode(images, ones)[0], model.encode(images, others)[0]) != depends
        assert torch.equal(model.decode(z, ones), model.decode(z, others)) != depends


def test_a_standard_prior_is_left_alone() -> None:
    before, model = build_generator(TOYS["vae"], 16).state_dict(), fitted(TOYS["vae"], 16)
    assert before.keys() == model.state_dict().keys() and not any(name.startswith("prior") for name in before)


def test_something_must_know_the_class() -> None:
    with pytest.raises(ValidationError, match=r"set generator\.conditional to true or generator\.prior to 'gaussian'"):
        VaeConfig(conditional=False)


def test_kl_of_known_gaussians() -> None:
    assert kl_to_standard_normal(torch.zeros(4, 5), torch.zeros(4, 5)) == 0
    mu, log_var = torch.full((2, 3), 1.0), torch.full((2, 3), math.log(4.0))
    assert kl_to_standard_normal(mu, log_var).item() == pytest.approx(3 * 0.5 * (1 + 4 - 1 - math.log(4)))


def test_squared_error_is_in_units_of_the_channel_range() -> None:
    black, white = torch.full((2, 3, 4, 4), -1.0), torch.full((2, 3, 4, 4), 1.0)
    assert squared_error(black, white) == 3 * 4 * 4


def test_vae_loss_adds_its_terms() -> None:
    model = build_generator(VaeConfig(latent_dim=3, channels=2, kl_weight=0.5), 16)
    loss = model.loss("model", torch.zeros(4, 3, 16, 16), torch.tensor([0, 1, 0, 1]))
    assert loss.total.item() == pytest.approx((loss.terms["recon"] + 0.5 * loss.terms["kl"]).item())


def test_gan_losses_from_known_logits() -> None:
    even = torch.zeros(3)
    assert discriminator_bce(even, even).item() == pytest.approx(2 * math.log(2))
    assert non_saturating_loss(even).item() == pytest.approx(math.log(2))
    assert discriminator_bce(torch.full((3,), 50.0), torch.full((3,), -50.0)).item() == pytest.approx(0, abs=1e-6)


class Linear(nn.Module):
    """A critic whose slope is known."""

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return 3 * images[:, 0, 0, 0] + 4 * images[:, 0, 0, 1]


def test_gradient_penalty_of_a_known_slope() -> None:
    images = torch.randn(5, 3, 4, 4)
    assert gradient_penalty(Linear(), images, -images, torch.zeros(5)).item() == pytest.approx((5 - 1) ** 2, rel=1e-5)


class Weighted(nn.Module):
    """A critic ⟨w, x⟩ that notes what it is shown, and in which dtype it computes."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.linear = nn.Linear(len(weights), 1, bias=False)
        self.seen: list[torch.Tensor] = []
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([weights]))

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.seen += [images, labels]
        scores = self.linear(images.flatten(1))
        assert scores.dtype == torch.float32
        return scores.squeeze(1)


@pytest.mark.parametrize("weights", [(0.6, 0.0, 0.0), (1.2, 1.6, 0.0)])
def test_the_penalty_has_two_sides_and_its_gradient_reaches_the_critic(weights: tuple[float, ...]) -> None:
    """(‖w‖ - 1)², whose gradient is 2 (‖w‖ - 1) w / ‖w‖: a slope below 1 is raised and one above it lowered."""
    critic, length = Weighted(*weights), math.hypot(*weights)
    # Half precision around it must not matter.
    with torch.autocast("cpu", torch.bfloat16):
        penalty = gradient_penalty(critic, torch.randn(4, 3, 1, 1), torch.randn(4, 3, 1, 1), torch.zeros(4))
    assert penalty.item() == pytest.approx((length - 1) ** 2, rel=1e-5)
    penalty.backward()
    expected = [2 * (length - 1) * weight / length for weight in weights]
    assert critic.linear.weight.grad is not None
    assert critic.linear.weight.grad[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_the_penalty_is_taken_at_a_place_of_its_own_between_each_pair_with_its_label() -> None:
    critic, images, fakes = Weighted(1, 1, 1), torch.zeros(64, 3, 1, 1), torch.ones(64, 3, 1, 1)
    labels = torch.arange(64) % 2
    gradient_penalty(critic, images, fakes, labels)
    between, given = critic.seen
    places = between[:, 0, 0, 0]
    assert torch.equal(between, places[:, None, None, None].expand_as(between))
    assert places.min() < 0.1 < 0.9 < places.max() and len(set(places.tolist())) > 60
    assert torch.equal(given, labels)


def test_generated_patches_are_judged_with_the_labels_they_were_made_for() -> None:
    model = build_generator(TOYS["gan"], 16)
    assert isinstance(model, Gan)
    seen = []
    model.generator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1].tolist()))
    model.discriminator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1].tolist()))
    labels = torch.tensor([0, 1, 1, 0])
    for phase in ("discriminator", "generator"):
        model.loss(phase, torch.zeros(4, 3, 16, 16), labels)
    assert seen == [labels.tolist()] * 5


def test_discriminator_steps_leave_the_generator_without_gradient() -> None:
    model = build_generator(TOYS["gan"], 16)
    assert isinstance(model, Gan)
    model.loss("discriminator", torch.zeros(4, 3, 16, 16), torch.tensor([0, 1, 1, 0])).total.backward()
    assert all(parameter.grad is None for parameter in parameters_of(model.generator))
    assert all(parameter.grad is not None for parameter in parameters_of(model.discriminator))


def phases_of(model: Generator) -> list[Phase]:
    """The phases of a generator and, where it has one, of its latent prior."""
    return [*model.phases(), *(model.latent_prior.phases() if isinstance(model, LatentGenerator) else ())]


def test_phases_hold_every_parameter_once() -> None:
    for kind, config in TOYS.items():
        model = build_generator(config, 16)
        held = [parameter for phase in phases_of(model) for parameter in phase.parameters]
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        assert len(held) == len({id(parameter) for parameter in held}) == len(trained), kind


def test_bytes_survive_the_way_to_floats_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert torch.equal(to_bytes(to_float(every)), every)


def test_values_out_of_range_are_clamped_and_never_wrap() -> None:
    values = torch.tensor([-3.0, -1.01, 1.01, 3.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert to_bytes(values)[0, :, :, 0].flatten().tolist() == [0, 0, 255, 255]


def test_the_eight_orientations_are_eight() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3).expand(8, 3, 3, 3)
    turned = dihedral(image, torch.arange(8))
    assert len({tuple(each.flatten().tolist()) for each in turned}) == 8
    assert torch.equal(turned[0], image[0])
    assert torch.equal(turned[1], image[0].flip(1))
    assert torch.equal(turned[4], image[0].transpose(1, 2))


def test_colour_shifts_stay_in_range_and_are_per_channel() -> None:
    shifted = shift_colours(torch.full((4, 3, 2, 2), 0.9), 0.5)
    assert shifted.abs().max() <= 1
    assert len(set(shifted[:, :, 0, 0].flatten().tolist())) > 4


def losses(config: GeneratorConfig) -> set[str]:
    """What one generator calls its losses, those over an epoch too."""
    model = fitted(config, 16)
    found = set(model.epoch_terms())
    parts = [(model, toy_passes(16))]
    if isinstance(model, LatentGenerator):
        parts.append((model.latent_prior, latent_passes(model, 16)))
    for part, passes in parts:
        images, labels = next(iter(passes()))
        for phase in part.phases():
            found |= set(part.loss(phase.name, images, labels).terms)
    return found


def with_every_loss() -> list[GeneratorConfig]:
    """Toys of every kind, and with what is left out by default."""
    return [
        *TOYS.values(),
        VaeConfig(latent_dim=3, channels=2, likelihood="learned", spectral_weight=1.0),
        GanConfig(
            latent_dim=3,
            channels=2,
            embedding_dim=4,
            loss="wasserstein",
            gradient_penalty=10.0,
            discriminator_norm="none",
        ),
        ProjectionGanConfig(latent_dim=3, channels=2, r1=1.0, r2=1.0),
    ]


def said(source: str) -> set[str]:
    """Every name and every word of every text of a module but for what its docstrings say."""
    tree = ast.parse(source)
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documented]
    words = (word for node in texts for word in re.findall(r"\w[\w.-]*", str(node.value)))
    return found | {word.rstrip(".-") for word in words}


def test_the_application_names_no_generator_and_none_of_its_losses() -> None:
    generating = {name for name, preset in PRESETS.items() if preset.config.generator is not None}
    known = generating.union(GENERATORS, *map(losses, with_every_loss()))
    assert {"vae", "vae-2000", "recon", "flow_matching", "nats_per_code", "d_fake", "codebook_usage"} <= known
    assert {"pixel_std", "spectral", "gradient_penalty", "r1", "r2"} <= known
    # The benchmark's own runs stand in for those of an engine, and log what one would.
    paths = [path for path in APPLICATION.rglob("*.py") if path.parent.name != "bench"]
    assert {str(path): told for path in paths if (told := said(path.read_text(encoding="utf-8")) & known)} == {}
    assert said('"""vae"""\nx = "a vae-500." if kl else y.recon') & known == {"vae-500", "kl", "recon"}
    assert FIRST_PRESET in PRESETS


@pytest.mark.parametrize("path", sorted((APPLICATION / "commands").glob("*.py")), ids=lambda path: path.stem)
def test_examples_name_presets_that_there_are(path: Path) -> None:
    examples = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("    histotui ")]
    named = [name for line in examples for name in re.findall(r"--preset (\S+)|histotui presets (\S+)", line)]
    assert [name for pair in named for name in pair if name and name not in PRESETS] == []
    rows = [word for line in examples for word in re.findall(r"--rows '?([^'\s]+)", line)]
    assert all(select(word.split(","), all_rows()) for word in rows)
