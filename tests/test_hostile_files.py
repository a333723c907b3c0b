"""Nothing that is loaded can run code, take memory without end, or lie where it should not."""

import ast
import contextlib
import hashlib
import io
import json
import os
import pickle
import resource
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine import arrays
from engine.arrays import open_array, read_arrays
from engine.checkpoints import read
from engine.comparing import read_predictions
from engine.soak.engines import Engines
from engine.soak.toys import toy_config
from engine.spec.errors import CheckpointError, RunFolderError
from engine.spec.resolve import dump
from engine.spec.run_folder import RunFolder
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
    "np.load": "takes the memory that a header asks for; engine/arrays.py reads arrays",
    "numpy.load": "takes the memory that a header asks for; engine/arrays.py reads arrays",
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
    with pytest.raises(ValueError, match="unexpected layout: object"):
        open_array(tmp_path / "images.npy")
    assert not (tmp_path / "harmed").exists()


def npz(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive with one member, its array `a`."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", content)
    return path


def array_file(shape: tuple[int, ...], data: bytes, dtype: str = "|u1") -> bytes:
    """A .npy file whose header says this shape, whatever data follows."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def with_byte(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + bytes([value]) + content[place + 1 :]


def with_word(content: bytes, word: bytes, other: bytes) -> bytes:
    assert word in content
    return content.replace(word, other)


ARRAY = array_file((64,), bytes(range(64)))


def header(text: bytes, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


HOSTILE_ARRAYS = {
    "in Fortran's order": with_word(ARRAY, b"False", b"True "),
    "far more than is in it": array_file((10**13,), b"abc"),
    "less than is in it": array_file((3,), b"abcdef"),
    "half a number": array_file((2,), b"abc", "<f8"),
    "a negative shape": array_file((-5,), b"abcde"),
    "a length that is no number": header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (True,)}", b"a"),
    "an endless length of nothing": array_file((0, 2**70), b""),
    "a type of no bytes": array_file((2**40,), b"", "|V0"),
    "a type that is no type": header(b"{'descr': (), 'fortran_order': False, 'shape': (1,)}", b"a"),
    "a header of other keys": header(b"{1: 2, 'a': 3}"),
    "a header that is no dictionary": header(b"{[]: 1}"),
    "of Python objects": array_file((1,), pickle.dumps(print), "|O"),
    "no header": b"abc",
    "nothing": b"",
    "an unknown version": with_byte(ARRAY, 6, 9),
    "nested": header(b"(" * 9000),
}


def bytes_taken(act: Callable[[], object]) -> int:
    """The most memory that was taken at once."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_a_hostile_array_is_refused(name: str, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", HOSTILE_ARRAYS[name])
    (tmp_path / "a.npy").write_bytes(HOSTILE_ARRAYS[name])

    def read_both() -> None:
        with pytest.raises(ValueError):
            read_arrays(path, "a")
        with pytest.raises(ValueError):
            open_array(tmp_path / "a.npy")

    assert bytes_taken(read_both) < 50_000_000


def test_an_archive_that_unpacks_to_more_than_it_may_is_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npz(tmp_path / "a.npz", array_file((30_000_000,), bytes(30_000_000)))
    assert path.stat().st_size < 100_000
    assert bytes_taken(lambda: read_arrays(path)) > 30_000_000
    monkeypatch.setattr(arrays, "_LARGEST", 20_000_000)

    def refused() -> None:
        with pytest.raises(ValueError, match="arrays of 30000128 bytes, and they may have 20000000"):
            read_arrays(path)

    assert bytes_taken(refused) < 1_000_000


def test_an_archive_that_says_less_than_it_unpacks_to_takes_no_more(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", array_file((10_000,), bytes(60_000_000)))
    content = path.read_bytes()
    place = content.rindex(b"PK\x01\x02")
    lied = struct.pack("<II", zlib.crc32(array_file((10_000,), bytes(10_000))), 10_128)
    path.write_bytes(
        content[: place + 16] + lied[:4] + content[place + 20 : place + 24] + lied[4:] + content[place + 28 :]
    )

    def read_it() -> None:
        with contextlib.suppress(ValueError):
            assert read_arrays(path)["a"].nbytes == 10_000

    assert bytes_taken(read_it) < 10_000_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_compressed_otherwise_is_refused(method: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="compressed in an unknown way"):
        read_arrays(npz(tmp_path / "a.npz", ARRAY, method))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_with_any_byte_changed_is_refused_or_gives_the_same(method: int, tmp_path: Path) -> None:
    whole = npz(tmp_path / "a.npz", ARRAY, method).read_bytes()
    for place in range(len(whole)):
        (tmp_path / "b.npz").write_bytes(with_byte(whole, place, whole[place] ^ 0x11))
        with contextlib.suppress(ValueError):
            assert read_arrays(tmp_path / "b.npz", "a")["a"].tobytes() == bytes(range(64))


def test_what_is_no_archive_or_lacks_an_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for content in (b"", b"PK", pickle.dumps(print), bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            read_arrays(path)
    with pytest.raises(ValueError, match="it has no array 'b'"):
        read_arrays(npz(path, ARRAY), "a", "b")
    assert read_arrays(path)["a"].tolist() == list(range(64))


def test_predictions_that_lie_have_their_runs_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    npz(run.predictions, HOSTILE_ARRAYS["far more than is in it"])
    with pytest.raises(RunFolderError, match=r"predictions\.npz: damaged"):
        read_predictions(run)


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
