"""Charts as SVG: intervals side by side, curves, confusion matrices. Pure: from numbers to text.

Colours are classes, which a style sheet gives their values for light and for dark paper.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from histotui.formats import count
from histotui.study.axes import Scale, padded, thinned
from histotui.study.markup import Markup, element, escaped, joined
from histotui.text import fit, width

SERIES: Final = 8
"""Colours that there are; further series take them again with other dashes."""
STYLE: Final = """
.chart{color-scheme:light dark;font:12px system-ui,sans-serif;
--ink:#1c2126;--faint:#6b747d;--line:#d5dae0;--paper:#fff;--shade:#0072b2;
--c0:#0072b2;--c1:#c04a00;--c2:#00795a;--c3:#a8467f;--c4:#8a6d00;--c5:#4b57c2;--c6:#a3262a;--c7:#3c4650}
@media (prefers-color-scheme:dark){.chart{--ink:#e4e8ec;--faint:#98a2ac;--line:#3a424a;--paper:#14181c;--shade:#3d9bdc;
--c0:#5cb3f0;--c1:#f39a5c;--c2:#43c79f;--c3:#e08dbb;--c4:#d9b93c;--c5:#9aa4f5;--c6:#ef8588;--c7:#b9c2cb}}
@media print{.chart{--ink:#000;--faint:#444;--line:#ccc;--paper:#fff;--shade:#0072b2;
--c0:#0072b2;--c1:#c04a00;--c2:#00795a;--c3:#a8467f;--c4:#8a6d00;--c5:#4b57c2;--c6:#a3262a;--c7:#3c4650}}
.chart text{fill:var(--ink)}.chart .faint{fill:var(--faint)}.chart .title{font-weight:600}
.chart .grid{stroke:var(--line);stroke-width:1}.chart .mark{stroke:var(--faint);stroke-width:1;stroke-dasharray:4 3}
.chart .curve{fill:none;stroke-width:1.6;stroke-linejoin:round}.chart .bar{stroke-width:2}
.chart .cell{fill:var(--shade);stroke:var(--line)}.chart .halo{stroke:var(--paper);stroke-width:3;paint-order:stroke}
""" + "".join(f".chart .s{n}{{stroke:var(--c{n})}}.chart .f{n}{{fill:var(--c{n})}}" for n in range(SERIES))
_DASHES: Final = ("none", "6 3", "2 3", "8 3 2 3")
_CHARACTER: Final = 6.6
"""Pixels that a character takes at most, about."""
_POINTS: Final = 400


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: points in the order of x, each with the ends of its interval where it has one."""

    label: str
    points: tuple[tuple[float, float], ...]
    ends: tuple[tuple[float, float], ...] = ()
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval, and the values of single seeds."""

    value: float
    low: float
    high: float
    seeds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """Where the plot is inside of its chart, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


def standalone(chart: Markup) -> str:
    """A chart as a file of its own."""
    style = element("style", Markup(STYLE))
    start = chart.index(">") + 1
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{chart[:start]}{style}{chart[start:]}\n'


def intervals(
    title: str,
    labels: Sequence[str],
    series: Sequence[str],
    bars: Sequence[Sequence[Bar | None]],
    marks: Sequence[float],
) -> Markup:
    """For each label a bar of each series, one below the other; `marks` are the series' values to compare with."""
    left = 20 + _CHARACTER * max(map(width, labels), default=0)
    step = 12.0 * len(series) + 10
    box = Box(left, 44, left + 460, 44 + step * len(labels))
    known = [bar for row in bars for bar in row if bar is not None]
    values = [value for bar in known for value in (bar.low, bar.high, *bar.seeds)]
    x = Scale(*padded([*values, *marks]), box.left, box.right)
    parts = [*_x_axis(x, box, "AUC on test patches"), *_marks(x, box, marks)]
    for place, (label, row) in enumerate(zip(labels, bars, strict=True)):
        top = box.top + step * place
        parts.append(_text(label, left - 8, top + step / 2 + 4, text_anchor="end"))
        for number, bar in enumerate(row):
            if bar is not None:
                parts += _bar(bar, x, top + 11 + 12 * number, number)
    parts += _legend_across(series, box)
    return _chart(title, box.right + 24, box.bottom + 40, parts)


def curves(
    title: str,
    lines: Sequence[Line],
    x_title: str,
    y_title: str,
    size: tuple[float, float] = (460, 300),
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
    log: bool = False,
    diagonal: bool = False,
) -> Markup:
    """Curves in one plot, their names on the right; without a name none is written."""
    named = [line.label for line in lines if line.label]
    box = Box(56, 28, 56 + size[0], 28 + size[1])
    xs, ys = _limits(lines, limits, log)
    x, y = Scale(*xs, box.left, box.right, log), Scale(*ys, box.bottom, box.top)
    parts = [*_x_axis(x, box, x_title), *_y_axis(y, box, y_title)]
    if diagonal:
        parts.append(_segment(box.left, box.bottom, box.right, box.top, class_="mark"))
    for place, line in enumerate(lines):
        parts += _curve(line, x, y, place)
    parts += _legend_down(named, box)
    room = 40 + _CHARACTER * max(map(width, named), default=0) if named else 12
    return _chart(title, box.right + room, box.bottom + 44, parts)


def confusion(title: str, counts: Sequence[Sequence[int]]) -> Markup:
    """A confusion matrix, shaded by the share of each row: `counts` are [[tn, fp], [fn, tp]]."""
    words, side, left, top = ("normal", "tumour"), 74.0, 62.0, 46.0
    parts = [_text("called", left + side, 40, text_anchor="middle", class_="faint")]
    for row, values in enumerate(counts):
        y = top + 16 + side * row
        parts.append(_text(words[row], left - 8, y + side / 2 + 4, text_anchor="end"))
        parts.append(_text(words[row], left + side * (row + 0.5), top + 10, text_anchor="middle"))
        for column, value in enumerate(values):
            parts += _confusion_cell(value, value / max(1, sum(values)), left + side * column, y, side)
    return _chart(title, left + 2 * side + 12, top + 24 + 2 * side, parts)


def _confusion_cell(value: int, share: float, x: float, y: float, side: float) -> Iterator[Markup]:
    # Half transparent at most, so that one colour of text can be read on all shades.
    shade = f"{0.5 * share:.2f}"
    yield element("rect", x=x, y=y, width=side, height=side, class_="cell", fill_opacity=shade)
    middle = x + side / 2
    yield _text(count(value), middle, y + side / 2, text_anchor="middle")
    yield _text(f"{share:.0%}", middle, y + side / 2 + 16, text_anchor="middle")


def _limits(
    lines: Sequence[Line], limits: tuple[tuple[float, float], tuple[float, float]] | None, log: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    if limits is not None:
        return limits
    points = [point for line in lines for point in line.points]
    heights = [y for _, y in points] + [end for line in lines for ends in line.ends for end in ends]
    xs = [x for x, _ in points if x > 0 or not log]
    if log:
        return (min(xs, default=1.0) * 0.8, max(xs, default=10.0) * 1.25), padded(heights)
    return padded(xs, 0.0 if len(xs) > 1 else 0.05), padded(heights)


def _curve(line: Line, x: Scale, y: Scale, place: int) -> Iterator[Markup]:
    colour = place % SERIES
    dash = _DASHES[place // SERIES % len(_DASHES)]
    for (across, _), (low, high) in zip(line.points, line.ends, strict=False):
        at = x.at(across)
        yield _segment(at, y.at(low), at, y.at(high), class_=f"s{colour}")
    path = " ".join(f"{x.at(one):.1f},{y.at(two):.1f}" for one, two in thinned(line.points, _POINTS))
    if path:
        yield element("polyline", points=path, class_=f"curve s{colour}", stroke_dasharray=dash)
    for across, height in line.points if line.dots else ():
        yield element("circle", cx=x.at(across), cy=y.at(height), r=3, class_=f"f{colour}")


def _bar(bar: Bar, x: Scale, y: float, place: int) -> Iterator[Markup]:
    colour = place % SERIES
    yield _segment(x.at(bar.low), y, x.at(bar.high), y, class_=f"bar s{colour}")
    for seed in bar.seeds:
        yield _segment(x.at(seed), y - 4, x.at(seed), y + 4, class_=f"s{colour}")
    yield element("circle", cx=x.at(bar.value), cy=y, r=4, class_=f"f{colour}")


def _marks(x: Scale, box: Box, values: Iterable[float]) -> Iterator[Markup]:
    for place, value in enumerate(values):
        yield _segment(x.at(value), box.top - 4, x.at(value), box.bottom, class_=f"mark s{place % SERIES}")


def _x_axis(x: Scale, box: Box, title: str) -> Iterator[Markup]:
    for value in x.ticks():
        at = x.at(value)
        yield _segment(at, box.top, at, box.bottom, class_="grid")
        yield _text(_tick(value), at, box.bottom + 16, text_anchor="middle", class_="faint")
    yield _segment(box.left, box.bottom, box.right, box.bottom, class_="grid")
    yield _text(title, (box.left + box.right) / 2, box.bottom + 34, text_anchor="middle")


def _y_axis(y: Scale, box: Box, title: str) -> Iterator[Markup]:
    for value in y.ticks():
        at = y.at(value)
        yield _segment(box.left, at, box.right, at, class_="grid")
        yield _text(_tick(value), box.left - 6, at + 4, text_anchor="end", class_="faint")
    middle = (box.top + box.bottom) / 2
    yield _text(title, 12, middle, text_anchor="middle", transform=f"rotate(-90 12 {middle:g})")


def _legend_across(series: Sequence[str], box: Box) -> Iterator[Markup]:
    at = box.left
    for place, name in enumerate(series):
        yield element("circle", cx=at + 4, cy=box.top - 14, r=4, class_=f"f{place % SERIES}")
        yield _text(name, at + 13, box.top - 10)
        at += 30 + _CHARACTER * width(name)


def _legend_down(names: Sequence[str], box: Box) -> Iterator[Markup]:
    for place, name in enumerate(names):
        y, colour = box.top + 8 + 17 * place, place % SERIES
        dash = _DASHES[place // SERIES % len(_DASHES)]
        ends = {"x1": box.right + 10, "x2": box.right + 28, "y1": y, "y2": y}
        yield element("line", **ends, class_=f"curve s{colour}", stroke_dasharray=dash)
        yield _text(name, box.right + 33, y + 4)


def _tick(value: float) -> str:
    """A value beside an axis, without what floating point adds to it."""
    return count(round(value)) if abs(value) >= 1000 and value == round(value) else f"{value:.6g}"


def _chart(title: str, wide: float, high: float, parts: Iterable[Markup]) -> Markup:
    head = [element("title", escaped(title))]
    if title:
        shown = fit(title, int((wide - 12) / _CHARACTER))
        head.append(_text(shown, 6, 16, class_="title"))
    box = f"0 0 {round(wide)} {round(high)}"
    return element(
        "svg",
        *head,
        joined(*parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=box,
        width=round(wide),
        height=round(high),
        class_="chart",
        role="img",
    )


def _segment(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _text(text: str, x: float, y: float, **attributes: str) -> Markup:
    return element("text", escaped(text), x=x, y=y, **attributes)
