"""Answers questions that need torch, numpy or the data readers: `python -P -m engine.answer QUERY JSON`.

Prints JSON lines: any number of `{"progress": {...}}`, then one `{"result": ...}` or `{"error": {...}}`.
"""

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from engine.progress import Report
from engine.spec.errors import ConfigError, HistotuiError
from engine.spec.failpoints import arm_from_environment

Query = Callable[[dict[str, Any], Report], dict[str, Any]]

QUERIES: Mapping[str, str] = MappingProxyType(
    {
        "devices": "engine.device:describe_devices",
        "preflight": "engine.preflight:answer_preflight",
        "inspect": "engine.data.inspection:answer_inspect",
        "patches": "engine.data.browsing:answer_patches",
        "pack": "engine.data.packing:answer_pack",
        "export": "engine.data.export:answer_export",
        "audit": "engine.audit:answer_audit",
        "comparison": "engine.comparing:answer_comparison",
        "mistakes": "engine.mistakes:answer_mistakes",
        "figures": "engine.figures:answer_figures",
    }
)


def load_query(name: str) -> Query:
    if name not in QUERIES:
        raise ConfigError(f"query {name!r}: unknown; there are {', '.join(QUERIES)}")
    module, function = QUERIES[name].split(":")
    query: Query = getattr(importlib.import_module(module), function)
    return query


def main(arguments: list[str]) -> int:
    """Answer one query; the exit code is that of the error, 0 without one."""
    try:
        arm_from_environment()
        name, body = arguments
        say({"result": load_query(name)(json.loads(body), report_progress)})
    except HistotuiError as error:
        say({"error": {"type": type(error).__name__, "message": str(error), "exit_code": error.exit_code}})
        return error.exit_code
    return 0


def report_progress(what: str, done: int, total: int) -> None:
    say({"progress": {"what": what, "done": done, "total": total}})


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line, allow_nan=False), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
