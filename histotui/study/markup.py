"""Elements of HTML and SVG as text, in which nothing from a run can be taken for markup."""

import html
from typing import NewType

from histotui.text import clean

Markup = NewType("Markup", str)
"""Text that is markup already, and whole."""


def escaped(text: str) -> Markup:
    """Text as it is to be read."""
    return Markup(html.escape(clean(text)))


def element(tag: str, *children: Markup, **attributes: str | float) -> Markup:
    """One element; an attribute `class_` is called class, `stroke_width` stroke-width."""
    named = "".join(f' {_name(name)}="{_value(value)}"' for name, value in attributes.items())
    return Markup(f"<{tag}{named}>{''.join(children)}</{tag}>" if children else f"<{tag}{named}/>")


def joined(*parts: Markup) -> Markup:
    """Parts after each other."""
    return Markup("".join(parts))


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    # A tenth of a pixel is as fine as anybody sees.
    return f"{round(value, 1):g}" if isinstance(value, float) else html.escape(clean(str(value)))
