"""synthesis: the synthetic training set, made here or taken from an earlier run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.arrays import open_array
from engine.batches import to_bytes, to_float
from engine.borrowing import RECONSTRUCTED, lineage, open_earlier, rounded_down
from engine.context import Context
from engine.data.patches import PatchSet
from engine.data.sources.run import IMAGES, LABELS, LEARNED_FROM, open_learned_from
from engine.filling import fill, forget_progress
from engine.generators.base import Generator
from engine.monitoring.diversity import Diversity, RealDiversity, first_of
from engine.pictures import PER_CLASS, show_grid
from engine.randomness import generator as rng_at
from engine.randomness import permutation
from engine.spec.atomic import publishing
from engine.spec.config import SynthesisConfig
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.failpoints import Write
from engine.spec.json_file import read_json
from engine.spec.run_folder import RunFolder
from engine.stages import generator, prepare
from engine.stages.prepare import RealPatches
from engine.storage import sha256_of

STAGE = "synthesis"

Tree = dict[str, Any]


def is_complete(folder: RunFolder) -> bool:
    return (folder.synthetic / "manifest.json").exists()


def run(context: Context) -> None:
    """Make the set, or take it, chunk by chunk in a folder that is renamed when it is whole."""
    real = prepare.load(context)
    with publishing(context.folder.synthetic, Write.SYNTHETIC, goes_on=True) as partial:
        origin = _way(context)(context, real, partial)
        made = _read(partial)
        digests = {path.name: sha256_of(path) for path in sorted(partial.glob("*.npy"))}
        manifest = _manifest(context, made) | origin | diversity(made, real.train) | {"sha256": digests}
        (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        forget_progress(partial)
    for warning in warnings(context):
        context.warn(STAGE, warning)


def _way(context: Context) -> Callable[[Context, RealPatches, Path], Tree]:
    """How the set comes to be: it fills a folder and says what its manifest should have of the set's origin."""
    config = context.config.synthesis
    return _reconstruct if config.reconstruct else _make if config.source is None else _take


def load(folder: RunFolder) -> PatchSet:
    """A run's synthetic patches, memory mapped."""
    try:
        return _read(folder.synthetic)
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{folder.synthetic}: the synthetic patches cannot be read ({error})") from None


def _read(folder: Path) -> PatchSet:
    images, labels = open_array(folder / IMAGES), np.array(open_array(folder / LABELS))
    return PatchSet(images, labels, np.arange(len(labels)))


def diversity(synthetic: PatchSet, real: PatchSet) -> Tree:
    """What the manifest has of how much the synthetic patches of each class differ from each other."""
    found = RealDiversity(real).diversity_of(synthetic)
    return {
        "diversity": {word: each.spread for word, each in found.items()},
        "nearest": {word: each.nearest for word, each in found.items()},
    }


def warnings(context: Context) -> list[str]:
    """What to say of a set: what was found when it was taken, and classes whose patches are nearly all the same."""
    manifest = _read_manifest(context.folder)
    # Sets of before there was a nearest one have none.
    nearest = manifest.get("nearest", {})
    found = {word: Diversity(spread, nearest.get(word, 1.0)) for word, spread in manifest["diversity"].items()}
    collapsed = [
        f"the generator has collapsed: its {word} patches {each.words}"
        for word, each in found.items()
        if each.least < context.config.monitoring.collapse_below
    ]
    return [*manifest.get("warnings", ()), *collapsed]


def word(folder: RunFolder) -> str:
    """What to call the patches of a set: `synthetic`, or `reconstructed`."""
    return str(_read_manifest(folder).get("patches", "synthetic"))


def is_of_training_patches(folder: RunFolder, real: RealPatches) -> bool:
    """Whether a set of reconstructions has one of each training patch of this run, in their order."""
    originals = open_learned_from(folder)
    if originals is None or len(originals) != len(load(folder)):
        return False
    return np.array_equal(originals, real.sha1[real.train.rows])


def maker(folder: RunFolder) -> str:
    """Who made the set, in words."""
    manifest = _read_manifest(folder)
    details = ", ".join(f"{name} {manifest[name]}" for name in ("preset", "seed") if name in manifest)
    return f"run {manifest['run']}" + (f" ({details})" if details else "")


def _read_manifest(folder: RunFolder) -> Tree:
    manifest: Tree = read_json(folder.synthetic / "manifest.json")
    return manifest


def synthetic_labels(real: PatchSet, config: SynthesisConfig, seed: int) -> NDArray[np.uint8]:
    """As many labels of each class as the config wants for these real ones, shuffled, (N,) uint8."""
    labels = np.repeat(np.array([0, 1], np.uint8), _wanted(real, config))
    return labels[permutation(len(labels), seed, "synthetic labels")]


def chosen_rows(made: NDArray[np.uint8], real: PatchSet, config: SynthesisConfig, seed: int) -> NDArray[np.int64]:
    """The rows of a set with labels `made` that are taken, as many of each class as the config wants, in their order.

    ConfigError where it has too few of a class.
    """
    wanted, have = _wanted(real, config), [int((made == label).sum()) for label in (0, 1)]
    if any(few < many for few, many in zip(have, wanted, strict=True)):
        each = _per_ratio(real, config.classes)
        raise ConfigError(
            _too_few(wanted, have, config.ratio, min(few / many for few, many in zip(have, each, strict=True)))
        )
    rows = [np.flatnonzero(made == label) for label in (0, 1)]
    shuffled = [own[permutation(len(own), seed, "taken", label)] for label, own in enumerate(rows)]
    return np.sort(np.concatenate([own[:count] for own, count in zip(shuffled, wanted, strict=True)]))


def _too_few(wanted: list[int], have: list[int], ratio: float, largest: float) -> str:
    said = (
        f"synthesis.ratio {ratio:g} needs {wanted[0]} normal and {wanted[1]} tumour patches, "
        f"and the run that synthesis.source names has {have[0]} and {have[1]}: "
    )
    works = rounded_down(largest)
    return said + ("take another run's" if works == "0" else f"set it to at most {works}, or take another run's")


def _wanted(real: PatchSet, config: SynthesisConfig) -> list[int]:
    """How many normal and tumour patches there should be."""
    return [max(1, round(config.ratio * count)) for count in _per_ratio(real, config.classes)]


def _per_ratio(real: PatchSet, classes: str) -> tuple[float, float]:
    """How many normal and tumour patches a ratio of 1 is."""
    return (len(real) / 2, len(real) / 2) if classes == "equal" else (len(real) - real.tumours, real.tumours)


def _make(context: Context, real: RealPatches, folder: Path) -> Tree:
    """Sample the set. Each chunk depends on the seed alone."""
    config = context.config
    labels, model = synthetic_labels(real.train, config.synthesis, config.seed), generator.load(context)

    def sampled(start: int, stop: int) -> NDArray[np.uint8]:
        return _sample(context, model, labels[start:stop], start)

    fill(context, STAGE, folder / IMAGES, (len(labels), *real.train.images.shape[1:]), sampled)
    _save_columns(folder, labels, _learned_from(context, real))
    return {"preset": config.preset, "seed": config.seed, "run": context.folder.id}


def _reconstruct(context: Context, real: RealPatches, folder: Path) -> Tree:
    """Each training patch through the encoder and back, in their order and with its own label."""
    config, model, train = context.config, generator.load_networks(context), real.train

    @torch.no_grad()
    def reconstructed(start: int, stop: int) -> NDArray[np.uint8]:
        own = train.select(np.arange(start, stop))
        images = to_float(torch.from_numpy(own.images[own.rows]).to(context.device))
        labels = torch.from_numpy(own.own_labels.astype(np.int64)).to(context.device)
        made = model.reconstruct(images, labels, rng_at(config.seed, STAGE, start))
        patches: NDArray[np.uint8] = to_bytes(made).cpu().numpy()
        return patches

    fill(context, STAGE, folder / IMAGES, (len(train), *train.images.shape[1:]), reconstructed, "reconstructing")
    _save_columns(folder, train.own_labels, _learned_from(context, real))
    _show(context, "reconstructions of training patches", _read(folder))
    return {"preset": config.preset, "seed": config.seed, "run": context.folder.id, "patches": RECONSTRUCTED}


def _take(context: Context, real: RealPatches, folder: Path) -> Tree:
    """Copy what is wanted of an earlier run's set, unless its generator has seen this run's test patches."""
    config, earlier = context.config, open_earlier(context.config)
    ancestry = lineage(earlier, real, context.reporter(STAGE))
    rows = chosen_rows(earlier.patches.labels, real.train, config.synthesis, config.seed)

    def copied(start: int, stop: int) -> NDArray[np.uint8]:
        some: NDArray[np.uint8] = earlier.patches.images[rows[start:stop]]
        return some

    fill(context, STAGE, folder / IMAGES, (len(rows), *earlier.patches.images.shape[1:]), copied, "copying")
    _save_columns(folder, earlier.patches.labels[rows], ancestry.learned_from)
    _show(context, f"patches of {earlier.origin['run']}", _read(folder))
    return earlier.origin | {"warnings": list(ancestry.warnings)}


def _learned_from(context: Context, real: RealPatches) -> NDArray[np.uint8] | None:
    """SHA-1 of the real patches that stand behind the generator, (N, 20) uint8; None where nobody can tell."""
    if real.word != "synthetic":
        return real.sha1[real.train.rows]
    # It has learned from what another generator made, and this one from real patches.
    return open_learned_from(RunFolder(Path(context.config.data.source).expanduser()))


def _save_columns(folder: Path, labels: NDArray[np.uint8], learned_from: NDArray[np.uint8] | None) -> None:
    np.save(folder / LABELS, labels, allow_pickle=False)
    if learned_from is not None:
        np.save(folder / LEARNED_FROM, learned_from, allow_pickle=False)


def _show(context: Context, what: str, patches: PatchSet) -> None:
    """Patches of the set in the rows of a sample grid, to lay beside real ones."""
    chosen = np.concatenate([first_of(patches, label, PER_CLASS) for label in (0, 1)])
    show_grid(context, STAGE, 0, chosen, what)


@torch.no_grad()
def _sample(context: Context, model: Generator, labels: NDArray[np.uint8], start: int) -> NDArray[np.uint8]:
    on_device = torch.from_numpy(labels.astype(np.int64)).to(context.device)
    samples = model.sample(on_device, rng_at(context.config.seed, STAGE, start))
    patches: NDArray[np.uint8] = to_bytes(samples).cpu().numpy()
    return patches


def _manifest(context: Context, made: PatchSet) -> Tree:
    return {"count": len(made), "tumour": made.tumours, "crop": context.config.data.crop}
