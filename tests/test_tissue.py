"""The built-in tissue: the same everywhere, labelled by its own truth, with slides that say nothing of labels."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.data.packing import pack
from engine.data.sources.base import TEST, TRAIN, Patch
from engine.data.sources.tissue import TissueReader
from engine.data.splits import divide
from engine.data.tissue import rendering
from engine.data.tissue.scene import CENTRE, MARGIN, SIDE, Scene
from engine.data.tissue.stamps import LYMPHOCYTE, TUMOUR, stamps
from engine.spec.config import DataConfig, TissueConfig


@pytest.fixture(scope="module")
def many() -> tuple[list[Scene], NDArray[np.uint8]]:
    rendered = [rendering.render(0, TRAIN, index, 40) for index in range(300)]
    scenes = [Scene(np.random.Generator(np.random.PCG64([0, TRAIN, index]))) for index in range(300)]
    assert [scene.label for scene in scenes] == [label for _, label in rendered]
    return scenes, np.stack([pixels for pixels, _ in rendered])


def rendered(config: TissueConfig, start: int, stop: int) -> list[bytes]:
    return [patch.pixels.tobytes() for patch in TissueReader(config).read(start, stop) if isinstance(patch, Patch)]


def test_a_patch_is_the_same_whatever_else_is_rendered() -> None:
    small, large = TissueConfig(train=5, test=2), TissueConfig(train=9, test=2)
    assert rendered(small, 0, 5) == rendered(large, 0, 5)
    assert rendered(large, 4, 5) == rendered(small, 0, 5)[4:]
    assert rendered(small, 5, 7) == rendered(large, 9, 11)


def test_bytes_are_those_of_this_version() -> None:
    digest = hashlib.sha256(b"".join(rendering.render(7, TRAIN, index, 40)[0].tobytes() for index in range(20)))
    assert digest.hexdigest()[:16] == "dabefae230e26918", "a change of the tissue needs a new rendering.VERSION"


def test_seeds_splits_and_indices_differ() -> None:
    places = [(0, TRAIN, 0), (1, TRAIN, 0), (0, TEST, 0), (0, TRAIN, 1)]
    assert len({rendering.render(*place, 40)[0].tobytes() for place in places}) == 4


def test_label_is_1_exactly_where_tumour_touches_the_central_32_pixels(
    many: tuple[list[Scene], NDArray[np.uint8]],
) -> None:
    scenes, _ = many
    assert (CENTRE.start, CENTRE.stop) == (MARGIN + 32, MARGIN + SIDE - 32)
    for scene in scenes:
        touches = scene.tumour[MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE][32:64, 32:64].any()
        assert scene.label == touches


def test_classes_are_about_even_and_hard_negatives_exist(many: tuple[list[Scene], NDArray[np.uint8]]) -> None:
    scenes, _ = many
    labels = np.array([scene.label for scene in scenes])
    ring = [scene.tumour[MARGIN:-MARGIN, MARGIN:-MARGIN].any() for scene in scenes if not scene.label]
    assert 0.4 < labels.mean() < 0.6
    assert 0.15 < np.mean(ring) < 0.6


def test_colours_are_those_of_stained_tissue(many: tuple[list[Scene], NDArray[np.uint8]]) -> None:
    red, green, blue = many[1].mean(axis=(0, 1, 2))
    assert abs(red - 177) < 15 and abs(green - 137) < 15 and abs(blue - 176) < 15


def test_tumour_nuclei_are_larger_and_paler_than_lymphocytes() -> None:
    lymphocytes, tumours = stamps(LYMPHOCYTE, 128), stamps(TUMOUR, 512)
    diameter = [2 * np.sqrt(bank.mask.sum(axis=(1, 2)) / np.pi) for bank in (lymphocytes, tumours)]
    assert 6 < diameter[0].mean() * 0.97 < 8
    assert diameter[1].mean() > 1.6 * diameter[0].mean()
    assert tumours.stain[tumours.mask].mean() < 0.7 * lymphocytes.stain[lymphocytes.mask].mean()


def test_training_and_test_slides_are_apart_and_tell_nothing_of_the_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = DataConfig(tissue=TissueConfig(train=600, test=200, slides=8))
    packed = pack(config)
    division = divide(packed, config)
    assert packed.manifest.provenance == "tissue" and division.how == "official"
    assert not set(packed.slides[division.train]) & set(packed.slides[division.test])
    for slide in set(packed.slides[division.train].tolist()):
        assert 0.3 < packed.labels[packed.slides == slide].mean() < 0.7
    assert len(set(packed.slides.tolist())) == 8


def test_only_what_is_asked_for_is_rendered(tmp_path: Path) -> None:
    packed = pack(DataConfig(tissue=TissueConfig(train=12, test=4)), cache=tmp_path)
    assert len(packed) == 16 and packed.images.shape == (16, 64, 64, 3)
    pixels, label = rendering.render(0, TEST, 3, 40)
    assert np.array_equal(packed.images[15], pixels[16:80, 16:80]) and packed.labels[15] == label
