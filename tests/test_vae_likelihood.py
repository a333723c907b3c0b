"""What the VAE's loss may have beside the study's: a learned variance of pixels, and a term for spatial frequencies."""

import math

import pytest
import torch
from pydantic import ValidationError
from toys import CPU, toy_patches

from engine.batches import TrainingBatches
from engine.generators.vae import Vae, negative_log_likelihood, spectral_error, squared_error
from engine.randomness import generator as rng_at
from engine.randomness import seed_torch
from engine.spec.config import TrainingConfig
from engine.spec.generator_config import VaeConfig
from engine.trainer import Trainer

LEARNED = VaeConfig(latent_dim=3, channels=2, likelihood="learned", learning_rate=0.02)


def test_with_the_variance_of_the_study_it_is_the_squared_error_but_for_a_constant() -> None:
    log_std = torch.tensor(-0.5 * math.log(2))
    first, second = (negative_log_likelihood(torch.tensor(error), log_std, 12) for error in (3.0, 8.0))
    assert float(second - first) == pytest.approx(5)


def test_the_likelihood_is_that_of_a_normal_distribution() -> None:
    images, means, std = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4), 0.3
    error = (images - means).square().sum()
    exact = -torch.distributions.Normal(means, std).log_prob(images).sum()
    constant = 48 * 0.5 * math.log(2 * math.pi)
    found = negative_log_likelihood(error, torch.tensor(math.log(std)), 48)
    assert float(found) == pytest.approx(float(exact) - constant, rel=1e-5)


def test_the_learned_variance_comes_to_the_mean_squared_error() -> None:
    seed_torch(CPU, "weights")
    model = Vae(LEARNED, 16)
    batches = TrainingBatches(toy_patches(64), 32, 0, CPU)
    trainer = Trainer(model, batches, TrainingConfig(), 0, CPU)
    for _ in range(150):
        trainer.advance()
    trainer.take_means()
    for _ in range(20):
        trainer.advance()
    means = trainer.take_means()
    assert means["pixel_std"] == pytest.approx((means["recon"] / (3 * 16 * 16)) ** 0.5, rel=0.1)
    assert means["pixel_std"] < 0.5


def test_pixels_are_drawn_with_the_variance_that_was_learned() -> None:
    seed_torch(CPU, "weights")
    models = [Vae(LEARNED.model_copy(update={"pixel_noise": noise}), 32).eval() for noise in (False, True)]
    models[1].load_state_dict(models[0].state_dict())
    with torch.no_grad():
        for model in models:
            model.log_std.fill_(math.log(0.05))
        labels = torch.zeros(64, dtype=torch.int64)
        mean, drawn = (model.sample(labels, rng_at(3)) for model in models)
    inside = mean.abs() < 0.5
    assert float((drawn - mean)[inside].std()) == pytest.approx(0.1, rel=0.03)


def test_noise_without_a_learned_variance_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"set generator\.likelihood to 'learned'"):
        VaeConfig(pixel_noise=True)


def test_the_spectral_error_minds_blur_and_not_a_shift() -> None:
    images = torch.rand(4, 3, 16, 16, generator=rng_at(0)) * 2 - 1
    blurred = (images + images.roll(1, 2) + images.roll(1, 3) + images.roll((1, 1), (2, 3))) / 4
    assert float(spectral_error(images.roll((3, 5), (2, 3)), images)) == pytest.approx(0, abs=1e-6)
    assert float(spectral_error(blurred, images)) > 10
    # An amplitude that is gone weighs what all of its energy weighs in the squared error (Parseval).
    nothing = torch.zeros_like(images)
    assert float(spectral_error(nothing, images)) == pytest.approx(float(squared_error(nothing, images)), rel=1e-5)


def test_the_spectral_term_has_a_gradient_where_an_amplitude_is_nothing() -> None:
    flat = torch.zeros(2, 3, 16, 16, requires_grad=True)
    spectral_error(flat, torch.rand(2, 3, 16, 16)).backward()
    assert flat.grad is not None and bool(flat.grad.isfinite().all())


def test_the_spectral_term_weighs_what_it_is_told() -> None:
    model, images = Vae(VaeConfig(latent_dim=3, channels=2, spectral_weight=3), 16), torch.rand(4, 3, 16, 16)
    loss = model.loss("model", images, torch.tensor([0, 1, 0, 1]))
    terms = {name: float(term.detach()) for name, term in loss.terms.items()}
    assert float(loss.total.detach()) == pytest.approx(terms["recon"] + terms["kl"] + 3 * terms["spectral"])
    assert terms["spectral"] > 0
