"""Ages and remaining times of runs, short enough for a table."""

from histotui.formats import NOTHING
from histotui.runs import LIVE
from histotui.summary import RunSummary


def age(seconds: float) -> str:
    """A time span in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "now"


def left(run: RunSummary) -> str:
    """What is left of a live run's stage."""
    if run.state not in LIVE or run.progress is None or run.progress.seconds_left is None:
        return ""
    seconds = run.progress.seconds_left
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{int(seconds // 60)}:{int(seconds % 60):02}" if seconds >= 0 else NOTHING
