"""Whether two runs' AUCs on the same test patches differ by more than chance."""

from dataclasses import asdict, dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.arrays import read_arrays
from engine.data.pack import Pack
from engine.data.packing import pack
from engine.metrics import Array, Labels, Paired, paired_by_slide, paired_delong
from engine.progress import Report, silent
from engine.spec.errors import ConfigError, HistotuiError, RunFolderError
from engine.spec.json_file import read_json
from engine.spec.resolve import load
from engine.spec.run_folder import RunFolder
from engine.spec.scores import answer, read_score_trees


@dataclass(frozen=True, slots=True)
class Predictions:
    """A run's answer on its test patches: `labels` (N,) of 0 and 1, `logits` (N,)."""

    labels: Labels
    logits: Array


def compare(first: RunFolder, second: RunFolder) -> Paired:
    """The paired test between two runs, over slides where these are known.

    ConfigError where the runs were not tested on the same patches.
    """
    left, right = read_predictions(first), read_predictions(second)
    order = _pairing(first, second, left, right)
    sides = left.labels, left.logits, right.logits[order]
    try:
        return _by_slide(sides, first, second, order) or paired_delong(*sides)
    except ValueError as error:
        raise ConfigError(f"{first.id} and {second.id}: {error}") from None


def _by_slide(
    sides: tuple[Labels, Array, Array], first: RunFolder, second: RunFolder, order: NDArray[np.int64]
) -> Paired | None:
    """The test over slides; None where neither run knows them. ValueError where a class is on one slide alone."""
    slides = _slides(first)
    if slides is None and (others := _slides(second)) is not None:
        slides = others[order]
    return None if slides is None else paired_by_slide(*sides, slides)


def _slides(run: RunFolder) -> NDArray[np.uint64] | None:
    """A number for each test patch, the same for those of one slide; None where the run does not know slides."""
    score = answer(read_score_trees(run.scores))
    if score is None or score.get("n_test_slides") is None:
        return None
    rows, groups = _splits(run)
    return groups[rows]


def read_predictions(run: RunFolder) -> Predictions:
    """What a run's classifier said of its test patches; RunFolderError where that cannot be read."""
    try:
        saved = read_arrays(run.predictions, "answer_labels", "answer_logits")
        labels, logits = saved["answer_labels"], saved["answer_logits"].astype(np.float64)
    except FileNotFoundError:
        raise RunFolderError(f"{run.id}: no predictions yet") from None
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{run.predictions}: damaged ({error})") from None
    if labels.ndim != 1 or labels.shape != logits.shape or not np.isin(labels, (0, 1)).all():
        raise RunFolderError(f"{run.predictions}: damaged (labels and logits do not go together)")
    return Predictions(labels.astype(np.uint8), logits)


def _pairing(first: RunFolder, second: RunFolder, left: Predictions, right: Predictions) -> NDArray[np.int64]:
    """Where the second run has each test patch of the first."""
    if len(left.labels) != len(right.labels):
        raise ConfigError(
            f"{first.id} and {second.id} were tested on different patches, {len(left.labels):,} and "
            f"{len(right.labels):,} of them"
        )
    same = np.arange(len(left.labels))
    if _division(first) == _division(second):
        order = same
    else:
        # The same patches may lie in another order in another layout, or be tested on after other training patches.
        contents, others = _contents(first), _contents(second)
        places, other_places = (np.argsort(digests, kind="stable") for digests in (contents, others))
        if not np.array_equal(contents[places], others[other_places]):
            raise ConfigError(f"{first.id} and {second.id} were tested on different patches")
        order = np.empty_like(same)
        order[places] = other_places
    if not np.array_equal(left.labels, right.labels[order]):
        raise ConfigError(f"{first.id} and {second.id} have different labels for the same patches")
    return order


def _division(run: RunFolder) -> tuple[object, ...]:
    """What two runs share that were tested on the same patches in the same order."""
    rows, groups = _splits(run)
    manifest = _manifest(run)
    return manifest.get("source_fingerprint"), manifest.get("layout"), rows.tobytes(), groups[rows].tobytes()


def _splits(run: RunFolder) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    path = run.data / "splits.npz"
    try:
        splits = read_arrays(path, "test", "groups")
        return splits["test"], splits["groups"]
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from None


def _manifest(run: RunFolder) -> dict[str, Any]:
    # prepare has this too, and imports torch.
    path = run.data / "manifest.json"
    try:
        return dict(read_json(path))
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from None


@dataclass(frozen=True, slots=True)
class Tested:
    """The patches that a run was tested on: rows of a pack, in the order of the predictions."""

    pack: Pack
    rows: NDArray[np.int64]


def tested_patches(run: RunFolder, report: Report = silent) -> Tested:
    """The run's test patches; RunFolderError where the source no longer has them."""
    packed = pack(load(run.config).data, report)
    if packed.manifest.fingerprint != _manifest(run).get("source_fingerprint"):
        raise RunFolderError(f"{run.id}: the patches of {packed.manifest.name} have changed since the run began")
    return Tested(packed, _splits(run)[0])


@cache
def _contents(run: RunFolder) -> NDArray[np.bytes_]:
    """The SHA-1 of each test patch of a run, (N,) in the order of its predictions."""
    tested = tested_patches(run)
    digests = np.ascontiguousarray(tested.pack.sha1[tested.rows])
    return digests.view(f"S{digests.shape[1]}").ravel()


def answer_comparison(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """The paired test of each of `pairs`, two folders, or between any two of `runs`.

    Pairs that cannot be compared are in `refused` with why.
    """
    wanted = list(args["pairs"] if "pairs" in args else combinations(args["runs"], 2))
    found: dict[str, list[dict[str, Any]]] = {"pairs": [], "refused": []}
    for done, pair in enumerate(wanted):
        report("tests", done, len(wanted))
        first, second = (RunFolder(Path(path)) for path in pair)
        names = {"first": first.id, "second": second.id}
        try:
            found["pairs"].append({**names, **asdict(compare(first, second))})
        except HistotuiError as error:
            found["refused"].append({**names, "why": str(error)})
    return found
