"""Feature spaces: always the same, blind to nothing that they should see, and what a measure says of them."""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from toys import CPU, toy_patches

from engine.batches import to_bytes, to_float
from engine.classifiers import build_classifier
from engine.data.patches import PatchSet
from engine.data.tissue.rendering import render
from engine.quality.copying import copying, distances_to, thumbnails
from engine.quality.features import RandomConvolutions, classifier_space, features_of, label_free_space
from engine.quality.fidelity import fidelity
from engine.spec.classifier_config import ClassifierConfig, CnnConfig, ResnetConfig

CLASSIFIERS: dict[str, tuple[ClassifierConfig, int]] = {
    "cnn": (CnnConfig(channels=2), 16),
    "resnet": (ResnetConfig(channels=2), 16),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Test processes beside each other would otherwise spend their time waiting for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def tissue(split: int, count: int = 300) -> Tensor:
    """Patches of the built-in tissue, (count, 64, 64, 3) uint8, of stains that all splits share."""
    images = [render(1, split, index, slides=8)[0][16:80, 16:80] for index in range(count)]
    return torch.from_numpy(np.stack(images))


def seen(images: Tensor) -> Tensor:
    """Features of images (N, H, W, 3) uint8 in the space without labels."""
    patches = PatchSet(images.contiguous().numpy(), np.zeros(len(images), np.uint8), np.arange(len(images)))
    return features_of(patches, label_free_space(CPU), CPU)


@cache
def tissue_seen(split: int) -> Tensor:
    return seen(tissue(split))


def blurred(images: Tensor) -> Tensor:
    small = F.avg_pool2d(to_float(images), 4)
    return to_bytes(F.interpolate(small, scale_factor=4, mode="bilinear"))


# Classifiers


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_classifiers_features_are_what_its_logit_is_computed_from(kind: str) -> None:
    config, width = CLASSIFIERS[kind]
    model = build_classifier(config, 64).eval()
    images = torch.rand(5, 3, 64, 64) * 2 - 1
    inputs: list[Tensor] = []
    # In evaluation, the ResNet's is that of its averaged weights.
    *_, logit = (module for name, module in model.named_modules() if name.endswith("logit"))
    logit.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    model(images)
    assert model.features(images).shape == (5, width)
    by_place = inputs[0].view(5, width, -1)
    assert torch.allclose(model.features(images), by_place.mean(2), atol=1e-6)


def test_a_classifier_is_measured_in_evaluation_mode() -> None:
    model = build_classifier(ResnetConfig(channels=2), 16).train()
    patches = toy_patches(20)
    alone, together = (features_of(patches, classifier_space("resnet", model), CPU, batch) for batch in (1, 20))
    assert torch.allclose(alone, together, atol=1e-6)
    assert classifier_space("resnet", model).name == "resnet"


# Without labels


def test_random_convolutions_are_the_same_in_every_process() -> None:
    y, x = torch.arange(16.0)[:, None], torch.arange(16.0)
    waves = torch.stack([torch.sin(a * y + b * x) for a, b in ((0.7, 0.2), (-0.4, 1.1), (1.9, 0.5))])
    features = RandomConvolutions()(waves[None])
    assert features.shape == (1, 126)
    some = features[0, [0, 3, 6, 29, 30, 77, 78, 125]]
    assert some.tolist() == pytest.approx(
        [1.391616, 1.610654, 0.431685, 0.485782, 0.095971, 0.293504, 0.093936, 0.16513], abs=1e-5
    )


def test_random_convolutions_see_no_orientation() -> None:
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    space = RandomConvolutions()
    for turned in (images.flip(2), images.flip(3), images.transpose(2, 3), torch.rot90(images, 1, (2, 3))):
        assert torch.allclose(space(turned), space(images), atol=1e-5)
    assert not torch.allclose(space(images.roll(1, dims=1)), space(images), atol=1e-2)


def test_random_convolutions_leave_the_generator_of_a_run_as_it_is() -> None:
    before = torch.get_rng_state()
    RandomConvolutions()
    assert torch.equal(torch.get_rng_state(), before)


def test_random_convolutions_do_not_respond_to_flat_areas_but_tell_their_colour() -> None:
    grey = torch.tensor([[0.0], [0.5]]).expand(2, 3)[:, :, None, None].expand(2, 3, 16, 16)
    features = RandomConvolutions()(grey)
    assert features[:, 3:].abs().max() < 1e-5
    assert torch.allclose(features[:, :3], -torch.tensor([[0.5], [0.75]]).log().expand(2, 3))


def test_features_come_in_the_order_of_the_patches() -> None:
    patches = toy_patches(30)
    space = label_free_space(CPU)
    features = features_of(patches, space, CPU, batch_size=7)
    assert features.dtype == torch.float64
    assert torch.allclose(features[17:18], features_of(patches.select(np.array([17])), space, CPU), atol=1e-5)


@pytest.mark.parametrize(
    "spoil",
    [
        blurred,
        lambda images: images[:4].repeat(len(images) // 4, 1, 1, 1),
        lambda images: (images.float() * 0.9).to(torch.uint8),
        lambda images: images.roll(1, dims=3),
    ],
    ids=["blurred", "collapsed", "darker", "other colours"],
)
def test_spoilt_patches_are_far_from_real_ones_and_new_ones_near(spoil: Callable[[Tensor], Tensor]) -> None:
    real, new = tissue_seen(0), tissue_seen(1)
    good, bad = (fidelity(real, other, seed=0).measures for other in (new, seen(spoil(tissue(1)))))
    for name, worse in (("frechet", 3), ("kernel", 5)):
        assert getattr(bad, name) > worse * abs(getattr(good, name))
    assert good.coverage is not None and bad.coverage is not None and bad.coverage < 0.8 * good.coverage
    assert good.detector_auc is not None and bad.detector_auc is not None
    assert bad.detector_auc > 0.9 > 0.6 > good.detector_auc


def test_copies_are_perfect_in_every_measure_but_that_of_copying() -> None:
    real = tissue(0)
    copies = torch.rot90(real, 1, (1, 2))
    found = fidelity(tissue_seen(0), seen(copies), seed=0).measures
    assert found.frechet == pytest.approx(0, abs=1e-3)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    train, held_out = thumbnails(real), distances_to(thumbnails(real), thumbnails(tissue(1)))
    again = copying(distances_to(train, thumbnails(copies)), held_out)
    assert (again.matched, again.near) == (1, 1)
    new = copying(distances_to(train, thumbnails(tissue(2))), held_out)
    assert new.matched == pytest.approx(new.matched_held_out, abs=0.02)
    assert new.near == pytest.approx(0.05, abs=0.04)
    assert new.ratio == pytest.approx(1, abs=0.05)
