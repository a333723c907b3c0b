"""Trainer: one model, an optimizer for each of its phases, and the one step that trains anything."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.batches import Batches
from engine.checkpoints import State, prefixed
from engine.device import forward_precision
from engine.finite import NEVER, gradient_norm, guard_for
from engine.generators.base import Loss, Model, Phase
from engine.randomness import seed_torch
from engine.spec.config import TrainingConfig
from engine.spec.errors import Diverged
from engine.spec.failpoints import Act, reach, spoiled


@dataclass(frozen=True, slots=True)
class _Updater:
    """A phase and its optimizer."""

    phase: Phase
    optimizer: torch.optim.Adam


class Trainer:
    """The state of a model in training. What a step does depends on the seed, the step and the weights alone.

    Nothing in a step waits for the device. A loss or gradient that is not finite holds its own phase's update and every
    one after it, so the weights stay as they were until `check_finite` reports it.
    """

    def __init__(
        self,
        model: Model,
        batches: Batches,
        config: TrainingConfig,
        seed: int,
        device: torch.device,
        steps: int | None = None,
    ) -> None:
        """`steps`: those of the whole fit, by which learning rates are scheduled; without them these stay the same."""
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.batches, self.device, self.seed = batches, device, seed
        self.step, self._steps = 0, steps
        self._precision = forward_precision(device, config)
        self._updaters = [_Updater(phase, _adam(phase)) for phase in model.phases()]
        for updater in self._updaters:
            _clip(updater.phase)
        self._loss = torch.compile(model.loss) if config.compile else model.loss
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._guard = guard_for(device)

    def advance(self) -> None:
        """One step: every phase that is due, on one batch."""
        images, labels = self.batches.at(self.step)
        seed_torch(self.device, self.seed, "step", self.step)
        if not self.model.training:
            self.model.train()
        for number, updater in enumerate(self._updaters):
            if updater.phase.is_due(self.step):
                self._update(updater, self.step * len(self._updaters) + number, images, labels)
        self.model.after_step(self.step)
        self.step += 1
        reach(Act.STEP_DONE)

    def _update(self, updater: _Updater, moment: int, images: Tensor, labels: Tensor) -> None:
        phase, optimizer = updater.phase, updater.optimizer
        require_gradients([each.phase for each in self._updaters], phase)
        reach(Act.STEP_FORWARD)
        with self._precision():
            loss: Loss = self._loss(phase.name, images, labels)
        total = spoiled(Act.STEP_LOSS, loss.total)
        reach(Act.STEP_BACKWARD)
        # Optimizer.zero_grad does the same behind a profiler's record, in ten times the time.
        for parameter in phase.parameters:
            parameter.grad = None
        total.backward()  # type: ignore[no-untyped-call]
        norm = spoiled(Act.STEP_GRADIENT, gradient_norm(phase.parameters))
        _shorten(phase, norm)
        if phase.schedule is not None and self._steps is not None:
            _set_learning_rate(optimizer, phase.learning_rate * phase.schedule((self.step + 0.5) / self._steps))
        self._guard.watch(optimizer, moment, total, norm)
        reach(Act.STEP_UPDATE)
        optimizer.step()
        _clip(phase)
        self._note(dict(loss.terms) | {_norm_name(phase, self._updaters): norm})

    def _note(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
            self._counts[name] = self._counts.get(name, 0) + 1

    def take_means(self) -> dict[str, float]:
        """The mean of each term since the last call. Waits for the device; raises Diverged as `check_finite` does."""
        self.check_finite()
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def check_finite(self) -> None:
        """Raise Diverged where a loss or gradient of any step so far was not finite. Waits for the device."""
        moment = self._guard.first_bad()
        if moment != NEVER:
            step, number = divmod(moment, len(self._updaters))
            values = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
            broken = [name for name, value in values.items() if not math.isfinite(value)]
            raise NotFinite(self._updaters[number].phase.name, step, broken, self._precision is not nullcontext)

    def state(self) -> State:
        """Weights, optimizers, step and running means: all that decides how training goes on."""
        tensors = prefixed("model", self.model.state_dict()) | prefixed("sum", self._sums)
        for updater in self._updaters:
            tensors |= prefixed(f"optimizer.{updater.phase.name}", optimizer_tensors(updater.optimizer))
        return State(tensors, {"step": self.step, "counts": self._counts})

    def load(self, state: State) -> None:
        """Go on from a state."""
        self.model.load_state_dict(state.part("model"))
        for updater in self._updaters:
            load_optimizer(updater.optimizer, state.part(f"optimizer.{updater.phase.name}"))
        self.step = state.meta["step"]
        self._counts = dict(state.meta["counts"])
        sums = state.part("sum")
        self._sums = {name: sums[name].to(self.device) for name in self._counts}


class NotFinite(Diverged):
    """A loss or gradient norm that became NaN or infinite, and where."""

    def __init__(self, phase: str, step: int, terms: list[str], is_coarse: bool) -> None:
        """`is_coarse`: whether the forward pass is less precise than float32."""
        also = ", or set training.precision to float32" if is_coarse else ""
        super().__init__(
            f"step {step}, phase {phase}: {', '.join(terms) or 'the loss'} is not finite; no weights were changed "
            f"from there on. Lower the learning rate{also}"
        )
        self.phase, self.step, self.terms = phase, step, terms


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's state as flat names: `3.exp_avg` is that of its fourth parameter."""
    states: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return {f"{number}.{name}": tensor for number, state in states.items() for name, tensor in state.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put what `optimizer_tensors` gave back."""
    parameters: list[Tensor] = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        states.setdefault(int(number), {})[name] = _laid_out_like(parameters[int(number)], tensor)
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A copy with the parameter's strides: the fused kernel walks both in memory order."""
    return torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor.clone()


def require_gradients(phases: Sequence[Phase], due: Phase) -> None:
    """Ask for gradients of the due phase's parameters only: another's would be computed and thrown away."""
    if len(phases) > 1:
        for phase in phases:
            for parameter in phase.parameters:
                parameter.requires_grad_(phase is due)


@torch.no_grad()
def _shorten(phase: Phase, norm: Tensor) -> None:
    """Bring the gradient of the phase, whose length is `norm`, within its limit. Waits for no device."""
    if phase.gradient_clip is not None:
        gradients = [parameter.grad for parameter in phase.parameters if parameter.grad is not None]
        torch._foreach_mul_(gradients, (phase.gradient_clip / norm.clamp_min(1e-12)).clamp_max(1.0))


@torch.no_grad()
def _clip(phase: Phase) -> None:
    """Bring every weight of the phase within its limit (Arjovsky et al. 2017)."""
    if phase.weight_clip is not None:
        for parameter in phase.parameters:
            parameter.clamp_(-phase.weight_clip, phase.weight_clip)


def _adam(phase: Phase) -> torch.optim.Adam:
    return torch.optim.Adam(
        phase.parameters,
        lr=phase.learning_rate,
        betas=phase.betas,
        weight_decay=phase.weight_decay,
        decoupled_weight_decay=True,
        fused=True,
    )


def _set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _norm_name(phase: Phase, updaters: list[_Updater]) -> str:
    return "grad_norm" if len(updaters) == 1 else f"grad_norm_{phase.name[0]}"
