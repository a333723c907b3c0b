"""The parts of a report for the study's further questions: few real patches, ceilings, changed generators."""

from collections.abc import Iterator, Mapping, Sequence

from engine.spec.study import Part, Row
from histotui.formats import NOTHING, count
from histotui.study import words
from histotui.study.charts import Line, curves
from histotui.study.document import Block, Gallery, Heading, Picture, Prose, Table
from histotui.study.results import Result, Results
from histotui.study.sections import SPREAD, TESTED, label, leading_first, noted
from histotui.worth import CurvePoint


def augmentation_section(results: Results) -> Iterator[Block]:
    """Synthetic patches beside real ones, where these are many, few or lack tumour."""
    mixed = [row for row in results.rows(Part.AUGMENTATION) if not row.is_real]
    if not mixed:
        return
    yield Heading("Beside real patches")
    yield Prose(
        "Do synthetic patches help when they are added to real ones? Where real patches are few, the generator itself "
        "has seen no others; where tumour is rare, it makes equally many of each class, most tumour patches are "
        "synthetic then, and a classifier may go by what gives these away. Differences are to the same real patches "
        "alone, which take fewer steps: epochs are the same and patches fewer."
    )
    shares = dict.fromkeys(row.share for row in mixed)
    alone = [row for row in results.findings.plan.rows if row.is_real]
    rows = [row for share in shares for row in (*alone, *mixed) if row.share == share]
    strong = frozenset(place for place, row in enumerate(rows) if row.is_real)
    header = ("real patches", "trained on", "synthetic share", "n train", "AUC", "to real patches alone")
    for yardstick in leading_first(results):
        yield Heading(yardstick, 3)
        yield Table(header, tuple(tuple(_mixed_cells(row, results, yardstick)) for row in rows), strong=strong)
    yield Prose(noted(results, SPREAD, TESTED))


def curve_section(results: Results) -> Iterator[Block]:
    """The AUC of real patches alone over how many there are."""
    lines = tuple(line for yardstick in leading_first(results) if (line := _learning_curve(results, yardstick)))
    if not lines:
        return
    yield Heading("Real patches alone")
    yield Prose(
        "The AUC of classifiers trained on so many real patches and nothing else; where they are fewer, for more "
        "epochs and in smaller batches. Read backwards it says how many real patches teach as much as a row does; the "
        "interval of that has the errors of the row, over test patches and seeds, and of the curve in it. The spread "
        "over seeds is taken as the same at every size of the curve."
    )
    chart = curves("Learning curve", lines, "real training patches", "AUC on test patches", log=True)
    yield Gallery((Picture("learning-curve", chart, "AUC over the number of real training patches"),))
    yield _curve_table({line.label: results.curves[line.label] for line in lines})


def _curve_table(by_classifier: Mapping[str, Sequence[CurvePoint]]) -> Table:
    """The points of the learning curves in numbers."""
    points = {name: {point.patches: words.point(point) for point in curve} for name, curve in by_classifier.items()}
    sizes = sorted({size for curve in points.values() for size in curve})
    lines = tuple((count(size), *(curve.get(size, NOTHING) for curve in points.values())) for size in sizes)
    return Table(("real patches", *(f"AUC, {name}" for name in points)), lines)


def ceiling_section(results: Results) -> Iterator[Block]:
    """What autoencoders could reach: their reconstructions of real patches in place of samples."""
    rows = results.rows(Part.CEILING)
    if not rows:
        return
    yield Heading("Ceilings")
    yield Prose("Trained on reconstructions of real training patches: what lies above it, no prior can win back.")
    lines = tuple(
        (
            f"reconstructions of {row.preset}",
            each,
            *(words.auc(results.get(which, each)) for which in (row, row.preset)),
        )
        for row in rows
        for each in leading_first(results)
    )
    yield Table(("trained on", "classifier", "AUC", "AUC of its samples"), lines, noted(results, SPREAD))


def ablation_section(results: Results) -> Iterator[Block]:
    """Generators with a setting changed, beside themselves without."""
    rows = results.rows(Part.ABLATION)
    if not rows:
        return
    yield Heading("What makes a difference")
    yield Prose("Each row changes settings of a generator's preset; differences are to the preset as it is.")
    whole = [row for row in results.rows(Part.TABLE) if row.name in {each.preset for each in rows}]
    ordered = [each for base in whole for each in (base, *(row for row in rows if row.preset == base.preset))]
    leading = leading_first(results)
    header = ("generator", "changed", *(name for each in leading for name in (f"AUC, {each}", "to the preset")))
    lines = tuple(
        (
            row.preset,
            ", ".join(row.settings) or NOTHING,
            *(cell for each in leading for cell in _change_cells(results.get(row, each))),
        )
        for row in ordered
    )
    strong = frozenset(place for place, row in enumerate(ordered) if not row.settings)
    yield Table(header, lines, noted(results, SPREAD, TESTED), strong)


def _change_cells(result: Result | None) -> tuple[str, str]:
    return words.auc(result), words.difference(result.over_unchanged if result else None)


def _mixed_cells(row: Row, results: Results, yardstick: str) -> Iterator[str]:
    alone = row.is_real or row.proportion is None
    result = results.get(row, yardstick)
    yield row.share.words
    yield f"{label(Row(row.part, row.preset), results)}{' alone' if alone else ''}"
    yield "0 %" if row.is_real else "100 %" if row.proportion is None else f"{row.proportion * 100:g} %"
    yield words.counted("n_train", result)
    yield words.auc(result)
    yield words.difference(result.over_real if result else None)


def _learning_curve(results: Results, yardstick: str) -> Line | None:
    """The curve that worth is read from, each point with its interval."""
    points = results.curves.get(yardstick, ())
    if not points:
        return None
    middle = tuple((float(point.patches), point.auc) for point in points)
    return Line(yardstick, middle, tuple((point.low, point.high) for point in points), dots=True)
