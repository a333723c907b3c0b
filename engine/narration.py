"""What a run's log says of its events: a line each, for people, with the time in UTC."""

import contextlib
import os
import sys
import time

from engine.spec.events import (
    DeviceTaken,
    Event,
    Queued,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    Scored,
    StageFinished,
    StageStarted,
    Warned,
)


def narrate(event: Event) -> None:
    """Say on stderr what happened, where the log is to have it: progress and metrics are in events.jsonl alone."""
    if text := _sentence(event):
        tell(text, event.time)


def tell(text: str, moment: float | None = None) -> None:
    """One line on stderr that begins with the time, now where none is given."""
    write(f"{time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(moment))}  {_clean(text)}")


def write(text: str) -> None:
    """Lines on stderr, safe to show. A log that cannot be written to must not end what it is about."""
    lines = "".join(f"{_clean(line)}\n" for line in text.split("\n"))
    # What sys.stderr keeps after a full disk would change the exit code.
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), lines.encode())


def _clean(text: str) -> str:
    """The text on one line, with everything that a terminal could act on shown as an escape."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", errors="surrogatepass").decode("ascii")


def _sentence(event: Event) -> str:
    match event:
        case RunStarted(version=version, device=device):
            return f"started on {device}, histotui {version}" if device else ""
        case Resumed(version=version, device=device):
            return f"resumed on {device}, histotui {version}"
        case Queued():
            return f"waits: {event.words}"
        case DeviceTaken(device=device):
            return f"has {device} now"
        case StageStarted(stage=stage):
            return f"{stage}: started"
        case StageFinished(stage=stage, seconds=seconds):
            return f"{stage}: finished in {seconds:.1f} s"
        case Warned(stage=stage, message=message):
            return f"{stage}: warning: {message}"
        case Scored():
            return _score(event)
        case RunFinished(seconds=seconds):
            return f"finished in {seconds:.1f} s"
        case RunStopped(stage=stage):
            return f"stopped {_place(stage)}; it can be resumed"
        case RunFailed(stage=stage, exit_code=code):
            return f"failed {_place(stage)}, exit code {code}"
        case _:
            return ""


def _score(event: Scored) -> str:
    measured = f"AUC {event.auc:.4f} ({event.auc_low:.4f} to {event.auc_high:.4f}), accuracy {event.accuracy:.4f}"
    return (
        f"{event.role}: trained on {event.trained_on}, tested on {event.n_test} {event.tested_on} patches: {measured}"
    )


def _place(stage: str) -> str:
    return f"in stage {stage}" if stage else "before its first stage"
