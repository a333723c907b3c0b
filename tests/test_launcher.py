"""Engines outlive their launcher and are signalled only when they are who they were."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from workbench import FAKE, until

from engine.spec.errors import EnvironmentFault, StorageError
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui import launcher


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(launcher, "ENGINE", FAKE)
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    return RunFolder(tmp_path)


@pytest.fixture
def engine(folder: RunFolder) -> Iterator[subprocess.Popen[bytes]]:
    with launcher.start_engine(folder) as process:
        until(folder.process.exists)
        yield process
        process.kill()


def identity(folder: RunFolder) -> ProcessIdentity:
    found = ProcessIdentity.read(folder.process)
    assert found is not None
    return found


def test_it_leads_a_session_of_its_own(folder: RunFolder, engine: subprocess.Popen[bytes]) -> None:
    assert os.getsid(engine.pid) == engine.pid != os.getsid(0)
    assert os.getpgid(engine.pid) == engine.pid


def test_it_has_no_terminal_and_no_pipe(folder: RunFolder, engine: subprocess.Popen[bytes]) -> None:
    files = [str(Path(f"/proc/{engine.pid}/fd/{number}").readlink()) for number in (0, 1, 2)]
    assert files == ["/dev/null", str(folder.log), str(folder.log)]
    assert Path(f"/proc/{engine.pid}/cwd").readlink() == folder.path


def test_a_hang_up_does_not_end_it(folder: RunFolder, engine: subprocess.Popen[bytes]) -> None:
    os.kill(engine.pid, signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        engine.wait(0.2)


def test_asked_to_stop(folder: RunFolder, engine: subprocess.Popen[bytes]) -> None:
    until(lambda: folder.events.exists() and b"metrics" in folder.events.read_bytes())
    assert launcher.ask_to_stop(folder, identity(folder))
    assert engine.wait(10) == 75


def test_asked_twice_it_hears_once(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[signal.Signals] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda _, number: heard.append(number))
    for _ in range(2):
        assert launcher.ask_to_stop(folder, ProcessIdentity.current())
    assert heard == [signal.SIGTERM]


def test_an_earlier_engine_that_was_asked_is_another_one(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[signal.Signals] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda _, number: heard.append(number))
    replace(ProcessIdentity.current(), start_time=1).write(folder.path / "asked-to-stop.json")
    assert launcher.ask_to_stop(folder, ProcessIdentity.current())
    assert heard == [signal.SIGTERM]


def test_a_full_disk_does_not_keep_it_from_stopping(
    folder: RunFolder, engine: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    asked = identity(folder)
    until(lambda: folder.events.exists() and b"metrics" in folder.events.read_bytes())
    monkeypatch.setattr(Path, "write_text", refuse)
    assert launcher.ask_to_stop(folder, asked)
    assert engine.wait(10) == 75


def test_killed(folder: RunFolder, engine: subprocess.Popen[bytes]) -> None:
    assert launcher.kill(identity(folder))
    assert engine.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("changes", [{"start_time": 1}, {"boot_id": "before"}, {"host": "elsewhere"}], ids=str)
def test_another_process_is_left_alone(
    folder: RunFolder, engine: subprocess.Popen[bytes], changes: dict[str, object]
) -> None:
    other = replace(identity(folder), **changes)  # type: ignore[arg-type]
    assert not launcher.ask_to_stop(folder, other)
    assert not launcher.kill(other)
    with pytest.raises(subprocess.TimeoutExpired):
        engine.wait(0.2)


def test_a_process_that_is_gone(folder: RunFolder) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    dead = replace(ProcessIdentity.current(), pid=gone.pid)
    assert not launcher.ask_to_stop(folder, dead)
    assert not launcher.kill(dead)


def test_an_engine_that_cannot_start(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "ENGINE", ("/nowhere/python",))
    with pytest.raises(EnvironmentFault, match="cannot be started"):
        launcher.start_engine(folder)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_log_that_cannot_be_written(folder: RunFolder, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match=rf"log\.txt: {os.strerror(number)}; "):
        launcher.start_engine(folder)


def test_the_engine_beside_this_package_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("raise SystemExit('the wrong one')")
    command = [sys.executable, "-P", "-c", "import engine.spec; print(engine.__file__)"]
    found = subprocess.run(
        command, cwd=tmp_path, env=launcher.environment(), capture_output=True, text=True, check=True
    ).stdout
    assert Path(found.strip()) == Path(launcher.__file__).resolve().parents[1] / "engine" / "__init__.py"


def test_a_users_own_path_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    assert launcher.environment()["PYTHONPATH"].split(os.pathsep)[1:] == ["/theirs"]


def test_threads_wait_without_spinning_unless_the_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert launcher.environment()["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert launcher.environment()["OMP_WAIT_POLICY"] == "ACTIVE"


def test_who_does_not_listen_is_not_asked_where_it_is(tmp_path: Path) -> None:
    """The signal would end it: an engine of another version, which knows nothing of it."""
    with subprocess.Popen(["sleep", "60"]) as process:
        other = ProcessIdentity.current()
        path = Path(f"/proc/{process.pid}/stat")
        start = int(path.read_text().rpartition(")")[2].split()[19])
        with pytest.raises(EnvironmentFault, match="cannot be asked"):
            launcher.ask_where(replace(other, pid=process.pid, start_time=start))
        assert process.poll() is None
        process.kill()
