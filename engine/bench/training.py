"""Training steps: the trainer against a bare loop, and against the loop that the study ran."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from engine.batches import TrainingBatches, to_float
from engine.bench.data import packed_noise, write_kaggle
from engine.bench.timing import Goal, Result, compare, seconds
from engine.classifiers import build_classifier
from engine.data.patches import PatchSet
from engine.generators import build_generator
from engine.generators.base import Model
from engine.spec.config import TrainingConfig
from engine.spec.presets import PRESETS
from engine.trainer import Trainer

BATCH, CROP = 32, 64


def step_against_bare_loop(folder: Path, preset: str, device: torch.device) -> Result:
    """The real trainer on the real data path against the same model on one fixed batch, nothing else done."""
    trainer = make_trainer(folder, preset, device)
    bare = bare_loop(make_model(preset), device)
    meaning = f"{preset}: seconds per step of the trainer, against a bare loop on one fixed batch"
    return compare(
        f"step {preset}",
        synchronised(trainer.advance, device),
        bare,
        meaning,
        Goal("at most", 1.05),
        rounds=100,
        times=2,
    )


def step_against_study_loop(folder: Path, device: torch.device, patches: int = 2048) -> Result:
    """The classifier's training against the study's way: workers decode tifs, floats are made on the host, .item()."""
    write_kaggle(folder / "study", patches)
    trainer = make_trainer(folder, "baseline", device)
    loader = DataLoader(Tifs(folder / "study"), batch_size=BATCH, shuffle=True, num_workers=2, drop_last=True)
    steps = len(loader)
    model = make_model("baseline").to(device)
    study = study_epoch(model, loader, device)
    meaning = f"baseline: {steps * BATCH} patches through a training epoch, against the study's own loop"
    ours = synchronised(lambda: seconds(trainer.advance, steps), device)
    return compare("against the study", ours, study, meaning, Goal("at least", 1.0), rounds=3)


def make_model(preset: str) -> Model:
    torch.manual_seed(0)
    config = PRESETS[preset].config
    return (
        build_classifier(config.classifier, CROP)
        if config.generator is None
        else build_generator(config.generator, CROP)
    )


def make_trainer(folder: Path, preset: str, device: torch.device, patches: int = 4096) -> Trainer:
    images = packed_noise(folder / f"{preset}-{patches}.npy", patches, CROP)
    own = PatchSet(images, (np.arange(patches) % 2).astype(np.uint8), np.arange(patches))
    return Trainer(make_model(preset), TrainingBatches(own, BATCH, 0, device), TrainingConfig(), 0, device)


def bare_loop(model: Model, device: torch.device) -> Callable[[], None]:
    """Steps of every phase in turn, as the trainer takes them, on a batch that is there already."""
    model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    bytes_ = torch.randint(0, 256, (BATCH, CROP, CROP, 3), dtype=torch.uint8, device=device)
    images, labels = to_float(bytes_), torch.arange(BATCH, device=device) % 2
    pairs = [(p, torch.optim.Adam(p.parameters, lr=p.learning_rate, betas=p.betas, fused=True)) for p in model.phases()]
    step = 0

    def advance() -> None:
        nonlocal step
        for phase, optimizer in pairs:
            if phase.is_due(step):
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    loss = model.loss(phase.name, images, labels)
                optimizer.zero_grad(set_to_none=True)
                loss.total.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        step += 1

    return synchronised(advance, device)


class Tifs(Dataset[tuple[Tensor, int]]):
    """One tif at a time, decoded, cropped and made float on the host."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted((folder / "train").glob("*.tif"))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        edge = 16
        pixels = np.asarray(Image.open(self._paths[index]))[edge:-edge, edge:-edge]
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255, index % 2


def study_epoch(model: Model, loader: "DataLoader[tuple[Tensor, int]]", device: torch.device) -> Callable[[], None]:
    """One epoch in the study's way."""
    (phase,) = model.phases()
    optimizer = torch.optim.Adam(phase.parameters, lr=phase.learning_rate, betas=phase.betas)

    def epoch() -> None:
        total = 0.0
        for images, labels in loader:
            loss = model.loss(phase.name, images.to(device), labels.to(device)).total
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()

    return epoch


def synchronised(work: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """The work, with what it left running on the device waited for."""

    def waited() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return waited
