"""events.jsonl: whole lines, tolerant readers, no step said twice."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.spec import event_log, events
from engine.spec.errors import RunFolderError
from engine.spec.event_log import MAX_LINE, EventReader, EventWriter, parse_event, read_first, read_last, worked_seconds
from engine.spec.events import (
    EVENT_TYPES,
    Event,
    ImageSaved,
    Metrics,
    Resumed,
    RunFinished,
    RunStarted,
    RunStopped,
    Warned,
)


def metrics(step: int, **values: float) -> Metrics:
    return Metrics(time=1.5, stage="generator", step=step, epoch=1, values=values or {"kl": step / 7})


def write(path: Path, *events: Event) -> None:
    with EventWriter(path) as writer:
        for event in events:
            writer.write(event)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    events = [RunStarted(time=1.0, device="cpu"), metrics(1), Warned(stage="prepare", message="ü\n\x1b")]
    write(tmp_path / "e", *events)
    assert EventReader(tmp_path / "e").read() == events
    assert read_first(tmp_path / "e") == events[0]
    assert read_last(tmp_path / "e") == events[-1]


def test_the_first_line_carries_the_schema(tmp_path: Path) -> None:
    write(tmp_path / "e", RunStarted())
    line = json.loads((tmp_path / "e").read_text())
    assert (line["type"], line["schema"]) == ("run_started", 1)


def test_every_prefix_of_a_log_gives_its_whole_lines_and_the_rest_follows(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    events = [RunStarted(time=1.0), metrics(1), metrics(2)]
    write(whole, *events)
    content = whole.read_bytes()
    record_property("faults", len(content) + 1)
    for length in range(len(content) + 1):
        part.write_bytes(content[:length])
        reader = EventReader(part)
        first = reader.read()
        assert first == events[: content[:length].count(b"\n")]
        part.write_bytes(content)
        assert first + reader.read() == events


def test_a_torn_line_is_cut_before_the_log_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "e", RunStarted(time=1.0), metrics(1))
    with (tmp_path / "e").open("ab") as file:
        file.write(b'{"type":"metrics","ti')
    write(tmp_path / "e", metrics(2))
    reader = EventReader(tmp_path / "e")
    assert reader.read() == [RunStarted(time=1.0), metrics(1), metrics(2)]
    assert reader.skipped == 0


def test_a_resumed_run_says_no_step_twice(tmp_path: Path) -> None:
    picture = ImageSaved(time=1.5, stage="generator", step=2, path="p")
    write(tmp_path / "e", metrics(1), metrics(2), picture)
    write(tmp_path / "e", metrics(2), picture, metrics(2, validation_auc=0.5), metrics(3))
    assert EventReader(tmp_path / "e").read() == [
        metrics(1),
        metrics(2),
        picture,
        metrics(2, validation_auc=0.5),
        metrics(3),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 300,
        b"\xff\xfe\n not utf-8",
        b'{"type":"from the future","x":1}',
        b'{"type":"metrics"}',
        b"[1]",
        b"null",
        b"[" * 20_000,
        b"x" * (2 * MAX_LINE + 7),
    ],
)
def test_what_is_not_understood_is_skipped_and_counted(tmp_path: Path, line: bytes) -> None:
    write(tmp_path / "e", metrics(1))
    with (tmp_path / "e").open("ab") as file:
        file.write(line + b"\n")
    write(tmp_path / "e", metrics(2))
    reader = EventReader(tmp_path / "e")
    assert reader.read() == [metrics(1), metrics(2)]
    assert reader.skipped == 1 + line.count(b"\n")


def test_the_last_event_is_found_however_long_it_is(tmp_path: Path) -> None:
    write(tmp_path / "e", metrics(1), Warned(time=1.0, stage="prepare", message="x" * 300_000))
    assert read_last(tmp_path / "e") == Warned(time=1.0, stage="prepare", message="x" * 300_000)


def test_the_time_between_a_stop_and_a_resumption_is_not_worked(tmp_path: Path) -> None:
    said = [
        RunStarted(time=10.0),
        RunStopped(time=14.0, stage="prepare"),
        Resumed(time=100.0),
        RunFinished(time=103.0, seconds=7),
    ]
    write(tmp_path / "e", *said)
    assert worked_seconds(tmp_path / "e") == 7
    assert worked_seconds(tmp_path / "nothing") == 0


def test_unknown_fields_are_left_out() -> None:
    line = '{"type":"run_finished","time":1.0,"seconds":2.0,"mood":"good"}'
    assert parse_event(line) == RunFinished(time=1.0, seconds=2.0)


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(RunFolderError, match=r"schema 99.*update histotui"):
        parse_event('{"type":"run_started","time":1.0,"schema":99}')


def test_values_that_json_has_no_word_for_become_null(tmp_path: Path) -> None:
    write(tmp_path / "e", metrics(1, kl=math.nan, recon=math.inf))
    assert json.loads((tmp_path / "e").read_text())["values"] == {"kl": None, "recon": None}


def test_a_log_that_shrank_is_read_from_the_start(tmp_path: Path) -> None:
    write(tmp_path / "e", metrics(1), metrics(2))
    reader = EventReader(tmp_path / "e")
    reader.read()
    (tmp_path / "e").unlink()
    write(tmp_path / "e", metrics(5))
    assert reader.read() == [metrics(5)]


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert EventReader(tmp_path / "e").read() == []
    assert read_last(tmp_path / "e") is None


def test_a_line_that_the_disk_has_no_room_for_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole = os.write
    with EventWriter(tmp_path / "e") as writer:
        writer.write(metrics(1))
        with monkeypatch.context() as full:
            full.setattr(event_log.os, "write", lambda descriptor, line: write_whole(descriptor, line[:9]))
            with pytest.raises(OSError, match="No space left"):
                writer.write(metrics(2))
        writer.write(metrics(3))
    assert EventReader(tmp_path / "e").read() == [metrics(1), metrics(3)]


def test_the_log_reaches_the_disk_every_few_seconds_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(event_log.os, "fdatasync", lambda _: synced.append((tmp_path / "e").stat().st_size))
    sizes = []
    with EventWriter(tmp_path / "e") as writer:
        for number, seconds in enumerate((100.0, 101.0, 102.5, 103.0)):
            writer.write(Warned(time=seconds, stage="prepare", message=str(number)))
            sizes.append((tmp_path / "e").stat().st_size)
        writer.write(RunFinished(time=103.1, seconds=3.1))
    assert synced == [sizes[0], sizes[2], (tmp_path / "e").stat().st_size]


def test_every_event_type_has_a_name_of_its_own() -> None:
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)} - {Event}
    assert {kind.type: kind for kind in kinds} == EVENT_TYPES
    assert len(kinds) == len(EVENT_TYPES)
