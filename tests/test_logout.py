"""Runs outlive a logout where the system would end them: with the login manager's tools faked."""

import json
import sys
from pathlib import Path

import pytest

from engine.spec import logout
from engine.spec.run_folder import RunFolder
from histotui import launcher


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session on a system that ends all of a user's processes, who lingers."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write(folder / "busctl", "echo b true")
    write(folder / "systemd-run", 'while [ "$1" != -- ]; do echo "$1" >> "$SAID"; shift; done; shift; exec "$@"')
    monkeypatch.setenv("SAID", str(tmp_path / "said"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_SESSION_ID", "7")
    monkeypatch.setattr(logout, "_LINGERING", tmp_path / "linger")
    monkeypatch.setattr(logout.getpass, "getuser", lambda: "ada")
    (tmp_path / "linger").mkdir()
    (tmp_path / "linger" / "ada").touch()
    return folder


def write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_in_a_scope_of_the_users_own_manager(tools: Path) -> None:
    assert logout.outliving() == ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--")
    assert logout.cautions() == []


def test_who_does_not_linger_is_told(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "linger" / "ada").unlink()
    assert logout.outliving() == ()
    assert "`loginctl enable-linger`" in logout.cautions()[0]


@pytest.mark.parametrize("script", ["echo b false", "exit 1", "echo nonsense"])
def test_nothing_is_done_where_the_system_ends_nothing(tools: Path, script: str) -> None:
    write(tools / "busctl", script)
    assert (logout.outliving(), logout.cautions()) == ((), [])


def test_nor_outside_of_a_session_or_without_a_login_manager(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.delenv("XDG_SESSION_ID")
        assert (logout.outliving(), logout.cautions()) == ((), [])
    (tools / "busctl").unlink()
    monkeypatch.setenv("PATH", str(tools))
    assert (logout.outliving(), logout.cautions()) == ((), [])


def test_a_login_manager_that_hangs_is_not_waited_for(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tools / "busctl", "sleep 60")
    monkeypatch.setattr(logout, "_PATIENCE", 0.1)
    assert logout.outliving() == ()


def test_an_engine_is_started_in_it_and_has_its_own_process(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = "import json, os, sys; print(json.dumps([os.getpid(), os.getsid(0), sys.argv[1]]))"
    monkeypatch.setattr(launcher, "ENGINE", (sys.executable, "-c", tell))
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    with launcher.start_engine(run) as process:
        assert process.wait(30) == 0
    assert json.loads(run.log.read_text()) == [process.pid, process.pid, str(run.path)]
    assert (tmp_path / "said").read_text().split() == ["--user", "--scope", "--quiet", "--collect"]
