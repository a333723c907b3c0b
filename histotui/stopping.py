"""Ends a run, and looks whether one can be taken up again."""

import hashlib
import time
from collections.abc import Callable

from engine.spec.errors import EnvironmentFault, RunFolderError
from engine.spec.event_log import read_first, read_last
from engine.spec.events import RunStarted, RunStopped
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui import console, launcher
from histotui.runs import LIVE, Life, life_of
from histotui.summary import readable, summarize

_GRACE = 30.0
_KILL_GRACE = 5.0
_POLL = 0.1

Say = Callable[[str], None]
Question = Callable[[], bool]


def stop_run(
    folder: RunFolder, grace: float = _GRACE, say: Say = console.say, is_called_off: Question = lambda: False
) -> None:
    """Ask the engine to stop and wait so many seconds, or until the wait is called off.

    EnvironmentFault where the engine does not stop.
    """
    identity = live_identity(folder)
    if not launcher.ask_to_stop(folder, identity):
        say(f"{folder.id} has ended already")
        return
    say(f"{folder.id}: stopping with a checkpoint")
    if not _has_ended(identity, grace, is_called_off):
        if is_called_off():
            return
        raise EnvironmentFault(
            f"{folder.id} has been asked to stop and still works after {grace:.0f} s; "
            f"`histotui stop {folder.id}` waits on, with --now it kills the run"
        )
    stopped = isinstance(read_last(folder.events), RunStopped)
    say(f"{folder.id}: {'stopped' if stopped else summarize(folder).state}")


def kill_run(folder: RunFolder, say: Say = console.say) -> None:
    """Kill the engine and its workers."""
    identity = live_identity(folder)
    if launcher.kill(identity) and not _has_ended(identity, _KILL_GRACE):
        raise EnvironmentFault(f"{folder.id}: process {identity.pid} has been killed and does not end")
    say(f"{folder.id}: killed; `histotui resume` goes on from its last checkpoint")


def check_resumable(folder: RunFolder) -> None:
    """RunFolderError where the run lives, has finished with scores, or has had its config changed."""
    summary = readable(folder)
    if summary.state in LIVE or life_of(folder) is Life.ALIVE:
        raise RunFolderError(f"{folder.id} is {summary.state}: `histotui follow {folder.id}` shows it")
    if summary.state == "finished" and folder.scores.exists():
        raise RunFolderError(f"{folder.id} has finished; `histotui run --preset {folder.id}` makes another like it")
    first = read_first(folder.events)
    saved = first.config_sha256 if isinstance(first, RunStarted) else ""
    if saved and saved != hashlib.sha256(folder.config.read_bytes()).hexdigest():
        raise RunFolderError(f"{folder.config} is not what this run began with: put it back, or start a new run")


def live_identity(folder: RunFolder) -> ProcessIdentity:
    """The run's process; RunFolderError where there is none here that could be asked."""
    identity, life = ProcessIdentity.read(folder.process), life_of(folder)
    if life is Life.ELSEWHERE and identity is not None and summarize(folder).state in LIVE:
        raise RunFolderError(f"{folder.id} runs on {identity.host}: stop it there")
    if life is not Life.ALIVE:
        raise RunFolderError(f"{folder.id} is not running; it is {summarize(folder).state}")
    if identity is None or not identity.is_alive():
        raise RunFolderError(f"{folder.id} is being started or runs in another container; try again, or stop it there")
    return identity


def _has_ended(identity: ProcessIdentity, grace: float, is_called_off: Question = lambda: False) -> bool:
    deadline = time.monotonic() + grace
    while identity.is_alive():
        if time.monotonic() > deadline or is_called_off():
            return False
        time.sleep(_POLL)
    return True
