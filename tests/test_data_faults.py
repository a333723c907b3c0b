"""Everything that can be wrong with a source, and what is said about it."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_samples import PCAM, packed, patches, write_kaggle, write_pcam, write_table
from PIL import Image

from engine.data.packing import pack
from engine.spec.config import DataConfig
from engine.spec.errors import ConfigError, DataError

SPLITS = {"train": patches(8, 0), "valid": patches(4, 1), "test": patches(4, 2)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such folder"):
        packed(tmp_path / "absent")


def test_empty_folder_and_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="the folder is empty"):
        packed(tmp_path / "empty")
    with pytest.raises(DataError, match="a file; name the folder"):
        packed(tmp_path / "file")


def test_unknown_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"(?s)looked for.*kaggle: train_labels.csv.*class folders: .*pcam: camelyon"):
        packed(tmp_path)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_impossible_paths_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"data.source"):
        pack(DataConfig(source=name))


def test_class_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "train" / "0").mkdir(parents=True)
    with pytest.raises(DataError, match=r"hold no .png"):
        packed(tmp_path)


@pytest.mark.parametrize("header", [["name", "label"], ["id", "class"], []])
def test_table_without_its_columns(tmp_path: Path, header: list[str]) -> None:
    write_kaggle(tmp_path / "k", *patches(2))
    write_table(tmp_path / "k" / "train_labels.csv", header, [])
    with pytest.raises(DataError, match=r"train_labels.csv: no column (id|label)"):
        packed(tmp_path / "k")


@pytest.mark.parametrize("label", ["2", "-1", "tumour", ""])
def test_labels_are_0_and_1(tmp_path: Path, label: str) -> None:
    ids = write_kaggle(tmp_path / "k", *patches(2))
    write_table(tmp_path / "k" / "train_labels.csv", ["id", "label"], [(ids[0], "0"), (ids[1], label)])
    with pytest.raises(DataError, match=rf"train_labels.csv, line 3: label '{label}'"):
        packed(tmp_path / "k")


def test_an_id_with_two_labels_is_refused(tmp_path: Path) -> None:
    ids = write_kaggle(tmp_path / "k", *patches(2))
    write_table(tmp_path / "k" / "train_labels.csv", ["id", "label"], [(ids[0], 0), (ids[1], 1), (ids[0], 1)])
    with pytest.raises(DataError, match=r"line 4: id .* another label further up"):
        packed(tmp_path / "k")


def test_a_table_in_other_bytes_is_refused(tmp_path: Path) -> None:
    write_kaggle(tmp_path / "k", *patches(2))
    (tmp_path / "k" / "train_labels.csv").write_bytes(b"\xff\xfe\x00id")
    with pytest.raises(DataError, match="not a CSV file"):
        packed(tmp_path / "k")


def test_ids_without_files_and_files_without_ids_are_named(tmp_path: Path) -> None:
    ids = write_kaggle(tmp_path / "k", *patches(6))
    (tmp_path / "k" / "train" / f"{ids[1]}.tif").rename(tmp_path / "k" / "train" / "stray.tif")
    found = packed(tmp_path / "k", broken_limit=0.5)
    assert found.manifest.broken == ((ids[1], "no such file"),)
    assert found.manifest.unlisted == ("train/stray.tif",)
    assert found.names(np.arange(len(found))) == [name for name in ids if name != ids[1]]


def test_ids_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    ids = write_kaggle(tmp_path / "k", *patches(4))
    Image.fromarray(patches(1)[0][0]).save(tmp_path / "secret.tif")
    rows = [(name, k % 2) for k, name in enumerate(ids)]
    write_table(tmp_path / "k" / "train_labels.csv", ["id", "label"], [*rows, ("../../secret", 0)])
    assert packed(tmp_path / "k", broken_limit=0.5).manifest.broken == (("../../secret", "no such file"),)


def test_broken_images_are_skipped_or_refused_as_configured(tmp_path: Path) -> None:
    ids = write_kaggle(tmp_path / "k", *patches(10))
    (tmp_path / "k" / "train" / f"{ids[3]}.tif").write_bytes(b"II*\0")
    found = packed(tmp_path / "k", broken_limit=0.1)
    assert len(found) == 9 and found.manifest.listed == 10 and found.manifest.broken[0][0] == ids[3]
    with pytest.raises(DataError, match=rf"(?s)1 of 10 patches .*broken_limit is 0.05.*{ids[3]}: "):
        packed(tmp_path / "k", broken_limit=0.05)
    with pytest.raises(DataError, match=r"data.broken is 'refuse'"):
        packed(tmp_path / "k", broken="refuse", broken_limit=1.0)


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    ids = write_kaggle(tmp_path / "k", *patches(2))
    for name in ids:
        (tmp_path / "k" / "train" / f"{name}.tif").write_bytes(b"")
    with pytest.raises(DataError, match="none of its 2 patches can be read"):
        packed(tmp_path / "k", broken_limit=1.0)


def test_crop_larger_than_the_patches(tmp_path: Path) -> None:
    write_kaggle(tmp_path / "k", *patches(2))
    with pytest.raises(ConfigError, match=r"data.crop: 112 .*96x96"):
        packed(tmp_path / "k", crop=112)


def rewrite(path: Path, key: str, array: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(key, data=array)


@pytest.mark.parametrize(
    ("key", "written", "array", "message"),
    [
        ("x", "images", np.zeros((8, 96, 96, 3), np.uint8), r"no dataset `x` in it; found images"),
        ("x", "x", np.zeros((8, 95, 96, 3), np.uint8), r"must be uint8 \(N, 96, 96, 3\)"),
        ("x", "x", np.zeros((8, 96, 96, 3), np.float32), r"`x` is float32"),
        ("x", "x", np.zeros((7, 96, 96, 3), np.uint8), "7 images for 8 labels"),
        ("y", "labels", np.zeros((8, 1, 1, 1), np.uint8), "no dataset `y`"),
        ("y", "y", np.zeros((8, 2, 1, 1), np.uint8), "one label per patch"),
        ("y", "y", np.full((8, 1, 1, 1), 3, np.uint8), "label 3; labels are 0"),
    ],
)
def test_hdf5_files_of_another_kind(tmp_path: Path, key: str, written: str, array: np.ndarray, message: str) -> None:
    write_pcam(tmp_path, SPLITS)
    rewrite(tmp_path / f"{PCAM}train_{key}.h5", written, array)
    with pytest.raises(DataError, match=message):
        packed(tmp_path)


@pytest.mark.parametrize("key", ["x", "y"])
def test_hdf5_files_that_are_cut_short(tmp_path: Path, key: str) -> None:
    write_pcam(tmp_path, SPLITS)
    path = tmp_path / f"{PCAM}train_{key}.h5"
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(DataError, match=rf"train_{key}.h5: not an HDF5 file, or cut short"):
        packed(tmp_path)


@pytest.mark.parametrize("key", ["x", "y"])
def test_gzipped_files_that_are_cut_short(tmp_path: Path, key: str, cache: Path) -> None:
    write_pcam(tmp_path, SPLITS, packed=True)
    path = tmp_path / f"{PCAM}train_{key}.h5.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=rf"train_{key}.h5.gz: cut short; download it again"):
        packed(tmp_path)
    assert not list((cache / "histotui" / "packed").glob("*"))


def test_gzipped_files_that_are_damaged(tmp_path: Path) -> None:
    write_pcam(tmp_path, SPLITS, packed=True)
    (tmp_path / f"{PCAM}train_x.h5.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"train_x.h5.gz: damaged"):
        packed(tmp_path)


@pytest.mark.parametrize("key", ["x", "y"])
def test_gzipped_files_that_unpack_without_end(tmp_path: Path, key: str, cache: Path) -> None:
    write_pcam(tmp_path, SPLITS, packed=True)
    with gzip.open(tmp_path / f"{PCAM}train_{key}.h5.gz", "wb", compresslevel=1) as file:
        for _ in range(140):
            file.write(bytes(1 << 20))
    with pytest.raises(DataError, match=rf"train_{key}.h5.gz: has more than the \d+ bytes that it may have"):
        packed(tmp_path)
    assert not list((cache / "histotui" / "packed").glob("*"))


@pytest.mark.parametrize(("count", "kind"), [(10**12, "u1"), (1 << 24, "S1000")])
def test_more_labels_than_memory(tmp_path: Path, count: int, kind: str) -> None:
    write_pcam(tmp_path, SPLITS)
    with h5py.File(tmp_path / f"{PCAM}train_y.h5", "w") as file:
        file.create_dataset("y", (count, 1, 1, 1), kind, chunks=(1 << 10, 1, 1, 1))
    with pytest.raises(DataError, match=rf"train_y.h5: {count} labels of type .*; there may be"):
        packed(tmp_path)


def odd(file: h5py.File, kind: str) -> None:
    if kind == "no array":
        file.create_dataset("y", data=h5py.Empty("u1"))
    elif kind == "a link to itself":
        file["y"] = h5py.SoftLink("/y")
    else:
        file.create_dataset("y", (10,), "u1", maxshape=(None,), chunks=(1 << 27,), compression="gzip")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no array", "no dataset `y` in it"),
        ("a link to itself", "`y` cannot be read|no dataset `y` in it"),
        ("a large piece", "`y` is stored in pieces of 134217728 bytes"),
    ],
)
def test_odd_arrays_are_named(tmp_path: Path, kind: str, said: str) -> None:
    write_pcam(tmp_path, SPLITS)
    with h5py.File(tmp_path / f"{PCAM}train_y.h5", "w") as file:
        odd(file, kind)
    with pytest.raises(DataError, match=said):
        packed(tmp_path)


def test_a_damaged_chunk_breaks_its_patches_only(tmp_path: Path) -> None:
    write_pcam(tmp_path, SPLITS)
    with h5py.File(tmp_path / f"{PCAM}train_x.h5") as file:
        chunk = file["x"].id.get_chunk_info(1)
    with (tmp_path / f"{PCAM}train_x.h5").open("r+b") as raw:
        raw.seek(chunk.byte_offset + 50)
        raw.write(b"\0" * 500)
    found = packed(tmp_path, broken_limit=0.5)
    assert found.manifest.counts["train"] == (2, 2)
    assert [name for name, _ in found.manifest.broken] == ["train/4", "train/5", "train/6", "train/7"]


def test_files_of_no_patches_are_refused(tmp_path: Path) -> None:
    write_pcam(tmp_path, SPLITS)
    for split in SPLITS:
        rewrite(tmp_path / f"{PCAM}{split}_x.h5", "x", np.zeros((0, 96, 96, 3), np.uint8))
        rewrite(tmp_path / f"{PCAM}{split}_y.h5", "y", np.zeros((0, 1, 1, 1), np.uint8))
    with pytest.raises(DataError, match="lists no patches"):
        packed(tmp_path)


def test_pcam_needs_train_and_both_halves(tmp_path: Path) -> None:
    write_pcam(tmp_path / "a", {"test": SPLITS["test"]})
    with pytest.raises(DataError, match=r"split_train_x.h5 and _y.h5"):
        packed(tmp_path / "a")
    write_pcam(tmp_path / "b", SPLITS)
    (tmp_path / "b" / f"{PCAM}valid_y.h5").unlink()
    with pytest.raises(DataError, match=r"valid_x.h5: there without its other half"):
        packed(tmp_path / "b")


def test_a_table_of_other_patches_is_refused(tmp_path: Path) -> None:
    write_kaggle(tmp_path / "k", *patches(4))
    write_table(tmp_path / "s.csv", ["id", "wsi"], [("other", "one")])
    with pytest.raises(DataError, match=r"data.slides .*none of its 1 ids"):
        packed(tmp_path / "k", slides=str(tmp_path / "s.csv"))
    with pytest.raises(DataError, match=r"data.slides .*no such file"):
        packed(tmp_path / "k", slides=str(tmp_path / "absent.csv"))
