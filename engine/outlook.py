"""What can be foreseen of a run beside its size: how long it takes, and what is odd about its settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.checkpoints import CheckpointFolder
from engine.data.shares import LEAST, class_shares
from engine.earlier_runs import was_taken
from engine.spec.config import RunConfig
from engine.spec.errors import CheckpointError
from engine.spec.event_log import EventReader, read_first
from engine.spec.events import Resumed, RunStarted, StageFinished
from engine.spec.json_file import read_json
from engine.spec.resolve import Tree, dump
from engine.spec.run_folder import RunFolder

_LOOKED_AT: Final = 100
"""Earlier runs that are looked into, newest first."""
_LARGEST_LOG: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds that a run should take, packing its source and copying patches left out, and whose speed says so."""

    seconds: float
    runs: tuple[str, ...]


def expected_duration(config: RunConfig, patches: int, device: str, runs: Path) -> Duration | None:
    """How long so many training patches take by the speed of earlier runs; None where one of the stages has no such."""
    work = _work(dump(config), patches)
    speeds: dict[str, tuple[float, str]] = {}
    for folder in _newest(runs):
        if len(speeds) == len(work):
            break
        for stage, speed in _speeds(folder, dump(config), device).items():
            speeds.setdefault(stage, (speed, folder.id))
    # A reference is the same classifier, on other patches.
    if "reference" in work and "classifier" in speeds:
        speeds.setdefault("reference", speeds["classifier"])
    if not work.keys() <= speeds.keys():
        return None
    used = dict.fromkeys(speeds[stage][1] for stage in work)
    return Duration(sum(amount / speeds[stage][0] for stage, amount in work.items()), tuple(used))


def expected_training(config: RunConfig, data: Mapping[str, Any]) -> int:
    """How many training patches there should be, by what a look at the source has found."""
    return sum(_expected_classes(config, data))


def _expected_classes(config: RunConfig, data: Mapping[str, Any]) -> tuple[int, int]:
    """How many normal and tumour training patches there should be; half of each where labels are not known yet."""
    splits: Mapping[str, int] = data["splits"]
    given = splits.get("train", 0) + splits.get("unassigned", 0)
    kept = "test" in splits and "train" in splits and config.data.split in ("auto", "official")
    every = given if kept else round(int(data["patches"]) * (1 - config.data.test_fraction))
    most = every if config.data.limit is None else min(every, config.data.limit)
    tumours = round(most * _tumour_part(data))
    normal_share, tumour_share = class_shares(config.data)
    return round(normal_share * (most - tumours)), round(tumour_share * tumours)


def _tumour_part(data: Mapping[str, Any]) -> float:
    counts = [count for split, count in data.get("counts", {}).items() if split in ("train", "unassigned")]
    every = sum(count["normal"] + count["tumour"] for count in counts)
    return sum(count["tumour"] for count in counts) / every if every else 0.5


def cautions(config: RunConfig, data: Mapping[str, Any]) -> list[str]:
    """What is odd about a run, or would end it late, in sentences."""
    return list(_cautions(config, data))


def _cautions(config: RunConfig, data: Mapping[str, Any]) -> Iterator[str]:
    classifier, splits = config.classifier, data["splits"]
    if data["provenance"] == "tissue":
        yield "The built-in tissue stands in for real patches: results say nothing about real tissue."
    if data["provenance"] == "synthetic" and config.generator is not None:
        yield "The generator learns from the synthetic patches of another run."
    if data["provenance"] == "synthetic" and config.synthesis.source is not None:
        yield "data.source and synthesis.source are both synthetic patches: no real ones are trained on."
    if "test" not in splits and config.data.slides is None and not data.get("slides_known"):
        yield "Neither a test split nor slides are known: patches of one slide may be in training and in test."
    if classifier.validation == "official" and "valid" not in splits:
        yield "classifier.validation is 'official' and the source has no validation split: the run would fail."
    if config.has_synthetic and classifier.train_on == "real":
        made = "made" if config.generator is not None else "taken"
        yield f"The synthetic patches are {made} and not trained on: classifier.train_on is 'real'."
    normal, tumour = _expected_classes(config, data)
    if class_shares(config.data) != (1, 1) and min(normal, tumour) < LEAST:
        yield (
            f"data.train_share and data.tumour_share leave about {normal} normal and {tumour} tumour patches to train "
            "on: the run would fail; keep more of them."
        )
    share = classifier.synthetic_proportion
    if classifier.train_on == "both" and share / (1 - share) > config.synthesis.ratio * 1.001:
        yield (
            f"classifier.synthetic_proportion {share} needs more synthetic patches than synthesis.ratio makes: "
            f"the run would fail; set it to {share / (1 - share):.2f}."
        )


def _work(tree: Tree, patches: int) -> dict[str, float]:
    """Patches that each stage goes through, those of every epoch counted."""
    generator, classifier, ratio = tree["generator"], tree["classifier"], tree["synthesis"]["ratio"]
    share = classifier["synthetic_proportion"]
    parts = {"real": 1.0, "synthetic": ratio, "both": 1 / (1 - share)}
    epochs = classifier["epochs"]
    work = {"classifier": epochs * patches * parts[classifier["train_on"]]}
    if generator:
        work |= {"generator": generator.get("epochs", 1) * patches, "synthesis": ratio * patches}
        if (prior := generator.get("latent_prior")) and not tree["synthesis"].get("reconstruct"):
            work["latent_prior"] = prior["epochs"] * patches
    if tree["evaluation"]["reference"] and classifier["train_on"] != "real":
        work["reference"] = epochs * patches
    return work


def _newest(runs: Path) -> list[RunFolder]:
    try:
        names = sorted((path.name for path in runs.iterdir() if not path.name.startswith(".")), reverse=True)
    except OSError:
        return []
    return [RunFolder(runs / name) for name in names[:_LOOKED_AT]]


def _speeds(folder: RunFolder, tree: Tree, device: str) -> dict[str, float]:
    """Patches per second of the stages of an earlier run that did the same on the same device."""
    try:
        first = read_first(folder.events)
        if not isinstance(first, RunStarted) or (first.device or _device_taken(folder)) != device:
            return {}
        if folder.events.stat().st_size > _LARGEST_LOG:
            return {}
        earlier = read_json(folder.config)
        counts = read_json(folder.data / "manifest.json")["counts"]["train"]
        work = _work(earlier, int(counts["normal"]) + int(counts["tumour"]))
        same = {stage for stage in work if _shape(earlier, stage) == _shape(tree, stage)}
    # An earlier run that cannot be read is no measure; it is not this run's business to complain about it.
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {
        stage: work[stage] / seconds for stage, seconds in _seconds(folder).items() if stage in same and seconds > 0
    }


def _device_taken(folder: RunFolder) -> str:
    """The device of a run that had to wait for one."""
    said = read_json(folder.environment)
    return f"{said['device']} ({said['device_name']})"


def _seconds(folder: RunFolder) -> dict[str, float]:
    """How long each stage took; nothing of a run that was resumed, whose stages were measured in part."""
    events = EventReader(folder.events).read()
    if any(isinstance(event, Resumed) for event in events):
        return {}
    return {
        event.stage: event.seconds
        for event in events
        if isinstance(event, StageFinished) and not _was_taken(folder, event.stage)
    }


def _was_taken(folder: RunFolder, stage: str) -> bool:
    """Whether a stage's result was trained by another run, which took this one no time."""
    try:
        return was_taken(CheckpointFolder(folder.checkpoints / stage).final_meta())
    # As above: what cannot be read is no business of this run's.
    except CheckpointError:
        return False


def _shape(tree: Tree, stage: str) -> Tree:
    """What decides a stage's speed: all but its length and its real numbers, which are rates and weights."""
    owner = "generator" if stage in ("generator", "latent_prior", "synthesis") else "classifier"
    settings = {**(tree[owner] or {}), "crop": tree["data"]["crop"], "owner": owner, **tree["training"]}
    ignored = {"epochs", "train_on", "validation", "real_validation", "reuse", "log_every", "sample_every"}
    return {
        name: value
        for name, value in settings.items()
        if name not in ignored and value is not None and not isinstance(value, float)
    }
