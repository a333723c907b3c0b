"""Faults: what is done to a run at work, and to the folder of one that is not."""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import MappingProxyType
from typing import Final

from engine.checkpoints import verify
from engine.soak.engines import Engines
from engine.spec.errors import CheckpointError
from engine.spec.failpoints import NAMES, OUTSIDE_RUNS, Act, Action, Write
from engine.spec.run_folder import RunFolder

_MOST_HITS: Final = 40
_A_FEW: Final = 5
_LONGEST: Final = 1.5
"""Seconds in which a toy run is somewhere in its middle."""

OFTEN: Final = (Act.EVENT, Act.STEP_FORWARD, Act.STEP_BACKWARD, Act.STEP_UPDATE, Act.STEP_DONE, Write.CHECKPOINT)
SPOILED: Final = (Act.STEP_LOSS, Act.STEP_GRADIENT)
REACHED: Final = tuple(name for name in NAMES if name.partition(".")[0] not in OUTSIDE_RUNS and name not in SPOILED)
ALLOCATING: Final = (Act.STEP_FORWARD, Act.STEP_BACKWARD, Act.STEP_UPDATE, Act.SAMPLE, Act.PREDICT, Act.FIT, Act.ENCODE)


@dataclass(frozen=True, slots=True)
class Ended:
    """An engine that something was done to: its process, which led a session of its own, and how it ended."""

    pid: int
    exit_code: int


Fault = Callable[[Engines, RunFolder, random.Random], Ended]


def killed_at_a_failpoint(engines: Engines, run: RunFolder, rng: random.Random) -> Ended:
    return _failing(engines, run, rng, rng.choice(REACHED), Action.KILL)


def refused_by_the_disk(engines: Engines, run: RunFolder, rng: random.Random) -> Ended:
    names = [name for name in REACHED if name.endswith(".written") or name in (Act.EVENT, Act.PACK_BLOCK)]
    return _failing(engines, run, rng, rng.choice(names), rng.choice((Action.FULL, Action.BROKEN)))


def out_of_memory(engines: Engines, run: RunFolder, rng: random.Random) -> Ended:
    return _failing(engines, run, rng, rng.choice(ALLOCATING), Action.MEMORY)


def not_finite(engines: Engines, run: RunFolder, rng: random.Random) -> Ended:
    return _failing(engines, run, rng, rng.choice(SPOILED), rng.choice((Action.NAN, Action.INF)))


def killed_at_a_moment(engines: Engines, run: RunFolder, rng: random.Random) -> Ended:
    return _signalled(engines, run, rng, (signal.SIGKILL,))


def asked_to_stop(engines: Engines, run: RunFolder, rng: random.Random) -> Ended:
    return _signalled(engines, run, rng, (signal.SIGTERM,))


def asked_to_stop_twice(engines: Engines, run: RunFolder, rng: random.Random) -> Ended:
    return _signalled(engines, run, rng, (signal.SIGTERM, signal.SIGTERM))


def short_of_file_size(engines: Engines, run: RunFolder, rng: random.Random) -> Ended:
    """The kernel itself lets no file grow beyond a size."""
    return _ended(engines, engines.start(run, file_size=rng.randrange(500, 40_000)))


FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "killed at a failpoint": killed_at_a_failpoint,
        "killed at any moment": killed_at_a_moment,
        "asked to stop": asked_to_stop,
        "asked to stop twice": asked_to_stop_twice,
        "refused by the disk": refused_by_the_disk,
        "short of file size": short_of_file_size,
        "out of memory": out_of_memory,
        "loss or gradient not finite": not_finite,
    }
)


def damaged_checkpoint(run: RunFolder, rng: random.Random) -> bool:
    """One byte of the newest checkpoint of a stage at work, or its end, is not what was written.

    Only where the one before is whole, which is what is promised to take its place.
    """
    stages = [sorted(stage.glob("step-*")) for stage in run.checkpoints.glob("*")]
    steps = next((steps for steps in stages if len(steps) > 1 and all(map(_is_whole, steps))), [])
    if not steps:
        return False
    path = rng.choice(sorted(steps[-1].iterdir()))
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content))
    content[place] ^= 0xFF
    path.write_bytes(content if rng.random() < 0.5 else content[:place])
    return True


def _is_whole(checkpoint: Path) -> bool:
    try:
        verify(checkpoint)
    except CheckpointError:
        return False
    return True


def torn_log(run: RunFolder, rng: random.Random) -> bool:
    """The log ends in the middle of a line, as a power failure leaves it."""
    if not run.events.exists() or not (lines := run.events.read_bytes().splitlines()):
        return False
    line = rng.choice(lines)
    with run.events.open("ab") as file:
        file.write(line[: rng.randrange(1, len(line))])
    return True


DAMAGES: Final[Mapping[str, Callable[[RunFolder, random.Random], bool]]] = MappingProxyType(
    {"checkpoint damaged": damaged_checkpoint, "log torn": torn_log}
)


def killed_at(failpoint: str, engines: Engines, run: RunFolder) -> Ended:
    """At this one, the fifth time where it is reached often."""
    hit = _A_FEW if failpoint.startswith(OFTEN) else 1
    return _ended(engines, engines.start(run, f"{failpoint}:{hit}:{Action.KILL}"))


def _failing(engines: Engines, run: RunFolder, rng: random.Random, name: str, action: Action) -> Ended:
    hit = rng.randrange(1, _MOST_HITS) if name.startswith((*OFTEN, *SPOILED)) else 1
    return _ended(engines, engines.start(run, f"{name}:{hit}:{action}"))


def _signalled(engines: Engines, run: RunFolder, rng: random.Random, signals: tuple[signal.Signals, ...]) -> Ended:
    process = engines.start(run)
    for number in signals:
        time.sleep(rng.uniform(0, _LONGEST / len(signals)))
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, number)
    return _ended(engines, process)


def _ended(engines: Engines, process: ForkServerProcess) -> Ended:
    code = engines.wait(process)
    return Ended(process.pid or 0, code)
