"""The data screen: counts, pages of patches, inspection, and sources that cannot be read."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stage import play, text_of, until
from textual.pilot import Pilot
from workbench import Bench

from engine.spec.errors import DataError
from histotui.ask import Asking
from histotui.screens import data as data_screen
from histotui.screens.data import DataScreen

Tree = dict[str, Any]


class Source:
    """Answers the screen's questions: 40 normal and 33 tumour patches to train on, 5 and no tumour to test on."""

    counts: Tree = {"train": {"normal": 40, "tumour": 33}, "test": {"normal": 5, "tumour": 0}}  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, Tree]] = []
        self.questions: list[Asking] = []
        self._picture = folder / "page.png"
        Image.new("RGB", (526, 262), (200, 120, 180)).save(self._picture)

    def __call__(self, query: str, body: Tree, on_progress: object, asking: Asking) -> Tree:
        self.asked.append((query, body))
        self.questions.append(asking)
        if body["data"]["source"].endswith("nowhere"):
            raise DataError("data.source /nowhere: there is no such folder")
        if query == "inspect":
            return {"layout": "kaggle", "duplicates": {"across_splits": 3}}
        patches = self.counts[body["split"]][("normal", "tumour")[body["label"]]]
        picture = str(self._picture) if patches else None
        return {
            "picture": picture,
            "page": body["page"],
            "pages": -(-patches // 32),
            "patches": patches,
            "counts": self.counts,
        }


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    answers = Source(tmp_path)
    monkeypatch.setattr(data_screen, "ask", answers)
    return answers


async def opened(pilot: "Pilot[None]", first: str) -> None:
    await pilot.press("D")
    await until(pilot, lambda: isinstance(pilot.app.screen, DataScreen) and first in text_of(pilot.app.screen))


def test_pages_of_one_class_and_split_are_turned(bench: Bench, source: Source) -> None:
    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot, "train, normal: page 1 of 2, 40 patches")
        await pilot.press("right")
        await until(pilot, lambda: "page 2 of 2" in text_of(pilot.app.screen))
        await pilot.press("right", "c")
        await until(pilot, lambda: "train, tumour: page 1 of 2, 33 patches" in text_of(pilot.app.screen))
        await pilot.press("v")
        await until(pilot, lambda: "test, tumour: no patches" in text_of(pilot.app.screen))
        assert "no patches here" in text_of(pilot.app.screen)

    play(bench, script, (120, 40))
    last = source.asked[-1]
    assert last == ("patches", {"data": {"source": "tissue"}, "split": "test", "label": 1, "page": 0})


def test_counts_stand_beside_the_patches(bench: Bench, source: Source) -> None:
    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot, "page 1 of 2")
        lines = [line.split() for line in text_of(pilot.app.screen).splitlines()]
        assert any(words[:4] == ["▸", "train", "40", "33"] for words in lines)
        assert any(words[:3] == ["test", "5", "0"] for words in lines)

    play(bench, script)


def test_inspection_reads_every_patch_when_it_is_asked_for(bench: Bench, source: Source) -> None:
    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot, "page 1 of 2")
        assert [query for query, _ in source.asked] == ["patches"]
        await pilot.press("i")
        await until(pilot, lambda: "across splits" in text_of(pilot.app.screen))

    play(bench, script, (120, 40))


def test_another_source_is_named_and_one_that_is_not_there_is_said(bench: Bench, source: Source) -> None:
    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot, "page 1 of 2")
        await pilot.press("slash", *["backspace"] * 6, *"/nowhere", "enter")
        await until(pilot, lambda: "there is no such" in text_of(pilot.app.screen))

    play(bench, script, (120, 40))
    assert source.asked[-1][1]["data"] == {"source": "/nowhere"}


def test_a_question_that_nobody_waits_for_is_called_off(bench: Bench, source: Source) -> None:
    async def script(pilot: "Pilot[None]") -> None:
        await opened(pilot, "page 1 of 2")
        await pilot.press("c")
        await until(pilot, lambda: len(source.questions) == 2)
        assert [question.is_off for question in source.questions] == [True, False]
        await pilot.press("escape")
        await until(pilot, lambda: source.questions[-1].is_off)

    play(bench, script)
