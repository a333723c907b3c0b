"""Whatever lies in a file that a stranger has written, a reader understands it or says so by its own error.

In the suite each is tried a few hundred times; `HISTOTUI_FUZZ=100000 .venv/bin/pytest tests/test_fuzz.py` tries longer.
"""

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image

from engine.checkpoints import CheckpointFolder, State, read
from engine.data.images import BrokenImageError, decode
from engine.data.pack import DamagedPackError, read_manifest
from engine.spec import resolve
from engine.spec.config import RunConfig
from engine.spec.errors import CheckpointError, ConfigError, HistotuiError, RunFolderError
from engine.spec.event_log import EventReader, EventWriter, parse_event, read_last
from engine.spec.events import Metrics, Progress, RunStarted
from engine.spec.failpoints import arm
from engine.spec.process import ProcessIdentity
from engine.spec.quality import read_quality
from engine.spec.run_folder import RunFolder, check_name, new_run_id
from engine.spec.scores import read_score_trees
from engine.spec.study import all_rows, select
from histotui.filters import parse as parse_filter
from histotui.summary import RunSummary, summarize

EXAMPLES = int(os.environ.get("HISTOTUI_FUZZ", "150"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="HISTOTUI_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
trees = st.recursive(
    scalars, lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=12), part, max_size=4)
)
names = st.sampled_from([name for name, _ in resolve.fields()])


def written(tree: object) -> bytes:
    return json.dumps(tree).encode()


def damaged(content: bytes) -> SearchStrategy[bytes]:
    """What was written, with bytes changed, cut out or put in."""

    def at(place: int, length: int, inserted: bytes) -> bytes:
        return content[:place] + inserted + content[place + length :]

    return st.builds(at, st.integers(0, len(content)), st.integers(0, 40), st.binary(max_size=40))


EVENTS = [
    RunStarted(time=1.0, device="cpu"),
    Progress(time=2.0, stage="generator", step=3, total=9),
    Metrics(time=3.0, stage="generator", step=3, epoch=1, values={"kl": 2.5, "recon": 1e300}),
]


LOG = b"".join(
    json.dumps({"type": event.type, **{name: getattr(event, name) for name in event.__dataclass_fields__}}).encode()
    + b"\n"
    for event in EVENTS
)


class TestLog:
    @fuzz
    @given(content=st.binary(max_size=400) | damaged(LOG))
    def test_any_bytes(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_bytes(content)
        reader = EventReader(path)
        with contextlib.suppress(RunFolderError):
            found = reader.read()
            whole = content.count(b"\n")
            assert len(found) + reader.skipped == whole
        with contextlib.suppress(RunFolderError):
            read_last(path)

    @fuzz
    @given(
        tree=trees
        | st.fixed_dictionaries(
            {
                "type": st.sampled_from(["metrics", "progress", "run_started", "scored"]),
                "time": scalars,
                "step": scalars,
                "values": trees,
            }
        )
    )
    def test_any_json(self, tree: object) -> None:
        with contextlib.suppress(RunFolderError):
            parse_event(written(tree))

    @fuzz
    @given(content=damaged(LOG))
    def test_a_writer_goes_on_behind_any_log(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_bytes(content)
        with contextlib.suppress(RunFolderError):
            with EventWriter(path) as events:
                events.write(Progress(stage="classifier", step=1, total=2))
            last = read_last(path)
            assert isinstance(last, Progress) and last.stage == "classifier"


class TestSettings:
    @fuzz
    @given(tree=trees)
    def test_any_tree_is_a_config_or_a_config_error(self, tree: object) -> None:
        with contextlib.suppress(ConfigError):
            assert isinstance(resolve.validate(tree if isinstance(tree, dict) else {"generator": tree}), RunConfig)

    @fuzz
    @given(name=names, value=scalars | trees)
    def test_any_value_of_any_setting(self, name: str, value: object) -> None:
        tree: object = value
        for part in reversed(name.split(".")):
            tree = {part: tree}
        assert isinstance(tree, dict)
        with contextlib.suppress(ConfigError):
            resolve.apply(RunConfig(), [tree])

    @fuzz
    @given(text=st.text(max_size=60) | st.builds("{}={}".format, names, st.text(max_size=20)))
    def test_any_override(self, text: str) -> None:
        with contextlib.suppress(ConfigError):
            resolve.apply(RunConfig(), [resolve.parse_override(text)])

    @fuzz
    @given(content=st.binary(max_size=300) | damaged(written(resolve.dump(RunConfig()))))
    def test_any_file(self, content: bytes, tmp_path: Path) -> None:
        for suffix, reading in ((".json", resolve.load), (".toml", resolve.read_toml)):
            path = tmp_path / f"config{suffix}"
            path.write_bytes(content)
            with contextlib.suppress(HistotuiError):
                reading(path)

    @fuzz
    @given(text=st.text(max_size=40) | st.from_regex(r"\A[a-z.]{1,12}(:[0-9+]{0,3}){0,2}(:[a-z0-9]{1,6})?\Z"))
    def test_any_failpoint(self, text: str) -> None:
        with contextlib.suppress(ConfigError):
            arm(text)
        arm(None)


class TestLanguages:
    @fuzz
    @given(text=st.text(max_size=60) | st.from_regex(r"\A(auc|loss|state|not|and|or|\(|\)|<|>=|[0-9.]{1,4}| ){1,12}\Z"))
    def test_any_filter(self, text: str, a_run: RunSummary) -> None:
        with contextlib.suppress(ConfigError):
            assert parse_filter(text).holds(a_run) in (True, False)

    @fuzz
    @given(text=st.text(max_size=40) | st.from_regex(r"\A(vae-100|null|baseline|~|=|\*|kl_weight|@|0\.1|,|\+){1,8}\Z"))
    def test_any_row_of_a_study(self, text: str) -> None:
        with contextlib.suppress(ConfigError):
            select([text], all_rows())

    @fuzz
    @given(name=st.text(max_size=120))
    def test_any_name(self, name: str) -> None:
        with contextlib.suppress(ConfigError):
            checked = check_name(name)
            assert "/" not in checked and "\0" not in checked and checked not in ("", ".", "..") and len(checked) <= 100
        made = new_run_id(name)
        assert "/" not in made and "\0" not in made and not made.startswith((".", "-"))


class TestFiles:
    READERS: tuple[tuple[str, Callable[[Path], object], type[Exception]], ...] = (
        ("scores.json", read_score_trees, RunFolderError),
        ("quality.json", read_quality, RunFolderError),
        ("manifest.json", read_manifest, DamagedPackError),
        ("process.json", ProcessIdentity.read, RunFolderError),
    )

    @pytest.mark.parametrize(("name", "read_file", "error"), READERS)
    @fuzz
    @given(content=st.binary(max_size=200) | st.builds(written, trees))
    def test_any_content(
        self, name: str, read_file: Callable[[Path], object], error: type[Exception], content: bytes, tmp_path: Path
    ) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        with contextlib.suppress(error):
            read_file(path)

    @fuzz
    @given(
        name=st.sampled_from(
            [
                "config.json",
                "meta.json",
                "scores.json",
                "events.jsonl",
                "process.json",
                "environment.json",
                "data/manifest.json",
            ]
        ),
        content=st.binary(max_size=200) | st.builds(written, trees),
    )
    def test_any_run_folder_is_summarised(self, name: str, content: bytes, tmp_path: Path) -> None:
        run = RunFolder(tmp_path / "20261123-154501-vae-100-a1b2")
        path = run.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        assert summarize(run).id == run.id
        path.unlink() if before is None else path.write_bytes(before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = State({"model.w": torch.arange(12.0).view(3, 4), "step": torch.tensor(3)}, {"step": 3})
    return CheckpointFolder(tmp_path_factory.mktemp("checkpoints")).save(3, state)


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    run = RunFolder(tmp_path_factory.mktemp("runs") / "20261123-154501-vae-100-a1b2")
    run.path.mkdir()
    run.config.write_bytes(written(resolve.dump(RunConfig())))
    return summarize(run)


class TestCheckpoints:
    @fuzz
    @given(data=st.data(), name=st.sampled_from(["state.safetensors", "state.json", "manifest.json"]))
    def test_a_damaged_one_is_refused(self, checkpoint: Path, data: st.DataObject, name: str) -> None:
        path = checkpoint / name
        before = path.read_bytes()
        content = data.draw(damaged(before) | st.binary(max_size=100))
        path.write_bytes(content)
        try:
            if content == before or (name == "manifest.json" and means_the_same(content, before)):
                read(checkpoint)
            else:
                with pytest.raises(CheckpointError):
                    read(checkpoint)
        finally:
            path.write_bytes(before)

    @fuzz
    @given(
        content=st.binary(max_size=200)
        | st.builds(
            lambda header, rest: struct.pack("<Q", len(header)) + header + rest,
            st.builds(written, trees),
            st.binary(max_size=60),
        )
    )
    def test_any_header_under_a_manifest_that_fits(self, content: bytes, tmp_path: Path) -> None:
        """Whoever made the file made its digest too."""
        folder = tmp_path / "step"
        folder.mkdir(exist_ok=True)
        (folder / "state.safetensors").write_bytes(content)
        (folder / "state.json").write_text("{}")
        digests = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (folder / "state.safetensors", folder / "state.json")
        }
        (folder / "manifest.json").write_text(json.dumps({"sha256": digests}))
        with contextlib.suppress(CheckpointError):
            assert isinstance(read(folder), State)


def means_the_same(one: bytes, other: bytes) -> bool:
    with contextlib.suppress(ValueError):
        return bool(json.loads(one) == json.loads(other))
    return False


@pytest.mark.filterwarnings("ignore:::PIL")
class TestImages:
    @fuzz
    @given(data=st.data())
    def test_any_bytes_are_pixels_or_broken(self, data: st.DataObject) -> None:
        buffer = BytesIO()
        kind = data.draw(st.sampled_from(["PNG", "TIFF", "JPEG"]))
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(buffer, format=kind)
        content = data.draw(damaged(buffer.getvalue()) | st.binary(max_size=100))
        with contextlib.suppress(BrokenImageError):
            assert decode(content, 16).shape == (16, 16, 3)
