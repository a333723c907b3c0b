"""Whatever is written is there as a whole or not at all: by itself, and where the program really writes it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_samples import patches, write_run
from scored_runs import write_sources

from engine.data.browsing import answer_patches
from engine.data.export import answer_export
from engine.figures import _save
from engine.progress import silent
from engine.spec.atomic import PARTIAL, abandoned, publishing, remove_abandoned, replacing, write_text
from engine.spec.config import DataConfig, TissueConfig
from engine.spec.errors import StorageError
from engine.spec.failpoints import OUTSIDE_RUNS, Moment, Write, arm
from engine.spec.presets import PRESETS
from engine.spec.resolve import dump
from histotui.exporting import _write
from histotui.preferences import State, save_state
from histotui.store import RunStore
from histotui.user_presets import save_preset


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm(None)


def killed(failpoint: str, work: Callable[[], object]) -> bool:
    """Whether a process that does this work dies at the failpoint."""
    child = os.fork()
    if not child:
        arm(f"{failpoint}:1:kill9")
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("write", Write)
def test_killed_while_a_file_is_replaced(write: Write, moment: Moment, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    assert killed(f"{write}.{moment}", lambda: write_text(path, "new", write))
    assert path.read_text() == ("new" if moment == Moment.NAMED else "old")
    left = [each for each in tmp_path.iterdir() if each != path]
    assert abandoned(tmp_path) == left and len(left) == (moment == Moment.WRITTEN)
    remove_abandoned(tmp_path)
    write_text(path, "newer", write)
    assert path.read_text() == "newer" and list(tmp_path.iterdir()) == [path]


def fill(folder: Path, *, goes_on: bool = False) -> None:
    with publishing(folder, Write.SYNTHETIC, goes_on=goes_on) as partial:
        (partial / "one").write_text("1")
        (partial / "two").write_text("2")


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("moment", Moment)
def test_killed_while_a_folder_is_published(moment: Moment, goes_on: bool, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "step"
    assert killed(f"synthetic.{moment}", lambda: fill(folder, goes_on=goes_on))
    assert folder.exists() == (moment == Moment.NAMED)
    if folder.exists():
        assert {path.name for path in folder.iterdir()} == {"one", "two"}
    fill(folder, goes_on=goes_on)
    assert {path.name for path in folder.iterdir()} == {"one", "two"}
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_that_is_gone_on_with_stays_after_an_error_and_another_does_not(tmp_path: Path) -> None:
    for goes_on in (True, False):
        with pytest.raises(RuntimeError), publishing(tmp_path / "a", Write.SYNTHETIC, goes_on=goes_on) as partial:
            (partial / "half").write_text("half")
            raise RuntimeError
        assert (tmp_path / f"{PARTIAL}a").exists() is goes_on


def test_what_is_being_written_is_not_abandoned(tmp_path: Path) -> None:
    with replacing(tmp_path / "a", Write.META) as partial:
        partial.write_text("half")
        (tmp_path / f"{PARTIAL}999999999-b").write_text("half")
        assert abandoned(tmp_path) == [tmp_path / f"{PARTIAL}999999999-b"]


def test_files_are_on_disk_before_they_have_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (order.append("sync"), fsync(file))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append(f"name {to.name}"), replace(self, to))[1])
    write_text(tmp_path / "a", "text", Write.META)
    assert order == ["sync", "name a", "sync"]


Place = Callable[[Path], object]


def create(root: Path) -> object:
    return RunStore(root).create("null", dump(PRESETS["null"].config), "histotui run --preset null")


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("write", [Write.COMMAND, Write.META, Write.CONFIG])
def test_killed_over_a_new_run_there_is_a_whole_one_or_none(write: Write, moment: Moment, tmp_path: Path) -> None:
    assert killed(f"{write}.{moment}", lambda: create(tmp_path))
    found = RunStore(tmp_path).summaries()
    assert [run.preset for run in found] == (["null"] if (write, moment) == (Write.CONFIG, Moment.NAMED) else [])
    create(tmp_path)
    assert len(RunStore(tmp_path).folders()) == len(found) + 1


def export(root: Path) -> object:
    write_run(root / "run", DataConfig(tissue=TissueConfig(train=4, test=4)), *patches(4, side=16))
    return answer_export({"run": str(root / "run"), "folder": str(root / "out" / "png")}, silent)


def browse(root: Path) -> object:
    folders, _ = write_sources(root)
    return answer_patches({"data": {"source": str(folders), "crop": 16}, "split": "train", "label": 0}, silent)


def draw(root: Path) -> object:
    from matplotlib.figure import Figure

    return _save(Figure(), root / "out" / "figure.png")


PLACES: dict[tuple[Write, str], Place] = {
    (Write.CONFIG, "out"): lambda root: create(root / "out"),
    (Write.COMMAND, "out"): lambda root: create(root / "out"),
    (Write.META, "out"): lambda root: create(root / "out"),
    (Write.SETTINGS, "out"): lambda root: save_preset("mine", PRESETS["null"].config, root / "out"),
    (Write.SETTINGS, "out/state.json"): lambda root: save_state(root / "out" / "state.json", State()),
    (Write.EXPORT, "out"): export,
    (Write.EXPORT, "out/table.csv"): lambda root: (root / "out").mkdir() or _write(root / "out" / "table.csv", "a,b"),
    (Write.FIGURE, "out"): draw,
    (Write.PICTURE, "cache/histotui/pages"): browse,
}


def test_every_write_outside_of_runs_has_its_place() -> None:
    """That of reports is in the tests of reports."""
    assert {write for write, _ in PLACES} == OUTSIDE_RUNS - {Write.REPORT} | {Write.PICTURE}


@pytest.mark.parametrize(("write", "where"), PLACES)
def test_a_full_disk_leaves_nothing_where_the_program_writes(
    write: Write, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arm(f"{write}.{Moment.WRITTEN}:1:enospc")
    with pytest.raises(StorageError, match="free some space"):
        PLACES[write, where](tmp_path)
    place = tmp_path / where
    assert not place.is_file() and not [path for path in place.rglob("*") if path.is_file()]
    arm(None)
