"""The parts of a report that stand on what runs have left: samples, training curves, durations, settings, notes."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from engine.spec.environments import read_environments
from engine.spec.event_log import EventReader
from engine.spec.events import Metrics
from engine.spec.resolve import dump, flatten
from engine.spec.run_folder import RunFolder
from engine.spec.study import Part, yardsticks
from histotui.curves import Curve, CurveBook
from histotui.formats import NOTHING, count, duration
from histotui.report import last_grid
from histotui.runs import section
from histotui.settings import departures, written
from histotui.study.charts import Line, curves
from histotui.study.document import Block, Code, Gallery, Heading, Items, Picture, Prose, Table
from histotui.study.planning import Wish
from histotui.study.results import Result, Results
from histotui.study.sections import first_run, label, leading_first
from histotui.summary import RunSummary, manifest_of, read_tree_or_nothing, strings

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PREPARE: Final = "prepare"
_INDEPENDENT: Final = "Intervals take patches as independent"
_NOTES: Final = 40
_ROWS_OWN: Final = ("classifier.", "synthesis.source", "data.train_share", "data.tumour_share", "data.share_seed")
"""Settings in which a row of its name differs."""
_PANEL: Final = (185.0, 110.0)

Tree = Mapping[str, Any]


def sample_section(results: Results) -> Iterator[Block]:
    """A grid of each generator's samples, after one of training patches."""
    pictures: list[Picture] = []
    first = results.yardsticks[0]
    runs = [(row, run) for row in results.rows(Part.TABLE) if (run := first_run(results.get(row, first)))]
    for place, (row, run) in enumerate(runs):
        if row.is_real or not pictures:
            pictures += _grid("samples-real", _real_grid(run.folder), "Training patches, normal above tumour")
        if not row.is_real:
            words = f"{row.name}, normal above tumour"
            pictures += _grid(f"samples-{place}", _sample_grid(run), words)
    unique = {picture.name: picture for picture in pictures}
    if unique:
        yield Heading("Samples")
        yield Prose("Of the first seed of each row, with the weights that its patches were made with.")
        yield Gallery(tuple(unique.values()), captions=True)


def training_section(results: Results) -> Iterator[Block]:
    """What the runs of the first seed logged while they trained."""
    shown = [_training(result, results, place) for place, result in enumerate(_first_seeds(results))]
    if any(shown):
        yield Heading("Training curves")
        yield Prose(
            "Of the first seed of each row. An AUC on held-out synthetic patches says nothing about usefulness."
        )
    for blocks in shown:
        yield from blocks


def duration_section(results: Results) -> Iterator[Block]:
    """How long the runs took, by row and classifier."""
    leading = leading_first(results)
    rows = [row for row in results.findings.plan.rows if any(_runs(results.get(row, each)) for each in leading)]
    if not rows:
        return
    yield Heading("Durations")
    yield Prose(
        f"Of whole runs, averaged over seeds. With {results.yardsticks[0]} that has the generator's training in it; "
        "others take the patches of that run. What an earlier run has trained alike is taken and adds nothing."
    )
    lines = tuple((row.name, *(_duration(results.get(row, each)) for each in leading)) for row in rows)
    yield Table(("row", *leading), lines)


def method_section(results: Results) -> Iterator[Block]:
    """What was asked and how it was measured: patches, protocol, versions, device."""
    runs = list(results.scored())
    yield Heading("How it was measured")
    if not runs:
        yield Prose("No run has a result yet.")
        return
    yield Items(tuple(_data_facts(runs[0]) + _protocol(runs[0].config) + _versions(runs)))
    settings = tuple(filter(None, map(_settings, results.all)))
    if settings:
        yield Prose("Settings in which runs differ from their presets:")
        yield Items(settings)


def command_section(results: Results) -> Iterator[Block]:
    """The command that makes the study again, and those of its runs."""
    yield Heading("Commands")
    yield Code(study_command(results.findings.plan.wish, results.findings.plan.source))
    commands = tuple(dict.fromkeys(filter(None, (_command(run.folder) for run in results.scored()))))
    if commands:
        yield Prose("It starts these, where they have not been run before:")
        yield Code("\n".join(commands))


def note_section(results: Results) -> Iterator[Block]:
    """What must be known beside the numbers."""
    yield Heading("What to know before comparing numbers")
    notes: dict[str, list[str]] = {}
    for result in results.all:
        for run in result.runs:
            for note in strings(read_tree_or_nothing(run.folder.scores).get("notes")):
                notes.setdefault(note, []).append(f"{result.row.name}, {result.yardstick}")
    total = sum(1 for _ in results.scored())
    # What several runs say comes first: it is not about one of them.
    ordered = sorted(notes.items(), key=lambda item: -len(item[1]))
    told = [note if len(whose) == total else f"{_whose(whose)}: {note}" for note, whose in ordered]
    told = [note for note in told if not note.startswith(_INDEPENDENT)]
    more = [f"… and {len(told) - _NOTES} more in the runs' own reports"] if len(told) > _NOTES else []
    yield Items(
        (
            f"{_INDEPENDENT}; patches of one slide are not, so they are narrower than the truth.",
            "The spread is over seeds, on the same test patches; the interval of an AUC is over test patches, that of "
            "a difference over test slides where these are known. None has another in it.",
            *told[:_NOTES],
            *more,
        )
    )


def study_command(wish: Wish, source: str) -> str:
    """The command that makes the study again."""
    parts = ["histotui", "study"]
    parts += [] if wish.data is None else ["--data", source]
    parts += ["--rows", ",".join(wish.rows)] if wish.rows else []
    parts += ["--seeds", str(wish.seeds)]
    parts += ["--quick"] if wish.quick else []
    for override in wish.overrides:
        parts += ["--set", override]
    return shlex.join(parts)


def manifest_name(results: Results) -> str:
    """What the patches are called by the first run that has a score, else by where they come from."""
    run = next(results.scored(), None)
    name = manifest_of(run.folder).get("name") if run else None
    return str(name or Path(results.findings.plan.source).name)


def _grid(name: str, path: Path | None, words: str) -> list[Picture]:
    try:
        content = b"" if path is None else path.read_bytes()
    except OSError:
        return []
    return [Picture(name, content, words)] if content.startswith(_PNG) else []


def _real_grid(folder: RunFolder) -> Path | None:
    return next(iter(sorted((folder.samples / _PREPARE).glob("step-*.png"))), None)


def _sample_grid(run: RunSummary) -> Path | None:
    path = last_grid(run)
    return None if path is None or path.parent.name == _PREPARE else path


def _first_seeds(results: Results) -> Iterator[Result]:
    for row in results.rows(Part.TABLE):
        for yardstick in leading_first(results):
            if (result := results.get(row, yardstick)) and result.runs:
                yield result


def _training(result: Result, results: Results, place: int) -> list[Block]:
    run = result.runs[0]
    book = CurveBook()
    for event in EventReader(run.folder.events).read():
        if isinstance(event, Metrics):
            book.add(event)
    own = [curve for curve in book.snapshot() if len(curve.steps) > 1 and curve.stage != "reference"]
    pictures = tuple(_panel(curve, f"training-{place}-{number}") for number, curve in enumerate(own))
    title = f"{label(result.row, results)}, {result.yardstick}"
    return [Heading(title, 3), Gallery(pictures)] if pictures else []


def _panel(curve: Curve, name: str) -> Picture:
    title = f"{curve.stage}: {curve.name}".replace("_", " ")
    points = tuple(zip(curve.steps, curve.values, strict=True))
    return Picture(name, curves(title, [Line("", points)], "step", "", _PANEL), title)


def _runs(result: Result | None) -> tuple[RunSummary, ...]:
    return () if result is None else result.runs


def _duration(result: Result | None) -> str:
    took = [run.seconds for run in _runs(result) if run.seconds is not None]
    return duration(sum(took) / len(took)) if took else NOTHING


def _data_facts(run: RunSummary) -> list[str]:
    manifest = manifest_of(run.folder)
    counts = section(manifest, "counts")
    told = [f"patches: {manifest.get('name', run.answer.get('data', NOTHING))}"]
    for name in ("train", "valid", "test"):
        if sum(numbers := [part for part in section(counts, name).values() if isinstance(part, int)]):
            shown = ", ".join(f"{count(value)} {word}" for word, value in section(counts, name).items())
            told.append(f"{name}: {count(sum(numbers))} patches ({shown})")
    told += [f"divided: {manifest['divided']}"] if manifest.get("divided") else []
    told += [f"fingerprint of the patches: {manifest['fingerprint']}"] if manifest.get("fingerprint") else []
    return told


def _protocol(config: Tree) -> list[str]:
    data, synthesis, classifier = (section(config, name) for name in ("data", "synthesis", "classifier"))
    fraction, threshold = classifier.get("validation_fraction"), section(config, "evaluation").get("threshold")
    return [
        f"centre crop of {data.get('crop')} pixels; synthetic patches for each real training patch of the same class, "
        f"where a row says nothing else: {synthesis.get('ratio')}",
        f"the classifier of the epoch with the highest AUC on {classifier.get('validation')} patches "
        f"({fraction} of its own training set where held out) is tested once, at threshold {threshold}",
    ]


def _versions(runs: Sequence[RunSummary]) -> list[str]:
    environments = [said for run in runs for said in read_environments(run.folder.environment)]
    facts = {
        name: dict.fromkeys(str(said[name]) for said in environments if said.get(name))
        for name in ("histotui", "commit", "python", "threads")
    }
    facts["packages"] = dict.fromkeys(
        f"{name} {version}" for said in environments for name, version in section(said, "packages").items()
    )
    facts["device"] = dict.fromkeys(run.device for run in runs if run.device)
    return [f"{name}: {', '.join(values)}" for name, values in facts.items() if values]


def _settings(result: Result) -> str:
    """In what a row's runs differ from its preset and from that of its classifier."""
    run = first_run(result)
    if run is None:
        return ""
    judge = dict(flatten(dump(yardsticks()[result.yardstick])))
    changed = [(path, new) for path, _, new in departures(run.config) if not path.startswith(_ROWS_OWN)]
    changed += [
        (f"classifier.{name}", value)
        for name, value in flatten(dict(section(run.config, "classifier")))
        if name not in ("train_on", "synthetic_proportion") and value != judge.get(f"classifier.{name}")
    ]
    told = ", ".join(f"{path}={written(new)}" for path, new in changed)
    return f"{result.row.name}, {result.yardstick}: {told}" if told else ""


def _command(folder: RunFolder) -> str:
    try:
        return folder.command.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _whose(whose: Iterable[str]) -> str:
    names = list(dict.fromkeys(whose))
    return "; ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
