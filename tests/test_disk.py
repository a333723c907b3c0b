"""Small files: whole or not at all, and errors that say what to do."""

import errno
import os
from pathlib import Path

import pytest

from engine.spec.errors import StorageError
from engine.spec.failpoints import Write
from histotui.disk import write_whole


def test_a_file_is_replaced_whole_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("something longer that was there before")
    path.chmod(0o644)
    write_whole(path, "größe\n", Write.META)
    assert path.read_bytes() == "größe\n".encode()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("durable", [True, False])
def test_only_what_is_durable_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    write_whole(tmp_path / "a", "text", Write.META, durable=durable)
    assert len(synced) == (2 if durable else 0), "the file and the folder that has its name"


@pytest.mark.parametrize("call", ["os.open", "os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize(("code", "advice"), [(errno.ENOSPC, "free some space"), (errno.EROFS, "can be written")])
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, advice: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(call, refuse)
    with pytest.raises(StorageError, match=f"{path}: .*{advice}"):
        write_whole(path, "new", Write.META)
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_cannot_be_encoded_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "a", "lone \ud800", Write.META)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["none", "file"])
def test_a_folder_that_is_not_there(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="check that it can be written"):
        write_whole(tmp_path / folder / "a", "text", Write.META)
