"""RunStore: the folder in which runs lie."""

import difflib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engine.spec.errors import RunFolderError, StorageError
from engine.spec.failpoints import Write
from engine.spec.run_folder import RunFolder, new_run_id
from histotui.disk import storage_errors, write_whole
from histotui.meta import checked_name, checked_notes, checked_tags
from histotui.runs import LIVE, Life, life_of
from histotui.summary import RunSummary, created_at, read_tree, summarize

TRASH = ".trash"
_ATTEMPTS = 20
_NO_META: Mapping[str, Any] = MappingProxyType({"name": "", "tags": [], "notes": ""})


@dataclass(frozen=True, slots=True)
class RunStore:
    """Runs under one folder, each a folder of its own."""

    root: Path

    def folders(self) -> list[RunFolder]:
        """Every run, oldest first."""
        return _oldest_first(self.root)

    def summaries(self) -> list[RunSummary]:
        return [summarize(folder) for folder in self.folders()]

    def find(self, reference: str) -> RunFolder:
        """The run with this id, name or unique beginning of an id, or `@last`; RunFolderError with the nearest ones."""
        return _find(reference, self.root)

    def create(self, preset: str, config: Mapping[str, Any], command: str, name: str = "") -> RunFolder:
        """A new run folder, listed from the moment that its config.json is whole."""
        folder = self._new_folder(preset)
        try:
            write_whole(folder.command, command.rstrip("\n") + "\n", Write.COMMAND)
            _write_meta(folder, {**_NO_META, "name": name})
            write_whole(folder.config, json.dumps(config, indent=2, allow_nan=False) + "\n", Write.CONFIG)
        except StorageError:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
        return folder

    def trash(self, folder: RunFolder) -> Path:
        """Move a run to the trash; RunFolderError while it lives."""
        state = summarize(folder).state
        if state in LIVE or life_of(folder) is Life.ALIVE:
            raise RunFolderError(f"{folder.id} is {state}: `histotui stop {folder.id}` first")
        trash = self.root / TRASH
        with storage_errors(trash):
            trash.mkdir(mode=0o700, exist_ok=True)
        return _move(folder.path, trash / folder.id)

    def restore(self, reference: str) -> RunFolder:
        """Bring a run back from the trash."""
        trash = self.root / TRASH
        folder = _find(reference, trash)
        return RunFolder(_move(folder.path, self.root / folder.id))

    def trashed(self) -> list[RunFolder]:
        """Every run in the trash, newest first."""
        return list(reversed(_oldest_first(self.root / TRASH)))

    def meta(self, folder: RunFolder) -> Mapping[str, Any]:
        """What people say of a run, as it is on disk now: its name, tags and notes."""
        return {**_NO_META, **read_tree(folder.meta, missing_is_empty=True)}

    def edit_meta(
        self,
        folder: RunFolder,
        *,
        name: str | None = None,
        tags: str | Iterable[str] | None = None,
        notes: str | None = None,
    ) -> None:
        """Change what people say of a run and leave alone what is None; ConfigError for what cannot be kept."""
        changes: dict[str, Any] = {}
        if name is not None:
            changes["name"] = checked_name(name)
        if tags is not None:
            changes["tags"] = checked_tags(tags)
        if notes is not None:
            changes["notes"] = checked_notes(notes)
        _write_meta(folder, {**self.meta(folder), **changes})

    def _new_folder(self, preset: str) -> RunFolder:
        with storage_errors(self.root):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for _ in range(_ATTEMPTS):
                folder = RunFolder(self.root.resolve() / new_run_id(preset))
                try:
                    folder.path.mkdir(mode=0o700)
                except FileExistsError:
                    continue
                return folder
        raise StorageError(f"{self.root}: no free name for a new run")


def runs_root(option: Path | None) -> Path:
    """Where runs lie: `--runs`, else $HISTOTUI_RUNS, else ./runs."""
    return option or Path(os.environ.get("HISTOTUI_RUNS") or "runs")


def is_run(path: str) -> bool:
    """Whether there is a run in a folder; one that has neither config nor events is being made."""
    for name in ("config.json", "events.jsonl"):
        try:
            os.stat(f"{path}/{name}")  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return True
        return True
    return False


def _oldest_first(root: Path) -> list[RunFolder]:
    return sorted(_folders(root), key=lambda folder: (created_at(folder), folder.id))


def _folders(root: Path) -> Iterator[RunFolder]:
    try:
        paths = list(root.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{root}: {error.strerror}") from None
    for path in paths:
        if not path.name.startswith(".") and is_run(str(path)):
            yield RunFolder(path)


def _find(reference: str, root: Path) -> RunFolder:
    reference = _id_in_path(reference, root)
    if reference != "@last" and (folder := _with_id(reference, root)) is not None:
        return folder
    folders = _oldest_first(root)
    if not folders:
        raise RunFolderError(f"there are no runs in {root}")
    if reference == "@last":
        return folders[-1]
    # An index of names would have to be compared with every run's files, which takes longer than to read one of them.
    names = {folder: _name(folder) for folder in folders}
    named = [folder for folder, name in names.items() if reference and name == reference]
    begun = [folder for folder in folders if reference and folder.id.startswith(reference)]
    if found := named or begun:
        return _only(found, reference)
    known = [folder.id for folder in folders] + [name for name in names.values() if name]
    near = difflib.get_close_matches(reference, known, n=1)
    raise RunFolderError(
        f"no run {reference!r} in {root}" + (f"; did you mean {near[0]}?" if near else "; `histotui ls` lists them")
    )


def _only(found: list[RunFolder], reference: str) -> RunFolder:
    if len(found) == 1:
        return found[0]
    shown = ", ".join(folder.id for folder in found[:5]) + (", …" if len(found) > 5 else "")
    raise RunFolderError(f"{reference!r} could be {len(found)} runs: {shown}")


def _id_in_path(reference: str, root: Path) -> str:
    """The id in a path such as runs/20261123-154501-vae-2000-a1b2, as completion by the shell makes it."""
    if "/" in reference and (path := Path(reference).resolve()).parent == root.resolve():
        return path.name
    return reference


def _with_id(reference: str, root: Path) -> RunFolder | None:
    """The run with this id, without a look into any other."""
    try:
        # The system itself is not asked for it: what cannot be a folder's name it refuses in ways of its own.
        is_there = any(path.name == reference for path in root.iterdir()) and not reference.startswith(".")
    except OSError:
        return None
    return RunFolder(root / reference) if is_there and is_run(f"{root}/{reference}") else None


def _name(folder: RunFolder) -> str:
    try:
        return str(read_tree(folder.meta, missing_is_empty=True).get("name") or "")
    except RunFolderError:
        return ""


def _write_meta(folder: RunFolder, meta: Mapping[str, Any]) -> None:
    try:
        text = json.dumps(dict(meta), indent=2, allow_nan=False)
    except ValueError as error:
        raise RunFolderError(f"{folder.meta}: damaged ({error})") from None
    write_whole(folder.meta, text + "\n", Write.META)


def _move(source: Path, target: Path) -> Path:
    with storage_errors(target):
        if target.exists():
            raise RunFolderError(f"{target} exists already")
        return source.rename(target)
