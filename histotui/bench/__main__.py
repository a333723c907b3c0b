"""`python -m histotui.bench`: every promise of speed, measured; the exit code is 1 where one is missed."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from engine.spec.version import VERSION
from histotui.bench import starting, watching
from histotui.bench.measures import Measure, row
from histotui.bench.run_folders import write_finished

_BESIDE = 100
"""Finished runs that lie beside the live ones."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m histotui.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--only", choices=GROUPS, help="one group alone")
    arguments = parser.parse_args()
    measures = []
    with tempfile.TemporaryDirectory(prefix="histotui-bench-", ignore_cleanup_errors=True) as name:
        for measure in measure_all(Path(name), arguments.only):
            measures.append(measure)
            if not arguments.json:
                print(row(measure), flush=True)
    if arguments.json:
        print(json.dumps({"machine": machine(), "measures": [asdict(measure) for measure in measures]}))
    else:
        print(*(f"{key}: {value}" for key, value in machine().items()), sep="\n")
    return 0 if all(measure.is_met for measure in measures) else 1


GROUPS = ("paint", "answering", "listing", "commands")


def measure_all(folder: Path, only: str | None = None) -> Iterator[Measure]:
    environment, root = own_environment(folder), folder / "runs"
    write_finished(root, _BESIDE)
    if only in (None, "paint"):
        yield from starting.first_paint(root, environment)
    if only in (None, "answering"):
        yield from watching.answering(root, environment)
    if only in (None, "listing"):
        yield from starting.listing(folder, environment)
    if only in (None, "commands"):
        yield from starting.commands(folder, environment)


def own_environment(folder: Path) -> Mapping[str, str]:
    """A terminal with every colour, and a home that nothing was kept in."""
    homes = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("CONFIG", "STATE", "CACHE")}
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TMUX", "HISTOTUI_RUNS")}
    return {**kept, **homes, "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def machine() -> dict[str, str]:
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "load": f"{os.getloadavg()[0]:.2f} at the end",
        "histotui": VERSION,
        "python": platform.python_version(),
        "textual": version("textual"),
        "textual-plot": version("textual-plot"),
    }


if __name__ == "__main__":
    sys.exit(main())
