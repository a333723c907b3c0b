"""What the follow worker reads: only what was appended, and frozen."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from workbench import Bench

from engine.spec.event_log import EventWriter
from engine.spec.events import ImageSaved, Metrics, Progress, RunFinished, RunStarted, StageStarted
from histotui import devices
from histotui import watcher as watching
from histotui.devices import DeviceMeter
from histotui.log_tail import LAST, Growth, LogTail
from histotui.store import RunStore
from histotui.watcher import Watcher

ID = "20261101-000000-vae-500-aaaa"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(watching, "LISTING_SECONDS", 0.0)
    return Bench(tmp_path, monkeypatch)


def metrics(step: int, value: float) -> Metrics:
    return Metrics(stage="generator", step=step, epoch=1, values={"recon": value})


def test_a_followed_run_is_folded_and_then_only_what_is_new(bench: Bench) -> None:
    image = ImageSaved(stage="generator", step=1, path="samples/generator/step-000001.png")
    folder = bench.write(ID, [RunStarted(), StageStarted(stage="generator"), metrics(1, 4.0), image])
    watcher = Watcher(RunStore(bench.runs))
    watcher.follow([ID])
    first = watcher.read().snapshots[ID]
    assert [list(curve.values) for curve in first.curves] == [[4.0]]
    assert first.images == (image,)
    assert watcher.read().snapshots == {}
    with EventWriter(folder.events) as writer:
        writer.write(metrics(2, 3.0))
    second = watcher.read().snapshots[ID]
    assert [list(curve.values) for curve in second.curves] == [[4.0, 3.0]]
    assert [list(curve.values) for curve in first.curves] == [[4.0]]


def test_progress_and_metrics_are_not_among_the_events(bench: Bench) -> None:
    told = [RunStarted(), metrics(1, 1.0), Progress(stage="generator", step=1, total=2), RunFinished(seconds=1.0)]
    bench.write(ID, told)
    watcher = Watcher(RunStore(bench.runs))
    watcher.follow([ID])
    assert [event.type for event in watcher.read().snapshots[ID].events] == ["run_started", "run_finished"]


def test_a_run_that_is_followed_no_more_is_forgotten(bench: Bench) -> None:
    bench.write(ID, [RunStarted()])
    watcher = Watcher(RunStore(bench.runs))
    watcher.follow([ID])
    assert watcher.read().snapshots
    watcher.follow([])
    assert watcher.read().snapshots == {}
    watcher.follow([ID])
    assert watcher.read().snapshots[ID].run.stages == {}


def test_a_log_from_a_newer_version_is_an_error_that_is_said_once(bench: Bench) -> None:
    bench.write(ID, [RunStarted(schema=99)])
    watcher = Watcher(RunStore(bench.runs))
    watcher.follow([ID])
    assert "schema 99" in watcher.read().snapshots[ID].error
    assert watcher.read().snapshots == {}


def test_a_log_that_cannot_be_read_is_an_error_and_no_end(bench: Bench) -> None:
    folder = bench.write(ID, [RunStarted()])
    folder.events.unlink()
    folder.events.mkdir()
    watcher = Watcher(RunStore(bench.runs))
    watcher.follow([ID])
    assert "directory" in watcher.read().snapshots[ID].error
    assert watcher.read().snapshots == {}


def test_the_listing_is_news_only_where_it_has_changed(bench: Bench) -> None:
    bench.write(ID, [RunStarted(), RunFinished(seconds=1.0)])
    watcher = Watcher(RunStore(bench.runs))
    listing = watcher.read().listing
    assert listing is not None and [run.id for run in listing] == [ID]
    assert watcher.read().listing is None
    bench.write("20261102-000000-vae-500-bbbb", [RunStarted(), RunFinished(seconds=1.0)])
    listing = watcher.read().listing
    assert listing is not None and [run.id[-4:] for run in listing] == ["bbbb", "aaaa"]


def test_a_folder_of_runs_that_cannot_be_read_is_said_once(tmp_path: Path, bench: Bench) -> None:
    root = tmp_path / "file"
    root.write_text("")
    watcher = Watcher(RunStore(root))
    assert str(root) in watcher.read().error
    assert watcher.read().error == ""


def test_a_log_is_read_as_it_grows_and_a_line_that_has_not_ended_is_given_again(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    tail = LogTail(path)
    assert tail.read() == Growth()
    path.write_bytes(b"one\ntwo\nthr")
    assert tail.read() == Growth(("one", "two"), "thr")
    assert tail.read() == Growth((), "thr")
    with path.open("ab") as file:
        file.write(b"ee\n\x1b[2J\n\xffhalf")
    assert tail.read() == Growth(("three", "\\x1b[2J"), "\ufffdhalf")
    with path.open("ab") as file:
        file.write(b"\n")
    assert tail.read() == Growth(("\ufffdhalf",))


def test_of_a_line_that_is_written_over_what_it_says_last_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"\r 10 %\r 20 %\r")
    assert LogTail(path).read() == Growth((), " 20 %")


def test_of_a_long_log_the_end_is_read_and_a_new_one_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    tail = LogTail(path)
    lines = tail.read().lines
    assert lines[-1] == "line 99999" and lines[0].startswith("line ") and sum(map(len, lines)) < LAST
    path.write_bytes(b"again\n")
    assert tail.read() == Growth(("again",))


def test_a_line_that_never_ends_does_not_hold_up_what_comes_after(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"start\n")
    tail = LogTail(path)
    tail.read()
    with path.open("ab") as file:
        file.write(b"x" * (LAST + 10) + b"\nafter\n")
    assert tail.read() == Growth(("x" * LAST,))
    assert tail.read() == Growth(("x" * 10, "after"))


@pytest.mark.parametrize(("answers", "shown"), [([True, False], ["cuda:0"]), ([False, False], ["cpu"])])
def test_a_gpu_that_says_nothing_is_left_out(
    monkeypatch: pytest.MonkeyPatch, answers: list[bool], shown: list[str]
) -> None:
    library = devices.pynvml

    def memory(number: int) -> SimpleNamespace:
        if not answers[number]:
            raise library.NVMLError(4)
        return SimpleNamespace(used=1, total=2)

    def refuse(_: object) -> None:
        raise library.NVMLError(4)

    monkeypatch.setattr(library, "nvmlInit", lambda: None)
    monkeypatch.setattr(library, "nvmlDeviceGetCount", lambda: len(answers))
    monkeypatch.setattr(library, "nvmlDeviceGetHandleByIndex", lambda number: number)
    monkeypatch.setattr(library, "nvmlDeviceGetMemoryInfo", memory)
    for name in ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetComputeRunningProcesses"):
        monkeypatch.setattr(library, name, refuse)
    assert [load.name for load in DeviceMeter().read()] == shown


def test_without_a_gpu_the_processor_is_the_device() -> None:
    meter = DeviceMeter()
    if meter._has_nvml:
        pytest.skip("this machine has a GPU")
    (cpu,) = meter.read()
    assert cpu.name == "cpu" and 0 < cpu.used < cpu.total
    assert cpu.busy is None or 0 <= cpu.busy <= 1
