"""`python -m engine.soak --minutes N`: toy runs of every preset, broken off again and again; 1 unless all end alike.

Every trial takes its decisions from the seed and its own number, so that `--seed S --trial N` repeats it.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path

from engine.randomness import mix
from engine.soak.ending import Ending, ending
from engine.soak.engines import Engines
from engine.soak.faults import REACHED
from engine.soak.toys import toy_config, toy_run
from engine.soak.trial import Breaking, Findings, break_off, kill_at, try_out
from engine.spec.presets import PRESETS

Job = Callable[[], None]
SEEDS = 2
"""Of each preset, undisturbed runs to compare with."""


class Soak:
    """Trials in a folder, as many at once as there are workers."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._engines = Engines(folder / "cache")
        self._whole: dict[tuple[str, int], Ending] = {}
        self._lock = threading.Lock()
        self.found = Findings()

    def work(self, jobs: Iterator[Job], workers: int) -> None:
        """Do jobs side by side until there are no more."""

        def work() -> None:
            while (job := self._next(jobs)) is not None:
                job()

        with ThreadPoolExecutor(workers) as executor:
            # What goes wrong with the soak itself is raised here.
            for done in [executor.submit(work) for _ in range(workers)]:
                done.result()

    def trials(self, minutes: float) -> Iterator[Job]:
        """Trials at random, until the time is up."""
        until = time.monotonic() + 60 * minutes
        for number in count():
            if time.monotonic() >= until:
                return
            yield partial(self.try_one, number)

    def every_failpoint(self) -> Iterator[Job]:
        """Each preset, killed once at each failpoint that a run may come to."""
        for preset in PRESETS:
            for name in REACHED:
                breaking = partial(kill_at, name)
                yield partial(self._try, f"{preset}-{name}", preset, 0, breaking)

    def try_one(self, number: int) -> None:
        """The trial of this number."""
        rng = random.Random(mix(self._seed, "trial", number))
        preset, seed = rng.choice(list(PRESETS)), rng.randrange(SEEDS)
        self._try(f"trial-{number}-{preset}", preset, seed, partial(break_off, rng=rng))

    def _try(self, name: str, preset: str, seed: int, breaking: Breaking) -> None:
        """Break a run off and look at its end; its folder goes unless there is something to see in it."""
        whole = self._undisturbed(preset, seed)
        run = toy_run(self._folder / name / "run", toy_config(preset, {"seed": seed}))
        found = try_out(self._engines, run, whole, breaking)
        if found.is_clean:
            shutil.rmtree(run.path.parent)
        with self._lock:
            self.found.add(found)
            how = "exact" if found.is_clean else "; ".join(found.problems)
            say(f"{name}: {sum(found.faults.values())} faults, {how}")

    def _next(self, jobs: Iterator[Job]) -> Job | None:
        with self._lock:
            return next(jobs, None)

    def _undisturbed(self, preset: str, seed: int) -> Ending:
        with self._lock:
            if (preset, seed) not in self._whole:
                run = toy_run(self._folder / f"whole-{preset}-{seed}" / "run", toy_config(preset, {"seed": seed}))
                if code := self._engines.finish(run):
                    raise SystemExit(f"{run.path}: ended with {code} undisturbed; see its log.txt")
                self._whole[preset, seed] = ending(run)
                shutil.rmtree(run.path.parent)
            return self._whole[preset, seed]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long new trials begin")
    parser.add_argument("--seed", type=int, default=0, help="what all decisions follow from")
    parser.add_argument("--workers", type=int, default=2, help="trials at once")
    parser.add_argument("--trial", type=int, help="this one alone")
    parser.add_argument(
        "--every-failpoint", action="store_true", help="each preset once at each failpoint, however long it takes"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object in the place of a table")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="histotui-soak-"))
    soak = Soak(folder, arguments.seed)
    if arguments.trial is not None:
        soak.try_one(arguments.trial)
    else:
        jobs = soak.every_failpoint() if arguments.every_failpoint else soak.trials(arguments.minutes)
        soak.work(jobs, arguments.workers)
    print(json.dumps(asdict(soak.found)) if arguments.json else "\n".join(table(soak.found)))
    if soak.found.is_clean:
        shutil.rmtree(folder)
    else:
        say(f"what went wrong lies in {folder}")
    return 0 if soak.found.is_clean else 1


def table(found: Findings) -> Iterator[str]:
    """Counts for people."""
    yield f"{'runs broken off':<40}{found.runs:>8}"
    yield f"{'  ended exactly like undisturbed ones':<40}{found.exact:>8}"
    yield f"{'resumptions':<40}{found.resumed:>8}"
    yield f"{'faults':<40}{sum(found.faults.values()):>8}"
    for name, times in sorted(found.faults.items()):
        yield f"{'  ' + name:<40}{times:>8}"
    yield f"{'records lost':<40}{found.records_lost:>8}"
    yield f"{'processes left behind':<40}{found.orphans:>8}"
    yield from found.problems


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
