"""Monitor: while a generator trains, whether its samples become of use, and a warning where they collapse."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from torch import Tensor

from engine.checkpoints import CheckpointFolder
from engine.context import Context
from engine.data.patches import PatchSet
from engine.fitting import Fit
from engine.generators.base import Generator, Model
from engine.monitoring.budget import Clock, TimeShare, is_due, looks_within, sample_work, step_work
from engine.monitoring.diversity import CollapseAlarm, RealDiversity
from engine.monitoring.epoch_ends import EpochEnds
from engine.monitoring.grids import SampleGrids
from engine.monitoring.samples import Samples
from engine.monitoring.usefulness import ONE_CLASS, Usefulness, validation_patches
from engine.narration import tell
from engine.randomness import generator as rng_at
from engine.spec.errors import ConfigError
from engine.spec.events import Metrics
from engine.spec.run_folder import RunFolder
from engine.stages.prepare import RealPatches
from engine.trainer import Trainer

DIVERSITY, USEFULNESS = "diversity", "usefulness"
_DIVERSITY_SAMPLES: Final = 64
_DIVERSITY_PART: Final = 0.2
"""Of the share of time, what goes to diversity alone."""
_CHOICE: Final = "choice"
_CHOSEN_EPOCH: Final = "chosen_epoch"


def fit_watched(
    context: Context, stage: str, trainer: Trainer, generator: Generator, real: RealPatches, epochs: int
) -> dict[str, Any]:
    """Train to the last epoch while the samples of a generator are looked at; what its final checkpoint says of it.

    What is trained may be the generator or a part of it, which is left with the weights that the config chooses.
    """
    samples = Samples(context, stage, generator, real.train)
    monitor = Monitor(context, stage, samples, trainer, real, epochs)
    grids = SampleGrids(context, stage, samples, epochs)
    Fit(context, stage, trainer, epochs, EpochEnds({"grids": grids, "monitor": monitor})).run()
    chosen = monitor.choose()
    if (epoch := chosen.get(_CHOSEN_EPOCH, epochs)) != epochs:
        samples.after(epoch)
        grids.save(trainer.step, f"samples with the weights of epoch {epoch}, which were chosen", "_chosen")
    return chosen


def choice_notes(folder: RunFolder) -> list[str]:
    """Of each stage whose weights were chosen among epochs, which were taken and why."""
    stages = sorted(folder.checkpoints.glob("*/final"))
    found = [CheckpointFolder(path.parent).final_meta().get(_CHOICE) for path in stages]
    return [note for note in found if isinstance(note, str)]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How many looks of each kind there are, spread over so many epochs."""

    looks: Mapping[str, int]
    epochs: int

    def due(self, epoch: int) -> list[str]:
        return [kind for kind, looks in self.looks.items() if is_due(looks, epoch, self.epochs)]


@dataclass(slots=True)
class _Best:
    """The most useful epoch so far that had not collapsed, and the trained weights after it, in host memory."""

    auc: float = -1.0
    epoch: int = 0
    looks: int = 0
    collapsed: int = 0
    """How many of the looks saw samples that had collapsed."""
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, auc: float, epoch: int, collapsed: bool, trained: Model) -> None:
        self.looks, self.collapsed = self.looks + 1, self.collapsed + collapsed
        if auc > self.auc and not collapsed:
            self.auc, self.epoch = auc, epoch
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in trained.state_dict().items()}

    def meta(self) -> dict[str, Any]:
        return {"auc": self.auc, "epoch": self.epoch, "looks": self.looks, "collapsed": self.collapsed}

    @classmethod
    def of(cls, meta: Mapping[str, Any], weights: dict[str, Tensor]) -> Self:
        return cls(meta["auc"], meta["epoch"], meta["looks"], meta.get("collapsed", 0), weights)


class Monitor:
    """After some epochs the diversity of a generator's samples, and after some of these what they teach a classifier.

    Which epochs: as many as take a share of the training's work, counted once in floating-point operations and kept in
    the checkpoints, spread evenly with one at the last. Counted and not timed, so that a run that is killed and
    resumed, or made again, looks at the same epochs and chooses the same weights. What a look really takes differs from
    its count by how fast the device is at small operations. The measured share is said (`monitoring_share`); where the
    next look would bring it above the bound it is left out, except where the weights are chosen by looks: then it is
    made, and the excess warned of.

    Looking changes no weights in training: every step draws from a seed of its own, and what is looked at is computed
    without gradients.
    """

    def __init__(
        self,
        context: Context,
        stage: str,
        samples: Samples,
        trainer: Trainer,
        real: RealPatches,
        epochs: int,
        clock: Clock = time.monotonic,
    ) -> None:
        self._context, self._stage, self._samples, self._trainer = context, stage, samples, trainer
        self._config, self._epochs = context.config.monitoring, epochs
        self._real = RealDiversity(real.train)
        validation = validation_patches(real, context.config) if self._config.share else None
        self._usefulness = None if validation is None else Usefulness(context, validation)
        self._alarm = CollapseAlarm(self._config)
        self._time = TimeShare(clock)
        self._plan: _Plan | None = None
        self._best = _Best()

    @property
    def _chooses(self) -> bool:
        return self._config.generator_choice == "usefulness"

    def __call__(self, epoch: int, step: int) -> None:
        if not self._config.share:
            return
        due = [kind for kind in self._planned(epoch).due(epoch) if self._affords(kind)]
        if not due:
            return
        with self._time.spending(USEFULNESS if USEFULNESS in due else DIVERSITY):
            self._look(epoch, step, USEFULNESS in due)
        self._say(step, epoch, {"monitoring_share": self._time.share})
        if epoch == self._epochs:
            self._warn_of_time()

    def _affords(self, kind: str) -> bool:
        return self._chooses or self._time.affords(kind, self._config.share)

    def _look(self, epoch: int, step: int, at_usefulness: bool) -> None:
        samples = self._draw(epoch, self._config.patches if at_usefulness else _DIVERSITY_SAMPLES)
        found = self._real.diversity_of(samples)
        shares = {f"diversity_{word}": diversity.spread for word, diversity in found.items()}
        self._say(step, epoch, shares | {f"nearest_{word}": diversity.nearest for word, diversity in found.items()})
        for message in self._alarm.hear(epoch, found):
            self._context.warn(self._stage, message)
        if at_usefulness and self._usefulness is not None:
            auc = self._usefulness.of(samples)
            self._say(step, epoch, {"usefulness_auc": auc})
            if self._chooses:
                self._best.offer(auc, epoch, self._alarm.has_collapsed(found), self._trainer.model)

    def _draw(self, epoch: int, count: int) -> PatchSet:
        """Fresh samples, half of each class."""
        self._samples.after(epoch)
        labels = np.arange(count) % 2
        images = self._samples.draw(labels, rng_at(self._context.config.seed, self._stage, "monitoring", epoch))
        return PatchSet(images, labels.astype(np.uint8), np.arange(count))

    def _say(self, step: int, epoch: int, values: dict[str, float]) -> None:
        self._context.events.write(Metrics(stage=self._stage, step=step, epoch=epoch, values=values))

    def _warn_of_time(self) -> None:
        share, most = self._time.share, self._config.share
        if self._chooses and share > most:
            self._context.warn(
                self._stage,
                f"looking at the samples took {share:.1%} of the time and not {most:.1%} (monitoring.share): the "
                "weights are chosen by it, so no look was left out",
            )

    def _planned(self, epoch: int) -> _Plan:
        """The plan, made after the first epoch: a generator may have nothing to sample from before."""
        if self._plan is None:
            with self._time.spending("plan"):
                self._samples.after(epoch)
                self._plan = self._make_plan()
        return self._plan

    def _make_plan(self) -> _Plan:
        config, epoch_work = self._config, step_work(self._trainer) * self._trainer.batches.steps_per_epoch
        sample = sample_work(self._samples.generator, self._context.device)
        diversity = looks_within(config.share * _DIVERSITY_PART, self._epochs, epoch_work, _DIVERSITY_SAMPLES * sample)
        looks = {DIVERSITY: diversity, USEFULNESS: 0}
        if self._usefulness is not None:
            work = config.patches * sample + self._usefulness.work()
            looks[USEFULNESS] = looks_within(config.share * (1 - _DIVERSITY_PART), self._epochs, epoch_work, work)
            self._require_a_look(looks[USEFULNESS], work / max(epoch_work, 1.0))
        else:
            tell(f"{self._stage}: {ONE_CLASS}")
        return _Plan(looks, self._epochs)

    def _require_a_look(self, looks: int, in_epochs: float) -> None:
        if looks:
            return
        said = f"a look at usefulness is as much work as {in_epochs:.1f} epochs of training, and monitoring.share "
        said += f"{self._config.share:g} of {self._epochs} epochs is less: "
        if self._chooses:
            raise ConfigError(
                f"monitoring.generator_choice: {said}there would be nothing to choose by; raise monitoring.share, "
                "lower monitoring.patches or monitoring.passes, or choose 'last'"
            )
        tell(f"{self._stage}: {said}there is none")

    def choose(self) -> dict[str, Any]:
        """Put the chosen weights into the generator; what its final checkpoint says of the choice."""
        if not self._chooses:
            return {}
        best = self._best
        if best.epoch:
            self._trainer.model.load_state_dict(best.weights)
            left_out = f"; {best.collapsed} at which its samples had collapsed do not count" if best.collapsed else ""
            note = (
                f"The generator's weights are those of epoch {best.epoch} of {self._epochs}: usefulness_auc "
                f"{best.auc:.4f} on real validation patches, the highest of {best.looks} looks{left_out}."
            )
        else:
            note = (
                f"The generator's weights are those of the last epoch: at each of {best.looks} looks its samples "
                "had collapsed."
            )
            self._context.warn(self._stage, note)
        tell(f"{self._stage}: {note}")
        return {_CHOICE: note, _CHOSEN_EPOCH: best.epoch or self._epochs}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        meta = {
            "looks": None if self._plan is None else dict(self._plan.looks),
            "alarm": self._alarm.state(),
            "best": self._best.meta(),
            "time": self._time.state(),
        }
        return self._best.weights, meta

    def load(self, tensors: dict[str, Tensor], meta: Mapping[str, Any]) -> None:
        self._plan = None if meta["looks"] is None else _Plan(meta["looks"], self._epochs)
        self._alarm.load(meta["alarm"])
        self._best = _Best.of(meta["best"], tensors)
        self._time.load(meta["time"])
