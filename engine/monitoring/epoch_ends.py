"""EpochEnds: several things that follow an epoch, as one."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from engine.checkpoints import State, prefixed
from engine.fitting import EpochEnd


class EpochEnds:
    """Parts by name, done in their order; each finds its own state again, or none where it was not there before."""

    def __init__(self, parts: Mapping[str, EpochEnd]) -> None:
        self._parts = dict(parts)

    def __call__(self, epoch: int, step: int) -> None:
        for part in self._parts.values():
            part(epoch, step)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors: dict[str, Tensor] = {}
        meta: dict[str, Any] = {}
        for name, part in self._parts.items():
            own, meta[name] = part.state()
            tensors |= prefixed(name, own)
        return tensors, meta

    def load(self, tensors: dict[str, Tensor], meta: Mapping[str, Any]) -> None:
        state = State(tensors, meta)
        for name, part in self._parts.items():
            if name in meta:
                part.load(state.part(name), meta[name])
