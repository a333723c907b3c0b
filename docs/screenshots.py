"""Pictures of every screen from real runs: python docs/screenshots.py [RUNS] [--all FOLDER]."""

import argparse
import asyncio
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from histotui.app import HistoTUI
    from histotui.summary import RunSummary

SCREENS = Path(__file__).with_name("screens")
SMALL, LARGE = (80, 24), (160, 48)
WIDTH = 144
QUIET, PATIENCE = 1.0, 30.0
"""Seconds without a change that end the wait, and the most that it takes: some screens ask the engine."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: the keys that lead to it from the home screen, and what opens there first."""

    name: str
    open: Callable[["HistoTUI", "Runs"], object]
    keys: Sequence[str] = ()
    kept: bool = False
    """Whether the README shows it."""
    rows: int = 36


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs that the pictures are of."""

    baseline: str
    generator: str
    several: tuple[str, ...]
    source: str


SHOTS = (
    Shot("runs", lambda app, runs: None, kept=True),
    Shot("new-run", lambda app, runs: app.new_run(runs.generator), kept=True),
    Shot("run-curves", lambda app, runs: app.open_run(runs.generator), ("1",), kept=True),
    Shot("run-samples", lambda app, runs: app.open_run(runs.generator), ("2",), kept=True),
    Shot("run-evaluation", lambda app, runs: app.open_run(runs.generator), ("3",), kept=True, rows=54),
    Shot("run-evaluation-end", lambda app, runs: app.open_run(runs.generator), ("3", "end")),
    Shot("baseline-evaluation", lambda app, runs: app.open_run(runs.baseline), ("3",)),
    Shot("run-config", lambda app, runs: app.open_run(runs.generator), ("4",)),
    Shot("run-log", lambda app, runs: app.open_run(runs.generator), ("5",)),
    Shot("run-events", lambda app, runs: app.open_run(runs.generator), ("6",)),
    Shot("compare", lambda app, runs: app.compare(runs.several), ("1",), kept=True),
    *(
        Shot(f"compare-{name}", lambda app, runs: app.compare(runs.several), (str(number),))
        for number, name in enumerate(("curves", "roc", "confusion", "samples", "config"), 2)
    ),
    Shot("data", lambda app, runs: app.browse_data(runs.source), ("o",), kept=True),
    Shot("help", lambda app, runs: app.open_run(runs.generator), ("question_mark",), kept=True),
)


def chosen(summaries: Iterable["RunSummary"]) -> Runs:
    """The newest run of a generator, and on the same data the newest baseline and others to compare with."""
    finished = sorted((run for run in summaries if run.state == "finished"), key=lambda run: run.created, reverse=True)
    generator = next((run for run in finished if run.config.get("generator")), None)
    source = _source(generator) if generator else ""
    newest: dict[tuple[str, str], str] = {}
    for run in finished:
        if _source(run) == source:
            newest.setdefault((run.preset, str(run.answer.get("trained_on"))), run.id)
    baseline = newest.pop(("baseline", "real"), None)
    if generator is None or baseline is None:
        raise SystemExit("a finished run of a generator and a finished baseline on the same data are needed")
    return Runs(baseline, generator.id, (baseline, *newest.values()), source)


def _source(run: "RunSummary") -> str:
    return str(run.config.get("data", {}).get("source", ""))


async def take(shot: Shot, root: Path, size: tuple[int, int], folder: Path) -> None:
    """One picture in a fresh application."""
    from histotui.app import HistoTUI
    from histotui.graphics import Graphics
    from histotui.store import RunStore

    store = RunStore(root)
    app = HistoTUI(store, Graphics("halfcell", "a still picture"))
    async with app.run_test(size=size) as pilot:
        await _until_quiet(pilot)
        shot.open(app, chosen(store.summaries()))
        await _until_quiet(pilot)
        for key in shot.keys:
            await pilot.press(key)
            await _until_quiet(pilot)
        picture = _compact(app.export_screenshot(title="histotui", simplify=True))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{shot.name}.svg").write_text(picture, encoding="utf-8")
    print(folder / f"{shot.name}.svg")


def _compact(svg: str) -> str:
    """The same picture, with half cells as shapes: smaller, and without gaps whatever font there is."""
    colours = dict(re.findall(r"\.(terminal-\d+-r\d+) \{ fill: (#\w+)[^}]*\}", svg))
    shapes: list[str] = []

    def shape(match: re.Match[str]) -> str:
        x, bottom, cells = float(match["x"]), float(match["y"]), len(match["cells"])
        # A line's text stands 18.5 below its top, as Rich writes them.
        shapes.append(_box(colours[match["style"]], x, bottom - 18.5, cells * 12.2, 12.3))
        return ""

    text = r'<text class="(?P<style>[^"]+)" x="(?P<x>[^"]+)" y="(?P<y>[^"]+)"[^>]*>(?P<cells>▀+)</text>'
    rest = re.sub(text, shape, svg)
    box = r'<rect fill="(#\w+)" x="([^"]+)" y="([^"]+)" width="([^"]+)" height="([^"]+)" shape-rendering="crispEdges"/>'
    rest = re.sub(box, lambda match: _box(match[1], *map(float, match.groups()[1:])), rest)
    used = set(re.findall(r'class="([^"]+)"', rest))
    rest = re.sub(r"\.(terminal-\d+-r\d+) \{[^}]*\}\s*", lambda match: match[0] if match[1] in used else "", rest)
    crisp = re.sub(r'(<g transform="translate\(9, 41\)")', r'\1 shape-rendering="crispEdges"', rest)
    return re.sub(r'(<g class="[^"]+-matrix">)', lambda match: "".join(shapes) + match[0], crisp)


def _box(colour: str, x: float, y: float, width: float, height: float) -> str:
    return f'<path fill="{colour}" d="M{x:.5g} {y:.5g}h{width:.5g}v{height:.4g}h-{width:.5g}"/>'


async def _until_quiet(pilot: "Pilot[None]") -> None:
    """Wait until what is seen has stayed the same for a while, and no longer says that it waits."""
    loop = asyncio.get_running_loop()
    deadline, seen, since = loop.time() + PATIENCE, "", loop.time()
    while loop.time() < deadline and (loop.time() < since + QUIET or _waits(seen)):
        await pilot.pause(0.2)
        present = pilot.app.export_screenshot()
        if present != seen:
            seen, since = present, loop.time()


def _waits(picture: str) -> bool:
    return any(f"{word}&#160;" in picture for word in ("reading", "looking", "asking", "comparing"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs"))
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every screen, at 80x24 and at 160x48 too")
    parser.add_argument("--only", nargs="*", default=[shot.name for shot in SHOTS], help="these screens alone")
    options = parser.parse_args()
    # What somebody's own application remembers is neither shown nor changed.
    with tempfile.TemporaryDirectory() as settings:
        os.environ.update(XDG_STATE_HOME=settings, XDG_CONFIG_HOME=settings)
        for shot in SHOTS:
            if shot.name not in options.only:
                continue
            if options.all:
                for size in (SMALL, LARGE):
                    asyncio.run(take(shot, options.runs, size, options.all / f"{size[0]}x{size[1]}"))
            elif shot.kept:
                asyncio.run(take(shot, options.runs, (WIDTH, shot.rows), SCREENS))


if __name__ == "__main__":
    main()
