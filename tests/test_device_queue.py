"""One run per device, the others in the order in which they came; and nobody waits for the dead."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import device, waiting
from engine.device_queue import ONE_AT_A_TIME, DeviceQueue
from engine.soak.engines import Engines
from engine.soak.toys import toy_config, toy_run
from engine.spec.errors import Stopped
from engine.spec.event_log import EventReader, EventWriter, read_last, worked_seconds
from engine.spec.events import DeviceTaken, Queued, RunFinished, RunStarted, RunStopped, StageStarted
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from engine.waiting import take_device
from histotui.runs import Run
from histotui.summary import summarize

Told = list[tuple[str, int]]


def never() -> None:
    """Nobody asks to stop."""


def hold(folder: Path, devices: Sequence[str], log: Path, name: str, seconds: float) -> None:
    """Take a device, write down when, hold it for a while."""
    with DeviceQueue(folder) as queue:
        taken = queue.take(devices, lambda *_: None, never)
        note(log, f"{name} takes {taken}")
        time.sleep(seconds)
        note(log, f"{name} gives {taken}")


def note(log: Path, text: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


class Holder:
    """A process that holds a device."""

    def __init__(self, *arguments: Any) -> None:
        self._status: int | None = None
        self.pid = os.fork()
        if not self.pid:
            hold(*arguments)
            os._exit(0)

    def is_alive(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def ends_well(self, seconds: float = 60.0) -> bool:
        wait_for(lambda: not self.is_alive(), seconds)
        return self._status == 0


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def tickets(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("ticket-*"))


def test_a_free_device_is_taken_at_once(tmp_path: Path) -> None:
    told: Told = []
    with DeviceQueue(tmp_path / "q") as queue:
        assert queue.take(["a", "b"], lambda *said: told.append(said), never) == "a"
        with DeviceQueue(tmp_path / "q") as other:
            assert other.take(["a", "b"], lambda *said: told.append(said), never) == "b"
    assert told == [] and tickets(tmp_path / "q") == []
    with DeviceQueue(tmp_path / "q") as queue:
        assert queue.take(["a"], lambda *said: told.append(said), never) == "a"


def test_they_have_it_one_after_the_other_in_their_order(tmp_path: Path) -> None:
    folder, log = tmp_path / "q", tmp_path / "log"
    processes = [Holder(folder, ["a"], log, "0", 1.0)]
    wait_for(lambda: lines(log))
    for number in range(1, 5):
        processes.append(Holder(folder, ["a"], log, str(number), 0.05))
        wait_for(lambda: len(tickets(folder)) == len(processes) - 1)
    assert all(process.ends_well() for process in processes)
    assert lines(log) == [f"{number} {what} a" for number in range(5) for what in ("takes", "gives")]
    assert tickets(folder) == []


def test_a_hundred_at_once_never_have_it_together(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    folder, log = tmp_path / "q", tmp_path / "log"
    for _ in range(5):
        processes = [Holder(folder, ["a"], log, str(number), 0.0) for number in range(20)]
        assert all(process.ends_well() for process in processes)
    record_property("faults", 100)
    found = lines(log)
    assert len(found) == 200
    assert all(
        one.split()[0] == other.split()[0] and (one.split()[1], other.split()[1]) == ("takes", "gives")
        for one, other in zip(found[::2], found[1::2], strict=True)
    )


@pytest.mark.parametrize("victim", ["holder", "next in line"])
def test_who_is_killed_is_not_waited_for(victim: str, tmp_path: Path) -> None:
    folder, log = tmp_path / "q", tmp_path / "log"
    holder = Holder(folder, ["a"], log, "holder", 60.0)
    wait_for(lambda: lines(log))
    second = Holder(folder, ["a"], log, "second", 0.0 if victim == "holder" else 60.0)
    wait_for(lambda: len(tickets(folder)) == 1)
    third = Holder(folder, ["a"], log, "third", 0.0)
    wait_for(lambda: len(tickets(folder)) == 2)
    (second if victim != "holder" else holder).kill()
    if victim != "holder":
        wait_for(lambda: not second.is_alive())
        holder.kill()
    wait_for(lambda: not holder.is_alive())
    assert third.ends_well(10)
    expected = ["holder", "second", "second", "third", "third"] if victim == "holder" else ["holder", "third", "third"]
    assert [line.split()[0] for line in lines(log)] == expected
    assert tickets(folder) == []


def test_who_can_use_another_device_does_not_wait_behind_those_who_cannot(tmp_path: Path) -> None:
    folder, log = tmp_path / "q", tmp_path / "log"
    holder = Holder(folder, ["a"], log, "holder", 60.0)
    wait_for(lambda: lines(log))
    waiting_for_a = Holder(folder, ["a"], log, "second", 0.0)
    wait_for(lambda: tickets(folder))
    with DeviceQueue(folder) as queue:
        assert queue.take(["a", "b"], lambda *_: None, never) == "b"
    holder.kill()
    assert waiting_for_a.ends_well(10)


def test_who_waits_can_be_stopped_and_leaves_no_ticket(tmp_path: Path) -> None:
    def asked() -> None:
        raise Stopped("asked to")

    told: Told = []
    with DeviceQueue(tmp_path) as holder, DeviceQueue(tmp_path) as queue:
        holder.take(["a"], lambda *_: None, never)
        with pytest.raises(Stopped):
            queue.take(["a"], lambda *said: told.append(said), asked)
    assert told == [("a", 0)] and tickets(tmp_path) == []


class TestDevices:
    def test_each_is_known_by_what_the_driver_calls_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(device.pynvml, "nvmlInit", lambda: None)
        monkeypatch.setattr(device.pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
        monkeypatch.setattr(device.pynvml, "nvmlDeviceGetUUID", lambda handle: f"GPU-{handle}")
        one, two = torch.device("cuda", 0), torch.device("cuda", 1)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert [device.device_key(each) for each in (one, two, torch.device("cpu"))] == ["GPU-0", "GPU-1", "cpu"]
        monkeypatch.setattr(device.pynvml, "nvmlDeviceGetCount", lambda: 9)
        monkeypatch.setattr(device.pynvml, "nvmlDeviceGetUUID", lambda handle: f"GPU-{handle}-whole")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-7")
        assert [device.device_key(each) for each in (one, two)] == ["GPU-3-whole", "GPU-7-whole"]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-5")
        assert device.device_key(one) == "MIG-5"

    def test_without_the_driver_by_their_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def absent() -> None:
            raise device.pynvml.NVMLError(1)

        monkeypatch.setattr(device.pynvml, "nvmlInit", absent)
        assert device.device_key(torch.device("cuda", 1)) == "cuda-1"

    def test_auto_means_every_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert [str(each) for each in device.possible_devices("auto")] == ["cuda:0", "cuda:1"]
        assert [str(each) for each in device.possible_devices("cuda:1")] == ["cuda:1"]
        assert str(device.choose_device("auto")) == "cuda:0"


class TestWaiting:
    @pytest.fixture(autouse=True)
    def two_gpus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gpus = [torch.device("cuda", 0), torch.device("cuda", 1)]
        monkeypatch.setattr(waiting, "possible_devices", lambda wish: gpus if wish == "auto" else gpus[:1])
        monkeypatch.setattr(waiting, "device_key", str)
        monkeypatch.setattr(waiting, "device_name", lambda device: "a card")

    def test_what_is_free_is_announced_and_no_more(self, tmp_path: Path) -> None:
        announced: list[str] = []
        with DeviceQueue(tmp_path / "q") as queue, EventWriter(tmp_path / "events.jsonl") as events:
            assert str(take_device("auto", queue, events, announced.append, never)) == "cuda:0"
        assert announced == ["cuda:0 (a card)"] and EventReader(tmp_path / "events.jsonl").read() == []

    def test_what_is_waited_for_is_said_once_and_again_when_it_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        places = iter([2, 2, 1, 0, 0])

        class Crowded(DeviceQueue):
            def take(self, devices: Sequence[str], told: Callable[[str, int], None], stop: Callable[[], None]) -> str:
                for place in places:
                    told(devices[0], place)
                return devices[-1]

        announced: list[str] = []
        with EventWriter(tmp_path / "events.jsonl") as events:
            taken = take_device("auto", Crowded(tmp_path), events, announced.append, never)
        said = EventReader(tmp_path / "events.jsonl").read()
        assert str(taken) == "cuda:1" and announced == [""]
        assert [event.words for event in said if isinstance(event, Queued)] == [
            "no. 3 for any GPU",
            "no. 2 for any GPU",
            "next for any GPU",
        ]
        last = said[-1]
        assert isinstance(last, DeviceTaken) and last.device == "cuda:1 (a card)"
        assert Run().apply_all(said).device == "cuda:1 (a card)"


def test_waiting_is_no_work(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "events.jsonl") as events:
        for event in (
            RunStarted(time=100.0),
            Queued(time=101.0, device="cuda:0", before=0),
            DeviceTaken(time=500.0, device="cuda:0"),
            StageStarted(time=507.0, stage="prepare"),
        ):
            events.write(event)
    assert worked_seconds(tmp_path / "events.jsonl") == 7.0


class TestRuns:
    """Whole engines, on the processor, where they wait for each other if they are told to."""

    @pytest.fixture
    def engines(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engines:
        return Engines(tmp_path / "cache", {ONE_AT_A_TIME: "1"})

    def one_behind_the_other(
        self, engines: Engines, folder: Path, second: RunFolder
    ) -> tuple[ForkServerProcess, ForkServerProcess]:
        """An engine that hangs on a run of its own, and the one of the second run, which waits for it."""
        first = toy_run(folder / "runs" / "first", toy_config("null"))
        hanging = engines.start(first, "sample:1:sleep")
        wait_for(lambda: "synthesis: started" in log_of(first))
        follower = engines.start(second)
        wait_for(lambda: isinstance(read_last(second.events), Queued))
        return hanging, follower

    def test_the_second_waits_is_shown_as_queued_and_starts_by_itself(self, engines: Engines, tmp_path: Path) -> None:
        second = toy_run(tmp_path / "runs" / "second", toy_config("null"))
        hanging, follower = self.one_behind_the_other(engines, tmp_path, second)
        summary = summarize(second)
        assert (summary.state, summary.stage) == ("queued", "next for cpu")
        hanging.kill()
        follower.join(60)
        assert follower.exitcode == 0
        assert isinstance(read_last(second.events), RunFinished)
        assert summarize(second).device.startswith("cpu (")

    def test_who_waits_can_be_stopped(self, engines: Engines, tmp_path: Path) -> None:
        second = toy_run(tmp_path / "runs" / "second", toy_config("null"))
        hanging, follower = self.one_behind_the_other(engines, tmp_path, second)
        identity = ProcessIdentity.read(second.process)
        assert identity is not None
        os.kill(identity.pid, signal.SIGTERM)
        follower.join(60)
        assert follower.exitcode == 75 and isinstance(read_last(second.events), RunStopped)
        hanging.kill()
        hanging.join()
        assert engines.finish(second) == 0


def log_of(run: RunFolder) -> str:
    return run.log.read_text() if run.log.exists() else ""
