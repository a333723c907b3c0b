"""The paired tests that `compare` writes beside the table, in every format."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from fake_engine import score
from workbench import Bench

from histotui import paired

FIRST, SECOND, THIRD, LIVE = (f"2026110{n}-000000-vae-{size}-aaaa" for n, size in enumerate((100, 500, 2000, 100), 1))
PAIR = {"first": FIRST, "second": SECOND, "difference": -0.1797, "low": -0.21, "high": -0.15, "p": 0.00001234}
WHY = "were tested on different patches"
COLUMNS = [
    *("first", "first_name", "second", "second_name", "first_auc", "second_auc"),
    *("difference", "low", "high", "p", "slides"),
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The runs that the engine was asked to compare, by their ids."""
    bodies: list[list[str]] = []

    def answer(query: str, body: dict[str, Any], *_: object) -> dict[str, Any]:
        assert query == "comparison"
        bodies.append([Path(path).name for path in body["runs"]])
        refused = [{"first": first, "second": THIRD, "why": f"{first} and {THIRD} {WHY}"} for first in (FIRST, SECOND)]
        return {"pairs": [PAIR], "refused": refused}

    monkeypatch.setattr(paired, "ask", answer)
    return bodies


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[list[str]]) -> Bench:
    bench = Bench(tmp_path, monkeypatch)
    bench.write(FIRST, scores=[score(auc=0.93)], name="one")
    bench.write(SECOND, scores=[score()])
    bench.write(THIRD, scores=[score()])
    bench.write(LIVE)
    return bench


def test_every_two_scored_runs_are_tested(bench: Bench, asked: list[list[str]]) -> None:
    found = bench("compare", FIRST, LIVE, SECOND, THIRD, "--paired", "--format", "json").json
    assert asked == [[FIRST, SECOND, THIRD]]
    assert [row["run"] for row in found["runs"]] == [FIRST, LIVE, SECOND, THIRD]
    first, *others = found["paired_tests"]
    named = {"first_name": "one", "second_name": "", "first_auc": 0.93, "second_auc": 0.7503}
    assert first == {**PAIR, **named, "slides": None, "refused": None}
    assert [(test["first"], test["second"], test["p"], test["refused"]) for test in others] == [
        (FIRST, THIRD, None, f"{FIRST} and {THIRD} {WHY}"),
        (SECOND, THIRD, None, f"{SECOND} and {THIRD} {WHY}"),
    ]


def test_without_being_asked_for_nothing_is_tested(bench: Bench, asked: list[list[str]]) -> None:
    assert [row["run"] for row in bench("compare", FIRST, SECOND, "--format", "json").json] == [FIRST, SECOND]
    for format in ("table", "csv", "md", "latex"):
        assert "0.1797" not in bench("compare", FIRST, SECOND, "--format", format).out
    assert asked == []


def test_csv_has_one_table_and_it_is_theirs(bench: Bench) -> None:
    rows = list(csv.DictReader(io.StringIO(bench("compare", FIRST, SECOND, "--paired", "--format", "csv").out)))
    assert list(rows[0]) == [*COLUMNS, "refused"]
    assert [(row["first"], row["second"], row["difference"], row["p"], row["refused"]) for row in rows] == [
        (FIRST, SECOND, "-0.1797", "1.234e-05", "")
    ]


def test_markdown_has_a_second_table(bench: Bench) -> None:
    table, caption, tests = bench("compare", FIRST, SECOND, "--paired", "--format", "md").out.split("\n\n")
    assert table.startswith("| run ")
    assert caption == paired.CAPTION
    # Columns in which nothing stands are left out.
    header, _, row = ([cell.strip() for cell in line.strip("|\n").split("|")] for line in tests.splitlines())
    assert header == [name for name in COLUMNS if name not in ("second_name", "slides")]
    assert dict(zip(header, row, strict=True))["p"] == "1.234e-05"


def test_latex_has_a_second_table_below_a_remark(bench: Bench) -> None:
    table, caption, tests = bench("compare", FIRST, SECOND, "--paired", "--format", "latex").out.split("\n\n")
    assert table.startswith("\\begin{tabular}") and tests.startswith("\\begin{tabular}")
    assert caption.startswith("% Paired DeLong tests") and "%" not in caption[1:]
    assert "1.234e-05" in tests


def test_a_terminal_has_them_below_with_why_some_are_missing(bench: Bench) -> None:
    lines = bench("compare", FIRST, SECOND, THIRD, "--paired").out.splitlines()[5:]
    assert [line.split() for line in lines[:4]] == [
        ["FIRST", "SECOND", "DIFFERENCE", "95", "%", "INTERVAL", "P"],
        ["one", SECOND, "-0.1797", "[-0.2100,", "-0.1500]", "1.23e-05"],
        ["one", THIRD, "–", "–", "–"],
        [SECOND, THIRD, "–", "–", "–"],
    ]
    assert lines[4:] == [f"{FIRST} and {THIRD} {WHY}", f"{SECOND} and {THIRD} {WHY}"]


def test_a_test_over_slides_says_how_many(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "ask", lambda *_: {"pairs": [{**PAIR, "slides": 12}], "refused": []})
    lines = bench("compare", FIRST, SECOND, "--paired").out.splitlines()[4:]
    assert lines[0].split()[-1] == "SLIDES" and lines[1].split()[-1] == "12"
    assert bench("compare", FIRST, SECOND, "--paired", "--format", "json").json["paired_tests"][0]["slides"] == 12


def test_fewer_than_two_scores_are_said(bench: Bench, asked: list[list[str]]) -> None:
    result = bench("compare", FIRST, LIVE, "--paired", "--format", "json")
    assert "fewer than two of the runs have scores" in result.err
    assert result.json["paired_tests"] == [] and asked == []
    assert bench("compare", FIRST, LIVE, "--paired", "--format", "csv").out.strip() == ""


def test_a_folder_has_every_table_and_the_tests(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[dict[str, Any]] = []
    monkeypatch.setattr("histotui.exporting.ask", lambda query, body, *_: figures.append(body))
    (bench.runs / SECOND / "meta.json").write_text(json.dumps({"name": "two \x1b[2J\x7f", "tags": [], "notes": ""}))
    result = bench("compare", FIRST, SECOND, "--export", "out", "--columns", "run,auc")
    target = bench.folder / "out"
    assert (result.code, result.out) == (0, f"{target}\n")
    assert figures == [
        {
            "runs": [str(bench.runs / name) for name in (FIRST, SECOND)],
            "labels": ["one", "two \x1b[2J\x7f"],
            "folder": str(target),
        }
    ]
    found = {path.name: path.read_text() for path in target.iterdir()}
    assert set(found) == {"table.csv", "table.md", "table.tex", "table.json", "paired.csv"}
    assert found["table.csv"].splitlines() == ["run,auc", f"{FIRST},0.93", f"{SECOND},0.7503"]
    assert [row["p"] for row in csv.DictReader(io.StringIO(found["paired.csv"]))] == ["1.234e-05"]
    assert json.loads(found["table.json"])["paired_tests"][0]["second_name"] == "two \x1b[2J\x7f"
    assert paired.CAPTION in found["table.md"] and "% Paired DeLong tests" in found["table.tex"]
    for name in ("table.md", "table.tex", "paired.csv"):
        assert "\x1b" not in found[name] and "\x7f" not in found[name]


def test_of_one_run_there_is_no_file_of_tests(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histotui.exporting.ask", lambda *_: {})
    bench("compare", FIRST, "--export", "out")
    assert {path.name for path in (bench.folder / "out").iterdir()} == {
        "table.csv", "table.md", "table.tex", "table.json",
    }  # fmt: skip
