"""An earlier run's synthetic set for another run: what it is, and whether its generator has seen that run's tests."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import read_arrays
from engine.data.duplicates import contents
from engine.data.packing import pack
from engine.data.sources.run import SyntheticSet, open_learned_from, open_synthetic
from engine.progress import Report
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, DataError, EnvironmentFault
from engine.spec.json_file import read_json
from engine.spec.resolve import load
from engine.spec.run_folder import RunFolder
from engine.stages import prepare
from engine.stages.prepare import RealPatches

RECONSTRUCTED: Final = "reconstructed"
"""What a set's patches are called where they are reconstructions of training patches, and not `synthetic` samples."""
_SURELY_FEWER: Final = 0.9
"""How many patches are left of those that a look at a source counts is known to a few per cent only."""


@dataclass(frozen=True, slots=True)
class EarlierSet:
    """The synthetic set of an earlier run. `origin` has the run that made it and what else it says of its making."""

    run: RunFolder
    patches: SyntheticSet
    origin: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lineage:
    """SHA-1 of the patches that a set's generator was trained on, (N, 20) uint8, if known, and what to warn of."""

    learned_from: NDArray[np.uint8] | None = None
    warnings: tuple[str, ...] = ()


def open_earlier(config: RunConfig) -> EarlierSet:
    """The set that `synthesis.source` names; DataError where there is none, or one of another crop."""
    source, crop = str(config.synthesis.source), config.data.crop
    run = RunFolder(Path(source).expanduser().resolve())
    try:
        patches = open_synthetic(run)
    except DataError as error:
        raise DataError(f"synthesis.source {source}: {error}") from None
    if patches.side != crop:
        raise DataError(
            f"synthesis.source {source}: its patches have {patches.side} pixels and data.crop is {crop}; "
            "set data.crop to the same, or take another run's"
        )
    origin = _origin(run)
    if origin.get("patches") == RECONSTRUCTED and config.classifier.train_on != "synthetic":
        raise ConfigError(
            f"synthesis.source {source}: its patches are reconstructions, and what they teach alone is the question: "
            "set classifier.train_on to 'synthetic', or take another run's"
        )
    return EarlierSet(run, patches, origin)


def shortage(config: RunConfig, earlier: EarlierSet, training: int) -> Iterator[str]:
    """That a set will be too small for about so many real training patches, in a sentence."""
    have, needed = len(earlier.patches.labels), config.synthesis.ratio * training
    if have < _SURELY_FEWER * needed:
        yield (
            f"synthesis.ratio {config.synthesis.ratio:g} needs about {round(needed):,} synthetic patches and "
            f"{earlier.run.id} has {have:,}: the run would fail; set it to about {rounded_down(have / training)}."
        )


def lineage(earlier: EarlierSet, real: RealPatches, report: Report) -> Lineage:
    """What the set's generator was trained on; DataError where that has any of this run's test patches in it."""
    learned_from = open_learned_from(earlier.run)
    if learned_from is None and _tested_alike(earlier.run, real):
        return Lineage()
    try:
        learned_from = _training_patches(earlier.run, report) if learned_from is None else learned_from
    except (ConfigError, EnvironmentFault) as error:
        return Lineage(
            warnings=(
                f"whether the generator of {earlier.origin['run']} was trained on some of these test patches cannot be "
                f"checked, and results may look better than they are: {str(error).splitlines()[0]}",
            )
        )
    _refuse_seen(learned_from, real, earlier)
    return Lineage(learned_from, tuple(_strangers(learned_from, real, earlier)))


def rounded_down(number: float) -> str:
    """A positive number with four decimals at most, and no more than it is."""
    return f"{math.floor(number * 10_000) / 10_000:.4f}".rstrip("0").rstrip(".")


def _origin(run: RunFolder) -> dict[str, Any]:
    """What a set's manifest says of who made it; the run itself where it says nothing."""
    try:
        manifest = read_json(run.synthetic / "manifest.json")
    except (OSError, ValueError):
        manifest = None
    said = manifest if isinstance(manifest, dict) else {}
    return {"run": run.id} | {name: said[name] for name in ("run", "preset", "seed", "patches") if name in said}


def _tested_alike(run: RunFolder, real: RealPatches) -> bool:
    """Whether a run with a generator of its own was tested on the same real patches, which it then never trained on."""
    try:
        manifest = prepare.read_manifest(run)
        own = load(run.config).generator is not None and manifest["provenance"] != "synthetic"
        return own and manifest["test_fingerprint"] == real.manifest["test_fingerprint"]
    except (ConfigError, EnvironmentFault, OSError, KeyError, TypeError):
        return False


def _training_patches(run: RunFolder, report: Report) -> NDArray[np.uint8]:
    """SHA-1 of a run's real training patches, from its own source; DataError where they cannot be had any more."""
    try:
        config = load(run.config)
        packed = pack(config.data, report)
        if config.generator is None or packed.manifest.provenance == "synthetic":
            raise DataError(f"{run.id} does not say what its generator was trained on")
        if packed.manifest.fingerprint != prepare.read_manifest(run)["source_fingerprint"]:
            raise DataError(f"{config.data.source} has other patches than when {run.id} began")
        train = read_arrays(run.data / "splits.npz", "train")["train"]
        return np.array(packed.sha1[train])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{run.data}: cannot be read ({error})") from None


def _refuse_seen(learned_from: NDArray[np.uint8], real: RealPatches, earlier: EarlierSet) -> None:
    if seen := _shared(real.sha1[real.test.rows], learned_from):
        raise DataError(
            f"synthesis.source {earlier.run.path}: its generator was trained on {seen} of this run's {len(real.test)} "
            "test patches; give this run the data settings of that one, or take another run's patches"
        )


def _strangers(learned_from: NDArray[np.uint8], real: RealPatches, earlier: EarlierSet) -> Iterator[str]:
    """That the generator has learned from real patches that this run does not train on, in a sentence."""
    train = real.sha1[real.train.rows]
    if not (strange := len(learned_from) - _shared(learned_from, train)):
        return
    validated = _shared(real.sha1[real.valid.rows], learned_from)
    also = f"; {validated:,} of this run's validation patches are among them" if validated else ""
    yield (
        f"the generator of {earlier.origin['run']} learned from {len(learned_from):,} real patches and this run trains "
        f"on {len(train):,}, without {strange:,} of those: its patches may teach what a generator of this run's own "
        f"could not{also}"
    )


def _shared(these: NDArray[np.uint8], those: NDArray[np.uint8]) -> int:
    """How many of these patches are among those, by SHA-1 (N, 20)."""
    numbers = contents(np.concatenate([those, these]))
    return int(np.isin(numbers[len(those) :], numbers[: len(those)]).sum())
