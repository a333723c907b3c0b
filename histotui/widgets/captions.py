"""What is said above and below a chart: the legend, the settings, and the values at the cursor."""

import math
from collections.abc import Iterable, Sequence

from textual.content import Content

from histotui.formats import number
from histotui.text import clean_line
from histotui.widgets.lines import XAxis
from histotui.widgets.traces import Trace


def legend(title: str, traces: Sequence[Trace]) -> list[Content]:
    """The title, and the names of the lines where it does not name the only one."""
    parts = [Content.styled(clean_line(title), "bold")] if title else []
    if len(traces) > 1 or not title:
        parts += [Content.assemble((f"{trace.mark} ", trace.style), trace.label) for trace in traces if trace.label]
    return parts


def settings(smoothing: float, log_scale: bool, zoomed: bool) -> str:
    """In what the drawing differs from the bare lines."""
    smooth = f"smooth {smoothing:.2g}" if smoothing else ""
    return "  ".join(filter(None, (smooth, "log" if log_scale else "", "zoom" if zoomed else "")))


def values_at(x: float, axis: XAxis, traces: Iterable[Trace]) -> list[str]:
    """The position in words, and what was logged of each line up to there."""
    return [axis.text(x), *(f"{trace.label} {_value(trace.value_at(x))}" for trace in traces)]


def packed(parts: Sequence[Content], columns: int, rows: int, right: str = "") -> Content:
    """The parts side by side over so many rows, and how many there are more; `right` at the first row's end."""
    end = Content.styled(right, "dim")
    lines: list[Content] = [Content("")]
    for place, part in enumerate(parts):
        room = columns - (end.cell_length + 2 if end and len(lines) == 1 else 0)
        joined = Content("  ").join([lines[-1], part]) if lines[-1] else part
        if joined.cell_length <= room or not lines[-1]:
            lines[-1] = joined
        elif len(lines) < rows:
            lines.append(part)
        else:
            lines[-1] += Content(f"  +{len(parts) - place}")
            break
    if end:
        lines[0] += Content(" " * max(columns - lines[0].cell_length - end.cell_length, 2)) + end
    return Content("\n").join(lines)


def _value(value: float | None) -> str:
    return number(value) if value is None or math.isfinite(value) else str(value)
