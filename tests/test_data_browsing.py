"""Pages of a source's patches as pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.browsing import PAGE, answer_patches
from engine.data.packing import pack
from engine.progress import silent
from engine.spec.config import DataConfig, TissueConfig
from engine.spec.errors import ConfigError

TISSUE = {"source": "tissue", "crop": 32, "tissue": {"train": 90, "test": 10, "slides": 4}}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_pages_hold_every_patch_of_a_class_once() -> None:
    first = answer_patches({"data": TISSUE, "split": "train", "label": 1}, silent)
    ids = list(first["ids"])
    for page in range(1, first["pages"]):
        ids += answer_patches({"data": TISSUE, "split": "train", "label": 1, "page": page}, silent)["ids"]
    assert len(ids) == len(set(ids)) == first["patches"] == first["counts"]["train"]["tumour"]
    assert sum(first["counts"]["train"].values()) == 90


def test_the_picture_shows_the_patches_in_their_order() -> None:
    answer = answer_patches({"data": TISSUE, "split": "train", "label": 0}, silent)
    packed = pack(DataConfig(source="tissue", crop=32, tissue=TissueConfig(train=90, test=10, slides=4)))
    rows = np.flatnonzero((packed.splits == 0) & (packed.labels == 0))[:PAGE]
    grid = np.asarray(Image.open(answer["picture"]))
    assert np.array_equal(grid[:32, :32], packed.images[rows[0]])
    assert np.array_equal(grid[:32, 34:66], packed.images[rows[1]])
    assert np.array_equal(grid[34:66, :32], packed.images[rows[8]])


def test_a_page_beyond_the_last_is_empty() -> None:
    answer = answer_patches({"data": TISSUE, "split": "train", "label": 0, "page": 99}, silent)
    assert (answer["picture"], answer["ids"]) == (None, [])


@pytest.mark.parametrize(("split", "label"), [("training", 0), ("train", 2)])
def test_a_split_or_label_that_is_not_there_is_refused(split: str, label: int) -> None:
    with pytest.raises(ConfigError, match="there are train, valid, test, unassigned and labels 0 and 1"):
        answer_patches({"data": TISSUE, "split": split, "label": label}, silent)
