"""How long the program takes to start: its first paint, its help, its listings."""

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from histotui.bench.measures import Measure, median_of, seconds
from histotui.bench.run_folders import write_finished
from histotui.bench.terminal import Terminal

PROGRAM = (sys.executable, "-P", "-m", "histotui")
_ROUNDS = 9
_MANY, _SOME = 10_000, 500
_LIST = (
    "import sys, pathlib\n"
    "from histotui.index import RunIndex\n"
    "from histotui.store import RunStore\n"
    "assert len(RunIndex(RunStore(pathlib.Path(sys.argv[1]))).summaries()) == int(sys.argv[2])"
)


def first_paint(root: Path, environment: Mapping[str, str]) -> Iterator[Measure]:
    """From the start of the process to its home screen, against the import of textual.app in turns."""
    bare = [sys.executable, "-P", "-c", "import textual.app"]
    seconds(bare, environment), _painted(root, environment)
    rounds = [(seconds(bare, environment), *_painted(root, environment)) for _ in range(_ROUNDS)]
    imports, paints, lists = zip(*rounds, strict=True)
    ratios = [paint / alone for alone, paint, _ in rounds]
    yield median_of("first paint", ratios, "times", "start to the home screen's first bytes : import textual.app", 2.5)
    yield median_of("  import textual.app", imports, "s", "python -c 'import textual.app'")
    yield median_of("  home screen", paints, "s", "start to its first bytes")
    yield median_of("  with its runs", lists, "s", "start to the rows of a hundred runs")


def _painted(root: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    with Terminal([*PROGRAM, "--runs", str(root)], environment) as terminal:
        first = terminal.wait(lambda heard: b"histotui" in heard.partition(b"\x1b[?1049h")[2])
        rows = terminal.wait(lambda heard: b"finished" in heard)
        return first - terminal.began, max(first, rows) - terminal.began


def commands(folder: Path, environment: Mapping[str, str]) -> Iterator[Measure]:
    """Commands that a shell waits for."""
    helps = [seconds([*PROGRAM, "--help"], environment) for _ in range(_ROUNDS)]
    yield median_of("histotui --help", helps, "s", "the whole command", 0.25)
    write_finished(folder / "some", _SOME)
    listing = [*PROGRAM, "ls", "--json", "--runs", str(folder / "some")]
    yield Measure("ls --json, first", seconds(listing, environment), "s", f"{_SOME} runs that were never listed")
    again = [seconds(listing, environment) for _ in range(_ROUNDS)]
    yield median_of("ls --json", again, "s", f"{_SOME} runs after that", 0.5)


def listing(folder: Path, environment: Mapping[str, str]) -> Iterator[Measure]:
    """Ten thousand runs, each time in a new process."""
    root = folder / "many"
    write_finished(root, _MANY)
    # An index does not trust what was written in the last two seconds.
    time.sleep(2.5)
    command = [sys.executable, "-P", "-c", _LIST, str(root), str(_MANY)]
    first = seconds(command, environment)
    yield Measure("10,000 runs, first", first, "s", "a process that lists runs that were never listed")
    again = [seconds(command, environment) for _ in range(_ROUNDS)]
    yield median_of("10,000 runs", again, "s", "a new process that lists them, its start with it", 1.0)
