"""A run that dies at any of its failpoints, or is refused something there, goes on and ends as if nothing had been."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.checkpoints import CheckpointFolder
from engine.soak.ending import Ending, differences, ending
from engine.soak.engines import Engines
from engine.soak.toys import toy_config, toy_run
from engine.spec.atomic import abandoned
from engine.spec.errors import ConfigError
from engine.spec.event_log import EventReader, read_last
from engine.spec.events import CheckpointSaved, RunFailed, Warned
from engine.spec.failpoints import NAMES, OUTSIDE_RUNS, Act, Action, Moment, Write, arm, reach, spoiled
from engine.spec.process import is_locked
from engine.spec.run_folder import RunFolder

REPOSITORY = Path(__file__).resolve().parents[1]
OF_A_RUN = sorted(set(Write) - OUTSIDE_RUNS - {Write.POSTMORTEM})
"""What every run writes, so that a new one is killed at here; a postmortem is written where a run has diverged."""
BY_THE_ENGINE = tuple(f"{write}.{moment}" for write in OF_A_RUN for moment in Moment) + tuple(map(str, Act))
SPOILED = (Act.STEP_LOSS, Act.STEP_GRADIENT)
LATER = {
    Act.EVENT: 25,
    Act.CHECKPOINT_FORGET: 4,
    Act.STEP_FORWARD: 7,
    Act.STEP_BACKWARD: 8,
    Act.STEP_UPDATE: 9,
    Act.STEP_DONE: 15,
    Act.ENCODE: 1,
    Act.PREDICT: 3,
    Act.SAMPLE: 2,
}
"""The time at which a failpoint acts that is reached often, so that something is there to go on from."""
PRESET = "latent-flow"


def hit(name: str) -> int:
    return LATER.get(Act(name), 1) if name in set(Act) else 3 if name.startswith("checkpoint") else 1


@pytest.fixture(scope="module")
def whole(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Ending:
    run = toy_run(tmp_path_factory.mktemp("whole") / "run", toy_config(PRESET))
    assert engines.finish(run) == 0
    return ending(run)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return toy_run(tmp_path / "runs" / "run", toy_config(PRESET))


def engines_for(name: str, engines: Engines, tmp_path: Path) -> Engines:
    """Where patches are to be packed, engines that have no packed ones yet."""
    return Engines(tmp_path / "cache") if name.startswith("pack") else engines


def assert_a_checkpoint_loads(run: RunFolder) -> None:
    """Of every stage that says that it has saved one."""
    saved = [event for event in EventReader(run.events).read() if isinstance(event, CheckpointSaved)]
    for stage in {event.stage for event in saved}:
        folder = CheckpointFolder(run.checkpoints / stage)
        state, problems = (folder.load_final(), []) if folder.is_final else folder.load_latest()
        assert state is not None and not problems


def assert_goes_on_to_the_same_end(engines: Engines, run: RunFolder, whole: Ending) -> None:
    assert not is_locked(run.lock)
    assert engines.finish(run) == 0, run.log.read_text()
    assert differences(ending(run), whole) == []
    assert abandoned(run.path) == []
    assert not list(run.path.rglob(".partial-*"))


@pytest.mark.parametrize("name", [name for name in BY_THE_ENGINE if name not in SPOILED])
def test_killed_at_a_failpoint(name: str, engines: Engines, run: RunFolder, whole: Ending, tmp_path: Path) -> None:
    own = engines_for(name, engines, tmp_path)
    assert own.finish(run, f"{name}:{hit(name)}:kill9") == -9, "the failpoint was never reached"
    assert_a_checkpoint_loads(run)
    assert_goes_on_to_the_same_end(own, run, whole)


@pytest.mark.parametrize("action", [Action.FULL, Action.BROKEN])
@pytest.mark.parametrize("name", [f"{write}.{Moment.WRITTEN}" for write in OF_A_RUN] + [Act.EVENT, Act.PACK_BLOCK])
def test_a_disk_that_refuses(
    name: str, action: Action, engines: Engines, run: RunFolder, whole: Ending, tmp_path: Path
) -> None:
    own = engines_for(name, engines, tmp_path)
    code = own.finish(run, f"{name}:{hit(name)}:{action}")
    last = read_last(run.events)
    if name.startswith("checkpoint"):
        assert code == 0
        warned = [event.message for event in EventReader(run.events).read() if isinstance(event, Warned)]
        assert sum("checkpoint not saved, training goes on" in message for message in warned) == 1
        assert differences(ending(run), whole) == []
        return
    assert code == 3
    if name.startswith("process"):
        assert last is None, "it has not begun to log"
    else:
        assert isinstance(last, RunFailed) and last.error == "StorageError"
    assert ("free some space" in run.log.read_text()) == (action == Action.FULL)
    assert_a_checkpoint_loads(run)
    assert_goes_on_to_the_same_end(own, run, whole)


@pytest.mark.parametrize("name", [Act.STEP_FORWARD, Act.STEP_BACKWARD, Act.STEP_UPDATE, Act.SAMPLE, Act.PREDICT])
def test_out_of_memory_is_a_failure_of_its_own(name: str, engines: Engines, run: RunFolder, whole: Ending) -> None:
    assert engines.finish(run, f"{name}:{hit(name)}:oom") == 3
    last = read_last(run.events)
    assert isinstance(last, RunFailed) and last.error == "DeviceError"
    assert f"ran out of memory in stage {last.stage}" in last.message
    assert ("By the preflight a step takes" in last.message) == (name != Act.SAMPLE)
    assert_goes_on_to_the_same_end(engines, run, whole)


@pytest.mark.parametrize("action", [Action.NAN, Action.INF])
@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("step", [3, 6])
def test_what_is_not_finite_stops_before_the_update(
    name: str, action: Action, step: int, engines: Engines, run: RunFolder, whole: Ending
) -> None:
    assert engines.finish(run, f"{name}:{step}:{action}") == 4
    told = json.loads(run.postmortem.read_text())
    assert (told["stage"], told["step"], len(told["batch"])) == ("generator", step - 1, 8)
    assert told["checkpoint"] == f"checkpoints/generator/step-{step - 1:08d}"
    assert told["config"] == json.loads(run.config.read_text())
    state, _ = CheckpointFolder(run.checkpoints / "generator").load_latest()
    assert state is not None and state.meta["step"] == step - 1
    assert_goes_on_to_the_same_end(engines, run, whole)


@pytest.mark.parametrize("moment", Moment)
def test_killed_over_a_postmortem(moment: Moment, engines: Engines, run: RunFolder, whole: Ending) -> None:
    assert engines.finish(run, f"step.loss:5:nan,postmortem.{moment}:1:kill9") == -9
    assert run.postmortem.exists() == (moment == Moment.NAMED)
    assert_goes_on_to_the_same_end(engines, run, whole)


class TestFailpoints:
    @pytest.fixture(autouse=True)
    def disarmed(self) -> Iterator[None]:
        yield
        arm(None)

    def test_nothing_fails_unless_it_is_asked_for(self) -> None:
        for name in NAMES:
            reach(name)
            assert spoiled(name, 2.0) == 2.0

    def test_it_acts_at_the_time_that_is_named(self) -> None:
        arm("event:2:enospc")
        reach("event")
        reach("scores.written")
        with pytest.raises(OSError, match="No space left on device"):
            reach("event")
        reach("event")

    def test_and_from_then_on(self) -> None:
        arm("event:2+:eio,sample:1:oom")
        reach("event")
        for _ in range(3):
            with pytest.raises(OSError, match="Input/output error"):
                reach("event")
        with pytest.raises(Exception, match="failpoint sample"):
            reach("sample")

    def test_values_are_spoiled_and_nothing_is_raised(self) -> None:
        arm("step.loss:1:nan")
        reach("step.loss")
        assert spoiled("step.loss", 1.0) != spoiled("step.loss", 1.0)

    @pytest.mark.parametrize("wish", ["event:enospc", "event:1:enospc", "event:+:enospc"])
    def test_the_first_time_where_none_is_said(self, wish: str) -> None:
        arm(wish)
        with pytest.raises(OSError, match="No space left"):
            reach(Act.EVENT)

    @pytest.mark.parametrize("wish", ["none", "event:0", "event:x", "event:1:explode", "event:enospc:1"])
    def test_what_is_none_is_refused(self, wish: str) -> None:
        with pytest.raises(ConfigError, match=r"HISTOTUI_FAILPOINT: .*write name"):
            arm(wish)


WRITERS = {
    "engine/spec/atomic.py": "where files and folders get their names",
    "engine/spec/event_log.py": "appends to the log; Act.EVENT",
    "engine/storage.py": "takes room on the disk, in a file that is never read",
    "engine/device_queue.py": "tickets and locks, which mean nothing once nobody holds them",
    "engine/audit/checks.py": "puts aside what is damaged",
    "engine/spec/process.py": "the lock file, which has no content",
    "engine/filling.py": "fills an array in a folder that is not published yet; Act.SAMPLE",
    "engine/data/pack.py": "the manifest in a folder that is not published yet",
    "engine/data/writing.py": "fills a folder that is not published yet; Act.PACK_BLOCK",
    "engine/data/packing.py": "publishes it; Write.PACK",
    "engine/data/export.py": "fills and publishes a folder; Write.EXPORT",
    "engine/data/sources/pcam.py": "unpacks into a scratch folder",
    "engine/stages/synthesis.py": "fills a folder inside of `publishing`",
    "engine/checkpoints.py": "fills a folder inside of `publishing`",
}
"""Files that may write without `replacing`, and what stands in its place."""


def writes(tree: ast.AST) -> Iterator[str]:
    """Calls that write, outside of a `with replacing(...)`."""
    guarded: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any("replacing" in ast.dump(item.context_expr) for item in node.items):
            guarded |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and id(node) not in guarded and (name := writing(node)):
            yield f"line {node.lineno}: {name}"


def writing(call: ast.Call) -> str:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    modes = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if name == "open":
        return name if any(set(mode) <= set("rwxab+t") and set(mode) & set("wxa+") for mode in modes) else ""
    always = {"write_bytes", "save_file", "savez", "savez_compressed", "savefig", "open_memmap", "mkdtemp", "rename"}
    named_alike = name == "write_text" and isinstance(call.func, ast.Attribute)
    saves = name == "save" and isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in {"np", "torch"}
    pictures = name == "save" and "Image" in ast.unparse(call.func)
    return name if name in always or named_alike or saves or pictures else ""


def test_nothing_writes_past_the_failpoints() -> None:
    """A new write goes through `replacing` or `publishing`, which have names and with them a crash test."""
    found = {}
    for path in sorted((REPOSITORY / "engine").rglob("*.py")):
        name = str(path.relative_to(REPOSITORY))
        if name.startswith(("engine/bench/", "engine/soak/")):
            continue
        if lines := list(writes(ast.parse(path.read_text()))):
            found[name] = lines
    assert found.keys() <= WRITERS.keys(), found
    assert list(writes(ast.parse("path.write_text('x')"))) == ["line 1: write_text"]
    assert list(writes(ast.parse("with replacing(a, b) as p:\n    p.write_text('x')"))) == []
