"""Writes the report of a study: one HTML file, Markdown with pictures beside it, and its main table alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.spec.failpoints import Write
from engine.spec.study import Part, yardsticks
from histotui.ask import ask, hide_progress
from histotui.disk import storage_errors, write_whole
from histotui.doubts import circumstances, incomparable
from histotui.formats import table
from histotui.study import likeness, parts, records, sections
from histotui.study.document import Block, Document, Prose
from histotui.study.looking import Findings
from histotui.study.markdown import IMAGES, as_markdown, as_table, picture_files
from histotui.study.page import as_html
from histotui.study.results import Difference, Pair, Result, Results, results, wanted_tests
from histotui.text import clean_line

Tree = dict[str, Any]

REPORT: Final = "report.html"


@dataclass(frozen=True, slots=True)
class Written:
    """A report that has been written, and its main table for people and for programs."""

    folder: Path
    lines: tuple[str, ...]
    rows: list[Tree]

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / REPORT


def write_report(findings: Findings, folder: Path, quiet: bool = False) -> Written:
    """Test, put together and write; the engine is asked for the tests."""
    kinds = tuple(yardsticks())
    tests, refused = _tests(findings, kinds, quiet)
    found = results(findings, kinds, tests)
    scored = list(found.scored())
    found = replace(found, doubts=(*incomparable(scored), *circumstances(scored), *refused))
    document = report(found)
    main = sections.main_table(found)
    with storage_errors(folder):
        _clear(folder / IMAGES)
        for name, content in picture_files(document):
            (folder / IMAGES / name).write_bytes(content)
    write_whole(folder / REPORT, as_html(document), Write.REPORT, durable=False)
    write_whole(folder / "report.md", as_markdown(document), Write.REPORT, durable=False)
    write_whole(folder / "table.md", as_table(main) + "\n", Write.REPORT, durable=False)
    return Written(folder, tuple(table(main.header, main.rows)), [_tree(each) for each in found.all])


def _clear(images: Path) -> None:
    """Make the folder, and remove the pictures of an earlier report, which may have had more of them."""
    images.mkdir(parents=True, exist_ok=True)
    for path in images.iterdir():
        if path.suffix in (".svg", ".png"):
            path.unlink()


def report(found: Results) -> Document:
    """The whole report of these results."""
    name = clean_line(records.manifest_name(found))
    return Document(f"Are synthetic patches worth anything? A study on {name}", tuple(_blocks(found)))


def _blocks(found: Results) -> Iterator[Block]:
    yield Prose(
        "Each row trains a classifier on the patches that it names and tests it on real patches that nothing in the "
        "run has seen. Two classifiers judge every row on the same synthetic patches."
    )
    if found.stand_in:
        yield Prose(
            f"Here {found.stand_in} patches, which are rendered, stand in for real ones: nothing in this report says "
            "anything about real tissue."
        )
    for part in (
        sections.result_section,
        parts.augmentation_section,
        parts.curve_section,
        parts.ceiling_section,
        parts.ablation_section,
        records.sample_section,
        sections.detail_section,
        sections.roc_section,
        sections.confusion_section,
        likeness.quality_section,
        records.training_section,
        sections.missing_section,
        records.duration_section,
        records.method_section,
        records.command_section,
        records.note_section,
    ):
        yield from part(found)


def _tests(findings: Findings, kinds: tuple[str, ...], quiet: bool) -> tuple[dict[Pair, Tree], list[str]]:
    """The paired tests that the report needs, as far as the engine can make them, and why others cannot be made."""
    pairs = wanted_tests(findings, kinds)
    if not pairs:
        return {}, []
    paths = [[str(run.folder.path.absolute()) for run in pair] for pair in pairs]
    answer = ask("comparison", {"pairs": paths}, hide_progress if quiet else None)
    why = [f"not tested: {pair['why']}" for pair in answer.get("refused", ())]
    return {(pair["first"], pair["second"]): pair for pair in answer.get("pairs", ())}, list(dict.fromkeys(why))


def _tree(result: Result) -> Tree:
    spread = result.auc
    return {
        "row": result.row.name,
        "part": str(result.row.part),
        "classifier": result.yardstick,
        "seeds": spread.runs if spread else 0,
        "auc": spread.mean if spread else None,
        "auc_deviation": spread.deviation if spread else None,
        "auc_low": result.low,
        "auc_high": result.high,
        "n_train": result.means.get("n_train"),
        "over_floor": _difference(result.over_floor),
        "over_real": _difference(result.over_real),
        "over_unchanged": _difference(result.over_unchanged),
        "verdict": result.verdict if result.row.part is Part.TABLE else "",
        "worth": result.worth.tree() if result.worth else None,
        "why": result.why,
    }


def _difference(found: Difference | None) -> Tree | None:
    return None if found is None else {"mean": found.mean, "low": found.low, "high": found.high, "p": found.p}
