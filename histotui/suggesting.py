"""SourceSuggester: completes what is typed as a data source, by known words and by folders on disk."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from textual.suggester import Suggester


class SourceSuggester(Suggester):
    """Known sources first, then the folders that a path could go on to."""

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._known = known

    async def get_suggestion(self, value: str) -> str | None:
        """The rest of a word or path that begins like this."""
        word = next((word for word in self._known if word.startswith(value)), None)
        return word or (await asyncio.to_thread(folder_like, value) if "/" in value else None)


def folder_like(value: str) -> str | None:
    """The first folder whose path begins like this, as it would be typed."""
    parent, _, beginning = value.rpartition("/")
    try:
        names = sorted(path.name for path in Path(f"{parent}/").expanduser().iterdir() if path.is_dir())
    except (OSError, RuntimeError):
        return None
    name = next((name for name in names if name.startswith(beginning) and name.isprintable()), None)
    return None if name is None or (not beginning and name.startswith(".")) else f"{parent}/{name}"
