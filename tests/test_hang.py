"""An engine that hangs: where it is can be asked, it can be ended, and its run goes on."""

import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from engine.soak.ending import differences, ending
from engine.soak.engines import Engines
from engine.soak.toys import toy_config, toy_run
from engine.spec.errors import RunFolderError
from engine.spec.event_log import read_last
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui.launcher import kill
from histotui.logs import print_stack
from histotui.runs import Life, life_of
from histotui.stopping import stop_run
from histotui.summary import summarize


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return toy_run(tmp_path / "20261123-154501-vae-100-a1b2", toy_config("vae-100"))


@pytest.fixture
def hung(engines: Engines, run: RunFolder) -> Iterator[ForkServerProcess]:
    """An engine that sleeps in its seventh step for an hour."""
    process = engines.start(run, "step.backward:7:sleep")
    while not list(run.checkpoints.glob("generator/step-00000006/manifest.json")):
        assert process.is_alive()
        time.sleep(0.02)
    yield process
    process.kill()
    process.join()


def test_where_it_hangs_is_told(hung: ForkServerProcess, run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    told = ""
    while "in reach" not in told:
        print_stack(run)
        told = capsys.readouterr().out
    assert "most recent call first" in told and "in _update" in told and "in run_stages" in told
    assert hung.is_alive() and told in run.log.read_text()


def test_it_is_shown_as_stalled_and_not_killed(hung: ForkServerProcess, run: RunFolder) -> None:
    last = read_last(run.events)
    assert last is not None and life_of(run) is Life.ALIVE
    assert summarize(run, last.time + 60).state == "running"
    assert summarize(run, last.time + 3600).state == "stalled"
    assert hung.is_alive()


def test_asked_twice_it_ends_at_once_and_its_run_goes_on(
    hung: ForkServerProcess, run: RunFolder, engines: Engines, tmp_path: Path
) -> None:
    identity = ProcessIdentity.read(run.process)
    assert identity is not None and identity.pid == hung.pid
    hung.terminate()
    hung.join(0.5)
    assert hung.is_alive(), "what it does now is not interrupted"
    hung.terminate()
    hung.join(10)
    assert hung.exitcode == 128 + signal.SIGTERM
    whole = toy_run(tmp_path / "whole" / "run", toy_config("vae-100"))
    assert engines.finish(whole) == engines.finish(run) == 0
    assert differences(ending(run), ending(whole)) == []


def test_the_wait_for_it_can_be_called_off(hung: ForkServerProcess, run: RunFolder) -> None:
    said: list[str] = []
    asked: list[bool] = []

    def is_called_off() -> bool:
        asked.append(len(asked) >= 2)
        return asked[-1]

    stop_run(run, grace=5, say=said.append, is_called_off=is_called_off)
    assert said == [f"{run.id}: stopping with a checkpoint"] and hung.is_alive()


def test_it_can_be_killed(hung: ForkServerProcess, run: RunFolder) -> None:
    with pytest.raises(Exception, match="still works after 0 s"):
        stop_run(run, grace=0.2, say=lambda text: None)
    identity = ProcessIdentity.read(run.process)
    assert identity is not None and kill(identity)
    hung.join(10)
    assert hung.exitcode == -signal.SIGKILL


def test_nobody_is_asked_where_no_engine_is(run: RunFolder, engines: Engines) -> None:
    with pytest.raises(RunFolderError, match="is not running"):
        print_stack(run)
    assert engines.finish(run) == 0
    with pytest.raises(RunFolderError, match="is not running"):
        print_stack(run)
