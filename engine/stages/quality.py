"""quality: how near the synthetic patches are to real ones, beside a floor, and whether they are copies.

Synthetic patches are compared with test patches, which neither the generator nor a classifier has learnt from; so are
as many training patches in their place, and what is measured of these is the floor. Where patches are divided by slide,
the floor has the difference between slides in it, without which a good generator would look worse than it is: two
halves of the test patches by chance are nearer to each other. In the space of a classifier the floor is of the real
patches that chose its epoch: those that it was fitted on it knows by heart and sets apart from all others. Nothing is
chosen by these measures.

With the defaults it took 49 s of one processor core beside 20,000 PCam training patches of 64 pixels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.context import Context
from engine.data.duplicates import contents
from engine.data.patches import PatchSet
from engine.quality.copying import Copying, copying, distances_to, nearest_two, thumbnails
from engine.quality.extractors import own_space
from engine.quality.features import Space, classifier_space, features_of, label_free_space
from engine.quality.fidelity import fidelity
from engine.randomness import permutation
from engine.spec.errors import DataError
from engine.spec.quality import Comparison, Copies, Of, QualitySheet, write_quality
from engine.spec.run_folder import RunFolder
from engine.stages import classifier, evaluation, prepare, synthesis
from engine.stages.prepare import RealPatches

STAGE = "quality"

_CLEAR: Final = 0.05
_TIMES: Final = 3
_CRITERION: Final = (
    f"more than {_CLEAR:.0%} of the synthetic patches are much nearer to one training patch than to all others, and "
    f"more than {_TIMES} times as many as of the test patches"
)
_AT_ONCE: Final = 512
"""Patches between two looks at whether the run is to stop."""
_CHUNK: Final = 8192
"""Training patches that are looked through at once: 50 MB of thumbnails."""


@dataclass(frozen=True, slots=True)
class _Sets:
    """Patches to compare: of each set equally many of each class, class by class."""

    test: PatchSet
    floor: PatchSet
    """Real patches that are not tested on."""
    synthetic: PatchSet

    def masks(self) -> Iterator[tuple[Of, NDArray[np.bool_]]]:
        """What is compared, and where it stands in each of the sets."""
        labels = self.test.own_labels
        both, *words = get_args(Of)
        yield both, np.ones(len(labels), np.bool_)
        for label, word in enumerate(words):
            yield word, labels == label


def is_complete(folder: RunFolder) -> bool:
    return folder.quality.exists()


def run(context: Context) -> None:
    """Measure in every space and look for copies, then write quality.json."""
    real, synthetic = prepare.load(context), synthesis.load(context.folder)
    notes = list(_notes(context, real))
    comparisons: list[Comparison] = []
    for space, floor in _spaces(context, real):
        try:
            comparisons += _compare(context, space, _sets(context, real.test, floor, synthetic))
        except DataError as error:
            notes.append(f"Measures in a space are left out: {error}.")
    copies = None
    try:
        copies = _copies(context, real, synthetic)
    except DataError as error:
        notes.append(f"Copying is left out: {error}.")
    write_quality(context.folder.quality, QualitySheet(tuple(comparisons), copies, tuple(notes)))
    if copies is not None and copies.clear and not context.config.synthesis.reconstruct:
        context.warn(STAGE, _warning(copies))


def _sets(context: Context, test: PatchSet, floor: PatchSet, synthetic: PatchSet) -> _Sets:
    """The patches that are compared, by chance and the run's seed."""
    every = (("test", test), ("floor", floor), ("synthetic", synthetic))
    counts = [
        min(context.config.quality.patches, *(int((patches.own_labels == label).sum()) for _, patches in every))
        for label in (0, 1)
    ]
    return _Sets(**{name: _some(patches, counts, context.config.seed, name) for name, patches in every})


def _some(patches: PatchSet, counts: list[int], seed: int, name: str) -> PatchSet:
    """So many normal patches, then so many tumour patches."""
    chosen = []
    for label, count in enumerate(counts):
        own = np.flatnonzero(patches.own_labels == label)
        chosen.append(own[permutation(len(own), seed, STAGE, name, label)[:count]])
    return patches.select(np.concatenate(chosen))


def _spaces(context: Context, real: RealPatches) -> Iterator[tuple[Space, PatchSet]]:
    """Each space, and the real patches that the floor is taken from in it."""
    yield label_free_space(context.device), real.train
    if (stage := evaluation.real_trained_stage(context, real)) is not None:
        config = context.config.classifier
        model, training = classifier.load(context.folder, stage, config, real.train.side)
        space = classifier_space(f"{config.kind} trained on {training.trained_on}", model.to(context.device))
        yield space, classifier.held_back(context, real)
    if context.config.quality.features is not None:
        yield own_space(context.config, context.device), real.train


def _compare(context: Context, space: Space, sets: _Sets) -> Iterator[Comparison]:
    """Each class and both, in one space."""
    report, what = context.reporter(STAGE), f"in the space of {space.name}"
    features = _features(context, space, sets)
    for done, (of, mask) in enumerate(sets.masks()):
        report(what, done, len(get_args(Of)))
        yield _comparison(context, space, of, _masked(features, mask))
    report(what, len(get_args(Of)), len(get_args(Of)))


def _features(context: Context, space: Space, sets: _Sets) -> dict[str, Tensor]:
    """The features of each set by its name, (N, D)."""
    report, what = context.reporter(STAGE), f"features of {space.name}"
    parts: dict[str, list[Tensor]] = {"test": [], "floor": [], "synthetic": []}
    done, total = 0, len(parts) * len(sets.test)
    for name, found in parts.items():
        patches: PatchSet = getattr(sets, name)
        for start in range(0, len(patches), _AT_ONCE):
            report(what, done, total)
            part = patches.select(np.arange(start, min(start + _AT_ONCE, len(patches))))
            found.append(features_of(part, space, context.device))
            done += len(part)
    report(what, total, total)
    return {name: torch.cat(found) for name, found in parts.items()}


def _masked(features: Mapping[str, Tensor], mask: NDArray[np.bool_]) -> dict[str, Tensor]:
    return {name: values[torch.from_numpy(mask).to(values.device)] for name, values in features.items()}


def _comparison(context: Context, space: Space, of: Of, features: Mapping[str, Tensor]) -> Comparison:
    config = context.config
    synthetic, floor = (
        fidelity(features["test"], features[name], config.seed, config.quality.neighbours)
        for name in ("synthetic", "floor")
    )
    return Comparison(
        space=space.name,
        of=of,
        patches=len(features["test"]),
        synthetic=synthetic.measures,
        floor=floor.measures,
        left_out=tuple(dict.fromkeys((*synthetic.left_out, *floor.left_out))),
    )


def _copies(context: Context, real: RealPatches, synthetic: PatchSet) -> Copies:
    """Look for patches among all training patches: a copy of one that is left out would not be found."""
    most, seed = context.config.quality.copies, context.config.seed
    some = [
        patches.select(permutation(len(patches), seed, STAGE, "copies", name)[:most])
        for name, patches in (("synthetic", synthetic), ("held-out", real.test))
    ]
    train = _without_repeats(real)
    queries = torch.cat([_thumbnails(context, patches) for patches in some])
    found = queries.new_full((len(queries), 2), torch.inf)
    report = context.reporter(STAGE)
    for start in range(0, len(train), _CHUNK):
        report("looking for copies", start, len(train))
        part = train.select(np.arange(start, min(start + _CHUNK, len(train))))
        found = nearest_two(found, distances_to(_thumbnails(context, part), queries))
    report("looking for copies", len(train), len(train))
    counts = (len(some[0]), len(some[1]), len(train))
    return _judged(copying(found[: counts[0]], found[counts[0] :]), counts)


def _without_repeats(real: RealPatches) -> PatchSet:
    """The training patches, each content once: a copy of one that is there twice is near to both."""
    _, first = np.unique(contents(real.sha1[real.train.rows]), return_index=True)
    return real.train.select(np.sort(first))


def _thumbnails(context: Context, patches: PatchSet) -> Tensor:
    return thumbnails(torch.from_numpy(patches.images[patches.rows]).to(context.device))


def _judged(found: Copying, counts: tuple[int, int, int]) -> Copies:
    synthetic, held_out, train = counts
    return Copies(
        synthetic=synthetic,
        held_out=held_out,
        train=train,
        matched=found.matched,
        matched_held_out=found.matched_held_out,
        near=found.near,
        distance=found.ratio,
        clear=found.matched > max(_CLEAR, _TIMES * found.matched_held_out),
        criterion=_CRITERION,
    )


def _warning(copies: Copies) -> str:
    return (
        f"the synthetic patches are in part copies of training patches: {copies.matched:.0%} of {copies.synthetic} are "
        f"much nearer to one training patch than to all others, and of test patches {copies.matched_held_out:.1%} are"
    )


def _notes(context: Context, real: RealPatches) -> Iterator[str]:
    """What the floor is, and what is missing."""
    yield (
        f"Compared with test patches; the floor is training patches in the place of synthetic ones, {_divided(real)}."
    )
    shared = float(np.isin(real.groups[real.test.rows], real.groups[real.train.rows]).mean())
    if shared:
        yield f"{shared:.0%} of the test patches are of slides that training patches are of too: the floor is too low."
    if real.word == "synthetic":
        yield "The training patches are another run's synthetic ones: the floor is theirs, and none of real patches."
    if evaluation.real_trained_stage(context, real) is not None:
        yield (
            "In the classifier's space the floor is of real patches that chose its epoch, and that it was not fitted "
            "on: of fewer slides than the generator has learnt from, which may come below."
        )
    else:
        yield "No classifier of this run was trained on real patches alone, whose features could be compared."
    if context.config.synthesis.reconstruct:
        yield "Reconstructions are meant to be copies of training patches."


def _divided(real: RealPatches) -> str:
    """How the test patches were divided from them, in words."""
    by_chance = "divided by a hash of each patch: those of one slide are on both sides, and the floor is too low"
    words = {"slide": "of other slides", "official": "divided as the source says", "hash": by_chance}
    return words[real.manifest["divided"]]
