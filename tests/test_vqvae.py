"""Codes against brute force and hand values, the transformer over them, and both parts through steps and faults."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_trainer import advance, snapshot
from torch import Tensor
from torch.nn import functional as F
from toys import CPU, same, toy_context, toy_patches

from engine.batches import TrainingBatches
from engine.checkpoints import State
from engine.fitting import Fit
from engine.generators.base import Loss
from engine.generators.quantiser import Quantiser, as_vectors, k_means, nearest, perplexity, straight_through, totals
from engine.generators.transformer import CodePrior, CodeTransformer, draw_codes, pick, truncated
from engine.generators.vqvae import Vqvae
from engine.latents import LatentBatches
from engine.randomness import generator as rng_at
from engine.spec.config import DataConfig, RunConfig, TissueConfig, TrainingConfig
from engine.spec.errors import ConfigError, Diverged
from engine.spec.event_log import EventReader
from engine.spec.events import Metrics
from engine.spec.generator_config import TransformerConfig, VqvaeConfig
from engine.stages import generator, prepare
from engine.trainer import Trainer

TOY_PRIOR = TransformerConfig(width=16, layers=2, heads=2, dropout=0.0)
TOY = VqvaeConfig(channels=2, blocks=1, codebook_size=8, code_dim=3, latent_prior=TOY_PRIOR)
ALWAYS = torch.tensor(True)


# Codes


def test_every_vector_has_the_code_nearest_to_it() -> None:
    vectors, codebook = torch.randn(200, 5, generator=rng_at(0)), torch.randn(17, 5, generator=rng_at(1))
    distances = (vectors[:, None] - codebook[None]).square().sum(2)
    assert torch.equal(nearest(vectors, codebook), distances.argmin(1))


def test_the_quantiser_reads_maps_place_by_place() -> None:
    quantiser, features = Quantiser(6, 3, 0.9), torch.randn(2, 3, 4, 5, generator=rng_at(0))
    quantised = quantiser(features)
    assert quantised.codes.shape == (2, 4, 5)
    for image, row, column in ((0, 0, 0), (1, 3, 4), (0, 2, 1)):
        distances = (features[image, :, row, column] - quantiser.codebook).square().sum(1)
        code = quantised.codes[image, row, column]
        assert code == distances.argmin()
        assert torch.allclose(quantised.values[image, :, row, column], quantiser.codebook[code], atol=1e-6)
    assert torch.equal(as_vectors(features)[7], features[0, :, 1, 2])


def test_codes_are_found_in_float32_whatever_the_networks_compute_in() -> None:
    quantiser, features = Quantiser(64, 3, 0.9), torch.randn(4, 3, 8, 8, generator=rng_at(0))
    expected = quantiser(features)
    with torch.autocast("cpu", torch.bfloat16):
        found = quantiser(features)
    assert torch.equal(found.codes, expected.codes) and found.values.dtype == torch.float32


def test_the_gradient_passes_the_quantiser_unchanged() -> None:
    features = torch.randn(2, 3, 4, 4, requires_grad=True)
    weights = torch.randn(2, 3, 4, 4)
    quantised = Quantiser(6, 3, 0.9)(features)
    (quantised.values * weights).sum().backward()
    assert torch.equal(features.grad, weights)  # type: ignore[arg-type]
    assert torch.allclose(straight_through(features, quantised.values), quantised.values)


def test_commitment_draws_vectors_to_their_codes_and_not_codes_to_vectors() -> None:
    quantiser = Quantiser(2, 1, 0.9)
    quantiser.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    features = torch.tensor([1.0, 7.0]).view(1, 1, 1, 2).requires_grad_()
    commitment = quantiser(features).commitment
    commitment.backward()
    assert commitment.item() == pytest.approx((1 + 9) / 2)
    assert features.grad.flatten().tolist() == pytest.approx([1, -3])  # type: ignore[union-attr]
    assert not quantiser.codebook.requires_grad


def test_codes_follow_the_moving_averages_of_their_vectors() -> None:
    """Counts 2 and 2, sums 0 and 20; then three vectors for the first code and one for the second, at decay 0.5."""
    quantiser = Quantiser(2, 1, 0.5)
    quantiser.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantiser.counts.fill_(2)
    quantiser.sums.copy_(torch.tensor([[0.0], [20.0]]))
    quantiser.learn(torch.tensor([[1.0], [2.0], [3.0], [12.0]]), torch.tensor([0, 0, 0, 1]), 100, ALWAYS)
    assert quantiser.counts.tolist() == [2.5, 1.5]
    assert quantiser.sums.flatten().tolist() == [3, 16]
    assert quantiser.codebook.flatten().tolist() == pytest.approx([3 / 2.5, 16 / 1.5])


def test_codes_forget_faster_in_the_first_steps() -> None:
    for step, decay in ((1, 2 / 11), (10**4, 0.99)):
        quantiser = Quantiser(2, 1, 0.99)
        quantiser.counts.fill_(1)
        quantiser.learn(torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([0, 0, 0, 1]), step, ALWAYS)
        assert quantiser.counts.tolist() == pytest.approx([decay + 3 * (1 - decay), 1])


def blobs(count: int = 400) -> tuple[Tensor, Tensor]:
    """Vectors in four places far from each other, and the places."""
    places = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    return places.repeat(count // 4, 1) + 0.1 * torch.randn(count, 2, generator=rng_at(0)), places


def test_codes_begin_where_the_first_vectors_are() -> None:
    torch.manual_seed(0)
    vectors, _ = blobs()
    quantiser = Quantiser(16, 2, 0.9)
    quantiser.learn(vectors, nearest(vectors, quantiser.codebook), 0, ALWAYS)
    farthest = (vectors[:, None] - quantiser.codebook[None]).square().sum(2).amin(1).max()
    assert farthest < 1
    assert torch.allclose(quantiser.sums / quantiser.counts[:, None], quantiser.codebook)


def test_there_may_be_fewer_vectors_than_codes() -> None:
    vectors = torch.tensor([[0.0], [1.0], [5.0]])
    assert set(k_means(vectors, 8).flatten().tolist()) == {0, 1, 5}


def test_sums_and_numbers_of_each_code() -> None:
    counts, sums = totals(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([2, 0, 2]), 4)
    assert counts.tolist() == [1, 0, 2, 0] and sums.flatten().tolist() == [2, 0, 5, 0]


def test_codes_that_nothing_is_near_to_come_back() -> None:
    torch.manual_seed(0)
    vectors, places = blobs()
    quantiser = Quantiser(8, 2, 0.9)
    quantiser.codebook.copy_(torch.cat([places[:1], torch.full((7, 2), 1e3)]))
    quantiser.sums.copy_(quantiser.codebook)
    used = []
    for step in range(1, 80):
        codes = nearest(vectors, quantiser.codebook)
        used.append(len(codes.unique()))
        quantiser.learn(vectors, codes, step, ALWAYS)
    assert used[0] == 1 and used[-1] == 8


def test_a_code_comes_back_as_one_of_the_vectors_with_the_weight_of_one_in_use() -> None:
    quantiser, vectors = Quantiser(2, 1, 0.9), torch.tensor([[3.0], [4.0], [5.0], [6.0]])
    quantiser.codebook.copy_(torch.tensor([[4.0], [-70.0]]))
    quantiser.counts.copy_(torch.tensor([4.0, 0.06]))
    quantiser.sums.copy_(quantiser.codebook * quantiser.counts[:, None])
    quantiser.learn(vectors, nearest(vectors, quantiser.codebook), 100, ALWAYS)
    assert quantiser.codebook[1] in vectors
    assert quantiser.counts[1].item() == 2


def test_a_code_that_is_used_is_not_taken_for_dead() -> None:
    """Used a tenth as often as the others, it stays where its vectors are."""
    quantiser, rare = Quantiser(4, 1, 0.9), torch.tensor([[50.0]])
    quantiser.codebook.copy_(torch.tensor([[0.0], [1.0], [2.0], [50.0]]))
    quantiser.sums.copy_(quantiser.codebook)
    vectors = torch.cat([torch.arange(3.0).repeat(13)[:, None], rare])
    for step in range(1, 200):
        quantiser.learn(vectors, nearest(vectors, quantiser.codebook), step, ALWAYS)
    assert quantiser.codebook[3].item() == pytest.approx(50, abs=1e-3)


@pytest.mark.parametrize("step", [0, 5])
def test_nothing_is_learned_of_vectors_that_are_not_finite(step: int) -> None:
    quantiser = Quantiser(4, 2, 0.9)
    before = {name: value.clone() for name, value in quantiser.state_dict().items()}
    vectors = torch.full((10, 2), math.nan)
    quantiser.learn(vectors, torch.zeros(10, dtype=torch.int64), step, torch.tensor(False))
    assert all(torch.equal(value, before[name]) for name, value in quantiser.state_dict().items())


def test_perplexity_is_the_number_of_codes_used_alike() -> None:
    assert perplexity(torch.full((12,), 7)).item() == pytest.approx(12)
    assert perplexity(torch.tensor([5, 0, 5, 0])).item() == pytest.approx(2)
    assert perplexity(torch.tensor([0, 9])).item() == pytest.approx(1)
    assert perplexity(torch.zeros(3, dtype=torch.int64)).item() == 0


def test_usage_is_counted_over_all_batches_since_it_was_last_asked_for() -> None:
    quantiser = Quantiser(8, 1, 0.9)
    for step in (1, 2):
        codes = torch.tensor([2 * step, 2 * step + 1])
        quantiser.learn(torch.randn(2, 1), codes, step, ALWAYS)
    usage = quantiser.take_usage()
    assert usage["codebook_usage"].item() == 0.5 and usage["codebook_perplexity"].item() == pytest.approx(4)
    assert quantiser.take_usage()["codebook_usage"].item() == 0


# The networks


def toy_model(config: VqvaeConfig = TOY, side: int = 16) -> Vqvae:
    torch.manual_seed(0)
    return Vqvae(config, side)


@pytest.mark.parametrize(("side", "downsampling"), [(16, 8), (64, 8), (96, 8), (48, 4), (32, 16)])
def test_a_patch_becomes_a_grid_of_codes_and_a_patch_again(side: int, downsampling: int) -> None:
    model = toy_model(TOY.model_copy(update={"downsampling": downsampling}), side).eval()
    images, labels = torch.rand(2, 3, side, side) * 2 - 1, torch.tensor([0, 1])
    codes = model.latents(images, labels)
    assert codes.shape == (2, side // downsampling, side // downsampling) and codes.dtype == torch.int16
    reconstructed = model.reconstruct(images, labels, rng_at(0))
    assert reconstructed.shape == images.shape and reconstructed.abs().max() <= 1
    assert torch.equal(reconstructed, model.decode(codes))


def test_the_networks_do_not_know_the_label() -> None:
    model, images = toy_model().eval(), torch.rand(2, 3, 16, 16)
    assert torch.equal(model.latents(images, torch.tensor([0, 0])), model.latents(images, torch.tensor([1, 1])))
    losses = [model.loss("model", images, torch.full((2,), label)) for label in (0, 1)]
    assert all(loss.total.isfinite() for loss in losses)


def test_the_loss_is_made_of_its_terms() -> None:
    loss = toy_model(TOY.model_copy(update={"commitment": 0.5})).loss(
        "model", torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 0, 1])
    )
    assert loss.total.item() == pytest.approx((loss.terms["recon"] + 0.5 * loss.terms["commitment"]).item())


def toy_trainer(config: VqvaeConfig = TOY, steps: int = 13) -> Trainer:
    model = toy_model(config)
    return Trainer(model, TrainingBatches(toy_patches(), 8, 0, CPU), TrainingConfig(), 0, CPU, steps=steps)


def test_a_reconstruction_has_what_the_patch_had_of_its_class() -> None:
    """Dark patches of one class and bright ones of the other, which the networks are not told."""
    patches = toy_patches(64)
    bright = patches.labels.astype(bool)
    patches.images[:] = (patches.images // 32 + 200 * bright[:, None, None, None] + 20).astype("uint8")
    model = toy_model(TOY.model_copy(update={"channels": 4, "learning_rate": 1e-2}))
    batches = TrainingBatches(patches, 16, 0, CPU)
    advance(Trainer(model, batches, TrainingConfig(), 0, CPU, steps=60), 60)
    images, labels = batches.at(60)
    with torch.no_grad():
        reconstructed = model.eval().reconstruct(images, labels, rng_at(0))
    assert (reconstructed.mean((1, 2, 3)) - images.mean((1, 2, 3))).abs().max() < 0.2
    assert F.mse_loss(reconstructed, images) < images.var() / 10


def test_a_loss_that_is_not_finite_never_reaches_the_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, healthy = toy_trainer(), toy_trainer()
    advance(healthy, 4)
    loss = trainer.model.loss

    def broken(phase: str, images: Tensor, labels: Tensor) -> Loss:
        return loss(phase, images * (math.nan if trainer.step == 4 else 1), labels)

    monkeypatch.setattr(trainer, "_loss", broken)
    advance(trainer, 5)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, healthy.model.state_dict()[name]), name
    with pytest.raises(Diverged, match="step 4, phase model"):
        trainer.take_means()


@pytest.mark.parametrize("buffer", ["codebook", "counts", "sums", "used"])
def test_a_resumed_fit_ends_like_an_undisturbed_one_only_with_the_codes_it_had(buffer: str) -> None:
    undisturbed, stopped = snapshot(advance(toy_trainer(), 9)), snapshot(advance(toy_trainer(), 5))
    name = f"model.quantiser.{buffer}"
    fresh = {name: snapshot(toy_trainer()).tensors[name]}
    for kept, equal in ((stopped.tensors, True), ({**stopped.tensors, **fresh}, False)):
        resumed = toy_trainer()
        resumed.load(State(kept, stopped.meta))
        assert same(snapshot(advance(resumed, 4)), undisturbed) is equal


class Nothing:
    """Nothing follows an epoch."""

    def __call__(self, epoch: int, step: int) -> None: ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        return {}, {}

    def load(self, tensors: dict[str, Tensor], meta: object) -> None: ...


def test_usage_is_told_once_an_epoch_and_of_the_whole_of_it(tmp_path: Path) -> None:
    context = toy_context(tmp_path, RunConfig(training=TrainingConfig(log_every=2)))
    trainer = toy_trainer()
    counted: list[Tensor] = []
    learn = trainer.model.after_step

    def counting(step: int) -> None:
        learn(step)
        counted.append(trainer.model.quantiser.used.clone())  # type: ignore[union-attr, operator]

    trainer.model.after_step = counting  # type: ignore[method-assign]
    Fit(context, "generator", trainer, 2, Nothing()).run()
    rows = [event for event in EventReader(context.folder.events).read() if isinstance(event, Metrics)]
    assert [row.step for row in rows if "codebook_usage" in row.values] == [6, 12]
    assert [row.step for row in rows] == [2, 4, 6, 8, 10, 12]
    # 6 steps of 8 patches of 4 codes; the first only places the codes.
    assert [int(counted[step].sum()) for step in (5, 11)] == [160, 192]
    for row, used in ((rows[2], counted[5]), (rows[5], counted[11])):
        assert row.values["codebook_usage"] == pytest.approx((used > 0).float().mean().item())
        assert row.values["codebook_perplexity"] == pytest.approx(perplexity(used).item(), rel=1e-6)


# The transformer


def toy_transformer(codes: int = 7, side: int = 3, dropout: float = 0.0) -> CodeTransformer:
    torch.manual_seed(0)
    network = CodeTransformer(codes, side, 16, 2, 4, dropout).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # far from the even shares that it begins with
    return network


def changed_places(network: CodeTransformer, place: int) -> list[int]:
    """The places whose logits move with the code at one place."""
    codes, labels = torch.randint(0, 7, (2, 9), generator=rng_at(0)), torch.tensor([0, 1])
    other = codes.clone()
    other[:, place] = (codes[:, place] + 1) % 7
    with torch.no_grad():
        moved = (network(codes, labels) - network(other, labels)).abs().amax((0, 2)) > 1e-6
    return moved.nonzero().flatten().tolist()


def test_logits_depend_on_all_codes_before_and_on_none_after() -> None:
    network = toy_transformer()
    for place in range(9):
        assert changed_places(network, place) == list(range(place + 1, 9))


def test_without_its_mask_the_transformer_would_look_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    attend = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v, is_causal: attend(q, k, v))
    assert changed_places(toy_transformer(), 6) == list(range(9))


@torch.no_grad()
def test_the_first_code_depends_on_the_label_and_so_does_the_last() -> None:
    network, codes = toy_transformer(), torch.zeros(1, 9, dtype=torch.int64)
    moved = (network(codes, torch.tensor([0])) - network(codes, torch.tensor([1]))).abs().amax((0, 2))
    assert moved.min() > 1e-4


@torch.no_grad()
def test_places_are_told_apart_by_row_and_column() -> None:
    places = toy_transformer()._places(0, 9)
    assert len({tuple(place.tolist()) for place in places}) == 9
    assert torch.allclose(places[4] - places[3], places[7] - places[6], atol=1e-6)


@torch.no_grad()
def test_cached_steps_have_the_logits_of_the_whole_sequence() -> None:
    network = toy_transformer(dropout=0.5)
    codes, labels = torch.randint(0, 7, (5, 9), generator=rng_at(0)), torch.tensor([0, 1, 1, 0, 1])
    whole, cache = network(codes, labels), network.empty_cache()
    for place in range(9):
        step = network.following(codes[:, :place], labels, cache)
        assert torch.allclose(step, whole[:, place], atol=1e-5), place


@torch.no_grad()
def test_a_cache_of_other_sequences_would_be_noticed() -> None:
    network, labels = toy_transformer(), torch.tensor([0])
    codes = torch.randint(0, 7, (1, 9), generator=rng_at(0))
    cache = network.empty_cache()
    for place in range(8):
        network.following((codes[:, :place] + 1) % 7, labels, cache)
    assert not torch.allclose(network.following(codes[:, :8], labels, cache), network(codes, labels)[:, 8], atol=1e-3)


def test_a_draw_falls_on_the_code_whose_share_it_lies_in() -> None:
    shares = torch.tensor([[0.2, 0.0, 0.5, 0.3]], dtype=torch.float64)
    draws = torch.tensor([0.0, 0.19, 0.2, 0.69, 0.71, 1 - 2**-53], dtype=torch.float64)
    assert pick(shares.expand(6, 4), draws).tolist() == [0, 0, 2, 2, 3, 3]
    # Shares need not sum to 1, and a code without one is never drawn, at neither end.
    cut = torch.tensor([[0.0, 0.2, 0.3, 0.0]], dtype=torch.float64)
    assert pick(cut.expand(6, 4), draws).tolist() == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (None, 1.0, [0, 1, 2, 3]),
        (2, 1.0, [0, 2]),
        (9, 1.0, [0, 1, 2, 3]),
        (None, 0.5, [2]),
        (None, 0.51, [0, 2]),
        (None, 0.81, [0, 1, 2]),
        (1, 0.9, [2]),
        (None, 1e-6, [2]),
    ],
)
def test_the_likeliest_codes_are_kept_with_their_shares(top_k: int | None, top_p: float, kept: list[int]) -> None:
    shares = torch.tensor([[0.3, 0.15, 0.5, 0.05]], dtype=torch.float64)
    found = truncated(shares, top_k, top_p)[0]
    assert found.nonzero().flatten().tolist() == kept
    assert torch.equal(found[kept], shares[0, kept])


@torch.no_grad()
def test_codes_are_drawn_with_the_probabilities_that_the_network_gives() -> None:
    network, count = toy_transformer(codes=3, side=2), 40_000
    labels = torch.ones(count, dtype=torch.int64)
    uniform = torch.rand(count, 4, generator=rng_at(0), dtype=torch.float64)
    drawn = draw_codes(network, labels, uniform, TOY_PRIOR)
    every = torch.cartesian_prod(*[torch.arange(3)] * 4)
    logs = network(every, labels[: len(every)]).double().log_softmax(-1)
    expected = logs.gather(2, every[:, :, None]).sum((1, 2)).exp()
    places = (drawn * torch.tensor([27, 9, 3, 1])).sum(1)
    found = torch.bincount(places, minlength=81) / count
    assert expected.sum().item() == pytest.approx(1)
    assert (found - expected).abs().max() < 4 * (expected.max() / count).sqrt()


@torch.no_grad()
def test_a_low_temperature_draws_the_likeliest_code() -> None:
    network, labels = toy_transformer(), torch.tensor([0, 1])
    uniform = torch.rand(2, 9, generator=rng_at(0), dtype=torch.float64)
    cold = draw_codes(network, labels, uniform, TOY_PRIOR.model_copy(update={"temperature": 0.01}))
    greedy = draw_codes(network, labels, uniform, TOY_PRIOR.model_copy(update={"top_k": 1}))
    assert torch.equal(cold, greedy)
    assert torch.equal(greedy, network(greedy, labels).argmax(-1))
    assert not torch.equal(draw_codes(network, labels, uniform, TOY_PRIOR), greedy)


CHAIN = torch.tensor([[[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]], [[0.1, 0.8, 0.1]] * 3])
"""For each class how a code follows the one before it: mostly the same again, or mostly the second."""


def chain_codes(count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Grids of 2x2 codes of both classes, the first code even, and their labels."""
    labels = torch.arange(count) % 2
    codes = torch.randint(0, 3, (count, 4), generator=rng)
    for place in range(1, 4):
        codes[:, place] = torch.multinomial(CHAIN[labels, codes[:, place - 1]], 1, generator=rng)[:, 0]
    return codes.view(count, 2, 2), labels


def entropy_of_chain() -> float:
    """Nats per code, mean over both classes."""
    total = 0.0
    for rows in CHAIN.double():
        share = torch.full((3,), 1 / 3, dtype=torch.float64)
        total += math.log(3)
        for _ in range(3):
            total += float(share @ torch.special.entr(rows).sum(1))
            share = share @ rows
    return total / 8


def test_the_likelihood_of_known_codes_is_learned_for_each_class() -> None:
    codes, labels = chain_codes(4000, rng_at(0))
    torch.manual_seed(0)
    prior = CodePrior(TOY_PRIOR.model_copy(update={"learning_rate": 1e-2, "ema_decay": 0.9}), 3, 2)
    batches = LatentBatches(codes[None].short(), labels.numpy().astype(np.uint8), 100, 0, CPU)
    prior.prepare(batches.in_order, rng_at(0))
    advance(Trainer(prior, batches, TrainingConfig(), 0, CPU, steps=300), 300)
    prior.eval()
    fresh, their_labels = chain_codes(4000, rng_at(1))
    with torch.no_grad():
        nats = prior.loss("prior", fresh.short(), their_labels).terms["nats_per_code"].item()
        wrong = prior.loss("prior", fresh.short(), 1 - their_labels).terms["nats_per_code"].item()
        drawn = prior.draw(their_labels, rng_at(2))
    assert nats == pytest.approx(entropy_of_chain(), abs=0.02)
    assert wrong > nats + 0.5
    for label in (0, 1):
        mine = drawn[their_labels == label].flatten(1)
        again = (mine[:, 1:] == mine[:, :-1]).double().mean().item()
        real = fresh[their_labels == label].flatten(1)
        assert again == pytest.approx((real[:, 1:] == real[:, :-1]).double().mean().item(), abs=0.04)


# Faults


def toy_prior() -> CodePrior:
    torch.manual_seed(0)
    return CodePrior(TOY_PRIOR, 3, 2)


def test_nothing_is_drawn_before_there_is_a_prior() -> None:
    with pytest.raises(ConfigError, match="no prior over its codes yet; train stage latent_prior first"):
        toy_model().eval().sample(torch.tensor([0, 1]), rng_at(0))


def test_codes_that_are_all_one_are_refused() -> None:
    codes, labels, prior = torch.randint(0, 3, (8, 2, 2), generator=rng_at(0)), torch.arange(8) % 2, toy_prior()
    with pytest.raises(ConfigError, match="all patches have one and the same code; train for more epochs"):
        prior.prepare(lambda: iter([(torch.ones_like(codes), labels)]), rng_at(0))
    assert not prior.ready
    prior.prepare(lambda: iter([(codes, labels)]), rng_at(0))
    assert prior.ready


def test_more_codes_than_the_patches_can_fill_and_a_class_without_patches_are_refused() -> None:
    model = toy_model(TOY.model_copy(update={"codebook_size": 40}))
    model.require([5, 5])
    with pytest.raises(ConfigError, match=r"codebook_size: 40 codes are more than the 36 vectors that 9 training"):
        model.require([5, 4])
    with pytest.raises(ConfigError, match="class 1 has no training patches"):
        model.require([50, 0])


def test_a_run_with_too_few_patches_ends_before_its_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = DataConfig(crop=16, tissue=TissueConfig(train=20, test=8, slides=4))
    config = TOY.model_copy(update={"codebook_size": 100, "batch_size": 8})
    context = toy_context(tmp_path / "run", RunConfig(data=data, generator=config))
    prepare.run(context)
    with pytest.raises(ConfigError, match=r"generator\.codebook_size"):
        generator.run(context)
    assert not context.folder.samples.joinpath("generator").exists()


def test_a_crop_that_codes_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"generator\.downsampling: 32 does not divide a crop of 48 pixels"):
        Vqvae(TOY.model_copy(update={"downsampling": 32}), 48)


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"generator\.downsampling: 12 is not a power of two"):
        VqvaeConfig(downsampling=12)
    with pytest.raises(ValidationError, match=r"width of 20 cannot be shared by 8 heads"):
        TransformerConfig(width=20, heads=8)
