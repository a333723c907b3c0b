"""RunIndex: whatever happens to its file and to the runs, it lists what the runs' own files say."""

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fake_engine import score

from engine.spec.errors import StorageError
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui import index as index_module
from histotui import index_file
from histotui.index import RunIndex
from histotui.index_file import index_path
from histotui.runs import State
from histotui.store import RunStore
from histotui.summary import RunSummary, summarize, without_curves

IDS = [f"2025112{day}-120000-vae-500-aaa{day}" for day in range(5)]
FINISHED = {"type": "run_finished", "time": 160.0, "seconds": 60.0}
STOPPED = {"type": "run_stopped", "time": 160.0, "stage": "generator"}
FAILED = {"type": "run_failed", "time": 160.0, "error": "E", "message": "tab\there", "exit_code": 4}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "runs")
    for run_id, last in zip(IDS, (FINISHED, STOPPED, FAILED, FINISHED, None), strict=True):
        written(store, run_id, *([last] if last else []))
    (store.root / "a name\tof its own").mkdir()
    (store.root / "a name\tof its own" / "config.json").write_text('{"preset": "x", "note": "é\\ud800"}')
    age(store.root)
    return store


def written(store: RunStore, run_id: str, *events: dict[str, object]) -> RunFolder:
    folder = RunFolder(store.root / run_id)
    (folder.data).mkdir(parents=True)
    folder.config.write_text(json.dumps({"preset": "vae-500", "generator": {"latent_dim": 500}}))
    folder.meta.write_text(json.dumps({"name": f"name {run_id[-4:]}", "tags": ["b", "a"], "notes": "one\ntwo"}))
    started = {"type": "run_started", "time": 100.0, "device": "cpu"}
    folder.events.write_text("".join(json.dumps(event) + "\n" for event in (started, *events)))
    folder.scores.write_text(json.dumps({"scores": [score(roc={"fpr": [0.0], "tpr": [1.0]})]}))
    (folder.data / "manifest.json").write_text('{"fingerprint": "f00d"}')
    replace(ProcessIdentity.current(), start_time=1).write(folder.process)
    age(folder.path)
    return folder


def age(path: Path) -> None:
    """Let a folder and its files have been written a while ago."""
    for place in (path, *path.rglob("*")):
        os.utime(place, (time.time() - 30, time.time() - 30))


def as_listed(store: RunStore) -> list[RunSummary]:
    """What the index has to say, by the way that knows no index."""
    return [replace(run, scores=tuple(without_curves(run.scores))) for run in reversed(store.summaries())]


def states(index: RunIndex) -> dict[str, State]:
    return {run.id: run.state for run in index.summaries()}


def no_summaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "summarize", lambda *_: pytest.fail("a run was read"))


class TestListing:
    def test_it_says_what_the_runs_say_newest_first(self, store: RunStore) -> None:
        found = list(RunIndex(store).summaries())
        assert found == as_listed(store)
        assert [run.id for run in found][1:] == IDS[::-1]
        assert [run.state for run in found] == ["lost", "lost", "finished", "failed", "stopped", "finished"]

    def test_the_second_time_no_run_is_read(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        RunIndex(store).summaries()
        expected = as_listed(store)
        no_summaries(monkeypatch)
        found = list(RunIndex(store).summaries())
        assert found == expected
        assert [run.tree() for run in found] == [run.tree() for run in expected]
        assert (found[2].notes, found[2].tags, found[2].fingerprint) == ("one\ntwo", ("b", "a"), "f00d")
        assert found[2].answer["auc"] == 0.7503
        assert found[2].config["generator"] == {"latent_dim": 500}

    def test_nothing_new_is_the_same_object(self, store: RunStore) -> None:
        index = RunIndex(store)
        assert index.summaries() is index.summaries()

    def test_a_relative_root_stays_relative(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(store.root.parent)
        for _ in range(2):
            found = RunIndex(RunStore(Path("runs"))).summaries()
            assert found[1].folder.path == Path("runs") / IDS[-1]

    def test_no_folder_and_no_runs(self, tmp_path: Path) -> None:
        index = RunIndex(RunStore(tmp_path / "none"))
        assert index.summaries() == ()
        written(RunStore(tmp_path / "none"), IDS[0], FINISHED)
        assert list(states(index)) == [IDS[0]]
        shutil.rmtree(tmp_path / "none")
        assert index.summaries() == ()

    def test_a_root_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="file: Not a directory"):
            RunIndex(RunStore(tmp_path / "file")).summaries()

    def test_what_takes_too_long_goes_on_at_the_next_call(self, store: RunStore) -> None:
        index = RunIndex(store)
        newest = [run.id for run in index.summaries(within=0)]
        assert newest == ["a name\tof its own"]
        assert [run.id for run in index.summaries(within=0)][1:] == [IDS[-1]]
        assert list(index.summaries()) == as_listed(store)


class TestChanges:
    @pytest.fixture
    def index(self, store: RunStore) -> RunIndex:
        index = RunIndex(store)
        index.summaries()
        return index

    def test_a_new_run_and_one_that_is_gone(self, store: RunStore, index: RunIndex) -> None:
        written(store, "20251130-120000-vae-500-bbbb", FINISHED)
        store.trash(RunFolder(store.root / IDS[0]))
        assert list(index.summaries()) == as_listed(store)
        assert {"20251130-120000-vae-500-bbbb"} == set(states(index)) - {*IDS, "a name\tof its own"}

    def test_a_run_made_within_a_tick_of_the_clock(self, store: RunStore, index: RunIndex) -> None:
        written(store, "20251130-120000-vae-500-bbbb", FINISHED)
        moment = store.root.stat().st_mtime_ns
        index.summaries()
        written(store, "20251130-120000-vae-500-cccc", FINISHED)
        os.utime(store.root, ns=(moment, moment))
        assert list(index.summaries()) == as_listed(store)

    def test_a_run_that_is_gone_is_gone_at_once(
        self, store: RunStore, index: RunIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(index_module, "_FEWEST", 0)
        monkeypatch.setattr(index_module, "_ROUND", 1e9)
        index.summaries()
        for run_id in IDS[:3]:
            shutil.rmtree(store.root / run_id)
        assert list(index.summaries()) == as_listed(store)

    def test_a_run_that_is_being_made(self, store: RunStore, index: RunIndex) -> None:
        (store.root / "made").mkdir()
        age(store.root / "made")
        assert "made" not in states(index)
        age(store.root)
        assert "made" not in states(index)
        (store.root / "made" / "config.json").write_text("{}")
        assert states(index)["made"] == "queued"

    @pytest.mark.parametrize("file", ["config.json", "events.jsonl", "meta.json", "scores.json"])
    def test_every_file_that_a_row_is_made_from(self, store: RunStore, index: RunIndex, file: str) -> None:
        (store.root / IDS[0] / file).write_text("{}\n")
        for another in (index, RunIndex(store)):
            assert list(another.summaries()) == as_listed(store)

    def test_a_change_within_a_tick_of_the_clock_and_of_the_same_size(self, store: RunStore, index: RunIndex) -> None:
        meta = store.root / IDS[0] / "meta.json"
        meta.write_text('{"name": "one"}')
        moment = meta.stat().st_mtime_ns
        assert index.summaries()[-1].name == "one"
        meta.write_text('{"name": "two"}')
        os.utime(meta, ns=(moment, moment))
        assert index.summaries()[-1].name == "two"
        assert RunIndex(store).summaries()[-1].name == "two"

    def test_a_run_that_is_taken_up_again_is_live_at_once(self, store: RunStore, index: RunIndex) -> None:
        ProcessIdentity.current().write(RunFolder(store.root / IDS[1]).process)
        assert states(index)[IDS[1]] == states(RunIndex(store))[IDS[1]] == "running"

    def test_a_live_run_is_never_kept(self, store: RunStore) -> None:
        folder = RunFolder(store.root / IDS[4])
        ProcessIdentity.current().write(folder.process)
        age(folder.path)
        index = RunIndex(store)
        assert states(index)[IDS[4]] == "running"
        replace(ProcessIdentity.current(), start_time=1).write(folder.process)
        age(folder.path)
        assert states(index)[IDS[4]] == states(RunIndex(store))[IDS[4]] == "lost"

    def test_why_a_run_cannot_be_read_is_not_kept(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        (store.root / IDS[0] / "scores.json").write_text("{")
        age(store.root)
        assert states(RunIndex(store))[IDS[0]] == "unreadable"
        read: list[str] = []

        def noted(folder: RunFolder, now: float) -> RunSummary:
            read.append(folder.id)
            return summarize(folder, now)

        monkeypatch.setattr(index_module, "summarize", noted)
        RunIndex(store).summaries()
        assert read == [IDS[0]]

    def test_settled_runs_wait_their_turn_unless_asked_for(
        self, store: RunStore, index: RunIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(index_module, "_FEWEST", 0)
        clock = [time.monotonic()]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])
        index.summaries()
        for run_id in IDS:
            store.edit_meta(RunFolder(store.root / run_id), name="new")
        assert "new" not in [run.name for run in index.summaries()]
        index.look_again([IDS[2], "gone"])
        assert [run.id for run in index.summaries() if run.name == "new"] == [IDS[2]]
        clock[0] += 5
        assert len([run for run in index.summaries() if run.name == "new"]) < 5
        clock[0] += 11
        assert len([run for run in index.summaries() if run.name == "new"]) == 5


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(3).randbytes(5000))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def followed_by_half_a_line(path: Path) -> None:
    path.write_bytes(path.read_bytes() + path.read_bytes()[:200])


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def gone(path: Path) -> None:
    path.unlink()


def renamed(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"name aaa", b"nome aaa").replace(b"finished", b"running!"))


class TestFile:
    @pytest.mark.parametrize(
        "damage",
        [emptied, random_bytes, cut, followed_by_half_a_line, a_folder, gone, renamed],
        ids=lambda it: it.__name__,
    )
    def test_damage_changes_nothing(self, store: RunStore, damage: Callable[[Path], None]) -> None:
        RunIndex(store).summaries()
        path = index_path(store.root)
        assert path is not None and path.stat().st_size > 1000
        damage(path)
        for _ in range(2):
            assert list(RunIndex(store).summaries()) == as_listed(store)
        assert not list(path.parent.glob("*.tmp"))

    def test_a_byte_anywhere(self, store: RunStore, record_property: Callable[[str, object], None]) -> None:
        record_property("faults", 40)
        RunIndex(store).summaries()
        path = index_path(store.root)
        assert path is not None
        whole, expected, chance = path.read_bytes(), as_listed(store), random.Random(5)
        for _ in range(40):
            place = chance.randrange(len(whole))
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
            assert list(RunIndex(store).summaries()) == expected

    def test_another_version_is_not_read(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        path = index_path(store.root)
        with monkeypatch.context() as patch:
            patch.setattr(index_file, "_SEED", 1)
            RunIndex(store).summaries()
            assert len(index_file.IndexFile(path).read(store.root)) == 6
        assert index_file.IndexFile(path).read(store.root) == {}

    def test_a_line_after_a_torn_one_is_whole(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        RunIndex(store).summaries()
        path = index_path(store.root)
        assert path is not None
        followed_by_half_a_line(path)
        written(store, "20251130-120000-vae-500-bbbb", FINISHED)
        RunIndex(store).summaries()
        expected = as_listed(store)
        no_summaries(monkeypatch)
        assert list(RunIndex(store).summaries()) == expected

    def test_another_host_has_its_own(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        here = index_path(store.root)
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        assert index_path(store.root) != here

    def test_a_cache_that_cannot_be_written(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        for place in ("/dev/null", "/proc/none"):
            monkeypatch.setenv("XDG_CACHE_HOME", place)
            assert list(RunIndex(store).summaries()) == as_listed(store)

    def test_it_is_private_and_comes_back_after_new_runs(
        self, store: RunStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        RunIndex(store).summaries()
        path = index_path(store.root)
        assert path is not None and path.stat().st_mode & 0o077 == 0 and path.parent.stat().st_mode & 0o077 == 0
        before = path.stat().st_ino
        written(store, "20251130-120000-vae-500-bbbb", FINISHED)
        RunIndex(store).summaries()
        assert path.stat().st_ino == before
        expected = as_listed(store)
        no_summaries(monkeypatch)
        assert list(RunIndex(store).summaries()) == expected

    def test_lines_out_of_date_do_not_pile_up(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(index_file, "_SLACK", 4)
        for turn in range(30):
            store.edit_meta(RunFolder(store.root / IDS[0]), name=f"turn {turn}")
            age(store.root / IDS[0])
            os.utime(store.root / IDS[0] / "meta.json", (turn, turn))
            assert RunIndex(store).summaries()[-1].name == f"turn {turn}"
        path = index_path(store.root)
        assert path is not None
        assert 6 <= len([line for line in path.read_bytes().split(b"\n") if line]) <= 16
