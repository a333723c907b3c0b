"""The checks of a run folder: config, log, checkpoints, synthetic set, results, and what crashes have left."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Final

from PIL import Image

from engine.arrays import read_arrays
from engine.audit.finding import Finding
from engine.checkpoints import FINAL, verify
from engine.data.pack import DamagedPackError, describe_array
from engine.data.sources.run import IMAGES, LABELS
from engine.spec.atomic import PARTIAL, abandoned
from engine.spec.errors import CheckpointError, HistotuiError
from engine.spec.event_log import EventReader, read_first, read_last, torn_tail
from engine.spec.events import ImageSaved, RunFinished, RunStarted
from engine.spec.json_file import read_json
from engine.spec.quality import read_quality
from engine.spec.resolve import load as load_config
from engine.spec.run_folder import RunFolder
from engine.spec.scores import read_score_trees
from engine.storage import sha256_of

Check = Callable[[RunFolder], Iterator[Finding]]

ASIDE: Final = "damaged-"
"""How the name begins of what was put aside: it is nothing to the program any more, and perhaps to its owner."""
_ANEW: Final = "start the run again with `histotui run --config` of it"


def config(run: RunFolder) -> Iterator[Finding]:
    """It can be read, and is what the run began with."""
    name = run.config.name
    try:
        load_config(run.config)
    except HistotuiError as error:
        yield Finding(name, str(error), "put back the file that the run began with, or " + _ANEW)
        return
    first = read_first(run.events)
    if isinstance(first, RunStarted) and first.config_sha256 not in ("", sha256_of(run.config)):
        yield Finding(name, "changed since the run began", "put back the file that the run began with")


def log(run: RunFolder) -> Iterator[Finding]:
    """Every line of it is an event, and the last one is whole."""
    name = run.events.name
    if not run.events.exists():
        return
    try:
        reader = EventReader(run.events)
        events = reader.read()
    except HistotuiError as error:
        yield Finding(name, str(error), "update histotui")
        return
    if reader.skipped:
        yield Finding(name, f"{reader.skipped} lines cannot be read", "they are left out of all that is shown")
    if tail := torn_tail(run.events):
        yield Finding(name, f"ends in the middle of a line, {tail} bytes", "cut it", partial(_cut, run.events, tail))
    for event in events:
        if isinstance(event, ImageSaved) and not (run.path / event.path).is_file():
            yield Finding(event.path, "the log says that it is there", "none: pictures are made along the way")


def checkpoints(run: RunFolder) -> Iterator[Finding]:
    """Each is what was written, and none is left over beside a stage's result."""
    for stage in sorted(path for path in run.checkpoints.glob("*") if path.is_dir()):
        whole_final = False
        # The stage's result comes first: what lies beside a damaged one may still be gone on with.
        for folder in sorted(stage.iterdir(), key=lambda path: (path.name != FINAL, path.name)):
            name = str(folder.relative_to(run.path))
            if folder.name.startswith((PARTIAL, ASIDE)) or not folder.is_dir():
                continue
            try:
                verify(folder)
            except CheckpointError as error:
                yield Finding(name, _without(str(error), folder), *_aside(run, folder))
                continue
            whole_final |= folder.name == FINAL
            if folder.name != FINAL and whole_final:
                yield Finding(name, "left over beside the stage's result", "remove it", partial(shutil.rmtree, folder))


def synthetic(run: RunFolder) -> Iterator[Finding]:
    """The set has the patches that its manifest says, and they are what was written."""
    if not run.synthetic.exists():
        return
    name = run.synthetic.name
    require_readable(run.synthetic.glob("*"))
    try:
        manifest = read_json(run.synthetic / "manifest.json")
        images, labels = describe_array(run.synthetic / IMAGES), describe_array(run.synthetic / LABELS)
        crop, made = int(manifest["crop"]), int(manifest["count"])
        if (images.shape, images.dtype) != ((made, crop, crop, 3), "|u1") or labels.shape != (made,):
            problem = f"{images.shape} images and {labels.shape} labels are not {made} patches"
            yield Finding(name, problem, *_aside(run, run.synthetic))
        for file, digest in dict(manifest.get("sha256", {})).items():
            if sha256_of(run.synthetic / file) != digest:
                yield Finding(name, f"{file} is not what was written", *_aside(run, run.synthetic))
    except (FileNotFoundError, ValueError, KeyError, TypeError, DamagedPackError) as error:
        yield Finding(name, f"cannot be read ({error})", *_aside(run, run.synthetic))


def results(run: RunFolder) -> Iterator[Finding]:
    """Scores, quality and predictions can be read, and are there once the run has finished."""
    readers: dict[Path, Callable[[Path], object]] = {
        run.scores: read_score_trees,
        run.quality: read_quality,
        run.predictions: read_arrays,
    }
    for path, read in readers.items():
        if not path.exists():
            continue
        require_readable([path])
        try:
            read(path)
        except (HistotuiError, ValueError) as error:
            yield Finding(path.name, f"cannot be read ({_without(str(error), path)})", *_aside(run, path))
    if isinstance(read_last(run.events), RunFinished) and not run.scores.exists():
        yield Finding(run.scores.name, "missing, though the run has finished", "`histotui resume` makes it again")


def pictures(run: RunFolder) -> Iterator[Finding]:
    """Every sample grid can be drawn."""
    for path in sorted(run.samples.rglob("*.png")):
        try:
            with Image.open(path, formats=["PNG"]) as picture:
                picture.verify()
        except (OSError, SyntaxError, ValueError) as error:
            yield Finding(str(path.relative_to(run.path)), f"cannot be drawn ({error})", "none: it is only a picture")


def leftovers(run: RunFolder) -> Iterator[Finding]:
    """Nothing is there that a crash has left and that nobody goes on with."""
    for path in abandoned(run.path):
        mend = partial(shutil.rmtree, path) if path.is_dir() else partial(path.unlink, missing_ok=True)
        yield Finding(str(path.relative_to(run.path)), "left half-written by a crash", "remove it", mend)
    begun = run.path / f"{PARTIAL}{run.synthetic.name}"
    if begun.exists() and run.synthetic.exists():
        yield Finding(begun.name, "left over beside the whole set", "remove it", partial(shutil.rmtree, begun))


CHECKS: Final[tuple[Check, ...]] = (config, log, checkpoints, synthetic, results, pictures, leftovers)


def require_readable(paths: Iterable[Path]) -> None:
    """OSError where a disk does not let files be read now: that may pass, and is no damage."""
    for path in paths:
        with path.open("rb") as file:
            file.read(1)


def _aside(run: RunFolder, path: Path) -> tuple[str, Callable[[], object]]:
    """The remedy for what is damaged beyond use, and how it is done."""
    # A run that has finished is taken up again for its scores alone.
    stays = isinstance(read_last(run.events), RunFinished) and path != run.scores
    then = "what the run has shown stays" if stays else "`histotui resume` goes on without it"
    return f"put it aside as {ASIDE}{path.name}; {then}", partial(_put_aside, path)


def _put_aside(path: Path) -> None:
    taken = (path.with_name(f"{ASIDE}{number}-{path.name}") for number in count(2))
    place = next(each for each in chain([path.with_name(f"{ASIDE}{path.name}")], taken) if not each.exists())
    # Two findings may be of one folder.
    with contextlib.suppress(FileNotFoundError):
        path.rename(place)


def _cut(path: Path, tail: int) -> None:
    os.truncate(path, path.stat().st_size - tail)


def _without(message: str, path: Path) -> str:
    """The message without the path at its beginning, which stands beside it, and without its advice."""
    return message.removeprefix(f"{path}: ").partition("; remove it")[0]
