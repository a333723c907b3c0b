"""The training loop: written once, for whatever states its phases."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from engine.checkpoints import CheckpointFolder, State, prefixed
from engine.context import Context, Meter
from engine.narration import tell
from engine.spec.atomic import write_text
from engine.spec.errors import Stopped, StorageError
from engine.spec.events import CheckpointSaved, Metrics
from engine.spec.failpoints import Write
from engine.trainer import NotFinite, Trainer

_FAILED_SAVES = 3
"""Checkpoints in a row that may fail before the run gives up."""


class EpochEnd(Protocol):
    """What happens after each epoch, such as validation or a sample grid; its own state travels in the checkpoints."""

    def __call__(self, epoch: int, step: int) -> None:
        """After epoch `epoch`, counted from 1. May raise Stopped: it is then done again on resuming."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]: ...

    def load(self, tensors: dict[str, Tensor], meta: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Fit:
    """A model to be fitted for some epochs, in one stage of a run."""

    context: Context
    stage: str
    trainer: Trainer
    epochs: int
    epoch_end: EpochEnd

    @property
    def checkpoints(self) -> CheckpointFolder:
        return CheckpointFolder(self.context.folder.checkpoints / self.stage)

    @property
    def total_steps(self) -> int:
        return self.epochs * self.trainer.batches.steps_per_epoch

    def run(self) -> None:
        """Train to the last step, from the newest checkpoint where there is one."""
        try:
            self._run()
        except NotFinite as error:
            self._write_postmortem(error)
            raise

    def _run(self) -> None:
        cursor = _Cursor(self)
        cursor.resume()
        meter = Meter(
            self.context.events,
            self.stage,
            self.total_steps,
            patches_per_step=self.trainer.batches.batch_size,
            start=self.trainer.step,
            steps_per_epoch=self.trainer.batches.steps_per_epoch,
        )
        while cursor.unfinished():
            if not cursor.epoch_is_open():
                self.trainer.advance()
                self._log_metrics()
                meter.show(self.trainer.step)
            cursor.close_epoch()
            cursor.save_if_due()

    def _log_metrics(self) -> None:
        step, per_epoch = self.trainer.step, self.trainer.batches.steps_per_epoch
        if step % self.context.config.training.log_every and step % per_epoch:
            return
        epoch = (step - 1) // per_epoch + 1
        values = self.trainer.take_means()
        if step % per_epoch == 0:
            values |= {name: float(value) for name, value in self.trainer.model.epoch_terms().items()}
        self.context.events.write(Metrics(stage=self.stage, step=step, epoch=epoch, values=values))

    def _last_checkpoint(self) -> str | None:
        """The newest complete one of this stage, relative to the run folder, which resuming goes on from."""
        latest = self.checkpoints.latest
        return None if latest is None else str(latest.relative_to(self.context.folder.path))

    def _write_postmortem(self, error: NotFinite) -> None:
        report = {
            "stage": self.stage,
            "phase": error.phase,
            "step": error.step,
            "not_finite": error.terms,
            "batch": self.trainer.batches.positions(error.step).tolist(),
            "checkpoint": self._last_checkpoint(),
            "config": self.context.config.model_dump(mode="json"),
        }
        write_text(self.context.folder.postmortem, json.dumps(report, indent=1) + "\n", Write.POSTMORTEM)


class _Cursor:
    """Where a fit is: which epochs are closed, and when it was last saved."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._closed = 0
        self._saved_at = time.monotonic()
        self._failed_saves = 0

    def resume(self) -> None:
        state, problems = self._fit.checkpoints.load_latest()
        for problem in problems:
            self._fit.context.warn(self._fit.stage, f"{problem}; going back to the one before")
        if state is not None:
            self._fit.trainer.load(state)
            self._fit.epoch_end.load(state.part("epoch_end"), state.meta["epoch_end"])
            self._closed = state.meta["closed_epochs"]
            step, last = self._fit.trainer.step, self._fit.total_steps
            tell(f"{self._fit.stage}: goes on from its checkpoint of step {step} of {last}")

    def unfinished(self) -> bool:
        return self._closed < self._fit.epochs

    def epoch_is_open(self) -> bool:
        """Whether an epoch's steps are done and what follows them is not."""
        return self._fit.trainer.step // self._fit.trainer.batches.steps_per_epoch > self._closed

    def close_epoch(self) -> None:
        """Do what follows an epoch's last step. Where that is stopped, the checkpoint has the epoch still open."""
        if not self.epoch_is_open():
            return
        try:
            self._fit.epoch_end(self._closed + 1, self._fit.trainer.step)
        except Stopped:
            self._save()
            raise
        self._closed += 1

    def save_if_due(self) -> None:
        """Save where time has come, where it was asked for, and before stopping."""
        if self._fit.context.stop.requested:
            self._save()
            self._fit.context.stop.raise_if_requested()
        seconds = time.monotonic() - self._saved_at
        if (
            seconds >= self._fit.context.config.training.checkpoint_seconds
            or self._fit.context.stop.take_checkpoint_request()
        ):
            self._save()

    def _save(self) -> None:
        """Write a checkpoint; a disk that is full for a while does not end the run."""
        self._fit.trainer.check_finite()
        tensors, meta = self._fit.epoch_end.state()
        trainer = self._fit.trainer.state()
        state = State(
            {**trainer.tensors, **prefixed("epoch_end", tensors)},
            {**trainer.meta, "epoch_end": meta, "closed_epochs": self._closed},
        )
        try:
            path = self._fit.checkpoints.save(self._fit.trainer.step, state)
        except StorageError as error:
            self._failed_saves += 1
            self._fit.context.warn(self._fit.stage, f"checkpoint not saved, training goes on: {error}")
            if self._failed_saves >= _FAILED_SAVES:
                raise
        else:
            self._failed_saves = 0
            relative = str(path.relative_to(self._fit.context.folder.path))
            self._fit.context.events.write(
                CheckpointSaved(stage=self._fit.stage, step=self._fit.trainer.step, path=relative)
            )
        self._saved_at = time.monotonic()
