"""What the pane beside a new run's form says, at every width that it has."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from stage import text_of
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from histotui.widgets.consequences import Consequences

ANSWER = {
    "device": "cuda:0",
    "device_name": "NVIDIA H100 80GB HBM3",
    "parameters": 1_234_567,
    "peak_bytes": 120_000_000,
    "available_bytes": 24_200_000_000,
    "disk_bytes": 9_870_000_000,
    "disk_free_bytes": 83_000_000_000,
    "fits": True,
    "seconds": 12_000.0,
    "seconds_like": ["one", "two"],
    "data": {
        "name": "patches",
        "layout": "pcam",
        "provenance": "real",
        "patches": 300_000,
        "splits": {"train": 262_144, "test": 37_856},
        "counts": {
            "train": {"normal": 131_072, "tumour": 131_071},
            "test": {"normal": 20_000, "tumour": 17_856},
        },
    },
    "training_patches": 262_144,
}


class Alone(App[None]):
    """The pane, and nothing beside it."""

    def compose(self) -> ComposeResult:
        yield Consequences()


def said(answer: Mapping[str, Any], *widths: int) -> list[str]:
    """What the pane says, the terminal having one width after the other, a text for each."""
    texts: list[str] = []

    async def play(pilot: "Pilot[None]") -> None:
        pane = pilot.app.query_one(Consequences)
        pane.show_answer(answer)
        for width in widths:
            await pilot.resize_terminal(width, 40)
            await pilot.pause()
            lines = (line[1:].rstrip() for line in text_of(pane).splitlines())
            texts.append("\n".join(lines))

    async def run() -> None:
        app = Alone()
        async with app.run_test(size=(widths[0], 40)) as pilot:
            await play(pilot)

    asyncio.run(run())
    return texts


@pytest.mark.parametrize("width", [35, 44, 60, 100])
def test_a_number_stays_with_its_unit_and_with_what_it_is_a_part_of(width: int) -> None:
    (text,) = said(ANSWER, width)
    for whole in ("120 MB of 24.2 GB", "9.87 GB of 83.0 GB", "about 3 h 20 min,", "by 2 earlier runs"):
        assert sum(whole in line for line in text.splitlines()) == 1, text


def test_bars_are_as_long_as_there_is_room_for_beside_the_numbers() -> None:
    narrow, middle, wide = said(ANSWER, 35, 44, 100)
    assert "━" not in narrow and "─" not in narrow
    assert [line for line in middle.splitlines() if "of" in line and "GB" in line] == [
        "memory      ────────── 120 MB of 24.2 GB",
        "disk        ━───────── 9.87 GB of 83.0 GB",
    ]
    assert "memory      ──────────────── 120 MB of 24.2 GB" in wide


def test_what_goes_on_in_another_line_stands_below_what_it_belongs_to() -> None:
    (text,) = said(ANSWER, 44)
    assert "device      cuda:0 (NVIDIA H100 80GB\n            HBM3)" in text


def test_classes_are_counted_by_split_where_the_engine_could_say_so() -> None:
    (text,) = said(ANSWER, 35)
    assert "               normal   tumour\ntrain         131,072  131,071\ntest           20,000   17,856\n" in text


def test_nothing_is_said_of_classes_where_the_engine_could_not() -> None:
    data = {**ANSWER["data"]}  # type: ignore[dict-item]
    del data["counts"]
    (text,) = said({**ANSWER, "data": data}, 44)
    assert "train       262,144\ntest        37,856\n" in text and "tumour" not in text


def test_what_there_is_too_little_of_is_said_with_units_whole() -> None:
    answer = {**ANSWER, "fits": False, "stage": "generator", "peak_bytes": 90_000_000_000, "binds": "activations"}
    for width in range(24, 60):
        (text,) = said(answer, width)
        assert not any(line.endswith(("90.0", "24.2")) for line in text.splitlines()), text
