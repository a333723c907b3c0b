"""A report as one HTML file that needs nothing beside it: no script, no font, no picture from elsewhere."""

import base64
from typing import Final

from histotui.formats import NOTHING
from histotui.study.charts import STYLE
from histotui.study.document import Block, Code, Document, Gallery, Heading, Items, Picture, Prose, Table
from histotui.study.markup import Markup, element, escaped, joined

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2126;--faint:#59626b;--line:#d5dae0;--paper:#fff;--band:#f3f5f7}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ec;--faint:#98a2ac;--line:#3a424a;--paper:#14181c;--band:#1d2328}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:2rem 1.5rem 4rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.25rem;margin:2.5rem 0 .5rem;border-bottom:1px solid var(--line);padding-bottom:.25rem}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
p,ul{max-width:46rem}
pre{background:var(--band);padding:.75rem 1rem;overflow-x:auto;font-size:.8rem;line-height:1.4;border-radius:4px}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums;margin:.75rem 0}
caption{caption-side:bottom;text-align:left;color:var(--faint);padding-top:.4rem}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:baseline}
th{font-weight:600;color:var(--faint);vertical-align:bottom}
td.n,th.n{text-align:right;white-space:nowrap}
td:first-child{white-space:nowrap}
td:last-child:not(.n){min-width:11rem}
tr.strong td{background:var(--band);font-weight:600}
.gallery{display:flex;flex-wrap:wrap;gap:1.25rem 1.5rem;margin:.75rem 0;align-items:flex-start}
figure{margin:0;max-width:100%}
figcaption{color:var(--faint);font-size:.8rem;max-width:34rem}
img{display:block;max-width:100%;height:auto;background:#fff}
svg{display:block;max-width:100%;height:auto}
@media print{:root{--ink:#000;--faint:#444;--line:#ccc;--paper:#fff;--band:#f3f5f7}
body{max-width:none;padding:0;font-size:10pt}table{font-size:7.5pt}th,td{padding:.15rem .35rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere}h2,h3,h2+p{break-after:avoid}figure,tr,li{break-inside:avoid}
.gallery{gap:.75rem}svg{zoom:.8}img{max-width:12.5cm}
.wide{overflow:visible}@page{size:A4 landscape;margin:14mm}}
"""


def as_html(document: Document) -> str:
    """The report as a page."""
    head = element(
        "head",
        Markup('<meta charset="utf-8"/>'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1"/>'),
        element("title", escaped(document.title)),
        element("style", Markup(_STYLE + STYLE)),
    )
    body = element("body", element("h1", escaped(document.title)), *map(_block, document.blocks))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en-GB')}\n"


def _block(block: Block) -> Markup:
    match block:
        case Heading(text, level):
            return element(f"h{level}", escaped(text))
        case Prose(text):
            return element("p", escaped(text))
        case Items(texts):
            return element("ul", *(element("li", escaped(text)) for text in texts))
        case Code(text):
            return element("pre", escaped(text))
        case Table():
            return _table(block)
        case Gallery(pictures, captions):
            return element("div", *(_figure(picture, captions) for picture in pictures), class_="gallery")


def _table(table: Table) -> Markup:
    numeric = [_is_numeric([row[place] for row in table.rows]) for place in range(len(table.header))]
    header = element("tr", *(_cell("th", *each) for each in zip(table.header, numeric, strict=True)))
    rows = [
        element("tr", *(_cell("td", *each) for each in zip(row, numeric, strict=True)), **_class(place, table))
        for place, row in enumerate(table.rows)
    ]
    caption = [element("caption", escaped(table.caption))] if table.caption else []
    return element("div", element("table", *caption, element("thead", header), element("tbody", *rows)), class_="wide")


def _class(place: int, table: Table) -> dict[str, str | float]:
    return {"class_": "strong"} if place in table.strong else {}


def _cell(tag: str, text: str, numeric: bool) -> Markup:
    return element(tag, escaped(text), class_="n") if numeric else element(tag, escaped(text))


def _is_numeric(cells: list[str]) -> bool:
    """Whether a column is of numbers, with what belongs to them."""
    filled = [cell for cell in cells if cell not in ("", NOTHING)]
    return bool(filled) and all(cell[:1].isdigit() or cell[:1] in "+-−±[<" for cell in filled)


def _figure(picture: Picture, caption: bool) -> Markup:
    words = [element("figcaption", escaped(picture.words))] if caption else []
    return element("figure", _drawn(picture), *words)


def _drawn(picture: Picture) -> Markup:
    if isinstance(picture.content, str):
        return Markup(picture.content)
    coded = base64.b64encode(picture.content).decode("ascii")
    return joined(element("img", src=f"data:image/png;base64,{coded}", alt=picture.words))
