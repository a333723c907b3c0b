"""What `data inspect` and `data export` say and write."""

import json
from pathlib import Path

import numpy as np
import pytest
from data_samples import patches, write_folders, write_kaggle, write_run, write_table
from PIL import Image

from engine.data.export import answer_export
from engine.data.inspection import answer_inspect
from engine.data.packing import pack
from engine.progress import silent
from engine.spec.config import DataConfig, TissueConfig
from engine.spec.errors import DataError, Stopped


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_everything_about_a_kaggle_folder(tmp_path: Path) -> None:
    root = tmp_path / "k"
    ids = write_kaggle(root, *patches(10))
    (root / "train" / f"{ids[2]}.tif").write_bytes(b"II*\0")
    (root / "train" / f"{ids[4]}.tif").rename(root / "train" / "stray.tif")
    Image.fromarray(patches(1, 7)[0][0]).save(root / "train" / f"{ids[6]}.tif")
    write_table(tmp_path / "s.csv", ["id", "wsi"], [(name, "one") for name in ids[:7]])
    found = answer_inspect({"source": str(root), "slides": str(tmp_path / "s.csv")}, silent)
    assert (found["layout"], found["name"], found["provenance"], found["image_size"]) == (
        "kaggle",
        "k",
        "real",
        "96x96",
    )
    assert found["patches"] == 10 and found["readable"] == 8
    assert found["counts"] == {"unassigned": {"normal": 3, "tumour": 5}}
    assert found["broken"]["count"] == 2 and found["broken"]["missing"] == 1
    assert [broken["id"] for broken in found["broken"]["first"]] == [ids[2], ids[4]]
    assert found["files_without_label"] == {"count": 1, "first": ["train/stray.tif"]}
    assert found["slides"] == {"known": 7, "unknown": 3, "slides": 1}
    assert found["ids"] == {"checked": 8, "matching": 7, "mismatches": [ids[6]]}
    json.dumps(found, allow_nan=False)


def test_duplicates_are_counted_by_content(tmp_path: Path) -> None:
    train, test = patches(10, 0, side=32), patches(6, 1, side=32)
    train[0][2] = train[0][4] = train[0][1]
    train[0][5] = test[0][2]
    test[0][3] = test[0][5]
    write_folders(tmp_path / "f", {"train": train, "test": test})
    found = answer_inspect({"data": {"source": str(tmp_path / "f")}}, silent)
    assert found["duplicates"] == {
        "repeats_within": {"train": 2, "test": 1},
        "across_splits": 1,
        "conflicting_labels": 2,
    }
    assert found["counts"] == {"train": {"normal": 5, "tumour": 5}, "test": {"normal": 3, "tumour": 3}}
    assert "ids" not in found


def test_fingerprint_is_the_pack_s_and_nothing_is_kept(tmp_path: Path, cache: Path) -> None:
    write_folders(tmp_path / "f", {"": patches(6, side=32)})
    found = answer_inspect({"source": str(tmp_path / "f")}, silent)
    assert not list(cache.rglob("*.npy"))
    assert found["fingerprint"] == pack(DataConfig(source=str(tmp_path / "f"), crop=16)).manifest.fingerprint


def test_inspection_hears_that_it_should_stop(tmp_path: Path, cache: Path) -> None:
    write_folders(tmp_path / "f", {"": patches(6, side=32)})

    def stop(what: str, done: int, total: int) -> None:
        raise Stopped("asked to")

    with pytest.raises(Stopped):
        answer_inspect({"source": str(tmp_path / "f")}, stop)
    assert not list(cache.rglob(".tmp-*"))


def test_export_writes_class_folders_that_know_what_they_are(tmp_path: Path) -> None:
    images, labels = patches(130, 3, side=16)
    write_run(tmp_path / "run", DataConfig(tissue=TissueConfig(train=4, test=4)), images, labels)
    answer = answer_export({"run": str(tmp_path / "run"), "folder": str(tmp_path / "out" / "png")}, silent)
    assert answer == {"folder": str(tmp_path / "out" / "png"), "patches": 130, "normal": 65, "tumour": 65}
    for row in (0, 1, 129):
        path = tmp_path / "out" / "png" / str(labels[row]) / f"{row:07d}.png"
        assert np.array_equal(np.asarray(Image.open(path)), images[row])
    again = pack(DataConfig(source=str(tmp_path / "out" / "png"), crop=16))
    assert again.manifest.provenance == "synthetic" and len(again) == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["png"]


def test_export_takes_an_empty_folder_and_refuses_one_in_use(tmp_path: Path) -> None:
    write_run(tmp_path / "run", DataConfig(tissue=TissueConfig(train=4, test=4)), *patches(4, side=16))
    (tmp_path / "empty").mkdir()
    answer_export({"run": str(tmp_path / "run"), "folder": str(tmp_path / "empty")}, silent)
    assert (tmp_path / "empty" / "1" / "0000003.png").exists()
    with pytest.raises(DataError, match="not an empty folder"):
        answer_export({"run": str(tmp_path / "run"), "folder": str(tmp_path / "empty")}, silent)


def test_export_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "run", DataConfig(tissue=TissueConfig(train=4, test=4)), *patches(200, side=16))

    def stop(what: str, done: int, total: int) -> None:
        if done:
            raise Stopped("asked to")

    with pytest.raises(Stopped):
        answer_export({"run": str(tmp_path / "run"), "folder": str(tmp_path / "out" / "png")}, stop)
    assert not list((tmp_path / "out").iterdir())


def test_export_of_a_run_without_a_synthetic_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the run has not made its synthetic set; `histotui resume"):
        answer_export({"run": str(tmp_path), "folder": str(tmp_path / "out")}, silent)
