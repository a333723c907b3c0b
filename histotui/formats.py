"""How numbers, times and tables are written."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from histotui.text import clean_line, fit, width

NOTHING = "–"


def number(value: object, digits: int = 4) -> str:
    """A number to so many significant digits; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NOTHING
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return NOTHING
    size = abs(value)
    if size == 0 or 1e-3 <= size < 1e5:
        whole = len(str(int(size))) if size >= 1 else 0
        return f"{value:.{max(0, digits - whole)}f}"
    return f"{value:.{digits - 1}g}"


def count(value: object) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else NOTHING


def interval(low: object, high: object) -> str:
    """An interval such as [0.482, 0.533]."""
    return f"[{number(low, 3)}, {number(high, 3)}]" if isinstance(low, float) and isinstance(high, float) else NOTHING


def duration(seconds: float | None) -> str:
    """A time span in the two largest units that it has."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def size(count_of_bytes: object) -> str:
    """Bytes in the unit that reads best."""
    if isinstance(count_of_bytes, bool) or not isinstance(count_of_bytes, int | float):
        return NOTHING
    value = float(count_of_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{number(value, 3)} {unit}" if unit != "B" else f"{value:.0f} B"
        value /= 1000
    return f"{number(value, 3)} TB"


def moment(seconds: float) -> str:
    """A wall-clock time as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None = None, shrink: str = ""
) -> list[str]:
    """Aligned lines, numbers to the right; the column named `shrink` gives way where `columns` are too few."""
    cells = [[clean_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    if columns is not None and shrink in header:
        place = header.index(shrink)
        over = sum(widths) + 2 * (len(widths) - 1) - columns
        widths[place] = max(min(8, widths[place]), widths[place] - max(0, over))
    right = [_is_numeric([row[place] for row in cells[1:]]) for place in range(len(header))]
    return [_line(row, widths, right) for row in cells]


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    return "  ".join(map(_aligned, row, widths, right)).rstrip()


def _aligned(cell: str, columns: int, right: bool) -> str:
    cell = fit(cell, columns)
    padding = " " * (columns - width(cell))
    return padding + cell if right else cell + padding


def _is_numeric(cells: Sequence[str]) -> bool:
    return any(cell[:1].isdigit() for cell in cells) and all(
        cell in ("", NOTHING) or cell.replace(",", "").replace(".", "", 1).lstrip("-").isdigit() for cell in cells
    )


def facts(tree: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """An answer of the engine as aligned lines, nested parts indented."""
    longest = max((len(str(name)) for name in tree), default=0)
    for name, value in tree.items():
        label = str(name).replace("_", " ")
        if isinstance(value, Mapping):
            yield f"{indent}{label}"
            yield from facts(value, f"{indent}  ")
        elif isinstance(value, list) and any(isinstance(part, Mapping | list) for part in value):
            yield f"{indent}{label}"
            for part in value:
                yield from facts(part, f"{indent}  ") if isinstance(part, Mapping) else [f"{indent}  {_plain(part)}"]
        else:
            yield f"{indent}{label:<{longest}}  {_fact(str(name), value)}"


def _fact(name: str, value: object) -> str:
    return size(value) if name == "bytes" or name.endswith("_bytes") else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or NOTHING
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return count(value) if isinstance(value, int) else number(value) if isinstance(value, float) else str(value)
