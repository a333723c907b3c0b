"""Nothing that is loaded can run code, take memory without end, or lie where it should not."""

import ast
import hashlib
import json
import os
import pickle
import resource
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.checkpoints import read
from engine.soak.engines import Engines
from engine.soak.toys import toy_config
from engine.spec.errors import CheckpointError
from engine.spec.resolve import dump
from histotui.store import RunStore

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAM = sorted(path for package in ("engine", "histotui") for path in (REPOSITORY / package).rglob("*.py"))
BANNED_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
BANNED_CALLS = {
    "torch.load": "runs what a stranger has pickled; checkpoints are safetensors",
    "eval": "runs what it is given",
    "exec": "runs what it is given",
    "os.system": "goes through a shell",
    "os.popen": "goes through a shell",
    "yaml.load": "may run what it is given",
}
BANNED_METHODS = {
    "extractall": "writes wherever an archive says",
    "extract": "writes wherever an archive says",
}


def problems(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"import of {name}" for name in names if name.partition(".")[0] in BANNED_IMPORTS)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in BANNED_CALLS:
                yield f"{name}: {BANNED_CALLS[name]}"
            if isinstance(node.func, ast.Attribute) and node.func.attr in BANNED_METHODS:
                yield f"{node.func.attr}: {BANNED_METHODS[node.func.attr]}"
            arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if arguments.get("shell", "False") != "False":
                yield f"{name}: goes through a shell"
            if name in ("np.load", "numpy.load") and arguments.get("allow_pickle") != "False":
                yield f"{name}: say allow_pickle=False"
            if arguments.get("weights_only", "True") != "True":
                yield f"{name}: runs what a stranger has pickled"


@pytest.mark.parametrize("path", PROGRAM, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_call_that_runs_what_a_file_says(path: Path) -> None:
    assert list(problems(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "archive.extractall(folder)",
        "eval(text)",
        "os.system(text)",
    ],
)
def test_such_calls_are_seen(code: str) -> None:
    assert list(problems(ast.parse(code)))


def checkpoint(folder: Path, content: bytes, meta: bytes = b"{}") -> Path:
    """One whose manifest fits: whoever made the file made its digest too."""
    folder.mkdir()
    parts = {"state.safetensors": content, "state.json": meta}
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    (folder / "manifest.json").write_text(json.dumps({"sha256": digests}))
    return folder


def tensors(header: object, data: bytes = bytes(64)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(**changes: object) -> dict[str, object]:
    return {"w": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64], **changes}}


class Harm:
    """What runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


HOSTILE = {
    "header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "header longer than the file": struct.pack("<Q", 10**9) + b"{}",
    "header of 120 MB": struct.pack("<Q", 120_000_000) + bytes(1000),
    "no header": b"",
    "not JSON": tensors(b"{{{{"),
    "a list": tensors([1, 2]),
    "offsets beyond the end": tensors(entry(data_offsets=[0, 6400])),
    "offsets backwards": tensors(entry(data_offsets=[64, 0])),
    "negative offsets": tensors(entry(data_offsets=[-64, 0])),
    "overlapping": tensors({"a": entry()["w"], "b": entry()["w"]}, bytes(64)),
    "a shape that is not its bytes": tensors(entry(shape=[40_000, 40_000])),
    "a shape that overflows": tensors(entry(shape=[2**40, 2**40])),
    "an unknown type": tensors(entry(dtype="OBJ")),
    "the same name twice": tensors(b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32"}}'),
    "nested a thousand deep": tensors(b"[" * 100_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_checkpoint_is_refused_by_its_own_error(name: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="damaged"):
        read(checkpoint(tmp_path / "step", HOSTILE[name]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("meta", [b"\x80", b"[" * 100_000, b'{"step": NaN', b""])
def test_hostile_values_beside_it_too(meta: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        read(checkpoint(tmp_path / "step", tensors(entry()), meta))


def test_a_pickle_in_the_place_of_a_checkpoint_runs_nothing(tmp_path: Path) -> None:
    harm = pickle.dumps(Harm(tmp_path / "harmed"))
    with pytest.raises(CheckpointError):
        read(checkpoint(tmp_path / "step", harm))
    np.save(tmp_path / "images.npy", np.array([Harm(tmp_path / "harmed")], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(tmp_path / "images.npy", allow_pickle=False)
    assert not (tmp_path / "harmed").exists()


def test_a_run_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run = RunStore(tmp_path / "runs").create("null", dump(toy_config("null")), "histotui run --preset null")
        assert Engines(tmp_path / "cache").finish(run) == 0
    finally:
        os.umask(before)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in [run.path.parent, run.path, *run.path.rglob("*")]}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}
