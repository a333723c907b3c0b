"""What people say of a run: name, tags and notes, checked before they are kept."""

import re
from collections.abc import Iterable

from engine.spec.errors import ConfigError
from engine.spec.run_folder import check_name
from histotui.text import clean, clean_line

LONGEST_TAG = 50
MOST_TAGS = 50
LONGEST_NOTES = 10_000


def checked_name(name: str) -> str:
    """The name, if it can be one; empty for none."""
    return check_name(name) if name else ""


def checked_tags(tags: str | Iterable[str]) -> list[str]:
    """Tags in order and each once, taken apart at commas and spaces; ConfigError names one that cannot be kept."""
    text = tags if isinstance(tags, str) else " ".join(tags)
    found = sorted({tag for tag in re.split(r"[,\s]+", text) if tag}, key=lambda tag: (tag.lower(), tag))
    for tag in found:
        if clean_line(tag) != tag:
            raise ConfigError(f"tag {tag!r}: it has a character that cannot be shown")
        if len(tag) > LONGEST_TAG:
            raise ConfigError(f"tag {tag[:LONGEST_TAG]!r}…: use at most {LONGEST_TAG} characters")
    if len(found) > MOST_TAGS:
        raise ConfigError(f"{len(found)} tags: use at most {MOST_TAGS}")
    return found


def checked_notes(notes: str) -> str:
    """Notes of any number of lines, without blank ends; ConfigError says what cannot be kept."""
    text = notes.replace("\r\n", "\n").strip()
    if len(text) > LONGEST_NOTES:
        raise ConfigError(f"notes: {len(text):,} characters; use at most {LONGEST_NOTES:,}")
    for number, line in enumerate(text.split("\n"), 1):
        if clean(line) != line:
            raise ConfigError(f"notes, line {number}: it has a character that cannot be shown: {clean(line)[:60]!r}")
    return text
