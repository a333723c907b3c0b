"""The memory and disk that a run will need, from fake tensors, before anything is allocated."""

import shutil
import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.batches import DEVICE_SHARE, to_float
from engine.borrowing import open_earlier, shortage
from engine.classifiers import build_classifier
from engine.data.inspection import probe
from engine.data.packing import check_crop
from engine.device import (
    choose_device,
    compute_dtype,
    device_key,
    device_name,
    free_memory,
    possible_devices,
    total_memory,
)
from engine.device_queue import DeviceQueue
from engine.generators import build_generator
from engine.generators.base import LatentGenerator, Loss, Model, Phase
from engine.neighbours import neighbour_cautions
from engine.outlook import cautions, expected_duration, expected_training
from engine.progress import Report
from engine.quality.extractors import check_extractor
from engine.spec import logout
from engine.spec.config import RunConfig
from engine.spec.config_parts import FitConfig
from engine.spec.errors import ConfigError
from engine.spec.resolve import apply, parse_override, validate
from engine.trainer import require_gradients
from engine.waiting import queue_folder

_CUDA_CONTEXT = 600 << 20
"""Bytes that a CUDA context and its libraries take beside all tensors."""

_CHECKPOINTS_AT_ONCE = 3
"""Two complete checkpoints and the one being written."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What training one model takes, in bytes; the peak has weights, gradients, optimizer and activations in it."""

    stage: str
    parameters: int
    weights: int
    optimizer: int
    peak: int

    @property
    def standing(self) -> int:
        """Weights, gradients and optimizer: what is there whatever the batch size."""
        return 2 * self.weights + self.optimizer

    @property
    def binds(self) -> str:
        return "weights and optimizer" if self.standing > self.peak / 2 else "activations"


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of every storage made while it is active, and their highest sum."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def count(self, tensor: Tensor) -> None:
        """Add a tensor's storage, once, until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.count(leaf)
        return result


def footprint(stage: str, build: Callable[[], Model], batch_size: int, side: int, dtype: torch.dtype) -> Footprint:
    """The memory that two training steps of a model take, without allocating any of it."""
    with FakeTensorMode(), PeakMemory() as memory:
        model = build().train()
        weights = memory.now
        optimizers = {phase: torch.optim.Adam(phase.parameters, lr=1e-3, fused=True) for phase in model.phases()}
        # The second step is the first with the optimizers' moments in place.
        for _ in range(2):
            images = to_float(torch.zeros(batch_size, side, side, 3, dtype=torch.uint8))
            labels = torch.zeros(batch_size, dtype=torch.int64)
            for phase, optimizer in optimizers.items():
                require_gradients(list(optimizers), phase)
                loss = _loss(stage, model, phase, images, labels, dtype)
                optimizer.zero_grad(set_to_none=True)
                loss.total.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                del loss
        states: list[Tensor] = [
            tensor
            for optimizer in optimizers.values()
            for state in optimizer.state.values()
            for tensor in state.values()
        ]
        return Footprint(
            stage=stage,
            parameters=sum(parameter.numel() for phase in optimizers for parameter in phase.parameters),
            weights=weights,
            optimizer=sum(tensor.nbytes for tensor in states),
            peak=max(
                memory.peak, memory.now + sum(copied_to_save(tensor) for tensor in (*model.parameters(), *states))
            ),
        )


def _loss(stage: str, model: Model, phase: Phase, images: Tensor, labels: Tensor, dtype: torch.dtype) -> Loss:
    """The loss as the trainer computes it; ConfigError where the networks cannot take such a batch."""
    try:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return model.loss(phase.name, images, labels)
    # Batch normalisation says so of a batch that is one value.
    except ValueError as error:
        told = str(error).partition(", got")[0]
        raise ConfigError(
            f"{stage}: no step can be taken on {len(images)} patches of {images.shape[-1]} pixels ({told}): "
            f"set {'classifier' if stage == 'classifier' else 'generator'}.batch_size to more, or data.crop"
        ) from None


def copied_to_save(tensor: Tensor) -> int:
    """Bytes of the copy that a checkpoint needs of a tensor: convolutions train channels-last and are saved plain."""
    return tensor.nbytes if tensor.dim() == 4 else 0


class _OnLatents(Model):
    """The prior of a generator in training, with the networks that its latents come from."""

    def __init__(self, generator: LatentGenerator) -> None:
        super().__init__()
        self.generator = generator

    def phases(self) -> tuple[Phase, ...]:
        return self.generator.latent_prior.phases()

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        with torch.no_grad():
            latents = self.generator.latents(images, labels)
        return self.generator.latent_prior.loss(phase, latents, labels)


def footprints(config: RunConfig, dtype: torch.dtype) -> list[Footprint]:
    """What each model of a run takes, the generator first."""
    side = config.data.crop
    found = []
    if (generator := config.generator) is not None:
        batch_size = generator.batch_size if isinstance(generator, FitConfig) else 1
        found.append(footprint("generator", lambda: build_generator(generator, side), batch_size, side, dtype))
    if (prior := config.latent_prior) is not None:
        found.append(footprint("latent_prior", lambda: _prior_of(config), prior.batch_size, side, dtype))
    classifier = config.classifier
    found.append(
        footprint("classifier", lambda: build_classifier(classifier, side), classifier.batch_size, side, dtype)
    )
    return found


def _prior_of(config: RunConfig) -> _OnLatents:
    if config.generator is None or not isinstance(
        model := build_generator(config.generator, config.data.crop), LatentGenerator
    ):
        raise ConfigError("generator: this kind has no latent prior to train")
    return _OnLatents(model)


def answer_preflight(arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    """What a run will need and whether it fits; DeviceError or DataError where it cannot begin."""
    config = validate(arguments["config"])
    device = choose_device(config.device)
    report("memory", 0, 1)
    data = probe(config.data)
    check_crop(config.data.crop, int(data["side"]))
    odd = check_extractor(config, device)
    earlier = None if config.synthesis.source is None else open_earlier(config)
    dtype = compute_dtype(device, config.training)
    found = footprints(config, dtype)
    needed = max(found, key=lambda each: each.peak)
    patches = expected_patches(config, data)
    available, margin = _obtainable(config), _beside_tensors(config, found, patches, device)
    fits = needed.peak + margin <= available
    training = expected_training(config, data)
    disk = _disk_bytes(config, found, training)
    runs = str(arguments.get("runs", "."))
    free = shutil.disk_usage(_existing(runs)).free
    missing = [] if earlier is None else shortage(config, earlier, training)
    duration = expected_duration(config, training, f"{device} ({device_name(device)})", Path(runs))
    return {
        "device": str(device),
        "device_name": device_name(device),
        "stage": needed.stage,
        "parameters": needed.parameters,
        "weights_bytes": needed.weights,
        "optimizer_bytes": needed.optimizer,
        "peak_bytes": needed.peak + margin,
        "available_bytes": available,
        "binds": needed.binds,
        "fits": fits and disk <= free,
        "advice": "" if fits else advice(config, needed, available - margin, dtype),
        "disk_bytes": disk,
        "disk_free_bytes": free,
        "stages": [asdict(each) | {"binds": each.binds} for each in found],
        "data": data,
        "training_patches": training,
        "seconds": duration.seconds if duration else None,
        "seconds_like": duration.runs if duration else (),
        "warnings": [*cautions(config, data), *missing, *odd, *_around(config)],
    }


def _obtainable(config: RunConfig) -> int:
    """Bytes on the roomiest device that the run may get; one that a run holds now is waited for, until it is free."""
    queue = DeviceQueue(queue_folder())
    return max(
        total_memory(device) if device.type != "cpu" and queue.is_taken(device_key(device)) else free_memory(device)
        for device in possible_devices(config.device)
    )


def _around(config: RunConfig) -> list[str]:
    """What there is to say of the machine: who else is on the device, and what logging out would do."""
    return [*neighbour_cautions(possible_devices(config.device), DeviceQueue(queue_folder())), *logout.cautions()]


def expected_patches(config: RunConfig, data: dict[str, Any]) -> int:
    """How many patches the run will work on, training and test together."""
    patches, limit = int(data["patches"]), config.data.limit
    return patches if limit is None else min(patches, limit + max(2, limit // 4))


def _beside_tensors(config: RunConfig, found: list[Footprint], patches: int, device: torch.device) -> int:
    """Bytes on the device beside what a step allocates.

    On CUDA its context, and the patches where they go there whole; else the weights that are kept in host memory.
    """
    if device.type != "cuda":
        # Better ones are copied before those that they replace go.
        return 2 * _kept_weights(config, found)
    size = patches * config.data.crop**2 * 3
    return _CUDA_CONTEXT + (size if size <= free_memory(device) * DEVICE_SHARE else 0)


def _kept_weights(config: RunConfig, found: list[Footprint]) -> int:
    """Bytes of the most useful epoch's weights, kept beside those in training where the run chooses by usefulness."""
    if config.monitoring.generator_choice != "usefulness":
        return 0
    return max((each.weights for each in found if each.stage != "classifier"), default=0)


def advice(config: RunConfig, needed: Footprint, available: int, dtype: torch.dtype) -> str:
    """Settings that would fit: a smaller batch where activations bind, a narrower network where weights do."""
    generator = config.generator
    owners = {
        "generator": ("generator", generator),
        "latent_prior": ("generator.latent_prior", getattr(generator, "latent_prior", None)),
        "classifier": ("classifier", config.classifier),
    }
    path, owner = owners[needed.stage]
    name = "batch_size" if needed.binds == "activations" else "width" if hasattr(owner, "width") else "channels"
    value = int(getattr(owner, name, 0)) // 2
    while value >= 1:
        try:
            smaller = apply(config, [parse_override(f"{path}.{name}={value}")])
        except ConfigError:
            break
        if max(each.peak for each in footprints(smaller, dtype)) <= available:
            return f"--set {path}.{name}={value} would fit"
        value //= 2
    return f"no {name} is small enough for this device"


def _disk_bytes(config: RunConfig, found: list[Footprint], training: int) -> int:
    """Synthetic patches, and the checkpoints that lie there at once."""
    synthetic = 0
    if config.has_synthetic:
        synthetic = int(training * config.synthesis.ratio) * config.data.crop**2 * 3
    largest = max(each.weights + each.optimizer for each in found)
    return synthetic + _CHECKPOINTS_AT_ONCE * (largest + _kept_weights(config, found))


def _existing(path: str) -> Path:
    """The nearest folder above that exists."""
    folder = Path(path).resolve()
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
