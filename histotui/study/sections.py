"""The parts of a report that stand on scores: tables, verdicts, and charts of them."""

from collections.abc import Iterator
from typing import Final

from engine.spec.presets import PRESETS
from engine.spec.study import FLOOR, REAL, Part, Row
from histotui.formats import NOTHING
from histotui.study import words
from histotui.study.charts import Bar, Line, confusion, curves, intervals
from histotui.study.document import Block, Gallery, Heading, Items, Picture, Prose, Table
from histotui.study.results import Result, Results
from histotui.summary import RunSummary

SPREAD: Final = (
    "AUC on test patches that the classifier never saw: mean over seeds ± their standard deviation, in brackets "
    "the 95 % interval over test patches (DeLong), its ends averaged over the seeds."
)
_BY_REAL: Final = (
    "The epoch by real patches is the one with the highest AUC on real validation patches, which the protocol does not "
    "look at: a second selection, and no part of any other number here."
)
TESTED: Final = (
    "Differences are averaged over seeds, each seed against the same seed of the other row on the same test patches; "
    "in brackets the ends of their 95 % intervals (paired DeLong, over test slides where these are known, else over "
    "test patches), averaged too. p is the largest of the seeds' and not corrected for the number of tests."
)
ONE_SEED: Final = (
    "Where there is one seed, what another would change is in no interval, p or worth here, and is often more than "
    "they say; --seeds 3 tells."
)
_DOUBTS: Final = 40


def main_table(results: Results) -> Table:
    """Every row of the study's table with all classifiers, in short."""
    leading = leading_first(results)
    rows = results.rows(Part.TABLE)
    header = ("trained on", "study's AUC", *(f"AUC, {each}" for each in leading))
    lines = tuple(tuple(_main_cells(row, results)) for row in rows)
    if any(each.verdict for each in results.all):
        header = (*header, f"against {FLOOR}")
        lines = tuple((*line, _verdict(row, results)) for line, row in zip(lines, rows, strict=True))
    for yardstick in leading:
        if any(each.worth for each in results.all if each.yardstick == yardstick and each.row in rows):
            header = (*header, f"worth in real patches, {yardstick}")
            lines = tuple((*line, _worth(results.get(row, yardstick))) for line, row in zip(lines, rows, strict=True))
    strong = frozenset(place for place, row in enumerate(rows) if row.name in (REAL, FLOOR))
    return Table(header, lines, noted(results, SPREAD), strong)


def noted(results: Results, *notes: str) -> str:
    """What must be known of a table's numbers, with what single seeds leave out where there are any."""
    return " ".join((*notes, ONE_SEED) if results.has_single_seeds else notes)


def leading_first(results: Results) -> tuple[str, ...]:
    """The classifiers, the stronger one first."""
    return tuple(reversed(results.yardsticks))


def label(row: Row, results: Results) -> str:
    """What a table calls a row of its own."""
    return f"{results.stand_in or 'real'} patches" if row.is_real else row.name


def result_section(results: Results) -> Iterator[Block]:
    """The main table, its chart, and what it says of each generator."""
    yield Heading("Result")
    yield Items(tuple(_in_short(results)))
    if results.doubts:
        more = len(results.doubts) - _DOUBTS
        yield Prose("What stands against comparing the rows:")
        yield Items((*results.doubts[:_DOUBTS], *([f"… and {more} more"] if more > 0 else [])))
    if chart := _interval_chart(results):
        yield Gallery((chart,))
    yield main_table(results)
    if verdicts := tuple(_verdicts(results)):
        yield Prose(
            f"Against {FLOOR}, which every generator has to beat to be worth its training. It does, or does not, where "
            "the difference is larger than its 95 % errors over the test set and over seeds together. One seed gives "
            "no verdict: it is said whether its difference is larger than that over the test set alone."
        )
        yield Items(verdicts)


def detail_section(results: Results) -> Iterator[Block]:
    """All measures of every row of the main table, a table for each classifier, and the tests between rows."""
    for yardstick in leading_first(results):
        yield Heading(f"All measures, {yardstick}")
        yield _details(results, yardstick)
    tested = [each for each in results.all if each.row.part is Part.TABLE and (each.over_floor or each.over_real)]
    if tested:
        yield Heading("Tests between rows")
        lines = (
            (
                label(each.row, results),
                each.yardstick,
                words.difference(each.over_real),
                words.difference(each.over_floor),
            )
            for each in tested
        )
        header = ("trained on", "classifier", "to real patches", f"to {FLOOR}")
        yield Table(header, tuple(lines), noted(results, TESTED))


def roc_section(results: Results) -> Iterator[Block]:
    """ROC curves of the main table's rows, of the first seed."""
    pictures = tuple(filter(None, (_roc(results, yardstick) for yardstick in leading_first(results))))
    if pictures:
        yield Heading("ROC curves")
        yield Prose("Of the first seed of each row, on test patches.")
        yield Gallery(pictures)


def confusion_section(results: Results) -> Iterator[Block]:
    """Confusion matrices of the main table's rows, of the first seed."""
    for yardstick in leading_first(results):
        found = [(row, run) for row in results.rows(Part.TABLE) if (run := first_run(results.get(row, yardstick)))]
        pictures = tuple(
            Picture(
                f"confusion-{yardstick}-{place}",
                confusion(label(row, results), run.answer["confusion"]),
                f"Confusion matrix, {label(row, results)}, {yardstick}",
            )
            for place, (row, run) in enumerate(found)
        )
        if pictures:
            yield Heading(f"Confusion matrices, {yardstick}")
            yield Prose("Rows are what patches are, columns what they were called; shares are of rows. First seed.")
            yield Gallery(pictures)


def missing_section(results: Results) -> Iterator[Block]:
    """Which runs have no result, and why."""
    found = [f"{each.row.name}, {each.yardstick}: {each.why}" for each in results.all if each.why]
    if found:
        yield Heading("Without a result")
        yield Items(tuple(found))


def first_run(result: Result | None) -> RunSummary | None:
    """The run of the first seed that has a score."""
    return result.runs[0] if result is not None and result.runs else None


def _in_short(results: Results) -> Iterator[str]:
    found = results.findings.found
    seeds = results.findings.plan.wish.seeds
    done = len(found) - len(results.findings.missing)
    of_each = "1 seed" if seeds == 1 else f"{seeds} seeds"
    yield f"{done:,} of {len(found):,} runs have a result, {of_each} of each row."
    for yardstick in leading_first(results):
        made = [each for row in results.rows(Part.TABLE) if (each := results.get(row, yardstick)) and each.auc]
        own = [each for each in made if not each.row.is_real]
        real = next((each for each in made if each.row.is_real), None)
        if own:
            best = max(own, key=lambda each: each.auc.mean if each.auc else 0.0)
            beside = f", where {label(real.row, results)} reach {words.auc(real)}" if real else ""
            yield f"{yardstick}: of the generators {best.row.name} teaches most, {words.auc(best)}{beside}."


def _main_cells(row: Row, results: Results) -> Iterator[str]:
    study = PRESETS[row.preset].study if row.preset in PRESETS else None
    yield label(row, results)
    yield NOTHING if study is None else words.measure(study.auc) if study.auc is not None else study.note
    leading = leading_first(results)
    yield from (words.auc(results.get(row, yardstick)) for yardstick in leading)


def _worth(result: Result | None) -> str:
    return NOTHING if result is None or result.worth is None else result.worth.reading


def _verdict(row: Row, results: Results) -> str:
    """What the floor says of a generator; by classifier where they do not agree."""
    found = {each: result.verdict for each in leading_first(results) if (result := results.get(row, each))}
    told = {yardstick: verdict for yardstick, verdict in found.items() if verdict}
    if len(told) == len(found) and len(set(told.values())) == 1:
        return next(iter(told.values()))
    return "; ".join(f"{yardstick}: {verdict}" for yardstick, verdict in told.items()) or NOTHING


def _verdicts(results: Results) -> Iterator[str]:
    for row in results.rows(Part.TABLE):
        for yardstick in leading_first(results):
            result = results.get(row, yardstick)
            if result is not None and result.verdict:
                yield f"{row.name}, {yardstick}: {result.verdict} ({words.difference(result.over_floor)})"


def _details(results: Results, yardstick: str) -> Table:
    # The study had the first of the classifiers.
    has_study = yardstick == results.yardsticks[0]
    study = ("study: loss", "accuracy", "AUC") if has_study else ()
    has_second = any(each.by_real for each in results.all if each.yardstick == yardstick)
    second = ("AUC, epoch by real patches",) if has_second else ()
    has_slides = any("slide_low" in each.means for each in results.all if each.yardstick == yardstick)
    by_slides = ("by slides",) if has_slides else ()
    header = (
        "trained on",
        "n train",
        "n test",
        "loss",
        "accuracy",
        "AUC",
        "over seeds",
        "95 % interval",
        *by_slides,
        *second,
        *study,
    )
    rows = results.rows(Part.TABLE)
    lines = tuple(tuple(_detail_cells(row, results, yardstick, has_slides, has_second, has_study)) for row in rows)
    strong = frozenset(place for place, row in enumerate(rows) if row.name in (REAL, FLOOR))
    return Table(header, lines, _BY_REAL if has_second else "", strong)


def _detail_cells(
    row: Row, results: Results, yardstick: str, has_slides: bool, has_second: bool, has_study: bool
) -> Iterator[str]:
    result = results.get(row, yardstick)
    means = result.means if result else {}
    yield label(row, results)
    yield from (words.counted(name, result) for name in ("n_train", "n_test"))
    yield from (words.measure(means.get(name)) for name in ("loss", "accuracy"))
    if result is None or result.auc is None:
        yield from (NOTHING, NOTHING, NOTHING)
    else:
        spread = result.auc.deviation
        yield words.fixed(result.auc.mean)
        yield NOTHING if spread is None else f"± {words.fixed(spread)}"
        yield words.interval(result.low, result.high)
    if has_slides:
        yield words.interval(means.get("slide_low"), means.get("slide_high")) or NOTHING
    if has_second:
        yield words.second_auc(result.by_real if result else None)
    if has_study:
        study = PRESETS[row.preset].study if row.preset in PRESETS else None
        numbers = (study.loss, study.accuracy, study.auc) if study else (None, None, None)
        yield from map(words.measure, numbers)


def _interval_chart(results: Results) -> Picture | None:
    leading = leading_first(results)
    rows = [row for row in results.rows(Part.TABLE) if any(_bar(results.get(row, each)) for each in leading)]
    if not rows:
        return None
    bars = [[_bar(results.get(row, each)) for each in leading] for row in rows]
    marks = [bar.value for name in (FLOOR,) for each in leading if (bar := _bar(results.get(name, each)))]
    title = f"AUC of each row; dashed: {FLOOR}" if marks else "AUC of each row"
    chart = intervals(title, [label(row, results) for row in rows], leading, bars, marks)
    return Picture("auc", chart, "AUC of each row with its interval, a short stroke for each seed")


def _bar(result: Result | None) -> Bar | None:
    if result is None or result.auc is None:
        return None
    mean = result.auc.mean
    low, high = (mean if end is None else end for end in (result.low, result.high))
    return Bar(mean, low, high, tuple(float(run.answer["auc"]) for run in result.runs))


def _roc(results: Results, yardstick: str) -> Picture | None:
    lines = []
    for row in results.rows(Part.TABLE):
        run = first_run(results.get(row, yardstick))
        roc = run.answer.get("roc") if run else None
        if run is not None and isinstance(roc, dict):
            points = tuple(zip(roc["fpr"], roc["tpr"], strict=False))
            lines.append(Line(f"{label(row, results)} {words.fixed(run.answer['auc'])}", points))
    if not lines:
        return None
    unit = ((0.0, 1.0), (0.0, 1.0))
    chart = curves(
        f"ROC, {yardstick}", lines, "1 − specificity", "sensitivity", (320, 320), unit, diagonal=True
    )  # fmt: skip
    return Picture(f"roc-{yardstick}", chart, f"ROC curves with {yardstick}")
