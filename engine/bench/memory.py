"""Memory: what training keeps resident, for few patches and for many."""

import gc
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.bench.training import make_trainer
from engine.spec.errors import EnvironmentFault


@dataclass(frozen=True, slots=True)
class Resident:
    """Anonymous resident bytes, the memory map left out, that a trainer with so many patches adds."""

    few: int
    few_bytes: int
    many: int
    many_bytes: int

    @property
    def bytes_per_patch(self) -> float:
        return (self.many_bytes - self.few_bytes) / (self.many - self.few)


def resident_by_patches(folder: Path, few: int = 2_000, many: int = 40_000) -> Resident:
    """Train on few patches, then on many, and see what stays in memory beside the map."""
    return Resident(few, _added(folder, few), many, _added(folder, many))


def _added(folder: Path, patches: int) -> int:
    gc.collect()
    before = _anonymous_bytes()
    trainer = make_trainer(folder, "baseline", torch.device("cpu"), patches)
    for _ in range(40):
        trainer.advance()
    gc.collect()
    return _anonymous_bytes() - before


def _anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise EnvironmentFault("/proc/self/status has no RssAnon: the resident memory is not known")
