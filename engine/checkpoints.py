"""Checkpoints: tensors as safetensors and the rest as JSON, in a folder that is complete or not there at all."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.spec.atomic import publishing
from engine.spec.errors import CheckpointError, StorageError
from engine.spec.failpoints import Act, Write, reach
from engine.spec.json_file import read_json
from engine.storage import sha256_of

KEEP = 2
"""Complete checkpoints to keep of a stage at work, so that a damaged one has a predecessor."""

FINAL = "final"
_TENSORS, _META, MANIFEST = "state.safetensors", "state.json", "manifest.json"


@dataclass(frozen=True, slots=True)
class State:
    """Everything needed to go on: tensors by name, and values that JSON can hold."""

    tensors: Mapping[str, Tensor]
    meta: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix.`, without it."""
        return {
            name[len(prefix) + 1 :]: tensor for name, tensor in self.tensors.items() if name.startswith(f"{prefix}.")
        }


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with `prefix.` before their names, as `State.part` takes them apart."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


class CheckpointFolder:
    """The checkpoints of one stage: `step-00000500/` while it is at work, `final/` when it is done."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_final(self) -> bool:
        return (self.path / FINAL / MANIFEST).exists()

    @property
    def has_begun(self) -> bool:
        return bool(self._steps())

    @property
    def latest(self) -> Path | None:
        """The newest of a stage at work, whole or damaged."""
        return next(reversed(self._steps()), None)

    def save(self, step: int, state: State) -> Path:
        """Write a checkpoint and forget the oldest. StorageError leaves what was there untouched."""
        target = self.path / f"step-{step:08d}"
        if not target.exists():
            _write(target, state)
        self._forget(self._steps()[:-KEEP])
        return target

    def save_final(self, state: State) -> Path:
        """Write the stage's result and remove its steps."""
        target = self.path / FINAL
        if not target.exists():
            _write(target, state)
        self._forget(self._steps())
        return target

    def load_final(self) -> State:
        return read(self.path / FINAL)

    def final_meta(self) -> dict[str, Any]:
        """What is saved beside the result's tensors, which are not read; empty where there is no result."""
        return self._read_of_final(_META)

    def final_digest(self) -> str | None:
        """SHA-256 of the result's tensors as they were written; None where there is no result."""
        try:
            digests = self._read_of_final(MANIFEST)
            return str(digests["sha256"][_TENSORS]) if digests else None
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{self.path / FINAL}: damaged ({error}); remove it and resume") from None

    def load_latest(self) -> tuple[State | None, list[str]]:
        """The newest checkpoint that is whole, None where there is none; and what is wrong with newer ones.

        These are removed, so that their steps can be saved again.
        """
        problems: list[str] = []
        for folder in reversed(self._steps()):
            try:
                return read(folder), problems
            except CheckpointError as error:
                problems.append(str(error))
                shutil.rmtree(folder)
        return None, problems

    def _read_of_final(self, name: str) -> dict[str, Any]:
        try:
            tree: dict[str, Any] = read_json(self.path / FINAL / name)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path / FINAL}: damaged ({error}); remove it and resume") from None
        return tree

    def _forget(self, folders: list[Path]) -> None:
        for folder in folders:
            reach(Act.CHECKPOINT_FORGET)
            shutil.rmtree(folder)

    def _steps(self) -> list[Path]:
        return sorted(self.path.glob("step-*"))


def verify(folder: Path) -> None:
    """CheckpointError where a part of a checkpoint is missing or not what was written."""
    try:
        digests = read_json(folder / MANIFEST)["sha256"]
        for name in (_TENSORS, _META):
            if sha256_of(folder / name) != digests[name]:
                raise CheckpointError(f"{folder}: damaged, {name} is not what was written; remove it and resume")
    # Any other OSError may pass, and is no reason to take the checkpoint for damaged.
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: damaged ({error}); remove it and resume") from None


def read(folder: Path) -> State:
    """A checkpoint, verified against its manifest; CheckpointError where a part is missing or damaged."""
    verify(folder)
    try:
        return State(load_file(folder / _TENSORS), read_json(folder / _META))
    except (FileNotFoundError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: damaged ({error}); remove it and resume") from None


def _write(target: Path, state: State) -> None:
    """Files, then their digests, then the rename that makes it a checkpoint; each on disk before the next."""
    try:
        with publishing(target, Write.CHECKPOINT) as partial:
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
            save_file(tensors, partial / _TENSORS)
            (partial / _META).write_text(json.dumps(state.meta), encoding="utf-8")
            digests = {name: sha256_of(partial / name) for name in (_TENSORS, _META)}
            (partial / MANIFEST).write_text(json.dumps({"sha256": digests}), encoding="utf-8")
    # A full disk shows as any of these, by whoever meets it first.
    except (OSError, SafetensorError, RuntimeError) as error:
        free = shutil.disk_usage(target.parent).free if target.parent.exists() else 0
        raise StorageError(f"{target}: cannot be written ({error}); {free / 2**20:.0f} MiB are free there") from error
