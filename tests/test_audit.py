"""`doctor --deep`: each damage is found by name, what is whole is never touched, and what was mended goes on."""

import errno
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workbench import Bench

from engine.audit import answer_audit, audit
from engine.data.packing import cache_folder, pack
from engine.progress import silent
from engine.soak.ending import differences, ending
from engine.soak.engines import Engines
from engine.soak.toys import toy_config, toy_run
from engine.spec.atomic import remove_abandoned
from engine.spec.config import DataConfig, TissueConfig
from engine.spec.errors import RunFolderError
from engine.spec.process import RunLock
from engine.spec.run_folder import RunFolder
from histotui import ask
from histotui.stopping import check_resumable


@pytest.fixture(scope="module")
def done(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = toy_run(tmp_path_factory.mktemp("done") / "run", toy_config("vae-100"))
    assert engines.finish(run) == 0
    return run


@pytest.fixture(scope="module")
def broken_off(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """With two checkpoints of its generator."""
    run = toy_run(tmp_path_factory.mktemp("half") / "run", toy_config("vae-100"))
    assert engines.finish(run, "step.done:8:kill9") == -9
    remove_abandoned(run.path)
    return run


def copied(run: RunFolder, folder: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(run.path, folder / "run")))


def flip(path: Path, place: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 0xFF
    path.write_bytes(content)


def newest(run: RunFolder) -> Path:
    return max((run.checkpoints / "generator").glob("step-*"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def tear(run: RunFolder) -> None:
    with run.events.open("ab") as file:
        file.write(b'{"type":"progress","st')


def garble(run: RunFolder) -> None:
    lines = run.events.read_bytes().splitlines(keepends=True)
    run.events.write_bytes(b"".join([*lines[:3], b"\0\0\xff\xfe\n", *lines[3:]]))


def leave(run: RunFolder) -> None:
    (run.path / ".partial-999999999-scores.json").write_text("{")
    (run.path / ".partial-synthetic").mkdir()
    (run.checkpoints / "generator" / ".partial-step-00000099").mkdir()
    shutil.copytree(run.checkpoints / "generator" / "final", run.checkpoints / "generator" / "step-00000099")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


Damage = Callable[[RunFolder], object]
DONE: dict[str, tuple[Damage, list[tuple[str, str]]]] = {
    "nothing": (lambda run: None, []),
    "config": (
        lambda run: run.config.write_text(run.config.read_text() + " "),
        [("config.json", "changed since the run began")],
    ),
    "no config": (lambda run: run.config.write_text("{"), [("config.json", "config.json")]),
    "log torn": (tear, [("events.jsonl", "ends in the middle of a line, 22 bytes")]),
    "log garbled": (garble, [("events.jsonl", "1 lines cannot be read")]),
    "checkpoint": (
        lambda run: flip(run.checkpoints / "classifier" / "final" / "state.safetensors"),
        [("checkpoints/classifier/final", "damaged, state.safetensors is not what was written")],
    ),
    "checkpoint's manifest": (
        lambda run: (run.checkpoints / "reference" / "final" / "manifest.json").write_text('{"sha256": {}}'),
        [("checkpoints/reference/final", "damaged ('state.safetensors')")],
    ),
    "images": (
        lambda run: flip(run.synthetic / "images.npy", 0.9),
        [("synthetic", "images.npy is not what was written")],
    ),
    "labels": (
        lambda run: np.save(run.synthetic / "labels.npy", np.zeros(3, np.uint8)),
        [("synthetic", "images and (3,) labels are not 24 patches"), ("synthetic", "labels.npy is not")],
    ),
    "images cut": (lambda run: cut(run.synthetic / "images.npy"), [("synthetic", "cannot be read (images.npy: ")]),
    "set's manifest": (
        lambda run: (run.synthetic / "manifest.json").write_text("[]"),
        [("synthetic", "cannot be read")],
    ),
    "scores": (lambda run: run.scores.write_text('{"scores": 3}'), [("scores.json", "cannot be read")]),
    "no scores": (lambda run: run.scores.unlink(), [("scores.json", "missing, though the run has finished")]),
    "quality": (lambda run: cut(run.quality), [("quality.json", "cannot be read")]),
    "predictions": (lambda run: cut(run.predictions), [("predictions.npz", "cannot be read")]),
    "picture": (
        lambda run: cut(run.samples / "generator" / "step-000012.png"),
        [("samples/generator/step-000012.png", "cannot be drawn")],
    ),
    "no picture": (
        lambda run: (run.samples / "generator" / "step-000012.png").unlink(),
        [("samples/generator/step-000012.png", "the log says that it is there")],
    ),
    "leftovers": (
        leave,
        [
            ("checkpoints/generator/step-00000099", "left over beside the stage's result"),
            ("checkpoints/generator/.partial-step-00000099", "left half-written by a crash"),
            (".partial-999999999-scores.json", "left half-written by a crash"),
            (".partial-synthetic", "left over beside the whole set"),
        ],
    ),
}
FOR_GOOD = {"config", "no config", "log garbled", "scores", "no scores", "picture", "no picture"}
"""Nothing that is there could be put right without making something up."""


def contents(run: RunFolder) -> dict[str, str]:
    return {
        str(path.relative_to(run.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in run.path.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", DONE)
def test_damage_is_found_and_nothing_else(name: str, done: RunFolder, tmp_path: Path) -> None:
    damage, expected = DONE[name]
    run = copied(done, tmp_path)
    damage(run)
    before = contents(run)
    found = audit(run)["findings"]
    assert [each["path"] for each in found] == [path for path, _ in expected]
    assert all(words in each["problem"] for each, (_, words) in zip(found, expected, strict=True)), found
    assert contents(run) == before, "looking changes nothing"


@pytest.mark.parametrize("name", DONE)
def test_repair_mends_what_can_be_and_touches_nothing_else(name: str, done: RunFolder, tmp_path: Path) -> None:
    run, whole = copied(done, tmp_path), contents(done)
    DONE[name][0](run)
    found = audit(run, repair=True)["findings"]
    assert all(each["repaired"] == each["can_repair"] for each in found)
    again = audit(run)["findings"]
    assert [each["path"] for each in again] == ([path for path, _ in DONE[name][1]] if name in FOR_GOOD else [])
    now = contents(run)
    kept = {path for path in whole if now.get(path) == whole[path]}
    damaged = {path for path, _ in DONE[name][1]}
    assert all(any(path.startswith(part) for part in damaged) for path in whole.keys() - kept)


def test_a_run_that_was_mended_goes_on_to_the_same_end(
    engines: Engines, done: RunFolder, broken_off: RunFolder, tmp_path: Path
) -> None:
    run = copied(broken_off, tmp_path)
    flip(newest(run) / "state.json")
    tear(run)
    paths = [each["path"] for each in audit(run, repair=True)["findings"]]
    assert paths == [
        "events.jsonl",
        f"checkpoints/generator/{max(path.name for path in (broken_off.checkpoints / 'generator').iterdir())}",
    ]
    assert audit(run)["findings"] == []
    assert engines.finish(run) == 0
    assert differences(ending(run), ending(done)) == []
    shutil.rmtree(next((run.checkpoints / "generator").glob("damaged-*")))
    assert audit(run)["findings"] == []


def test_scores_that_were_put_aside_are_made_again(engines: Engines, done: RunFolder, tmp_path: Path) -> None:
    run = copied(done, tmp_path)
    run.scores.write_text("")
    audit(run, repair=True)
    check_resumable(run)
    assert engines.finish(run) == 0
    assert differences(ending(run), ending(done)) == [] and audit(run)["findings"] == []
    with pytest.raises(RunFolderError, match="has finished"):
        check_resumable(run)


def test_a_run_at_work_is_left_alone(done: RunFolder, tmp_path: Path) -> None:
    run = copied(done, tmp_path)
    leave(run)
    with RunLock(run.lock):
        assert audit(run, repair=True) == {"run": "run", "at_work": True, "findings": []}
    assert (run.path / ".partial-synthetic").exists()


def test_steps_beside_a_damaged_result_are_gone_on_with(
    engines: Engines, done: RunFolder, broken_off: RunFolder, tmp_path: Path
) -> None:
    """As after a crash between the two: the result is there and its steps are not forgotten yet."""
    run = copied(broken_off, tmp_path)
    shutil.copytree(done.checkpoints / "generator" / "final", run.checkpoints / "generator" / "final")
    kept = sorted(path.name for path in (run.checkpoints / "generator").glob("step-*"))
    flip(run.checkpoints / "generator" / "final" / "state.safetensors")
    assert [each["path"] for each in audit(run, repair=True)["findings"]] == ["checkpoints/generator/final"]
    assert sorted(path.name for path in (run.checkpoints / "generator").glob("step-*")) == kept
    assert engines.finish(run) == 0
    assert "goes on from its checkpoint of step 7" in run.log.read_text()
    assert differences(ending(run), ending(done)) == []


def refused(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("name", ["synthetic/images.npy", "predictions.npz", "scores.json"])
def test_a_disk_that_does_not_read_now_is_no_damage(
    name: str, done: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(done, tmp_path)
    opened = Path.open

    def open_or_fail(path: Path, *arguments: Any, **others: Any) -> Any:
        return refused() if path == run.path / name else opened(path, *arguments, **others)

    monkeypatch.setattr(Path, "open", open_or_fail)
    found = audit(run, repair=True)["findings"]
    assert len(found) == 1 and "Input/output error" in found[0]["problem"] and not found[0]["can_repair"]
    monkeypatch.undo()
    assert audit(run)["findings"] == []


@pytest.mark.parametrize("content", ["[" * 100_000, None, '{"type":"run_started","schema":99}\n'])
def test_a_run_that_nobody_foresaw_does_not_hide_the_others(
    content: str | None, done: RunFolder, tmp_path: Path
) -> None:
    odd, whole = copied(done, tmp_path / "odd"), copied(done, tmp_path / "whole")
    if content is None:
        odd.config.unlink()
    else:
        (odd.events if "type" in content else odd.config).write_text(content)
    leave(whole)
    found = answer_audit({"runs": [str(odd.path), str(whole.path)], "packs": False}, silent)
    assert found["runs"][0]["findings"] and len(found["runs"][1]["findings"]) == 4


def test_a_folder_that_cannot_be_written_is_not_repaired(
    done: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(done, tmp_path)
    leave(run)
    monkeypatch.setattr(shutil, "rmtree", refused)
    monkeypatch.setattr(RunLock, "acquire", refused)
    found = audit(run, repair=True)["findings"]
    assert [each["repaired"] for each in found] == [False] * 5 and "cannot be taken" in found[-1]["problem"]


def test_what_an_unfinished_run_goes_on_with_is_no_leftover(broken_off: RunFolder, tmp_path: Path) -> None:
    run = copied(broken_off, tmp_path)
    (run.path / ".partial-synthetic").mkdir()
    assert audit(run)["findings"] == []


def test_packed_patches_are_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    packed = pack(DataConfig(crop=16, tissue=TissueConfig(train=4, test=4)))
    assert answer_audit({"runs": []}, silent) == {"runs": [], "packs": [], "problems": 0}
    flip(packed.folder / "labels.npy", 0.99)
    old = cache_folder() / ".tmp-old"
    old.mkdir()
    os.utime(old, (time.time() - 4000,) * 2)
    found = answer_audit({"runs": []}, silent)
    assert found["problems"] == 2 and "labels: not what was written" in found["packs"][1]["problem"]
    found = answer_audit({"runs": [], "repair": True}, silent)
    assert found["problems"] == 0 and not list(cache_folder().iterdir())


class TestCommand:
    @pytest.fixture(autouse=True)
    def real_answers(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ask, "ANSWER", (sys.executable, "-P", "-m", "engine.answer"))

    def test_problems_are_listed_and_the_exit_code_tells(self, bench: Bench, done: RunFolder) -> None:
        shutil.copytree(done.path, bench.runs / "20261123-154501-vae-100-a1b2")
        clean = bench("doctor", "--deep")
        assert (clean.code, clean.out) == (0, "1 runs looked through: 0 problems\n")
        run = RunFolder(bench.runs / "20261123-154501-vae-100-a1b2")
        leave(run)
        cut(run.samples / "generator" / "step-000012.png")
        found = bench("doctor", "--deep", "@last", "--json")
        assert found.code == 1 and json.loads(found.out)["problems"] == 5
        mended = bench("doctor", "--deep", "--repair")
        assert mended.code == 1
        assert ".partial-synthetic: left over beside the whole set; repaired: remove it" in mended.out
        assert "step-000012.png: cannot be drawn" in mended.out
        assert mended.out.splitlines()[-1] == "1 runs looked through: 1 problems, 4 repaired"

    def test_repair_alone_is_refused(self, bench: Bench) -> None:
        said = bench("doctor", "--repair")
        assert said.code == 2 and "--repair and names of runs go with --deep" in said.err
