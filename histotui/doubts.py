"""What stands against comparing the scores of runs."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from engine.spec.environments import read_environments
from histotui.runs import section
from histotui.summary import RunSummary, manifest_of

Tree = Mapping[str, Any]

_SHORT: Final = 12
"""Characters of a commit that tell it from others."""


def doubts(runs: Sequence[RunSummary]) -> Iterator[str]:
    """What makes the scores of these runs something else than comparable. Reads their files."""
    for run in runs:
        if not run.answer:
            yield f"{run.id} has no score: it is {run.state}"
    yield from incomparable(runs)
    yield from circumstances(runs)
    for run in runs:
        if run.answer.get("trained_on") == "reconstructed":
            yield f"{run.id} trained on reconstructions of training patches: a ceiling, not a generator's result"
    if "tissue" in _tested_on(runs):
        yield "the built-in tissue is rendered: scores on it say nothing about real tissue"


def incomparable(runs: Sequence[RunSummary]) -> Iterator[str]:
    """Why the scores of these runs cannot be compared at all; nothing where they can."""
    scored = [run for run in runs if run.answer]
    if _on_different_patches([manifest_of(run.folder) for run in scored]):
        yield "the runs worked on different patches: their scores cannot be compared"
    elif len({run.answer.get("n_test") for run in scored}) > 1:
        yield "the runs were tested on different numbers of patches: their scores cannot be compared"
    for first, second in _changed_between(scored):
        yield (
            f"{first.id} and {second.id} have the same data settings and worked on other patches, which were changed "
            "between them: their scores cannot be compared"
        )
    if len(tested := sorted(_tested_on(runs))) > 1:
        yield f"the runs were tested on {' and '.join(tested)} patches: their scores cannot be compared"


def circumstances(runs: Sequence[RunSummary]) -> Iterator[str]:
    """In what these runs differ beside their settings, as far as it may have a part in their scores."""
    said = [tree for run in runs if run.answer for tree in read_environments(run.folder.environment)]
    programs = _values(said, lambda tree: tree.get("engine_sha256"))
    if len(programs) > 1:
        commits = _values(said, lambda tree: str(tree.get("commit") or "")[:_SHORT])
        known = f" ({', '.join(commits)})" if len(commits) > 1 else ""
        yield f"{len(programs)} versions of the program made these runs{known}: a change in it may be what differs"
    devices = _values(said, lambda tree: str(tree.get("device") or "").partition(":")[0])
    if len(devices) > 1:
        yield (
            f"the runs were made on {' and '.join(devices)}: they round differently, and training.precision=auto is "
            "not the same on both"
        )


def _tested_on(runs: Sequence[RunSummary]) -> set[str]:
    return {str(run.answer.get("tested_on")) for run in runs if run.answer}


def _on_different_patches(manifests: Sequence[Tree]) -> bool:
    """Whether other patches were tested on; where a run is too old to say that, whether any patches are others."""
    names = ("test_fingerprint", "fingerprint")
    prints = [{str(manifest.get(name) or "") for manifest in manifests} for name in names]
    return len(prints[0]) > 1 if "" not in prints[0] else len(prints[1] - {""}) > 1


def _changed_between(runs: Sequence[RunSummary]) -> Iterator[tuple[RunSummary, RunSummary]]:
    """Of each data setting the first run, and the first that found other patches by it."""
    by_setting: dict[str, list[RunSummary]] = defaultdict(list)
    for run in runs:
        if run.fingerprint:
            by_setting[json.dumps(section(run.config, "data"), sort_keys=True)].append(run)
    for alike in by_setting.values():
        other = next((run for run in alike if run.fingerprint != alike[0].fingerprint), None)
        if other is not None:
            yield alike[0], other


def _values(trees: Sequence[Tree], of: Callable[[Tree], object]) -> list[str]:
    """The different values that there are, in the order of the runs."""
    return list(dict.fromkeys(str(value) for tree in trees if (value := of(tree))))
