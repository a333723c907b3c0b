"""environment.json: what a result depends on besides its config. An allow-list; nothing else is recorded."""

import hashlib
import json
import platform
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.spec.atomic import write_text
from engine.spec.environments import read_environments
from engine.spec.failpoints import Write
from engine.spec.version import VERSION

if TYPE_CHECKING:
    import torch

_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pillow", "h5py", "safetensors", "pydantic")


def write_environment(path: Path, device: "torch.device") -> None:
    """What works on the run now; what has worked on it before and was something else stays as `earlier`."""
    now = describe_environment(device)
    earlier = [said for said in read_environments(path) if said != now]
    tree = now | ({"earlier": earlier} if earlier else {})
    write_text(path, json.dumps(tree, indent=2) + "\n", Write.ENVIRONMENT)


def describe_environment(device: "torch.device") -> dict[str, Any]:
    """Versions, commit of a source checkout, what the engine's files are, device, threads and host."""
    import torch

    from engine.device import device_name

    return {
        "histotui": VERSION,
        "commit": git_commit(Path(__file__).parent),
        "engine_sha256": digest_of_source(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in _PACKAGES},
        "cuda": torch.version.cuda,
        "device": str(device),
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
    }


def digest_of_source(folder: Path) -> str:
    """SHA-256 over every Python file below a folder and where it lies: equal for the same program alone."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def package_version(name: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def git_commit(folder: Path) -> str | None:
    """The commit of a source checkout, marked where files differ from it; None outside of one."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
