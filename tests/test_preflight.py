"""The memory preflight against what is really allocated, and its verdicts."""

from pathlib import Path
from typing import Any

import pytest
import torch
from toys import CPU, toy_patches

from engine import preflight
from engine.batches import TrainingBatches
from engine.checkpoints import CheckpointFolder
from engine.classifiers import build_classifier
from engine.generators import build_generator
from engine.generators.base import Model
from engine.preflight import Footprint, PeakMemory, answer_preflight, footprint, footprints
from engine.progress import silent
from engine.spec.classifier_config import ClassifierFitConfig, CnnConfig, ResnetConfig
from engine.spec.config import RunConfig, TrainingConfig
from engine.spec.errors import ConfigError, DeviceError
from engine.spec.generator_config import DiffusionConfig, GanConfig, VaeConfig
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, dump
from engine.trainer import Trainer

SIDE, BATCH = 64, 32


def build(config: VaeConfig | GanConfig | ClassifierFitConfig) -> Model:
    return build_classifier(config, SIDE) if isinstance(config, ClassifierFitConfig) else build_generator(config, SIDE)


def allocated_peak(config: VaeConfig | GanConfig | ClassifierFitConfig, folder: Path) -> int:
    """The profiler's account of the bytes that the real trainer holds at once in a few steps and a checkpoint."""
    patches = toy_patches(2 * BATCH, SIDE)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        trainer = Trainer(build(config), TrainingBatches(patches, BATCH, 0, CPU), TrainingConfig(), 0, CPU)
        for _ in range(6):
            trainer.advance()
        CheckpointFolder(folder).save(6, trainer.state())
    now = peak = 0
    for event in profile.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


@pytest.mark.parametrize(
    "config",
    [
        VaeConfig(latent_dim=256, channels=16),
        VaeConfig(latent_dim=16, channels=64),
        GanConfig(latent_dim=128, channels=16),
        DiffusionConfig(channels=16),
        CnnConfig(channels=16),
        ResnetConfig(),
    ],
    ids=["vae", "vae-wide", "gan", "diffusion", "cnn", "resnet"],
)
def test_the_estimate_is_within_5_percent_of_what_is_allocated(
    config: VaeConfig | GanConfig | ClassifierFitConfig, tmp_path: Path
) -> None:
    estimate = footprint("x", lambda: build(config), BATCH, SIDE, torch.float32)
    assert estimate.peak == pytest.approx(allocated_peak(config, tmp_path), rel=0.05)


def test_parameters_weights_and_optimizer_are_counted() -> None:
    config = VaeConfig(latent_dim=5, channels=2)
    model = build(config)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    buffers = sum(buffer.nbytes for buffer in model.buffers())
    estimate = footprint("x", lambda: build(config), BATCH, SIDE, torch.float32)
    steps = 4 * len(list(model.parameters()))
    assert (estimate.parameters, estimate.weights) == (parameters, 4 * parameters + buffers)
    assert estimate.optimizer == 8 * parameters + steps


def test_an_average_of_the_weights_is_counted_as_weights_and_not_as_parameters() -> None:
    config = DiffusionConfig(channels=4)
    trained = sum(parameter.numel() for phase in build(config).phases() for parameter in phase.parameters)
    estimate = footprint("x", lambda: build(config), BATCH, SIDE, torch.float32)
    assert (estimate.parameters, estimate.weights) == (trained, 2 * 4 * trained)


def test_peak_memory_follows_what_is_freed() -> None:
    with PeakMemory() as memory:
        first = torch.zeros(1000)
        del first
        second = torch.zeros(600)
        view = second[10:].view(59, 10)
        assert (memory.now, memory.peak) == (2400, 4000)
        del second
        assert memory.now == 2400
        del view
        assert memory.now == 0


def test_the_study_s_largest_preset_is_bound_by_its_weights() -> None:
    (generator, _) = footprints(PRESETS["vae-4000-c256"].config, torch.float32)
    assert generator.parameters == 481_446_723
    assert generator.binds == "weights and optimizer"
    assert 16 * generator.parameters <= generator.peak <= 1.15 * 16 * generator.parameters


def test_a_large_batch_is_bound_by_activations() -> None:
    config = apply(PRESETS["vae-100"].config, [{"generator": {"batch_size": 1024}}])
    assert footprints(config, torch.float32)[0].binds == "activations"


def ask(config: RunConfig, monkeypatch: pytest.MonkeyPatch, free: int) -> dict[str, Any]:
    monkeypatch.setattr(preflight, "free_memory", lambda _: free)
    return answer_preflight({"config": dump(config)}, silent)


def test_on_a_small_device_the_largest_preset_is_refused_with_what_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask(PRESETS["vae-4000-c256"].config, monkeypatch, free=4 << 30)
    assert not answer["fits"]
    assert answer["binds"] == "weights and optimizer"
    assert answer["peak_bytes"] > 7 << 30
    assert answer["advice"] == "--set generator.channels=128 would fit"
    fitting = apply(PRESETS["vae-4000-c256"].config, [{"generator": {"channels": 128}}])
    assert ask(fitting, monkeypatch, free=4 << 30)["fits"]


def test_where_activations_bind_the_advice_is_a_smaller_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    config = apply(PRESETS["vae-100"].config, [{"generator": {"batch_size": 4096}}])
    assert ask(config, monkeypatch, free=1 << 30)["advice"].startswith("--set generator.batch_size=")


def test_no_batch_smaller_than_a_classifier_takes_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    config = apply(PRESETS["baseline-resnet"].config, [{"data": {"crop": 96}, "classifier": {"batch_size": 64}}])
    assert ask(config, monkeypatch, free=60 << 20)["advice"].startswith("--set classifier.batch_size=")
    assert ask(config, monkeypatch, free=1 << 20)["advice"] == "no batch_size is small enough for this device"


def test_what_fits_says_so_and_counts_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask(PRESETS["vae-100"].config, monkeypatch, free=4 << 30)
    assert answer["fits"] and answer["advice"] == ""
    assert answer["disk_bytes"] >= 8000 * 64 * 64 * 3
    assert answer["data"]["patches"] == 10_000


def test_the_most_useful_weights_are_kept_beside_those_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    last = PRESETS["latent-flow"].config
    useful = apply(last, [{"monitoring": {"generator_choice": "usefulness"}}])
    before, after = (ask(config, monkeypatch, free=16 << 30) for config in (last, useful))
    largest = max(stage["weights"] for stage in before["stages"] if stage["stage"] != "classifier")
    assert after["peak_bytes"] - before["peak_bytes"] == 2 * largest
    assert after["disk_bytes"] - before["disk_bytes"] == 3 * largest


@pytest.mark.parametrize("preset", ["gan-bce", "vae-100"])
def test_a_batch_that_batch_normalisation_cannot_take_is_refused(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = apply(PRESETS[preset].config, [{"data": {"crop": 16}, "generator": {"batch_size": 1}}])
    with pytest.raises(ConfigError, match=r"generator: no step .* on 1 patches of 16 pixels .*generator.batch_size to"):
        ask(config, monkeypatch, free=4 << 30)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match="device cuda:7: not there; this machine has cpu"):
        answer_preflight({"config": dump(apply(RunConfig(), [{"device": "cuda:7"}]))}, silent)


def test_what_binds_is_what_is_more_than_half() -> None:
    assert Footprint("x", 1, weights=20, optimizer=11, peak=100).binds == "weights and optimizer"
    assert Footprint("x", 1, weights=20, optimizer=9, peak=100).binds == "activations"


def test_a_crop_larger_than_the_patches_is_refused_before_the_run() -> None:
    with pytest.raises(
        ConfigError, match=r"data\.crop: 112 is more than the patches have, 96x96 pixels; set it to at most 96"
    ):
        answer_preflight({"config": dump(apply(RunConfig(), [{"data": {"crop": 112}}]))}, silent)


def test_the_disk_that_a_limited_run_needs_is_that_of_its_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = apply(PRESETS["vae-100"].config, [{"data": {"limit": 400}}])
    whole = ask(PRESETS["vae-100"].config, monkeypatch, free=4 << 30)["disk_bytes"]
    assert whole - ask(limited, monkeypatch, free=4 << 30)["disk_bytes"] == (8000 - 400) * 64 * 64 * 3
