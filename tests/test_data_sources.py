"""Every layout that patches come in."""

import os
from pathlib import Path

import numpy as np
import pytest
from data_samples import PCAM, packed, patches, sha1, write_folders, write_kaggle, write_pcam, write_run, write_table
from PIL import Image

from engine.data.inspection import probe
from engine.data.packing import pack
from engine.data.sources.base import Patch
from engine.data.sources.pcam import Hdf5Reader
from engine.data.splits import divide
from engine.spec.config import DataConfig, TissueConfig
from engine.spec.errors import DataError

SPLITS = {"train": patches(8, 0), "valid": patches(4, 1), "test": patches(4, 2)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_kaggle_patches_keep_their_ids_labels_and_pixels(tmp_path: Path) -> None:
    images, labels = patches(6)
    ids = write_kaggle(tmp_path / "k", images, labels)
    found = packed(tmp_path / "k")
    assert found.names(np.arange(6)) == ids
    assert np.array_equal(found.images, images) and np.array_equal(found.labels, labels)
    assert [row.tobytes().hex() for row in found.sha1] == ids
    assert found.manifest.kind == "kaggle" and found.manifest.counts == {"unassigned": (3, 3)}


@pytest.mark.parametrize("gzipped", [False, True])
def test_pcam_splits_are_what_their_names_say(tmp_path: Path, gzipped: bool) -> None:
    write_pcam(tmp_path / "p", SPLITS, gzipped)
    found = packed(tmp_path / "p")
    division = divide(found, DataConfig(source="p"))
    for name, rows in (("train", division.train), ("valid", division.valid), ("test", division.test)):
        assert np.array_equal(found.images[rows], SPLITS[name][0]) and np.array_equal(
            found.labels[rows], SPLITS[name][1]
        )
    assert division.how == "official" and not division.warnings
    assert not list(found.folder.glob("scratch*"))


def test_pcam_rows_are_read_across_splits(tmp_path: Path) -> None:
    write_pcam(tmp_path, SPLITS)
    found = packed(tmp_path)
    paths = tuple(tmp_path / f"{PCAM}{split}_x.h5" for split in SPLITS)
    reader = Hdf5Reader(paths, tuple(labels for _, labels in SPLITS.values()))
    part = [patch for patch in reader.read(6, 15) if isinstance(patch, Patch)]
    assert np.array_equal(np.stack([patch.pixels for patch in part]), found.images[6:15])
    assert [patch.label for patch in part] == found.labels[6:15].tolist()


def test_pcam_tables_name_the_slides(tmp_path: Path) -> None:
    write_pcam(tmp_path / "p", {name: SPLITS[name] for name in ("train", "test")})
    for split, slides in (("train", ["a", "b"] * 4), ("test", ["c"] * 4)):
        write_table(tmp_path / "p" / f"{PCAM}{split}_meta.csv", ["tumor_patch", "wsi"], [(1, name) for name in slides])
    found = packed(tmp_path / "p")
    assert found.manifest.slide_names == ("a", "b", "c")
    assert found.slides.tolist() == [0, 1] * 4 + [2] * 4
    write_table(tmp_path / "p" / f"{PCAM}test_meta.csv", ["wsi"], [("d",)] * 4)
    assert packed(tmp_path / "p").manifest.slide_names == ("a", "b", "d")


@pytest.mark.parametrize("classes", [("0", "1"), ("normal", "tumor"), ("normal", "tumour")])
@pytest.mark.parametrize("suffix", ["png", "tif", "PNG"])
def test_class_folders(tmp_path: Path, classes: tuple[str, str], suffix: str) -> None:
    write_folders(tmp_path / "f", SPLITS, classes, suffix)
    found = packed(tmp_path / "f")
    assert found.manifest.counts == {"train": (4, 4), "valid": (2, 2), "test": (2, 2)}
    expected = {
        sha1(image): int(label)
        for images, labels in SPLITS.values()
        for image, label in zip(images, labels, strict=True)
    }
    assert {
        row.tobytes().hex(): label for row, label in zip(found.sha1, found.labels.tolist(), strict=True)
    } == expected


@pytest.mark.parametrize("name", ["valid", "val", "validation"])
def test_class_folders_for_validation_have_several_names(tmp_path: Path, name: str) -> None:
    write_folders(tmp_path / "f", {"train": patches(8), name: patches(4, seed=2), "test": patches(4, seed=3)})
    assert np.bincount(packed(tmp_path / "f").splits).tolist() == [8, 4, 4]


def test_class_folders_without_splits(tmp_path: Path) -> None:
    write_folders(tmp_path / "f", {"": patches(6)})
    assert packed(tmp_path / "f").manifest.counts == {"unassigned": (3, 3)}


def test_class_folders_take_the_size_that_most_images_have(tmp_path: Path) -> None:
    write_folders(tmp_path / "f", {"train": patches(20, side=32)})
    Image.new("RGB", (31, 32)).save(tmp_path / "f" / "train" / "0" / "000.png")
    found = packed(tmp_path / "f", crop=32, broken_limit=0.5)
    assert found.manifest.side == 32
    assert found.manifest.broken == (("train/0/000.png", "31x32 pixels; the others are 32x32"),)


def test_fingerprints_are_equal_across_layouts_and_differ_with_content(tmp_path: Path) -> None:
    write_pcam(tmp_path / "p", SPLITS)
    write_folders(tmp_path / "f", SPLITS)
    write_folders(tmp_path / "g", {**SPLITS, "test": patches(4, 9)})
    marks = [packed(tmp_path / name).manifest.fingerprint for name in "pfg"]
    assert marks[0] == marks[1] != marks[2]
    write_kaggle(tmp_path / "k", *SPLITS["train"])
    write_folders(tmp_path / "u", {"": SPLITS["train"]})
    assert packed(tmp_path / "k").manifest.fingerprint == packed(tmp_path / "u").manifest.fingerprint
    assert packed(tmp_path / "k", crop=32).manifest.fingerprint == packed(tmp_path / "k").manifest.fingerprint


def test_a_run_trains_on_its_synthetic_set_and_tests_on_its_own_real_patches(tmp_path: Path) -> None:
    write_folders(tmp_path / "f", SPLITS)
    made = patches(10, 5, side=64)
    write_run(tmp_path / "run", DataConfig(source=str(tmp_path / "f")), *made)
    found = packed(tmp_path / "run", crop=64)
    division = divide(found, DataConfig(source="run"))
    assert np.array_equal(found.images[division.train], made[0])
    assert {image.tobytes() for image in found.images[division.test]} == {
        image[16:80, 16:80].tobytes() for image in SPLITS["test"][0]
    }
    assert (found.manifest.provenance, found.manifest.test_provenance) == ("synthetic", "real")
    assert {row.tobytes().hex() for row in found.sha1[division.test]} == {sha1(image) for image in SPLITS["test"][0]}


def test_a_run_whose_own_data_is_gone_says_so(tmp_path: Path) -> None:
    write_run(tmp_path / "run", DataConfig(source=str(tmp_path / "gone")), *patches(4, side=64))
    with pytest.raises(DataError, match=r"own test patches .*cannot be had any more: .*gone: no such folder"):
        packed(tmp_path / "run", crop=64)


def test_a_run_on_tissue_tests_on_tissue(tmp_path: Path) -> None:
    data = DataConfig(tissue=TissueConfig(train=12, test=8))
    write_run(tmp_path / "run", data, *patches(4, side=64))
    assert packed(tmp_path / "run", crop=64).manifest.test_provenance == "tissue"


def test_a_run_without_synthetic_patches_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run", DataConfig(tissue=TissueConfig(train=4, test=4)), *patches(4, side=64))
    (tmp_path / "run" / "synthetic" / "images.npy").unlink()
    with pytest.raises(DataError, match="the run has not made its synthetic set; `histotui resume"):
        packed(tmp_path / "run")


def test_slides_come_from_a_table(tmp_path: Path) -> None:
    ids = write_kaggle(tmp_path / "k", *patches(4))
    write_table(tmp_path / "s.csv", ["id", "wsi"], [(ids[0], "one"), (ids[1], "two"), (ids[3], "one")])
    found = packed(tmp_path / "k", slides=str(tmp_path / "s.csv"))
    assert found.slides.tolist() == [0, 1, -1, 0] and found.manifest.slide_names == ("one", "two")


def test_probe_counts_without_reading_a_patch(tmp_path: Path) -> None:
    write_pcam(tmp_path / "p", SPLITS, packed=True)
    (tmp_path / "p" / f"{PCAM}train_x.h5.gz").write_bytes(b"")
    found = probe(DataConfig(source=str(tmp_path / "p")))
    assert found["patches"] == 16 and found["splits"] == {"train": 8, "valid": 4, "test": 4}
    assert found["counts"]["train"] == {"normal": 4, "tumour": 4}
    assert (found["layout"], found["provenance"], found["side"]) == ("pcam", "real", 96)
    with pytest.raises(DataError, match="no such folder"):
        probe(DataConfig(source=str(tmp_path / "absent")))


def test_probe_counts_classes_where_labels_are_known_already(tmp_path: Path) -> None:
    images, labels = patches(10)
    write_kaggle(tmp_path / "k", images[:7], labels[:7])
    write_folders(tmp_path / "f", {"train": patches(10, side=32), "test": patches(3, 1, side=32)})
    write_run(tmp_path / "r", DataConfig(source=str(tmp_path / "f"), crop=16), images[:5, :16, :16], labels[:5])
    counts = {name: probe(DataConfig(source=str(tmp_path / name)))["counts"] for name in "kfr"}
    assert counts == {
        "k": {"unassigned": {"normal": 4, "tumour": 3}},
        "f": {"train": {"normal": 5, "tumour": 5}, "test": {"normal": 2, "tumour": 1}},
        "r": {"train": {"normal": 3, "tumour": 2}, "test": {"normal": 2, "tumour": 1}},
    }


def test_probe_says_nothing_of_classes_that_only_reading_would_tell_until_a_pack_is_there() -> None:
    config = DataConfig(tissue=TissueConfig(train=50, test=10), crop=16)
    found = probe(config)
    assert found["splits"] == {"train": 50, "test": 10} and "counts" not in found
    packed = pack(config)
    expected = {
        name: {
            "normal": int((packed.labels[packed.splits == code] == 0).sum()),
            "tumour": int(packed.labels[packed.splits == code].sum()),
        }
        for name, code in (("train", 0), ("test", 2))
    }
    assert probe(config)["counts"] == expected
    assert "counts" not in probe(config.model_copy(update={"crop": 32}))


LAID_OUT = os.environ.get("HISTOTUI_TEST_DATA", "")


@pytest.mark.skipif(not LAID_OUT, reason="HISTOTUI_TEST_DATA names no folder of real patches")
def test_real_patches_are_the_same_in_every_layout() -> None:
    found = {name: packed(Path(LAID_OUT) / name) for name in ("folders", "kaggle", "pcam", "kaggle-mini")}
    digests = {name: {row.tobytes() for row in pack.sha1[pack.splits != 2]} for name, pack in found.items()}
    assert digests["folders"] == digests["kaggle"] == digests["pcam"]
    assert found["folders"].manifest.counts["test"] == found["pcam"].manifest.counts["test"]
    assert not any(pack.manifest.broken for pack in found.values())
    mini = found["kaggle-mini"]
    assert mini.names(np.arange(21)) == [row.tobytes().hex() for row in mini.sha1]
