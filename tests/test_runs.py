"""Run, its state, and RunStore."""

import errno
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.spec.errors import RunFolderError, StorageError
from engine.spec.events import (
    Event,
    Metrics,
    Progress,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    StageFinished,
    StageStarted,
    Warned,
)
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui.runs import Life, Run, Stage, expected_stages, life_of, state_of
from histotui.store import RunStore
from histotui.summary import created_at, read_tree, summarize

HOLD_LOCK = """
import sys, time
from pathlib import Path
from engine.spec.process import RunLock
RunLock(Path(sys.argv[1])).acquire()
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def made(store: RunStore, name: str = "", preset: str = "vae-500") -> RunFolder:
    return store.create(preset, {"preset": preset}, "histotui run --preset vae-500", name)


def placed(store: RunStore, run_id: str) -> RunFolder:
    folder = RunFolder(store.root / run_id)
    folder.path.mkdir(parents=True)
    folder.config.write_text('{"preset": "vae-500"}')
    return folder


def log(folder: RunFolder, *lines: dict[str, object]) -> None:
    folder.events.write_text("".join(json.dumps(line) + "\n" for line in lines))


class TestFolding:
    def test_stages_add_up(self) -> None:
        run = Run().apply_all(
            [
                RunStarted(time=100, device="cuda:0"),
                StageStarted(time=101, stage="generator"),
                Progress(
                    time=102,
                    stage="generator",
                    what="fitting",
                    step=10,
                    total=1000,
                    epoch=1,
                    epochs=5,
                    rate=640.0,
                    seconds_left=9.0,
                ),
                Metrics(time=103, stage="generator", step=10, epoch=1, values={"kl": 3.0, "loss": 5.0}),
                Metrics(time=104, stage="generator", step=20, epoch=1, values={"loss": 4.0}),
            ]
        )
        assert (run.device, run.stage) == ("cuda:0", "generator")
        assert run.stages["generator"] == Stage(
            "generator", "fitting", 20, 1000, 1, 5, 640.0, 9.0, values={"kl": 3.0, "loss": 4.0}, seconds=None
        )

    def test_apply_changes_nothing(self) -> None:
        before = Run().apply(StageStarted(time=1, stage="prepare"))
        before.apply(StageFinished(time=2, stage="prepare", seconds=1.0))
        assert before.stages["prepare"].seconds is None

    def test_a_warning_is_kept_once(self) -> None:
        warning = Warned(stage="prepare", message="no slides")
        assert Run().apply_all([warning, warning]).warnings == ("no slides",)

    @pytest.mark.parametrize(
        "outcome",
        [RunStopped(stage="s"), RunFailed(error="E", message="m", exit_code=1), RunFinished(seconds=1)],
    )
    def test_resumed_makes_it_live_again(self, outcome: Event) -> None:
        run = Run().apply_all([RunStarted(device="cpu"), outcome])
        assert run.outcome == outcome
        assert run.apply(Resumed(device="cuda:1")).outcome is None
        assert run.apply(Resumed(device="cuda:1")).device == "cuda:1"

    def test_a_stage_that_goes_on_is_not_finished(self) -> None:
        events = [
            StageStarted(stage="generator"),
            Progress(stage="generator", what="fitting", step=4, total=10),
            StageFinished(stage="generator", seconds=2.0),
            StageStarted(stage="generator"),
        ]
        assert Run().apply_all(events).stages["generator"] == Stage("generator")

    def test_an_event_it_does_not_use_changes_nothing(self) -> None:
        assert Run().apply(Event(time=5.0)) == Run()


@pytest.mark.parametrize(
    ("config", "stages"),
    [
        (
            {"generator": {"kind": "vae"}, "classifier": {"train_on": "synthetic"}, "evaluation": {"reference": True}},
            ("prepare", "generator", "synthesis", "classifier", "reference", "evaluation"),
        ),
        (
            {"generator": {"kind": "vae"}, "classifier": {"train_on": "synthetic"}, "evaluation": {"reference": False}},
            ("prepare", "generator", "synthesis", "classifier", "evaluation"),
        ),
        ({"generator": None, "classifier": {"train_on": "real"}}, ("prepare", "classifier", "evaluation")),
        (
            {"generator": None, "classifier": {"train_on": "real"}, "quality": {"enabled": True}},
            ("prepare", "classifier", "evaluation"),
        ),
        (
            {"generator": {"kind": "vae"}, "classifier": {"train_on": "real"}, "quality": {"enabled": True}},
            ("prepare", "generator", "synthesis", "classifier", "evaluation", "quality"),
        ),
        (
            {"generator": {"kind": "vae"}, "classifier": {"train_on": "real"}, "quality": {"enabled": False}},
            ("prepare", "generator", "synthesis", "classifier", "evaluation"),
        ),
        (
            {"generator": None, "synthesis": {"source": "/runs/one"}, "classifier": {"train_on": "both"}},
            ("prepare", "synthesis", "classifier", "reference", "evaluation"),
        ),
        (
            {"generator": None, "synthesis": {"source": None}, "classifier": {"train_on": "real"}},
            ("prepare", "classifier", "evaluation"),
        ),
    ],
)
def test_expected_stages(config: dict[str, object], stages: tuple[str, ...]) -> None:
    assert expected_stages(config) == stages


@pytest.mark.parametrize(
    ("last", "life", "age", "state"),
    [
        (None, Life.UNSEEN, 5, "queued"),
        (None, Life.UNSEEN, 15, "lost"),
        (None, Life.DEAD, 0.1, "lost"),
        (None, Life.ALIVE, 15, "running"),
        (Warned(time=1000, stage="s", message="m"), Life.ALIVE, 100, "running"),
        (Warned(time=1000, stage="s", message="m"), Life.ALIVE, 121, "stalled"),
        (Warned(time=1000, stage="s", message="m"), Life.DEAD, 0.1, "lost"),
        (Warned(time=1000, stage="s", message="m"), Life.ELSEWHERE, 59, "running"),
        (Warned(time=1000, stage="s", message="m"), Life.ELSEWHERE, 61, "stalled"),
        (Warned(time=1000, stage="s", message="m"), Life.ELSEWHERE, 601, "lost"),
        (RunFinished(time=1000, seconds=1), Life.DEAD, 9999, "finished"),
        (RunFailed(time=1000, error="E", message="m", exit_code=4), Life.DEAD, 9999, "failed"),
        (RunStopped(time=1000, stage="s"), Life.DEAD, 9999, "stopped"),
        (Resumed(time=1000), Life.ALIVE, 1, "running"),
        (RunStopped(time=1000, stage="s"), Life.ALIVE, 1, "running"),
        (RunFinished(time=1000, seconds=1), Life.ALIVE, 1, "finished"),
    ],
)
def test_state(last: Event | None, life: Life, age: float, state: str) -> None:
    assert state_of(last, life, age) == state


class TestLife:
    def test_the_lock_of_another_process_means_alive(self, store: RunStore) -> None:
        folder = made(store)
        with subprocess.Popen([sys.executable, "-c", HOLD_LOCK, str(folder.lock)], stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
            assert life_of(folder) is Life.ALIVE
            holder.kill()
        assert life_of(folder) is Life.UNSEEN

    def test_a_process_file_of_this_process_means_alive(self, store: RunStore) -> None:
        folder = made(store)
        ProcessIdentity.current().write(folder.process)
        assert life_of(folder) is Life.ALIVE

    @pytest.mark.parametrize(
        ("changes", "life"),
        [
            ({"start_time": 1}, Life.DEAD),
            ({"boot_id": "before the reboot"}, Life.DEAD),
            ({"host": "another-host"}, Life.ELSEWHERE),
        ],
        ids=["reused pid", "reboot", "other host"],
    )
    def test_somebody_else_is_not_the_run(self, store: RunStore, changes: dict[str, object], life: Life) -> None:
        folder = made(store)
        replace(ProcessIdentity.current(), **changes).write(folder.process)  # type: ignore[arg-type]
        assert life_of(folder) is life

    def test_a_zombie_is_dead(self, store: RunStore) -> None:
        folder = made(store)
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
            stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
            identity = replace(ProcessIdentity.current(), pid=child.pid, start_time=int(stat[19]))
            identity.write(folder.process)
            assert life_of(folder) is Life.ALIVE
            child.kill()
            while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
            assert life_of(folder) is Life.DEAD


class TestSummary:
    def test_a_dead_run_is_never_shown_as_running(self, store: RunStore) -> None:
        folder = made(store)
        log(folder, {"type": "run_started", "time": time.time(), "device": "cpu"})
        replace(ProcessIdentity.current(), start_time=1).write(folder.process)
        assert summarize(folder).state == "lost"

    def test_what_a_listing_says(self, store: RunStore) -> None:
        folder = placed(store, "20251123-154501-vae-500-a1b2")
        folder.meta.write_text('{"name": "pilot", "tags": ["a", "b"]}')
        log(
            folder,
            {"type": "run_started", "time": 100.0, "device": "cuda:0 (H200)"},
            {"type": "run_stopped", "time": 130.0, "stage": "generator"},
        )
        assert summarize(folder).tree() == {
            "id": "20251123-154501-vae-500-a1b2",
            "name": "pilot",
            "preset": "vae-500",
            "state": "stopped",
            "stage": "generator",
            "created": "2025-11-23T15:45:01Z",
            "seconds": 30.0,
            "device": "cuda:0 (H200)",
            "scores": [],
            "tags": ["a", "b"],
            "error": "",
            "exit_code": 75,
        }

    @pytest.mark.parametrize("file", ["config.json", "scores.json", "meta.json"])
    @pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b'"text"'])
    def test_damage_is_a_state(self, store: RunStore, file: str, content: bytes) -> None:
        folder = made(store)
        log(folder, {"type": "run_finished", "time": 1.0, "seconds": 1.0})
        (folder.path / file).write_bytes(content)
        summary = summarize(folder)
        assert summary.state == "unreadable"
        assert file in summary.error

    def test_a_newer_schema_is_unreadable(self, store: RunStore) -> None:
        folder = made(store)
        log(folder, {"type": "run_started", "schema": 99}, {"type": "run_finished", "seconds": 1.0})
        summary = summarize(folder)
        assert summary.state == "unreadable"
        assert "schema 99" in summary.error

    def test_events_without_a_config_are_unreadable(self, store: RunStore) -> None:
        folder = made(store)
        log(folder, {"type": "run_started"})
        folder.config.unlink()
        assert [summary.state for summary in store.summaries()] == ["unreadable"]


class TestStore:
    def test_a_new_run_is_private_and_whole(self, store: RunStore) -> None:
        folder = made(store, "pilot")
        assert folder.path.stat().st_mode & 0o777 == 0o700
        for file in (folder.config, folder.command, folder.meta):
            assert file.stat().st_mode & 0o777 == 0o600
        assert json.loads(folder.config.read_text()) == {"preset": "vae-500"}
        assert folder.command.read_text() == "histotui run --preset vae-500\n"
        assert json.loads(folder.meta.read_text()) == {"name": "pilot", "tags": [], "notes": ""}
        assert not list(folder.path.glob("*.tmp"))

    def test_a_taken_id_is_not_taken_again(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = iter(["one", "one", "two"])
        monkeypatch.setattr("histotui.store.new_run_id", lambda preset: next(ids))
        assert [made(store).id, made(store).id] == ["one", "two"]

    def test_a_folder_that_is_being_made_is_not_a_run(self, store: RunStore) -> None:
        (store.root / "20251123-154501-vae-500-a1b2").mkdir(parents=True)
        assert store.folders() == []

    def test_runs_come_oldest_first(self, store: RunStore) -> None:
        ids = ["20251124-000000-a-0002", "20251123-000000-z-0001", "20251125-000000-a-0003"]
        for run_id in ids:
            placed(store, run_id)
        assert [folder.id for folder in store.folders()] == sorted(ids)
        assert store.find("@last").id == ids[2]

    def test_created_is_utc(self, store: RunStore) -> None:
        assert created_at(placed(store, "20251123-154501-vae-500-a1b2")) == 1763912701

    @pytest.mark.parametrize("reference", ["20251123-154501-vae-500-a1b2", "20251123", "pilot"])
    def test_found_by_id_beginning_and_name(self, store: RunStore, reference: str) -> None:
        placed(store, "20251124-154501-vae-500-a1b2")
        folder = placed(store, "20251123-154501-vae-500-a1b2")
        folder.meta.write_text('{"name": "pilot"}')
        assert store.find(reference).id == folder.id

    def test_found_by_its_path(self, store: RunStore) -> None:
        folder = made(store)
        assert store.find(f"{folder.path}/").id == folder.id

    def test_an_id_is_found_without_a_look_into_any_run_and_a_name_with_one_into_each(
        self, store: RunStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[Path] = []

        def counted(path: Path, missing_is_empty: bool = False) -> dict[str, Any]:
            read.append(path)
            return read_tree(path, missing_is_empty)

        ids = ["20251123-154501-vae-500-a1b2", "20251124-154501-vae-500-a1b2", "20251125-154501-vae-500-a1b2"]
        for run_id in ids:
            placed(store, run_id).meta.write_text(json.dumps({"name": f"named {run_id[:8]}"}))
        monkeypatch.setattr("histotui.store.read_tree", counted)
        assert store.find(ids[1]).id == ids[1] and read == []
        assert store.find("@last").id == ids[2] and read == []
        assert store.find("named 20251124").id == ids[1] and len(read) == 3
        with pytest.raises(RunFolderError, match="did you mean named 20251124"):
            store.find("nmaed 20251124")
        assert len(read) == 6

    @pytest.mark.parametrize("reference", ["x" * 5000, "a\0b", "lone \ud800", ".trash", "."])
    def test_what_cannot_be_an_id_is_not_found(self, store: RunStore, reference: str) -> None:
        store.trash(placed(store, "20251123-154501-vae-500-a1b2"))
        (store.root / ".trash" / "config.json").write_text("{}")
        placed(store, "20251124-154501-vae-500-a1b2")
        with pytest.raises(RunFolderError, match="no run"):
            store.find(reference)

    def test_an_id_wins_over_a_beginning(self, store: RunStore) -> None:
        placed(store, "pilot-2")
        placed(store, "pilot")
        assert store.find("pilot").id == "pilot"

    @pytest.mark.parametrize(
        ("reference", "said"),
        [
            ("2025112", "could be 2 runs: 20251123-154501-vae-500-a1b2, 20251124-154501-vae-500-a1b2"),
            ("twice", "could be 2 runs"),
            ("20251123-154501-vae-500-a1b3", "did you mean 20251123-154501-vae-500-a1b2?"),
            ("nothing", "no run 'nothing'"),
            ("", "no run ''"),
            ("../runs", "no run '../runs'"),
            ("..", "no run '..'"),
        ],
    )
    def test_not_found(self, store: RunStore, reference: str, said: str) -> None:
        for run_id in ("20251123-154501-vae-500-a1b2", "20251124-154501-vae-500-a1b2"):
            placed(store, run_id).meta.write_text('{"name": "twice"}')
        with pytest.raises(RunFolderError) as error:
            store.find(reference)
        assert said in str(error.value)

    def test_no_runs_at_all(self, store: RunStore) -> None:
        with pytest.raises(RunFolderError, match="no runs in"):
            store.find("@last")

    def test_trash_and_restore(self, store: RunStore) -> None:
        folder = placed(store, "20251123-154501-vae-500-a1b2")
        assert store.trash(folder) == store.root / ".trash" / folder.id
        assert store.folders() == []
        assert store.restore("20251123").path == folder.path
        assert [found.id for found in store.folders()] == [folder.id]

    def test_a_live_run_is_not_moved(self, store: RunStore) -> None:
        folder = placed(store, "20251123-154501-vae-500-a1b2")
        ProcessIdentity.current().write(folder.process)
        with pytest.raises(RunFolderError, match="is running: `histotui stop"):
            store.trash(folder)
        assert folder.path.exists()

    def test_a_live_run_on_another_host_is_not_moved(self, store: RunStore) -> None:
        folder = placed(store, "20251123-154501-vae-500-a1b2")
        log(folder, {"type": "run_started", "time": time.time()})
        replace(ProcessIdentity.current(), host=f"not-{socket.gethostname()}").write(folder.process)
        with pytest.raises(RunFolderError, match="is running"):
            store.trash(folder)

    def test_restore_overwrites_nothing(self, store: RunStore) -> None:
        folder = placed(store, "20251123-154501-vae-500-a1b2")
        store.trash(folder)
        placed(store, folder.id)
        with pytest.raises(RunFolderError, match="exists already"):
            store.restore(folder.id)


class TestRefusingDisk:
    @pytest.fixture(params=[errno.ENOSPC, errno.EROFS], ids=["full", "read-only"])
    def refusal(self, request: pytest.FixtureRequest) -> OSError:
        return OSError(request.param, os.strerror(request.param))

    @pytest.mark.parametrize("call", ["pathlib.Path.mkdir", "os.fsync", "pathlib.Path.replace"])
    def test_a_new_run_leaves_nothing(
        self, store: RunStore, monkeypatch: pytest.MonkeyPatch, refusal: OSError, call: str
    ) -> None:
        refuse(monkeypatch, call, refusal)
        with pytest.raises(StorageError, match=rf"{store.root}.*; (free some space|check that it can)"):
            made(store)
        monkeypatch.undo()
        assert not list(store.root.glob("*"))

    @pytest.mark.parametrize("call", ["pathlib.Path.mkdir", "pathlib.Path.rename"])
    def test_the_trash(self, store: RunStore, monkeypatch: pytest.MonkeyPatch, refusal: OSError, call: str) -> None:
        folder = placed(store, "20251123-154501-vae-500-a1b2")
        refuse(monkeypatch, call, refusal)
        with pytest.raises(StorageError, match=r"\.trash"):
            store.trash(folder)
        assert folder.config.exists()


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, error: OSError) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(call, refusing)
