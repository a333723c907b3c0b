"""Makes the run folders of this version that later ones must take up: `python tests/old_runs/make.py`.

Run once for each version whose folders are new in kind; what is here is never made again.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from engine.soak.engines import Engines
from engine.soak.toys import toy_config, toy_run
from engine.spec.atomic import remove_abandoned
from engine.spec.event_log import read_first
from engine.spec.run_folder import RunFolder
from engine.spec.version import VERSION

HERE: Final = Path(__file__).parent
BROKEN_OFF: Final = {
    # All networks are trained: what is to come is sampled from their checkpoints.
    "latent-flow": "synthetic.begun",
    # In the midst of training: networks, optimizers, averages and places in the data go on from a checkpoint.
    "gan-stable": "step.done:9",
}
"""Presets, and where an engine at work on them is killed."""
IMAGES: Final = "images.npy"
"""What the run would have made, had it not been."""


def make(preset: str, failpoint: str, scratch: Path) -> None:
    """A run that was broken off, and the synthetic patches of one that was not."""
    engines, kept = Engines(scratch / "cache"), HERE / f"{VERSION}-{preset}"
    whole, broken = (toy_run(scratch / name / "run", toy_config(preset)) for name in ("whole", "broken"))
    assert engines.finish(whole) == 0
    assert engines.finish(broken, f"{failpoint}:kill9") == -9
    strip(broken)
    shutil.copytree(broken.path, kept / "run")
    shutil.copy(whole.synthetic / IMAGES, kept / IMAGES)


def strip(run: RunFolder) -> None:
    """Leave out what tells of the machine alone."""
    for path in (run.log, run.lock, run.process, run.environment):
        path.unlink(missing_ok=True)
    remove_abandoned(run.path)
    started = read_first(run.events)
    run.events.write_text(run.events.read_text().replace(str(started.engine), "engine"))


if __name__ == "__main__":
    for preset, failpoint in BROKEN_OFF.items():
        with tempfile.TemporaryDirectory() as scratch:
            make(preset, failpoint, Path(scratch))
