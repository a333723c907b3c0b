"""Reading JSON files that somebody else may have written."""

import json
from pathlib import Path
from typing import Any, Final

LARGEST: Final = 256 << 20
"""Bytes; nothing that this program writes comes near it."""


def read_json(path: Path, *, finite: bool = False) -> Any:
    """What a JSON file holds; OSError, or ValueError for what is none, too large, nested too deep or not `finite`."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST >> 20} MiB")
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse if finite else None)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
