"""The cache: packed once, never half, checked before it is mapped, and made again when it is not what was written."""

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from data_samples import patches, write_folders, write_kaggle

from engine.data import packing, reading, writing
from engine.data.pack import FORMAT, DamagedPackError, open_pack
from engine.data.packing import answer_pack, cache_folder, pack
from engine.data.sources.base import Broken, Patch
from engine.progress import silent
from engine.spec.config import DataConfig
from engine.spec.errors import ConfigError, DataError, EnvironmentFault, Stopped, StorageError


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_kaggle(tmp_path / "k", *patches(10))
    return DataConfig(source=str(tmp_path / "k"), broken_limit=0.5)


class Calls:
    """A report that counts, and stops at one of its calls."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.seen: list[tuple[str, int, int]] = []
        self.stop_at = stop_at

    def __call__(self, what: str, done: int, total: int) -> None:
        self.seen.append((what, done, total))
        if len(self.seen) == self.stop_at:
            raise Stopped("asked to")


def test_crops_are_central_and_read_only(source: DataConfig) -> None:
    images, _ = patches(10)
    packed = pack(source)
    assert np.array_equal(packed.images, images[:, 16:80, 16:80])
    assert not packed.images.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        packed.images[0] = 0


def test_a_second_time_nothing_is_read(source: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pack(source)
    monkeypatch.setattr(packing, "write_pack", lambda *_: pytest.fail("packed again"))
    assert pack(source).folder == first.folder
    assert pack(source.model_copy(update={"limit": 4, "duplicates": "drop"})).folder == first.folder


def test_what_changes_the_patches_changes_the_pack(source: DataConfig, tmp_path: Path) -> None:
    folders = {pack(source).folder, pack(source.model_copy(update={"crop": 32})).folder}
    file = next((tmp_path / "k" / "train").iterdir())
    os.utime(file, ns=(1, 1))
    folders.add(pack(source).folder)
    table = tmp_path / "k" / "train_labels.csv"
    table.write_text(table.read_text().replace(",1\n", ",0\n", 1))
    folders.add(pack(source).folder)
    file.unlink()
    folders.add(pack(source).folder)
    assert len(folders) == 5


def test_a_source_that_moves_is_packed_once(source: DataConfig, tmp_path: Path) -> None:
    first = pack(source)
    (tmp_path / "k").rename(tmp_path / "moved")
    assert pack(source.model_copy(update={"source": str(tmp_path / "moved")})).folder == first.folder


def damage_header(folder: Path) -> None:
    path = folder / "patches.npy"
    path.write_bytes(path.read_bytes().replace(b"(10, 64, 64, 3)", b"(99, 64, 64, 3)"))


def damage_dtype(folder: Path) -> None:
    path = folder / "labels.npy"
    path.write_bytes(path.read_bytes().replace(b"'|u1'", b"'|O' "))


def damage_pixels(folder: Path) -> None:
    path = folder / "patches.npy"
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(bytes(data))


def damage_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def older_format(folder: Path) -> None:
    tree = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(tree | {"format": FORMAT - 1}))


def cut_short(folder: Path) -> None:
    path = folder / "sha1.npy"
    path.write_bytes(path.read_bytes()[:-1])


def lose_one(folder: Path) -> None:
    (folder / "splits.npy").unlink()


DAMAGES = [damage_header, damage_dtype, damage_pixels, damage_manifest, older_format, cut_short, lose_one]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_pack_is_refused_and_made_again(source: DataConfig, damage: object) -> None:
    first = pack(source)
    expected, folder = np.array(first.images), first.folder
    assert callable(damage)
    damage(folder)
    with pytest.raises(DamagedPackError):
        open_pack(folder)
    again = pack(source)
    assert again.folder == folder and np.array_equal(again.images, expected)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_stopping_leaves_nothing_behind(source: DataConfig) -> None:
    with pytest.raises(Stopped):
        pack(source, Calls(stop_at=2))
    assert not list(cache_folder().iterdir())


def test_progress_goes_from_nothing_to_all(source: DataConfig) -> None:
    calls = Calls()
    pack(source, calls)
    assert calls.seen[0] == ("packing k", 0, 10) and calls.seen[-1] == ("packing k", 10, 10)


@dataclass(frozen=True)
class SlowReader:
    """Takes its time over every block."""

    seconds: float
    worth_processes: ClassVar[int] = 1000

    def read(self, start: int, stop: int) -> Iterator[Patch | Broken]:
        time.sleep(self.seconds)
        yield from (Patch(np.full((16, 16, 3), row % 256, np.uint8), row % 2) for row in range(start, stop))


def test_progress_is_heard_while_a_block_is_awaited() -> None:
    calls = Calls(stop_at=4)
    with pytest.raises(Stopped):
        list(reading.read_all(SlowReader(1.0), 10, 16, calls, "slow"))
    assert {done for _, done, _ in calls.seen} == {0}


def test_blocks_come_in_order_from_processes() -> None:
    count = reading.BLOCK * 13
    blocks = list(reading.read_all(SlowReader(0.0), count, 16, silent, "many"))
    assert np.array_equal(np.concatenate([block.rows for block in blocks]), np.arange(count))
    assert np.array_equal(np.concatenate([block.images[:, 0, 0, 0] for block in blocks]), np.arange(count) % 256)


@dataclass(frozen=True)
class DyingReader:
    """Ends its process, as the kernel does when memory is short."""

    worth_processes: ClassVar[int] = 1000

    def read(self, start: int, stop: int) -> Iterator[Patch | Broken]:
        os._exit(9)


def test_a_killed_worker_is_an_error_and_not_a_wait() -> None:
    with pytest.raises(EnvironmentFault, match="a worker process was killed"):
        list(reading.read_all(DyingReader(), reading.BLOCK * 13, 16, silent, "dying"))


def test_a_full_disk_is_said_and_nothing_stays(source: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "_header", full)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        pack(source)
    assert not list(cache_folder().iterdir())


def test_too_little_space_is_said_before_anything_is_read(source: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    monkeypatch.setattr(packing, "write_pack", lambda *_: pytest.fail("read"))
    with pytest.raises(StorageError, match=r"0.0 GB are free; .* set XDG_CACHE_HOME"):
        pack(source)


def test_a_cache_that_cannot_be_made_is_said(source: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="check that it can be written"):
        pack(source, cache=tmp_path / "file" / "cache")


def test_leftovers_of_killed_processes_go_when_they_are_old(source: DataConfig) -> None:
    cache_folder().mkdir(parents=True)
    for name, age in (("old", 2 * 3600), ("new", 60)):
        leftover = cache_folder() / f".tmp-{name}"
        leftover.mkdir()
        (leftover / "patches.npy").touch()
        for path in (leftover / "patches.npy", leftover):
            os.utime(path, (time.time() - age,) * 2)
    pack(source)
    assert sorted(path.name for path in cache_folder().glob(".tmp-*")) == [".tmp-new"]


def test_two_that_pack_at_once_both_get_it(source: DataConfig) -> None:
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(np.array(pack(source).images))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(np.array_equal(found[0], other) for other in found)
    assert len(list(cache_folder().iterdir())) == 1


def test_packs_are_for_the_user_alone(source: DataConfig) -> None:
    assert pack(source).folder.stat().st_mode & 0o077 == 0


def test_answer_names_the_pack_and_what_is_in_it(source: DataConfig) -> None:
    answer = answer_pack({"data": {"source": source.source}}, silent)
    assert answer["patches"] == 10 and answer["counts"] == {"unassigned": [5, 5]} and answer["layout"] == "kaggle"
    assert answer["folder"] == str(pack(source).folder)
    with pytest.raises(ConfigError, match=r"data.crops: unknown; did you mean data.crop"):
        answer_pack({"data": {"crops": 3}}, silent)


def test_names_in_any_bytes_survive(tmp_path: Path) -> None:
    write_folders(tmp_path / "f", {"": patches(4)})
    odd = tmp_path / "f" / "0" / os.fsdecode(b"caf\xe9\n\xff.png")
    (tmp_path / "f" / "0" / "0000.png").rename(odd)
    packed = pack(DataConfig(source=str(tmp_path / "f")), cache=tmp_path / "cache")
    assert packed.ids[1].decode("utf-8", "surrogateescape") == f"0/{odd.name}"


def test_broken_patches_in_the_middle_leave_no_gap(source: DataConfig, tmp_path: Path) -> None:
    images, labels = patches(300, 3, side=32)
    write_folders(tmp_path / "f", {"": (images, labels)})
    for number in (0, 140, 299):
        (tmp_path / "f" / str(number % 2) / f"{number:04d}.png").write_bytes(b"?")
    packed = pack(DataConfig(source=str(tmp_path / "f"), crop=32, broken_limit=0.5))
    rows = [int(name[2:6]) for name in packed.names(np.arange(len(packed)))]
    assert len(rows) == 297
    assert np.array_equal(packed.images, images[rows]) and np.array_equal(packed.labels, labels[rows])


def test_an_error_of_the_source_passes_through(source: DataConfig, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "k" / "train")
    with pytest.raises(DataError, match="train/ with its images is not"):
        pack(source)
