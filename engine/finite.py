"""Guards: no update is made from a loss or gradient that is not finite, nor after one."""

import math
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

NEVER = -1


class Guard(Protocol):
    """Looks at every update before it is made, and holds it and all that follow from the first bad one on."""

    def watch(self, optimizer: torch.optim.Adam, moment: int, total: Tensor, norm: Tensor) -> None:
        """Look at one update's loss and gradient norm; `moment` counts updates."""

    def first_bad(self) -> int:
        """The first moment that was not finite, NEVER if there was none. May wait for the device."""


class HostGuard:
    """For the CPU, where a look costs nothing."""

    def __init__(self) -> None:
        self._first_bad = NEVER

    def watch(self, optimizer: torch.optim.Adam, moment: int, total: Tensor, norm: Tensor) -> None:
        if self._first_bad == NEVER and not math.isfinite(total.item() + norm.item()):
            self._first_bad = moment
        if self._first_bad != NEVER:
            _hold(optimizer, torch.ones(()))

    def first_bad(self) -> int:
        return self._first_bad


class DeviceGuard:
    """For CUDA: the look and the holding happen on the device, and nothing waits for them."""

    def __init__(self, device: torch.device) -> None:
        self._first_bad = torch.full((), NEVER, dtype=torch.int64, device=device)

    def watch(self, optimizer: torch.optim.Adam, moment: int, total: Tensor, norm: Tensor) -> None:
        bad = ~torch.isfinite(total.detach() + norm)
        self._first_bad = torch.where((self._first_bad == NEVER) & bad, moment, self._first_bad)
        _hold(optimizer, (self._first_bad != NEVER).float())

    def first_bad(self) -> int:
        return int(self._first_bad)


def guard_for(device: torch.device) -> Guard:
    return DeviceGuard(device) if device.type == "cuda" else HostGuard()


def _hold(optimizer: torch.optim.Adam, held: Tensor) -> None:
    """Where `held` is 1, the fused kernel leaves weights and moments alone, as it does for torch.amp.GradScaler."""
    optimizer.found_inf = held  # type: ignore[attr-defined]


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The 2-norm of all gradients together, without the bookkeeping of torch.nn.utils.get_total_norm."""
    norms = torch._foreach_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm
