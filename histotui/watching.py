"""Starts an engine on a run folder and stays with it or leaves it; follows one that runs already."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.spec.event_log import EventReader
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui import console
from histotui.details import details
from histotui.follow import Follower, History, Interrupts, raise_unless_finished
from histotui.launcher import start_engine
from histotui.report import print_report
from histotui.summary import read_tree, readable
from histotui.views import choose_view

_START_GRACE = 10.0


@dataclass(frozen=True, slots=True)
class Watch:
    """How to stay with a run."""

    detach: bool = False
    json: bool = False
    quiet: bool = False


def watch(prepare: Callable[[], RunFolder], manner: Watch) -> None:
    """Start the engine on the prepared folder and follow it to its end, whose exit code is raised."""
    folder = follow_through(prepare, manner)
    if not manner.detach:
        _show_result(folder, manner)


def follow_through(prepare: Callable[[], RunFolder], manner: Watch) -> RunFolder:
    """Start the engine and follow it to its end, or leave it; the folder, whose result is for the caller to show."""
    # From here on Ctrl-C must not leave a folder without an engine.
    with Interrupts().caught() as interrupts:
        folder = prepare()
        history = History.before_engine(folder)
        process = start_engine(folder)
        if manner.detach:
            _wait_until_it_listens(folder, process)
            _raise_if_it_has_failed(folder, history, process)
            _leave(folder, process.pid, manner.json)
            return folder
        if not manner.quiet:
            console.say(f"run         {folder.id}")
        view = choose_view(read_tree(folder.config), folder.id, manner.quiet)
        run = Follower(folder, view, history, process, interrupts).follow()
    _show_end(folder, manner)
    raise_unless_finished(folder, run, interrupts.count > 1, process.returncode)
    return folder


def watch_along(folder: RunFolder, manner: Watch) -> None:
    """Follow a run that another process started and show its result; Ctrl-C ends the following alone."""
    follow_along(folder, manner)
    _show_result(folder, manner)


def follow_along(folder: RunFolder, manner: Watch) -> None:
    """Follow a run that another process started to its end, whose exit code is raised."""
    view = choose_view(readable(folder).config, folder.id, manner.quiet)
    run = Follower(folder, view, History(EventReader(folder.events))).follow()
    _show_end(folder, manner)
    raise_unless_finished(folder, run)


def _show_end(folder: RunFolder, manner: Watch) -> None:
    """For scripts, however the run ended."""
    if manner.json:
        console.out_json(details(folder))


def _show_result(folder: RunFolder, manner: Watch) -> None:
    """For people, where there is a result."""
    if not manner.json:
        print_report(readable(folder))


def _wait_until_it_listens(folder: RunFolder, process: subprocess.Popen[bytes]) -> None:
    """Return once the engine has said who it is, so that the next command finds the run alive."""
    deadline = time.monotonic() + _START_GRACE
    while process.poll() is None and time.monotonic() < deadline:
        identity = ProcessIdentity.read(folder.process)
        if identity is not None and identity.pid == process.pid:
            return
        time.sleep(0.02)


def _raise_if_it_has_failed(folder: RunFolder, history: History, process: subprocess.Popen[bytes]) -> None:
    code = process.poll()
    if code is not None:
        run = history.run.apply_all(history.reader.read())
        raise_unless_finished(folder, run, engine_code=code)


def _leave(folder: RunFolder, pid: int, as_json: bool) -> None:
    if as_json:
        console.out_json({"id": folder.id, "folder": str(folder.path), "pid": pid})
    else:
        console.out(folder.id)
