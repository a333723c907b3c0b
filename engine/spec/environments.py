"""environment.json as it is read: what has worked on a run."""

from pathlib import Path
from typing import Any

from engine.spec.json_file import read_json


def read_environments(path: Path) -> list[dict[str, Any]]:
    """What has worked on a run, the last first and others before it; nothing where that cannot be read."""
    try:
        said = dict(read_json(path))
        earlier = said.pop("earlier", [])
    except (OSError, ValueError, TypeError):
        return []
    return [said, *(tree for tree in (earlier if isinstance(earlier, list) else ()) if isinstance(tree, dict))]
