"""Name, tags and notes of a run: the only file that the screens write."""

import errno
import json
import os
from pathlib import Path

import pytest

from engine.spec.errors import ConfigError, RunFolderError, StorageError
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui.meta import checked_notes, checked_tags
from histotui.store import RunStore
from histotui.summary import summarize


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def run(store: RunStore) -> RunFolder:
    return store.create("vae-500", {"preset": "vae-500"}, "histotui run --preset vae-500", "pilot")


def meta(run: RunFolder) -> object:
    return json.loads(run.meta.read_text())


def test_each_part_by_itself(store: RunStore, run: RunFolder) -> None:
    store.edit_meta(run, tags="night, pilot")
    assert meta(run) == {"name": "pilot", "tags": ["night", "pilot"], "notes": ""}
    store.edit_meta(run, notes="first\nsecond")
    store.edit_meta(run, name="")
    assert meta(run) == {"name": "", "tags": ["night", "pilot"], "notes": "first\nsecond"}
    store.edit_meta(run, name="another", tags=[], notes="")
    assert meta(run) == {"name": "another", "tags": [], "notes": ""}


def test_a_summary_has_them(store: RunStore, run: RunFolder) -> None:
    store.edit_meta(run, name="n", tags=["b", "a"], notes="é")
    summary = summarize(run)
    assert (summary.name, summary.tags, summary.notes) == ("n", ("a", "b"), "é")


def test_what_it_does_not_know_stays(store: RunStore, run: RunFolder) -> None:
    run.meta.write_text('{"name": "a", "starred": {"by": [1]}, "tags": "odd"}')
    store.edit_meta(run, name="b")
    assert meta(run) == {"name": "b", "starred": {"by": [1]}, "tags": "odd", "notes": ""}


def test_without_a_file_there_is_one_afterwards(store: RunStore, run: RunFolder) -> None:
    run.meta.unlink()
    store.edit_meta(run, notes="found again")
    assert meta(run) == {"name": "", "tags": [], "notes": "found again"}
    assert run.meta.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in run.path.iterdir()) == ["command.txt", "config.json", "meta.json"]


def test_a_live_run_can_be_named(store: RunStore, run: RunFolder) -> None:
    ProcessIdentity.current().write(run.process)
    store.edit_meta(run, name="while it runs")
    assert (summarize(run).state, summarize(run).name) == ("running", "while it runs")


def test_what_a_crash_left_behind_is_not_in_the_way(store: RunStore, run: RunFolder) -> None:
    run.meta.with_suffix(".tmp").write_text("torn")
    store.edit_meta(run, name="after")
    assert summarize(run).name == "after"


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ("", []),
        (" , ,, ", []),
        ("b a,b;c  A\tz\n", ["A", "a", "b", "b;c", "z"]),
        (["two words", "x,y"], ["two", "words", "x", "y"]),
        ("Größe 細胞", ["Größe", "細胞"]),
    ],
)
def test_tags_are_taken_apart(tags: str | list[str], kept: list[str]) -> None:
    assert checked_tags(tags) == kept


@pytest.mark.parametrize(
    ("notes", "kept"), [("", ""), ("  a\r\n\tb  \n\n", "a\n\tb"), ("x" * 10_000, "x" * 10_000), (" \n ", "")]
)
def test_notes_lose_blank_ends(notes: str, kept: str) -> None:
    assert checked_notes(notes) == kept


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "../up"}, "name '../up'"),
        ({"name": "a\x1b[31m"}, "name 'a"),
        ({"name": "x" * 101}, "1 to 100 letters"),
        ({"tags": "ok \x1b[31m"}, r"tag '\x1b[31m': it has a character that cannot be shown"),
        ({"tags": ["\u202eevil"]}, "cannot be shown"),
        ({"tags": "x" * 51}, "use at most 50 characters"),
        ({"tags": [f"t{number}" for number in range(51)]}, "51 tags: use at most 50"),
        ({"notes": "fine\nbell\x07"}, "notes, line 2: it has a character that cannot be shown"),
        ({"notes": "lone \ud800"}, "notes, line 1"),
        ({"notes": "carriage\rreturn"}, "notes, line 1"),
        ({"notes": "x" * 10_001}, "notes: 10,001 characters; use at most 10,000"),
        ({"name": "good", "notes": "\x00"}, "notes, line 1"),
    ],
)
def test_what_cannot_be_kept_changes_nothing(
    store: RunStore, run: RunFolder, changes: dict[str, object], said: str
) -> None:
    before = run.meta.read_bytes()
    with pytest.raises(ConfigError) as error:
        store.edit_meta(run, **changes)  # type: ignore[arg-type]
    assert said in str(error.value)
    assert "\x1b" not in str(error.value) and "\x07" not in str(error.value)
    assert run.meta.read_bytes() == before


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b'{"x": NaN}', b'{"x": 1e999}'])
def test_a_damaged_file_is_not_written_over(store: RunStore, run: RunFolder, content: bytes) -> None:
    run.meta.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"meta\.json: damaged"):
        store.edit_meta(run, name="n")
    assert run.meta.read_bytes() == content


def test_a_run_that_is_gone(store: RunStore, run: RunFolder) -> None:
    run.path.rename(store.root / "elsewhere")
    with pytest.raises(StorageError, match=r"meta\.json: No such file or directory"):
        store.edit_meta(run, name="n")


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_leaves_the_old_file(
    store: RunStore, run: RunFolder, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(call, full)
    with pytest.raises(StorageError, match="free some space"):
        store.edit_meta(run, name="n")
    monkeypatch.undo()
    assert summarize(run).name == "pilot"
    assert not [path for path in run.path.iterdir() if path.suffix == ".tmp"]


def test_the_trash_lists_newest_first(store: RunStore) -> None:
    assert store.trashed() == []
    ids = ["20251124-000000-a-0002", "20251123-000000-z-0001", "20251125-000000-a-0003"]
    for run_id in ids:
        folder = RunFolder(store.root / run_id)
        folder.path.mkdir(parents=True)
        folder.config.write_text("{}")
        store.trash(folder)
    assert [folder.id for folder in store.trashed()] == sorted(ids, reverse=True)
    assert store.trashed()[0].path == store.root / ".trash" / ids[2]
