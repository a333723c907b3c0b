"""What makes two runs the same: everything that decides a result, and nothing of where and how fast it is made."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.resolve import Tree, dump, validate
from histotui.runs import LIVE, RESUMABLE
from histotui.sources_now import Sources, has_changed
from histotui.summary import RunSummary

_STATES: Final = ("finished", *sorted(LIVE), *sorted(RESUMABLE))
"""Which of several runs of one key stands for it, first ones first."""


def key_of(config: RunConfig, lender: str | None = None) -> str:
    """The same text for configs that lead to the same result. `lender`: the key of the run that lends its patches."""
    tree = dump(config)
    # A preset is a name for settings that are all here.
    for name in ("preset", "device"):
        del tree[name]
    # What a run shows and keeps on its way has no part in where it ends.
    for name in ("threads", "reuse", "log_every", "sample_every", "checkpoint_seconds"):
        del tree["training"][name]
    if lender is not None:
        tree["synthesis"]["source"] = lender
    return json.dumps(tree, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Library:
    """Runs by their keys, the one that stands for each; a run whose config cannot be read is in none."""

    runs: Mapping[str, RunSummary]

    @classmethod
    def of(cls, runs: Iterable[RunSummary], now: Sources | None = None) -> "Library":
        """That of these runs; of several alike, a finished one comes first, then one at work, then the newest.

        `now`: what sources have; runs that worked on other patches are left out.
        """
        runs = [run for run in runs if not has_changed(run, now or {})]
        keys = _keys({str(run.folder.path.resolve()): dict(run.config) for run in runs})
        ranked = sorted(filter(_counts, runs), key=_rank, reverse=True)
        by_path = {str(run.folder.path.resolve()): run for run in ranked}
        return cls({keys[path]: run for path, run in by_path.items() if path in keys})


def _counts(run: RunSummary) -> bool:
    return run.state in _STATES and (run.state != "finished" or bool(run.answer))


def _rank(run: RunSummary) -> tuple[int, float]:
    return _STATES.index(run.state), -run.created


def _keys(trees: Mapping[str, Tree]) -> dict[str, str]:
    """The key of each folder's config, those that borrow after those that lend."""
    configs = {path: config for path, tree in trees.items() if (config := _config(tree)) is not None}
    keys: dict[str, str] = {}
    for path in configs:
        _add_key(path, configs, keys, frozenset())
    return keys


def _add_key(path: str, configs: Mapping[str, RunConfig], keys: dict[str, str], above: frozenset[str]) -> None:
    source = configs[path].synthesis.source
    # A folder that was put in place of another may come to borrow from itself.
    if source is not None and source in configs and source not in above | {path} and source not in keys:
        _add_key(source, configs, keys, above | {path})
    keys.setdefault(path, key_of(configs[path], keys.get(source or "")))


def _config(tree: Tree) -> RunConfig | None:
    """A saved config with today's defaults for settings that it is too old to have."""
    try:
        return validate(tree)
    except ConfigError:
        return None
