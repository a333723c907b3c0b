"""What `show`, `compare` and the evaluation pane say of a run's quality."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from fake_engine import score
from quality_samples import COPIES, SHEET
from stage import text_of, until
from textual.app import App, ComposeResult
from workbench import Bench

from engine.spec.events import RunFinished, RunStarted
from engine.spec.quality import Measures, QualitySheet, write_quality
from engine.spec.run_folder import RunFolder
from histotui.quality import quality_of
from histotui.summary import summarize
from histotui.widgets.evaluation import EvaluationPane

ONE, TWO = "20251121-120000-vae-500-aaaa", "20251122-120000-vae-500-bbbb"
DONE = (RunStarted(time=100.0, device="cpu"), RunFinished(time=160.0, seconds=60.0))
ATTACK = "\x1b]52;c;aGk=\x07evil\x1b[2J"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def measured(bench: Bench, run_id: str = ONE, sheet: QualitySheet = SHEET) -> RunFolder:
    folder = bench.write(run_id, DONE, scores=[score()])
    write_quality(folder.quality, sheet)
    return folder


def pane(folder: RunFolder, awaited: str, size: tuple[int, int]) -> list[str]:
    """The lines of the pane, once this is among them."""
    said: list[str] = []

    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield EvaluationPane()

    async def run() -> None:
        app = Alone()
        async with app.run_test(size=size) as pilot:
            app.query_one(EvaluationPane).show(summarize(folder))
            await until(pilot, lambda: awaited in text_of(app.screen))
            said.extend(text_of(app.screen).splitlines())

    asyncio.run(run())
    return said


def test_a_table_for_each_space_has_the_floor_beside_each_value(bench: Bench) -> None:
    quality = quality_of(measured(bench))
    first, second = quality.tables
    assert first[0] == "quality by random convolutions (2,000: 1,000 normal, 1,000 tumour)"
    assert first[1].split() == ["both", "floor", "normal", "floor", "tumour", "floor"]
    rows = {line[:16].strip(): line[16:].split() for line in first[2:]}
    assert rows["Fréchet distance"] == ["158", "1.34"] * 3
    assert rows["± error"] == ["0.014", "0.001"] * 3
    assert rows["detector AUC"] == ["0.999", "0.612"] * 3
    assert second[2].split()[-2:] == ["–", "–"]
    assert max(map(len, (*first, *second))) <= 70


def test_remarks_say_what_is_missing_and_what_copying_is(bench: Bench) -> None:
    remarks = quality_of(measured(bench)).remarks
    assert remarks[0] == "detector AUC by random convolutions, 95 %: [0.998, 1.000], floor [0.590, 0.630]"
    assert "left out by cnn trained on real of tumour: the detector needs more patches" in remarks
    (copying,) = [remark for remark in remarks if remark.startswith("copying")]
    assert copying.startswith("copying: clear, for more than enough are; 12.4% of 500 synthetic patches")
    assert "and 0.2% of 400 test patches" in copying
    assert remarks[-1] == "The floor is training patches."
    unclear = quality_of(measured(bench, TWO, replace(SHEET, copies=replace(COPIES, clear=False)))).remarks
    assert any(remark.startswith("copying: none to be seen; ") for remark in unclear)


def test_show_has_the_tables_and_its_json_the_record(bench: Bench) -> None:
    folder = measured(bench)
    out = bench("show", ONE).out
    for line in quality_of(folder).tables[0]:
        assert f"\n{line}\n" in out
    shown = bench("show", ONE, "--json").json["quality"]
    assert shown["comparisons"][0]["synthetic"]["frechet"] == 158.2
    assert shown["comparisons"][0]["floor"]["coverage"] == 0.81
    assert (shown["copies"]["clear"], shown["notes"]) == (True, ["The floor is training patches."])


def test_a_run_without_it_says_nothing_of_it(bench: Bench) -> None:
    folder = bench.write(ONE, DONE, scores=[score()])
    assert "quality" not in bench("show", ONE).out
    assert bench("show", ONE, "--json").json["quality"] is None
    assert quality_of(folder).tables == ()


def test_a_damaged_record_is_named_and_the_scores_are_still_shown(bench: Bench) -> None:
    folder = measured(bench)
    folder.quality.write_text("{")
    out = bench("show", ONE)
    assert out.code == 0 and "0.7503" in out.out
    assert "quality.json: no record of quality that can be read" in out.out.replace("\n", " ")
    said = bench("show", ONE, "--json")
    assert said.code == 3 and "quality.json: no record of quality that can be read" in said.err
    text = " ".join(pane(folder, "that can be read", (120, 60)))
    assert "0.7503" in text


def test_compare_has_a_few_columns_of_it(bench: Bench) -> None:
    measured(bench)
    bench.write(TWO, DONE, scores=[score()])
    columns = "quality_by,frechet,frechet_floor,coverage,coverage_floor,copied"
    first, second = bench("compare", ONE, TWO, "--format", "json", "--columns", columns).json
    assert first == {
        "quality_by": "random convolutions",
        "frechet": 158.2,
        "frechet_floor": 1.34,
        "coverage": 0.016,
        "coverage_floor": 0.81,
        "copied": 0.124,
    }
    assert set(second.values()) == {None, ""}


@pytest.mark.parametrize("size", [(80, 60), (160, 60)])
def test_the_pane_has_the_tables(bench: Bench, size: tuple[int, int]) -> None:
    lines = pane(measured(bench), "copying: clear", size)
    titles = [number for number, line in enumerate(lines) if "quality by" in line]
    assert len(titles) == (1 if size[0] == 160 else 2), "side by side where there is room"
    start = titles[0]
    assert lines[start + 1].split()[:6] == ["both", "floor", "normal", "floor", "tumour", "floor"]
    assert lines[start + 2].split()[:4] == ["Fréchet", "distance", "158", "1.34"]


def test_nothing_in_a_record_reaches_the_terminal_as_it_is(bench: Bench) -> None:
    row = replace(SHEET.comparisons[-1], space=ATTACK, left_out=(ATTACK,), synthetic=Measures())
    copies = replace(COPIES, criterion=ATTACK)
    folder = measured(bench, sheet=QualitySheet((row,), copies, (ATTACK,)))
    assert not set(bench("show", ONE).out) & set("\x1b\x07")
    assert "evil" in "".join(lines := pane(folder, "evil", (100, 60)))
    assert not set("".join(lines)) & set("\x1b\x07")
