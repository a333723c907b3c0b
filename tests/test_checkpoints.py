"""Checkpoints are complete or not there, and a damaged one gives way to its predecessor."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from toys import same

from engine import checkpoints
from engine.checkpoints import CheckpointFolder, State, read
from engine.spec import atomic
from engine.spec.atomic import remove_abandoned
from engine.spec.errors import CheckpointError, StorageError


def state(value: float) -> State:
    tensors = {"model.w": torch.full((3, 4), value), "step": torch.tensor(int(value))}
    return State(tensors, {"step": int(value), "counts": {"bce": 2}})


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "generator")
    folder.save(7, state(7))
    loaded, problems = folder.load_latest()
    assert loaded is not None and same(loaded, state(7)) and not problems
    assert loaded.part("model").keys() == {"w"}


def test_two_checkpoints_are_kept_and_final_replaces_them(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "generator")
    for step in (1, 2, 3, 4):
        folder.save(step, state(step))
    assert sorted(path.name for path in folder.path.iterdir()) == ["step-00000003", "step-00000004"]
    folder.save_final(state(9))
    assert [path.name for path in folder.path.iterdir()] == ["final"]
    assert folder.is_final and same(folder.load_final(), state(9))


@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete"])
def test_damage_is_found_and_the_one_before_is_used(tmp_path: Path, name: str, damage: str) -> None:
    folder = CheckpointFolder(tmp_path / "generator")
    folder.save(1, state(1))
    broken = folder.save(2, state(2)) / name
    content = broken.read_bytes()
    if damage == "delete":
        broken.unlink()
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 255])
        broken.write_bytes({"flip": flipped, "truncate": content[: len(content) // 2], "empty": b""}[damage])
    loaded, problems = folder.load_latest()
    assert loaded is not None and same(loaded, state(1))
    assert len(problems) == 1 and "step-00000002" in problems[0]


def test_nothing_to_load_is_not_an_error(tmp_path: Path) -> None:
    assert CheckpointFolder(tmp_path / "generator").load_latest() == (None, [])


def test_a_full_disk_is_named_and_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CheckpointFolder(tmp_path / "generator")
    folder.save(1, state(1))

    def full(*_: object) -> None:
        raise RuntimeError("unexpected pos 576 vs 534")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(StorageError, match="step-00000002: cannot be written"):
        folder.save(2, state(2))
    assert [path.name for path in folder.path.iterdir()] == ["step-00000001"]


def test_files_reach_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    rename = Path.rename
    monkeypatch.setattr(atomic, "sync", lambda path: order.append(f"fsync {path.name}"))
    monkeypatch.setattr(Path, "rename", lambda self, to: (order.append(f"rename {to.name}"), rename(self, to))[1])
    CheckpointFolder(tmp_path / "generator").save(1, state(1))
    renamed = order.index("rename step-00000001")
    assert set(order[:renamed]) == {
        "fsync state.safetensors",
        "fsync state.json",
        "fsync manifest.json",
        "fsync .partial-step-00000001",
    }
    assert order[renamed + 1 :] == ["fsync generator"]


def test_what_a_crash_left_is_removed_and_never_loaded(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "generator")
    whole = folder.save(1, state(1))
    shutil.copytree(whole, folder.path / ".partial-step-00000002")
    loaded, _ = folder.load_latest()
    assert loaded is not None and loaded.meta["step"] == 1
    remove_abandoned(tmp_path)
    assert [path.name for path in folder.path.iterdir()] == ["step-00000001"]


def test_a_manifest_that_lies_about_its_form_is_an_error(tmp_path: Path) -> None:
    path = CheckpointFolder(tmp_path / "generator").save(1, state(1))
    (path / "manifest.json").write_text(json.dumps([1, 2]))
    with pytest.raises(CheckpointError, match="damaged"):
        read(path)
