"""Budget: the work of training and of looking, counted beforehand, and the time that looking really took."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from engine.generators.base import Generator, Phase
from engine.trainer import Trainer, require_gradients

Clock = Callable[[], float]

_SLOWER: Final = 1.4
"""Times that an operation takes longer in a look than in training, whose networks are larger.

On a processor core it was 0.9 to 1.4 of six presets."""


def step_work(trainer: Trainer) -> float:
    """Floating-point operations of matrix products and convolutions in a trainer's average step.

    Counted on a copy of its model: a forward pass moves the running means of batch normalisation.
    """
    model = copy.deepcopy(trainer.model).train()
    images, labels = trainer.batches.at(0)
    phases = model.phases()

    def once(phase: Phase) -> None:
        require_gradients(phases, phase)
        model.loss(phase.name, images, labels).total.backward()

    return sum((_counted(partial(once, phase)) / phase.every for phase in phases), 0.0)


@torch.no_grad()
def sample_work(generator: Generator, device: torch.device) -> float:
    """The same for one sample of a generator that is ready to sample."""
    labels = torch.tensor([0, 1], device=device)
    return _counted(lambda: generator.eval().sample(labels, torch.Generator().manual_seed(0))) / len(labels)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the floating-point operations of all that PyTorch knows a number for.

    PyTorch's own counter also follows which module they belong to, which fails on a gradient of a gradient.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def _counted(work: Callable[[], object]) -> float:
    with _Counter() as counter:
        work()
    return float(counter.total)


def looks_within(share: float, epochs: int, epoch_work: float, look_work: float) -> int:
    """How many looks of so much work fit within a share of the epochs' time, one per epoch at most."""
    if not look_work:
        return epochs
    return min(epochs, int(share * epochs * epoch_work / (look_work * _SLOWER)))


def is_due(looks: int, epoch: int, epochs: int) -> bool:
    """Whether one of so many looks, spread evenly over the epochs with one at the last, is after this epoch."""
    return epoch * looks // epochs > (epoch - 1) * looks // epochs


class TimeShare:
    """The share of a fit's time that something takes, over all its resumptions."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self._before = self._spent = 0.0
        self._last: dict[str, float] = {}

    @contextmanager
    def spending(self, what: str) -> Iterator[None]:
        """Whatever happens inside is counted, and remembered as what such a thing costs."""
        began = self._clock()
        try:
            yield
        finally:
            self._last[what] = self._clock() - began
            self._spent += self._last[what]

    @property
    def elapsed(self) -> float:
        """Seconds of the fit so far."""
        return self._before + self._clock() - self._began

    @property
    def share(self) -> float:
        return self._spent / max(self.elapsed, 1e-9)

    def affords(self, what: str, most: float) -> bool:
        """Whether the share stays within its bound if such a thing takes as long as the last time.

        What was never done is taken to take as long as the longest of other things.
        """
        seconds = self._last.get(what, max(self._last.values(), default=0.0))
        return self._spent + seconds <= most * (self.elapsed + seconds)

    def state(self) -> dict[str, Any]:
        return {"elapsed": self.elapsed, "spent": self._spent, "last": self._last}

    def load(self, meta: Mapping[str, Any]) -> None:
        self._began = self._clock()
        self._before, self._spent, self._last = meta["elapsed"], meta["spent"], dict(meta["last"])
