"""The machine's clock is set while runs go on: nothing that is told of them follows it, and none looks dead for it."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.data.packing import abandoned_packs
from engine.device_queue import DeviceQueue
from engine.soak.ending import differences, ending
from engine.soak.toys import toy_config, toy_run
from engine.spec import clock
from engine.spec.event_log import EventReader, EventWriter, read_last, worked_seconds
from engine.spec.events import Metrics, Resumed, RunFinished, RunStarted, Warned
from engine.spec.process import ProcessIdentity, RunLock, locked
from engine.spec.run_folder import RunFolder
from histotui.curves import CurveBook
from histotui.runs import STALLED
from histotui.summary import RunSummary, summarize

REPOSITORY = Path(__file__).resolve().parents[1]
HOUR, TEN_YEARS = 3600.0, 10 * 365 * 86400.0
STEPS = [(1, 0.0), (2, 5.0), (3, -HOUR), (4, 1.0), (5, 6.0)]
"""Steps, and the seconds into the run that their events tell."""
JUMPS = [pytest.param(-HOUR, id="an hour back"), pytest.param(TEN_YEARS, id="ten years on")]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunFolder]:
    """A run whose engine lives and spoke at 1000 and at 1060."""
    run = toy_run(tmp_path / "one", toy_config("baseline"))
    with EventWriter(run.events) as events:
        events.write(RunStarted(time=1000.0))
        events.write(Warned(time=1060.0, stage="prepare", message="m"))
    with RunLock(run.lock):
        yield run


def elsewhere(run: RunFolder) -> None:
    """Let it have been begun on another host."""
    replace(ProcessIdentity.current(), host="another", boot_id="b").write(run.process)


def after(run: RunFolder, written: float, now: float) -> RunSummary:
    """What is told of a run whose log was written at one time of the clock, at another; it began long before."""
    if run.process.exists():
        os.utime(run.process, (written - 500, written - 500))
    os.utime(run.events, (written, written))
    return summarize(run, now)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_live_run_stays_one(running: RunFolder, jump: float) -> None:
    set_clock = 1060 + jump
    told = after(running, set_clock, set_clock + 5)
    assert told.state == "running" and told.seconds == 65.0


@pytest.mark.parametrize("jump", JUMPS)
def test_one_that_hangs_is_still_seen_to(running: RunFolder, jump: float) -> None:
    assert after(running, 1060.0, 1060 + jump).state == "stalled"


@pytest.mark.parametrize("jump", JUMPS)
def test_one_on_another_host_stays_one_too(tmp_path: Path, jump: float) -> None:
    run = toy_run(tmp_path / "one", toy_config("baseline"))
    with EventWriter(run.events) as events:
        events.write(RunStarted(time=1000.0))
    elsewhere(run)
    assert after(run, 1000 + jump, 1005 + jump).state == "running"
    assert after(run, 1000 + jump, 1700 + jump).state == "lost"


def test_a_copy_of_one_on_another_host_is_not_taken_for_it(tmp_path: Path) -> None:
    run = toy_run(tmp_path / "one", toy_config("baseline"))
    with EventWriter(run.events) as events:
        events.write(RunStarted(time=1000.0))
    elsewhere(run)
    assert summarize(run).state == "lost"


def test_one_that_is_taken_up_again_has_not_been_silent(running: RunFolder) -> None:
    os.utime(running.events, (1060.0, 1060.0))
    assert summarize(running, 5000.0).state == "stalled"
    ProcessIdentity.current().write(running.process)
    os.utime(running.process, (4990.0, 4990.0))
    assert summarize(running, 5000.0).state == "running"


def test_a_long_silence_is_no_time_at_work(running: RunFolder) -> None:
    assert after(running, 1060.0, 1060 + TEN_YEARS).seconds == 60 + STALLED


def test_a_log_without_a_time_is_told_by_its_last_event(running: RunFolder) -> None:
    assert after(running, 5.0, 1065.0).state == "running"


SET = """import itertools, sys, time
began, steps = time.time(), itertools.count()
time.time = lambda: began + 3600 * (-1) ** next(steps)
from engine.__main__ import main
sys.exit(main([sys.argv[1]]))"""
"""An engine whose clock is set whenever it is looked at."""


@pytest.mark.usefixtures("in_process")
def test_a_run_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    config = toy_config("vae-2000")
    undisturbed, disturbed = (toy_run(tmp_path / name / "run", config) for name in ("undisturbed", "disturbed"))
    assert main([str(undisturbed.path)]) == 0
    command = [sys.executable, "-c", SET, str(disturbed.path)]
    subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True)
    assert differences(ending(undisturbed), ending(disturbed)) == []
    times = [event.time for event in EventReader(disturbed.events).read()]
    last = read_last(disturbed.events)
    assert times == sorted(times) and times[-1] - times[0] < HOUR
    assert isinstance(last, RunFinished) and 0 <= last.seconds < HOUR


def test_a_process_tells_time_by_a_clock_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(clock.now() - time.time()) < 60
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= clock.now() - before < 60
    monkeypatch.setattr(clock, "_BOOTED", TEN_YEARS)
    assert Warned(stage="s", message="m").time > TEN_YEARS


def test_work_is_added_up_within_each_process(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "e") as events:
        events.write(RunStarted(time=TEN_YEARS))
        events.write(Warned(time=TEN_YEARS + 5, stage="s", message="m"))
        events.write(Resumed(time=1000.0))
        events.write(Warned(time=1003.0, stage="s", message="m"))
    assert worked_seconds(tmp_path / "e") == 8.0


def test_a_run_taken_up_before_it_began_has_no_negative_times(tmp_path: Path) -> None:
    run = toy_run(tmp_path / "one", toy_config("baseline"))
    book = CurveBook()
    logged = [Metrics(time=1000.0 + at, stage="s", step=step, epoch=1, values={"x": 1.0}) for step, at in STEPS]
    with EventWriter(run.events) as events:
        for event in logged:
            events.write(event)
            book.add(event)
    (curve,) = book.snapshot()
    assert list(curve.times) == [0.0, 5.0, 5.0, 5.0, 6.0]
    assert summarize(run, 9000.0).seconds == 6.0
    with EventWriter(run.events) as events:
        events.write(Resumed(time=0.0))
    assert summarize(run, 9000.0).seconds == 0.0


def test_who_came_first_is_first_after_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = itertools.count()
    monkeypatch.setattr(time, "time_ns", lambda: 10**18 - next(steps) * 3600 * 10**9)
    with DeviceQueue(tmp_path) as queue, queue._ticket(["a"]) as first, DeviceQueue(tmp_path)._ticket(["a"]) as second:
        assert first.name < second.name
        assert queue._before(first, ["a"]) == [] and queue._before(second, ["a"]) == [frozenset("a")]


def test_a_pack_in_the_making_is_not_taken_for_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".tmp-one"
    folder.mkdir()
    assert abandoned_packs(tmp_path) == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + TEN_YEARS)
    with locked(folder):
        assert abandoned_packs(tmp_path) == []
    assert abandoned_packs(tmp_path) == [folder]
