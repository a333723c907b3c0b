"""The report of a study: its numbers by hand, and files that need nothing beside them."""

import json
import math
import re
import statistics
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_engine import score
from PIL import Image
from quality_samples import SHEET
from scored_runs import from_pixels, write_sources, write_tested_run
from workbench import Bench

from engine import metrics
from engine.comparing import answer_comparison, read_predictions
from engine.progress import silent
from engine.spec.config import RunConfig
from engine.spec.errors import StorageError
from engine.spec.event_log import EventWriter
from engine.spec.events import Metrics, RunFinished, RunStarted
from engine.spec.failpoints import arm
from engine.spec.presets import PRESETS
from engine.spec.quality import write_quality
from engine.spec.resolve import apply, dump, load
from engine.spec.run_folder import RunFolder
from engine.spec.study import REAL, Part, Row
from histotui.repeating import Spread
from histotui.store import RunStore
from histotui.study import likeness, parts, records, sections, words, writing
from histotui.study.document import Code, Document, Gallery, Heading, Items, Picture, Prose, Table
from histotui.study.keys import key_of
from histotui.study.looking import look
from histotui.study.markdown import as_markdown, as_table, picture_files
from histotui.study.page import as_html
from histotui.study.planning import Plan, Wish, plan
from histotui.study.results import Difference, Result, Results, results, wanted_tests

HOSTILE = '<img src="http://evil/x"> | `a` \x1b[31m'
PAIRS = (
    ("158", "1.34"),
    ("5.48", "0.019"),
    ("0.375", "0.923"),
    ("0.029", "0.961"),
    ("0.099", "0.788"),
    ("0.016", "0.810"),
    ("0.999", "0.612"),
)
"""Measures of the made-up record and their floors, as they are written."""
VOID = {"meta", "img", "line", "rect", "circle", "polyline", "br"}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def asked_for(bench: Bench, *rows: str, seeds: int = 1, **wish: object) -> Plan:
    return plan(Wish(rows=rows, seeds=seeds, **wish), RunStore(bench.runs))  # type: ignore[arg-type]


def write_all(bench: Bench, asked: Plan, aucs: dict[tuple[str, str], list[float]]) -> None:
    """A finished run for each cell that has an AUC here, by row, classifier and seed."""
    folders: dict[str, Path] = {}
    for number, cell in enumerate(asked.cells):
        values = aucs.get(cell.kind, [])
        if cell.seed >= len(values):
            continue
        auc = values[cell.seed]
        lender = folders.get(f"{cell.row.preset} {cell.seed}")
        events = (
            RunStarted(time=100.0, device="cpu"),
            *(
                Metrics(time=110.0 + step, stage="classifier", step=step, epoch=1, values={"bce": 1 / step})
                for step in (1, 2, 3)
            ),
            RunFinished(time=160.0, seconds=60.0 + cell.seed),
        )
        trained_on = "tissue" if cell.row.is_real else "synthetic"
        row = score(
            trained_on=trained_on,
            auc=auc,
            auc_low=auc - 0.02,
            auc_high=auc + 0.02,
            roc={"fpr": [0.0, 1.0], "tpr": [0.5, 1.0]},
        )
        folder = bench.write(f"20251123-1200{number:02}-x-aaaa", events, scores=[row], config=cell.config(lender))
        folders.setdefault(f"{cell.row.preset} {cell.seed}", folder.path)


def found(bench: Bench, asked: Plan, p: float = 0.001) -> Results:
    """The results, every wanted test with the difference of the AUCs."""
    findings = look(asked, RunStore(bench.runs))
    tests = {}
    for one, two in wanted_tests(findings, ("cnn", "resnet")):
        gap = two.answer["auc"] - one.answer["auc"]
        tests[one.id, two.id] = {"difference": gap, "low": gap - 0.01, "high": gap + 0.01, "p": p}
    return results(findings, ("cnn", "resnet"), tests)


class TestNumbers:
    def test_means_and_spreads_are_over_seeds(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", seeds=3)
        write_all(bench, asked, {("baseline", "cnn"): [0.80, 0.82, 0.87]})
        result = found(bench, asked).get("baseline", "cnn")
        assert result is not None and result.auc is not None
        assert result.auc.mean == pytest.approx(0.83)
        assert result.auc.deviation == pytest.approx(((0.03**2 + 0.01**2 + 0.04**2) / 2) ** 0.5)
        assert (result.low, result.high) == (pytest.approx(0.81), pytest.approx(0.85))
        assert words.auc(result) == "0.830 ± 0.036 [0.810, 0.850]"

    def test_one_seed_has_no_spread_and_missing_ones_are_said(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", seeds=3)
        write_all(bench, asked, {("baseline", "cnn"): [0.8]})
        all_ = found(bench, asked)
        assert words.auc(all_.get("baseline", "cnn")) == "0.800 [0.780, 0.820] (2 of 3 seeds missing)"
        assert words.auc(all_.get("baseline", "resnet")) == "not run yet (3 seeds)"
        assert words.auc(all_.get("nothing", "cnn")) == "–"

    def test_a_difference_is_the_mean_of_the_seeds_and_p_the_largest(self) -> None:
        tests = [
            {"difference": 0.03, "low": 0.01, "high": 0.05, "p": 0.001},
            {"difference": 0.01, "low": -0.01, "high": 0.03, "p": 0.2},
        ]
        difference = Difference.of(tests)
        assert difference is not None
        assert (difference.mean, difference.low, difference.high) == pytest.approx((0.02, 0.0, 0.04))
        assert (difference.p, difference.seeds) == (0.2, 2)
        assert difference.deviation == pytest.approx(math.sqrt(2) * 0.01)
        assert words.difference(difference) == "+0.020 [+0.000, +0.040], p = 0.20"
        assert Difference.of([]) is None and words.difference(None) == "–"

    @pytest.mark.parametrize(
        ("p", "said"), [(0.0, "p < 0.001"), (0.00099, "p < 0.001"), (0.0123, "p = 0.012"), (0.5, "p = 0.50")]
    )
    def test_p_is_written_as_papers_do(self, p: float, said: str) -> None:
        assert words.probability(p) == said

    def test_seeds_are_compared_with_their_own(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", "null", "vae-100", seeds=2)
        write_all(
            bench,
            asked,
            {("baseline", "cnn"): [0.9, 0.92], ("null", "cnn"): [0.8, 0.7], ("vae-100", "cnn"): [0.85]},
        )
        all_ = found(bench, asked)
        null, vae = all_.get("null", "cnn"), all_.get("vae-100", "cnn")
        assert null is not None and null.over_real is not None and null.over_floor is None
        assert null.over_real.mean == pytest.approx(statistics.fmean([-0.1, -0.22]))
        assert vae is not None and vae.over_floor is not None
        assert (vae.over_floor.seeds, vae.over_floor.mean) == (1, pytest.approx(0.05))

    @pytest.mark.parametrize(
        ("auc", "verdict"),
        [(0.85, "better than the floor"), (0.805, "not shown to beat the floor"), (0.7, "not worth its training")],
    )
    def test_what_is_not_better_than_the_floor_is_said_in_words(self, bench: Bench, auc: float, verdict: str) -> None:
        asked = asked_for(bench, "null", "vae-100", seeds=2)
        write_all(bench, asked, {("null", "cnn"): [0.8, 0.8], ("vae-100", "cnn"): [auc, auc]})
        all_ = found(bench, asked)
        assert sections.ONE_SEED not in sections.main_table(all_).caption
        result = all_.get("vae-100", "cnn")
        assert result is not None and result.verdict == verdict
        items = [text for block in sections.result_section(all_) if isinstance(block, Items) for text in block.texts]
        assert any(text.startswith(f"vae-100, cnn: {verdict} ({auc - 0.8:+.3f}".replace("-0", "−0")) for text in items)

    @pytest.mark.parametrize(
        ("auc", "said"),
        [
            (0.85, "above the floor, one seed"),
            (0.805, "not apart from the floor, one seed"),
            (0.7, "below the floor, one seed"),
        ],
    )
    def test_one_seed_gives_no_verdict(self, bench: Bench, auc: float, said: str) -> None:
        asked = asked_for(bench, "null", "vae-100")
        write_all(bench, asked, {("null", "cnn"): [0.8], ("vae-100", "cnn"): [auc]})
        all_ = found(bench, asked)
        result = all_.get("vae-100", "cnn")
        assert result is not None and result.verdict == said
        table = sections.main_table(all_)
        assert {row[0]: row[-1] for row in table.rows}["vae-100"] == f"cnn: {said}"
        assert sections.ONE_SEED in table.caption

    @pytest.mark.parametrize(
        ("aucs", "verdict"),
        [
            # Student's half width for three seeds is 2.484 standard deviations; that over test patches is 0.01.
            ([0.82, 0.83, 0.84], "better than the floor"),
            ([0.80, 0.83, 0.86], "not shown to beat the floor"),
            ([0.76, 0.77, 0.78], "not worth its training"),
            ([0.74, 0.77, 0.80], "not shown to beat the floor"),
            ([0.89, 0.81], "not shown to beat the floor"),
            ([0.89, 0.888], "better than the floor"),
        ],
    )
    def test_a_verdict_counts_how_much_seeds_differ(self, bench: Bench, aucs: list[float], verdict: str) -> None:
        asked = asked_for(bench, "null", "vae-100", seeds=3)
        write_all(bench, asked, {("null", "cnn"): [0.8] * 3, ("vae-100", "cnn"): aucs})
        result = found(bench, asked).get("vae-100", "cnn")
        assert result is not None and result.verdict == verdict

    def test_the_numbers_of_real_tests_are_the_engines(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        source, _ = write_sources(bench.folder)
        options = ("--data", str(source), "--rows", "baseline,null", "--seeds", "2", "--set", "data.crop=96")
        asked = asked_for(bench, "baseline", "null", seeds=2, data=str(source), overrides=("data.crop=96",))
        folders: dict[tuple[str, str, int], RunFolder] = {}
        for number, cell in enumerate(asked.cells):
            lender = folders.get((cell.row.name, "cnn", cell.seed))
            help = 1.5 if cell.row.is_real else 0.7
            folder = write_tested_run(bench.runs / f"20251123-12000{number}-x-aaaa", source, from_pixels(number, help))
            finish(folder, cell.config(lender.path.resolve() if lender else None))
            folders[*cell.kind, cell.seed] = folder
        monkeypatch.setattr(writing, "ask", lambda query, body, *_: answer_comparison(body, silent))
        said = bench("study", *options, "--report-only", "--json")
        rows = {(row["row"], row["classifier"]): row for row in said.json["rows"]}
        real, null = (
            [read_predictions(folders[name, "cnn", seed]) for seed in (0, 1)] for name in ("baseline", "null")
        )
        aucs = [metrics.delong(each.labels, each.logits).auc for each in null]
        paired = [
            metrics.paired_delong(one.labels, one.logits, two.logits) for one, two in zip(real, null, strict=True)
        ]
        assert rows["null", "cnn"]["auc"] == pytest.approx(statistics.fmean(aucs))
        assert rows["null", "cnn"]["auc_deviation"] == pytest.approx(statistics.stdev(aucs))
        over_real = rows["null", "cnn"]["over_real"]
        assert over_real["mean"] == pytest.approx(statistics.fmean(each.difference for each in paired))
        assert over_real["p"] == pytest.approx(max(each.p for each in paired))
        page = (Path(said.json["folder"]) / "report.html").read_text()
        assert f"{statistics.fmean(aucs):.3f} ± {statistics.stdev(aucs):.3f}" in page
        manifest = json.loads((folders["null", "cnn", 0].data / "manifest.json").read_text())
        assert manifest["fingerprint"] in page


def finish(folder: RunFolder, config: RunConfig) -> None:
    """Make a tested run one that has finished."""
    said = read_predictions(folder)
    interval = metrics.delong(said.labels, said.logits)
    answer = score(auc=interval.auc, auc_low=interval.low, auc_high=interval.high, n_test=len(said.labels))
    folder.scores.write_text(json.dumps({"scores": [answer], "notes": ["a note of its own"]}))
    folder.config.write_text(json.dumps(dump(config)))
    folder.events.unlink(missing_ok=True)
    with EventWriter(folder.events) as writer:
        writer.write(RunStarted(time=100.0, device="cpu"))
        writer.write(RunFinished(time=160.0, seconds=60.0))


class TestParts:
    def test_the_study_stands_beside_and_what_did_not_run_says_why(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", "vae-*", "gan-bce")
        write_all(bench, asked, {("vae-100", "cnn"): [0.5], ("vae-100", "resnet"): [0.6]})
        main = sections.main_table(found(bench, asked))
        assert main.header[:4] == ("trained on", "study's AUC", "AUC, resnet", "AUC, cnn")
        by_row = {row[0]: row for row in main.rows}
        assert by_row["vae-100"][1:4] == ("0.4328", "0.600 [0.580, 0.620]", "0.500 [0.480, 0.520]")
        assert by_row["tissue patches"][1:3] == ("0.9225", "not run yet")
        assert by_row["vae-4000-c256"][1:3] == ("ran out of memory", "ran out of memory in the study")
        assert by_row["gan-bce"][1] == "collapsed, never scored"

    def test_the_epoch_by_real_patches_has_a_column_of_its_own(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", "null", seeds=2)
        write_all(bench, asked, {("baseline", "cnn"): [0.9, 0.9], ("null", "cnn"): [0.7, 0.8]})
        for run in RunStore(bench.runs).summaries():
            if run.answer["trained_on"] == "synthetic":
                auc = run.answer["auc"] + 0.05
                second = score(role="epoch by real", auc=auc, auc_low=auc - 0.01, auc_high=auc + 0.01)
                run.folder.scores.write_text(json.dumps({"scores": [*run.scores, second], "notes": []}))
        resnet, cnn, _ = (b for b in sections.detail_section(found(bench, asked)) if isinstance(b, Table))
        assert "AUC, epoch by real patches" not in resnet.header
        place = cnn.header.index("AUC, epoch by real patches")
        assert [row[place] for row in cnn.rows] == ["–", "0.800 ± 0.071 [0.790, 0.810]"]
        assert [row[5] for row in cnn.rows] == ["0.900", "0.750"]

    def test_mixed_rows_stand_under_the_real_ones_alone(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", "baseline@0.01", "null@0.01*")
        aucs = {("baseline@0.01", "cnn"): [0.7], ("null@0.01", "cnn"): [0.6], ("null@0.01+0.5", "cnn"): [0.75]}
        write_all(bench, asked, aucs)
        blocks = list(parts.augmentation_section(found(bench, asked)))
        resnet, table = (block for block in blocks if isinstance(block, Table))
        assert [row[:3] for row in table.rows[:3]] == [
            ("1 %", "tissue patches alone", "0 %"),
            ("1 %", "null alone", "100 %"),
            ("1 %", "null", "50 %"),
        ]
        assert table.rows[2][3:] == ("1,800", "0.750 [0.730, 0.770]", "+0.050 [+0.040, +0.060], p = 0.001")
        assert table.strong == {0} and resnet.rows[2][3:] == ("–", "not run yet", "–")

    @pytest.mark.parametrize(
        ("nulls", "error"),
        [
            # One seed: the row and the curve have ±0.02 each. Two: Student's half width is 12.706 times 0.001, and
            # seeds of the curve do not differ.
            ([0.8], math.hypot(0.02, 0.02)),
            ([0.799, 0.801], math.hypot(0.02, 12.706 * 0.001)),
        ],
    )
    def test_worth_is_read_from_the_curve_of_real_patches(self, bench: Bench, nulls: list[float], error: float) -> None:
        seeds = len(nulls)
        asked = asked_for(bench, "baseline", "baseline@0.1", "null", seeds=seeds)
        aucs = {("baseline", "cnn"): [0.9] * seeds, ("baseline@0.1", "cnn"): [0.7] * seeds, ("null", "cnn"): nulls}
        write_all(bench, asked, {**aucs, ("null", "resnet"): nulls})
        for cell in asked.cells:
            patches = 100 if cell.row.share.train < 1 else 1000
            for run in RunStore(bench.runs).summaries():
                if key_of(cell.template) == key_of(load(run.folder.config)):
                    run.folder.data.mkdir()
                    manifest = {"test_fingerprint": "t", "counts": {"train": {"normal": patches, "tumour": 0}}}
                    (run.folder.data / "manifest.json").write_text(json.dumps(manifest))
        all_ = found(bench, asked)
        (block,) = (b for b in parts.curve_section(all_) if isinstance(b, Gallery))
        content = block.pictures[0].content
        assert isinstance(content, str) and content.count("<circle") == 2 and "1,000" in content
        (table,) = (each for each in parts.curve_section(all_) if isinstance(each, Table))
        assert table.header == ("real patches", "AUC, cnn") and [row[0] for row in table.rows] == ["100", "1,000"]
        assert [row[1].partition(" ")[0] for row in table.rows] == ["0.700", "0.900"]
        main = sections.main_table(all_)
        assert main.header[-1] == "worth in real patches, cnn" and "worth in real patches, resnet" not in main.header
        # Half way in the AUC is half way in the logarithm.
        reach = 10 ** (error / 0.2)
        middle = math.sqrt(100 * 1000)
        assert [row[-1] for row in main.rows] == [
            "–",
            f"{round(middle)} [{round(middle / reach)}, {round(middle * reach)}]",
        ]

    def test_parts_without_anything_are_left_out(self, bench: Bench) -> None:
        all_ = found(bench, asked_for(bench, "baseline"))
        for part in (
            parts.augmentation_section,
            parts.curve_section,
            parts.ceiling_section,
            parts.ablation_section,
            sections.roc_section,
            sections.confusion_section,
            records.sample_section,
            records.training_section,
            records.duration_section,
        ):
            assert list(part(all_)) == []
        assert Prose("No run has a result yet.") in list(records.method_section(all_))

    def test_ceilings_stand_beside_samples(self, bench: Bench) -> None:
        row, own = Row(Part.CEILING, "vae-100", ceiling=True), Row(Part.TABLE, "vae-100")
        asked = asked_for(bench, "vae-100")
        made = Result(row, "cnn", (), Spread(1, 0.9, None)), Result(own, "cnn", (), Spread(1, 0.5, None))
        rows = Plan(asked.wish, (own, row), asked.cells, "tissue")
        all_ = Results(look(rows, RunStore(bench.runs)), ("cnn",), made)
        (table,) = (block for block in parts.ceiling_section(all_) if isinstance(block, Table))
        assert table.rows == (("reconstructions of vae-100", "cnn", "0.900", "0.500"),)

    def test_a_changed_generator_is_compared_with_itself_unchanged(self, bench: Bench) -> None:
        changed = "null~components=7"
        asked = asked_for(bench, changed, seeds=2)
        aucs = {("null", "cnn"): [0.6, 0.6], (changed, "cnn"): [0.7, 0.8], ("null", "resnet"): [0.5, 0.5]}
        write_all(bench, asked, aucs)
        (table,) = (block for block in parts.ablation_section(found(bench, asked)) if isinstance(block, Table))
        assert table.header == ("generator", "changed", "AUC, resnet", "to the preset", "AUC, cnn", "to the preset")
        plain, other = table.rows
        assert plain[:2] == ("null", "–") and plain[3] == plain[5] == "–" and plain[4].startswith("0.600 ± 0.000")
        assert other[:4] == ("null", "components=7", "not run yet (2 seeds)", "–")
        assert other[4].startswith("0.750 ± 0.071") and other[5] == "+0.150 [+0.140, +0.160], p = 0.001"
        assert table.strong == {0}

    def test_quality_is_that_of_the_first_seed_whichever_classifier_measured_it(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", "null", "vae-100", seeds=2)
        kinds = [(row, kind) for row in ("baseline", "null", "vae-100") for kind in ("cnn", "resnet")]
        write_all(bench, asked, {kind: [0.8, 0.8] for kind in kinds})
        seen = found(bench, asked)
        assert list(likeness.quality_section(seen)) == []
        for row, kind in (("null", "resnet"), ("vae-100", "cnn")):
            result = seen.get(row, kind)
            assert result is not None
            write_quality(result.runs[0].folder.quality, SHEET)
            result.runs[1].folder.quality.write_text("damaged", encoding="utf-8")
        blocks = list(likeness.quality_section(seen))
        titles = [block.text for block in blocks if isinstance(block, Heading)]
        assert titles == ["Likeness to real patches", "random convolutions", "cnn trained on real", "Copies"]
        spaces = [block for block in blocks if isinstance(block, Table)]
        vae, null = spaces[0].rows
        assert null == ("null", "2,000", *(f"{bad} ({floor})" for bad, floor in PAIRS))
        assert vae[1:] == null[1:] and vae[0] == "vae-100"
        assert spaces[2].rows[1] == ("null", "12.4%", "0.2%", "copies")

    def test_durations_are_means_over_seeds(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", seeds=2)
        write_all(bench, asked, {("baseline", "cnn"): [0.9, 0.9], ("baseline", "resnet"): [0.9]})
        (table,) = (b for b in records.duration_section(found(bench, asked)) if isinstance(b, Table))
        assert table.rows == (("baseline", "1 min 00 s", "1 min 00 s"),)

    def test_settings_that_are_not_the_presets_are_said(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", "null", overrides=("classifier.epochs=7",))
        write_all(bench, asked, {("baseline", "cnn"): [0.9], ("null", "cnn"): [0.8], ("null", "resnet"): [0.8]})
        items = [text for b in records.method_section(found(bench, asked)) if isinstance(b, Items) for text in b.texts]
        assert "baseline, cnn: classifier.epochs=7" in items and "device: cpu" in items

    def test_the_command_makes_the_study_again(self, bench: Bench) -> None:
        wish = Wish("~/pcam", ("null", "gan-*"), 2, True, ("resnet:classifier.epochs=3",))
        assert records.study_command(wish, "/data/it's") == (
            "histotui study --data '/data/it'\"'\"'s' --rows 'null,gan-*' --seeds 2 --quick "
            "--set resnet:classifier.epochs=3"
        )

    def test_notes_are_told_once(self, bench: Bench) -> None:
        asked = asked_for(bench, "baseline", "null")
        write_all(bench, asked, {("baseline", "cnn"): [0.9], ("null", "cnn"): [0.8]})
        for place, path in enumerate(sorted(bench.runs.glob("*/scores.json"))):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"notes": ["all say it", f"only {place} does"]}))
        (items,) = (b for b in records.note_section(found(bench, asked)) if isinstance(b, Items))
        assert items.texts.count("all say it") == 1
        assert "null, cnn: only 1 does" in items.texts
        assert "Intervals take patches as independent" in items.texts[0]


class _Reader(HTMLParser):
    """Checks that what is opened is closed, and notes what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_page(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


class TestFiles:
    @pytest.fixture
    def written(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
        asked = asked_for(bench, "baseline", "null", "vae-4000*")
        kinds = [(row, kind) for row in (REAL, "null") for kind in ("cnn", "resnet")]
        write_all(bench, asked, {kind: [0.8] for kind in kinds})
        for run in map(RunFolder, bench.runs.iterdir()):
            # The real ones last, as a copy without times may have them.
            for stage in ("generator", "prepare"):
                (run.samples / stage).mkdir(parents=True)
                Image.new("RGB", (8, 8)).save(run.samples / stage / "step-000000.png")
            run.command.write_text(f"histotui run {HOSTILE}\n")
            sheet = json.loads(run.scores.read_text())
            run.scores.write_text(json.dumps(sheet | {"notes": [HOSTILE]}))
            run.data.mkdir()
            (run.data / "manifest.json").write_text(json.dumps({"name": HOSTILE, "fingerprint": "f" * 64}))
            run.environment.write_text(json.dumps({"commit": HOSTILE, "packages": {"torch": "2.0"}, "threads": 1}))
        monkeypatch.setattr(writing, "ask", lambda *_: {"pairs": []})
        written = writing.write_report(look(asked, RunStore(bench.runs)), bench.folder / "out", quiet=True)
        return written.folder

    def test_a_full_disk_leaves_the_report_before(self, bench: Bench, written: Path) -> None:
        before = {path.name: path.read_bytes() for path in written.glob("*.*")}
        arm("report.written:1:enospc")
        try:
            with pytest.raises(StorageError, match="free some space"):
                writing.write_report(look(asked_for(bench, "baseline"), RunStore(bench.runs)), written, quiet=True)
        finally:
            arm(None)
        assert {path.name: path.read_bytes() for path in written.glob("*.*")} == before

    def test_samples_of_each_generator_stand_beside_real_patches(self, written: Path) -> None:
        page = (written / "report.html").read_text()
        assert "Training patches, normal above tumour" in page and "null, normal above tumour" in page

    def test_the_page_is_whole_and_loads_nothing(self, written: Path) -> None:
        page = (written / "report.html").read_text()
        reader = read_page(page)
        assert reader.loads and all(load.startswith("data:image/png;base64,") for load in reader.loads)
        assert not {"script", "link", "iframe", "object", "style2"} & set(reader.seen)
        assert "@import" not in page and "url(" not in page
        assert "prefers-color-scheme:dark" in page and "@media print" in page
        ElementTree.fromstring(page.partition("\n")[2])

    def test_rendered_tissue_is_never_called_real(self, written: Path) -> None:
        page = (written / "report.html").read_text()
        assert "Here tissue patches, which are rendered, stand in for real ones" in page
        assert "real patches" not in (written / "table.md").read_text()

    def test_text_from_runs_is_text(self, written: Path) -> None:
        page = (written / "report.html").read_text()
        assert "&lt;img src=&quot;http://evil/x&quot;&gt;" in page and '<img src="http' not in page
        assert "\x1b" not in page
        markdown = (written / "report.md").read_text()
        assert "\x1b" not in markdown and "\\<img src=" in markdown
        outside = "\n".join(line for line in markdown.splitlines() if not line.startswith("    "))
        assert "<img" not in outside.replace("\\<img", "")

    def test_markdown_shows_pictures_that_are_there(self, written: Path) -> None:
        shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (written / "report.md").read_text())
        assert shown and all((written / name).stat().st_size for name in shown)
        assert sorted(shown) == sorted(f"images/{path.name}" for path in (written / "images").iterdir())
        for path in (written / "images").glob("*.svg"):
            ElementTree.fromstring(path.read_bytes())

    def test_the_table_alone_is_the_main_one(self, written: Path) -> None:
        lines = (written / "table.md").read_text().splitlines()
        assert lines[0] == "| trained on | study's AUC | AUC, resnet | AUC, cnn |"
        assert lines[2] == "| tissue patches | 0.9225 | 0.800 \\[0.780, 0.820\\] | 0.800 \\[0.780, 0.820\\] |"
        assert len(lines) == 5 and "ran out of memory in the study" in lines[3]

    def test_rows_that_cannot_be_compared_are_told(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = asked_for(bench, "baseline", "null")
        write_all(bench, asked, {("baseline", "cnn"): [0.9], ("null", "cnn"): [0.8]})
        for place, run in enumerate(map(RunFolder, bench.runs.iterdir())):
            run.data.mkdir()
            (run.data / "manifest.json").write_text(json.dumps({"test_fingerprint": str(place)}))
        refused = {"first": "a", "second": "b", "why": "a and b were tested on different patches"}
        monkeypatch.setattr(writing, "ask", lambda *_: {"pairs": [], "refused": [refused]})
        written = writing.write_report(look(asked, RunStore(bench.runs)), bench.folder / "out", quiet=True)
        top = (written.folder / "report.md").read_text().partition("| trained on |")[0]
        assert "- the runs worked on different patches: their scores cannot be compared" in top
        assert "- not tested: a and b were tested on different patches" in top

    def test_pictures_of_an_earlier_report_go(self, written: Path, bench: Bench) -> None:
        (written / "images" / "old.svg").write_text("old")
        (written / "images" / "mine.txt").write_text("kept")
        asked = asked_for(bench, "baseline")
        writing.write_report(look(asked, RunStore(bench.runs)), written, quiet=True)
        names = {path.name for path in (written / "images").iterdir()}
        assert "mine.txt" in names and "old.svg" not in names

    def test_a_grid_that_is_no_png_is_left_out(self, bench: Bench) -> None:
        asked = asked_for(bench, "null")
        write_all(bench, asked, {("null", "cnn"): [0.8]})
        (run,) = map(RunFolder, bench.runs.iterdir())
        (run.samples / "generator").mkdir(parents=True)
        (run.samples / "generator" / "step-000001.png").write_bytes(b"<svg onload=x>")
        assert list(records.sample_section(found(bench, asked))) == []


class TestRenderings:
    DOCUMENT = Document(
        "a_b",
        (
            Heading("<h>", 3),
            Prose("p | q"),
            Items(("one", "two")),
            Code("a <b>\n\x1b[0m"),
            Table(("name", "n"), (("x", "1"), ("y", "–")), "said", frozenset({1})),
            Gallery((Picture("p", b"\x89PNG", "words"),), captions=True),
        ),
    )

    def test_html(self) -> None:
        page = as_html(self.DOCUMENT)
        read_page(page)
        assert "<h3>&lt;h&gt;</h3>" in page and "<p>p | q</p>" in page and "<li>two</li>" in page
        assert "<pre>a &lt;b&gt;\n\\x1b[0m</pre>" in page
        assert '<th class="n">n</th>' in page and '<tr class="strong"><td>y</td><td class="n">–</td></tr>' in page
        assert '<img src="data:image/png;base64,iVBORw==" alt="words"/><figcaption>words</figcaption>' in page

    def test_markdown(self) -> None:
        text = as_markdown(self.DOCUMENT)
        assert text.startswith("# a\\_b\n\n### \\<h\\>\n\np \\| q\n\n- one\n- two\n\n    a <b>\n    \\x1b[0m\n\n")
        assert "| name | n |\n| --- | --- |\n| x | 1 |\n| y | – |\n\nsaid\n\n![words](images/p.png)\n\nwords\n" in text
        assert list(picture_files(self.DOCUMENT)) == [("p.png", b"\x89PNG")]
        assert as_table(Table(("a|b",), (("c\nd",),))) == "| a\\|b |\n| --- |\n| c\\\\nd |"


def test_presets_of_the_study_are_beside_their_rows() -> None:
    study = PRESETS["vae-100"].study
    assert study is not None and study.auc == 0.4328
    assert apply(PRESETS["vae-100"].config, []) == PRESETS["vae-100"].config
    assert np.isfinite(study.auc)
