"""Feature spaces of one's own: a TorchScript program, or a classifier that an earlier run has trained."""

import hashlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.checkpoints import State
from engine.classifiers import build_classifier
from engine.quality.features import Space, classifier_space
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, DataError
from engine.spec.resolve import load as load_config
from engine.spec.run_folder import RunFolder

_SETTING: Final = "quality.features"
_TRIED: Final = (2, 1, 3)
"""Batches that an extractor is tried on: what mixes up patches does not give each of them as many features."""


def own_space(config: RunConfig, device: torch.device) -> Space:
    """The space that `quality.features` names, tried on blank patches; ConfigError where it cannot be one.

    A file ending in .pt or .ts is TorchScript: it is called with images (B, 3, S, S) float32 in [-1, 1], S the crop,
    and must give features (B, D); whatever else its network wants, such as other units or a larger side, it has to see
    to itself. Its archive holds pickled data, which PyTorch reads without running any of Python's; but a TorchScript
    file is a program with PyTorch's operators, which can read and write files: take it only from where you would take
    code. A file ending in .safetensors is a classifier's checkpoint in a run folder, whose config.json says what
    network the weights are of; it holds nothing but numbers.
    """
    path = Path(str(config.quality.features)).expanduser()
    read = _READERS.get(path.suffix)
    if read is None:
        raise ConfigError(f"{_SETTING} {path}: a file ending in {', '.join(_READERS)} is needed")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    except OSError as error:
        raise ConfigError(f"{_SETTING} {path}: cannot be read ({error.strerror})") from None
    space = _checked(read(path, f"{path.name} ({digest})", config.data.crop, device))
    check_features(space, config.data.crop, device)
    return space


def check_extractor(config: RunConfig, device: torch.device) -> list[str]:
    """What to say of a run's own feature space, if it has one; ConfigError where its file cannot be one."""
    if not config.measures_quality or config.quality.features is None:
        return []
    features = check_features(own_space(config, device), config.data.crop, device)
    if features < config.quality.patches:
        return []
    return [
        f"quality.features gives {features} features, and the Fréchet distance needs more patches than that: "
        f"it is left out within a class; set quality.patches to {features + 1} if there are so many"
    ]


def check_features(space: Space, side: int, device: torch.device) -> int:
    """How many features a space has; ConfigError where it gives something else than a row of numbers per patch."""
    widths = [_try(space, torch.zeros(count, 3, side, side, device=device)) for count in _TRIED]
    if len(set(widths)) > 1:
        raise ConfigError(
            f"{_SETTING} {space.name}: gives {widths[0]} features in one batch and {widths[1]} in another"
        )
    return widths[0]


def _try(space: Space, images: Tensor) -> int:
    """How many features there are of each of these blank patches."""
    try:
        with torch.no_grad():
            features = space.features(images)
    except DataError as error:
        raise ConfigError(f"{_SETTING} {error}") from None
    if not torch.isfinite(features).all():
        raise ConfigError(f"{_SETTING} {space.name}: gives features that are not finite for a grey patch")
    return int(features.shape[1])


def _checked(space: Space) -> Space:
    """The space, whose features are a row of numbers for each patch or a DataError."""

    def features(images: Tensor) -> Tensor:
        try:
            found = space.features(images)
        # Whatever goes wrong in a TorchScript program comes as one of these, what it raises itself as the second.
        except (RuntimeError, torch.jit.Error) as error:
            told = str(error).strip().splitlines() or ["no reason given"]
            raise DataError(
                f"{space.name}: fails on {len(images)} patches of {images.shape[-1]} pixels ({told[-1].strip()})"
            ) from None
        if not isinstance(found, Tensor) or not found.is_floating_point():
            raise DataError(f"{space.name}: gives something else than a tensor of floating-point numbers")
        if found.ndim != 2 or len(found) != len(images) or not found.shape[1]:
            raise DataError(
                f"{space.name}: gives the shape {tuple(found.shape)} for {len(images)} patches; "
                f"({len(images)}, D) is needed, D features for each"
            )
        return found

    return Space(space.name, features)


def _torchscript(path: Path, name: str, _: int, device: torch.device) -> Space:
    try:
        with warnings.catch_warnings():
            # It is deprecated in favour of torch.export, whose files are not what people have.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"{_SETTING} {path}: not a TorchScript file ({str(error).splitlines()[0]})") from None
    return Space(name, module.eval())


def _classifier(path: Path, name: str, side: int, device: torch.device) -> Space:
    run = RunFolder(path.resolve().parents[3]) if len(path.resolve().parents) > 3 else None
    if run is None or not run.config.exists():
        raise ConfigError(
            f"{_SETTING} {path}: weights alone say nothing of their network; name a classifier's state.safetensors in "
            "a run folder, or a TorchScript file"
        )
    trained = load_config(run.config)
    if trained.data.crop != side:
        raise ConfigError(
            f"{_SETTING} {path}: a classifier of patches of {trained.data.crop} pixels, and data.crop is {side}"
        )
    try:
        weights = State(load_file(path), {}).part("model")
        classifier = build_classifier(trained.classifier, side)
        classifier.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{_SETTING} {path}: not the classifier that {run.id} trains ({reason})") from None
    return classifier_space(f"{trained.classifier.kind} of {run.id} {name}", classifier.to(device))


_READERS: Final[Mapping[str, Callable[[Path, str, int, torch.device], Space]]] = {
    ".pt": _torchscript,
    ".ts": _torchscript,
    ".safetensors": _classifier,
}
