"""Starts engines that outlive this process, and asks them to end."""

import contextlib
import os
import signal
import site
import subprocess
import sys
from pathlib import Path

from engine.spec.errors import EnvironmentFault
from engine.spec.logout import outliving
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui.disk import storage_errors

ENGINE: tuple[str, ...] = (sys.executable, "-P", "-m", "engine")


def start_engine(folder: RunFolder) -> subprocess.Popen[bytes]:
    """The engine at work on a run, in a session of its own so that no terminal can end it."""
    with storage_errors(folder.log):
        descriptor = os.open(folder.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [*outliving(), *ENGINE, str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=True,
            cwd=folder.path,
            env=environment(),
        )
    except OSError as error:
        raise EnvironmentFault(f"the engine cannot be started: {error}") from None
    finally:
        os.close(descriptor)


def environment() -> dict[str, str]:
    """This process's environment, in which `engine` is the one that lies beside this package."""
    # Threads that spin while they wait take the cores from the runs beside them, which then crawl.
    variables = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    root = str(Path(__file__).resolve().parents[1])
    # Where this package is installed, PYTHONPATH would put all of site-packages before Python's own modules.
    if root not in (*site.getsitepackages(), site.getusersitepackages()):
        # -P leaves the working folder out of sys.path, and a source checkout is found by nothing else.
        variables["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [variables.get("PYTHONPATH")])])
    return variables


def ask_to_stop(folder: RunFolder, identity: ProcessIdentity) -> bool:
    """SIGTERM to the engine alone, whose workers it ends itself; False where it is gone already."""
    asked = folder.stop_request
    # A second one would end it at once, without the checkpoint that it is saving.
    if ProcessIdentity.read(asked) == identity:
        return identity.is_alive()
    if not _signal(identity, signal.SIGTERM):
        return False
    # On a full disk above all a run must still be able to stop.
    with contextlib.suppress(OSError):
        identity.write(asked)
    return True


def ask_where(identity: ProcessIdentity) -> bool:
    """Let the engine write to its log where each of its threads is, even if it hangs; False where it is gone.

    EnvironmentFault where it does not listen: the signal would end it.
    """
    if identity.is_alive() and not _listens(identity.pid, signal.SIGUSR2):
        raise EnvironmentFault(
            f"process {identity.pid} cannot be asked: its engine is of another version or just begins"
        )
    return _signal(identity, signal.SIGUSR2)


def kill(identity: ProcessIdentity) -> bool:
    """SIGKILL to the engine and its workers, which share its process group; False where it is gone already."""
    if not identity.is_alive():
        return False
    try:
        # An engine leads its own session; anything else that bears this pid must not take its group down.
        if os.getpgid(identity.pid) == identity.pid:
            os.killpg(identity.pid, signal.SIGKILL)
            return True
    except ProcessLookupError:
        return False
    return _signal(identity, signal.SIGKILL)


def _listens(pid: int, number: signal.Signals) -> bool:
    """Whether a process catches a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def _signal(identity: ProcessIdentity, number: signal.Signals) -> bool:
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        # Between these two lines the pid cannot pass to another process: the descriptor holds on to it.
        if not identity.is_alive():
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
