"""Over a real OpenSSH server on loopback: a launch, a cut connection in mid-run, and a second login."""

import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from terminal import ENTER, PATIENCE, Terminal, environment, histotui
from workbench import until

from engine.spec.event_log import EventReader
from engine.spec.events import Event, Metrics, RunStopped
from engine.spec.run_folder import RunFolder
from histotui.runs import Life, life_of

SETTINGS = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""
OPTIONS = {
    "BatchMode": "yes",
    "IdentitiesOnly": "yes",
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
    "LogLevel": "ERROR",
}


@dataclass(frozen=True)
class Server:
    """An OpenSSH server that lets this user in."""

    folder: Path
    port: int

    def login(self, command: str, *flags: str) -> list[str]:
        """The client's command that runs a shell's command over there."""
        options = [part for name, value in OPTIONS.items() for part in ("-o", f"{name}={value}")]
        address = f"{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1"
        reach = ["-F", "none", "-i", str(self.folder / "key"), "-p", str(self.port)]
        return ["ssh", *flags, *options, *reach, address, command]

    def session(self, variables: dict[str, str], command: str) -> Terminal:
        """A terminal that is logged in and runs a shell's command with these variables."""
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
        return Terminal(self.login(f"export {settings}; {command}", "-tt"), dict(os.environ) | variables, (160, 48))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    sshd = shutil.which("sshd", path=os.defpath + ":/usr/sbin:/usr/local/sbin")
    if not (sshd and shutil.which("ssh") and shutil.which("ssh-keygen")):
        pytest.skip("OpenSSH's server is not installed: apt-get install openssh-server")
    folder = tmp_path / "ssh"
    folder.mkdir()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    reached = Server(folder, free_port())
    (folder / "config").write_text(SETTINGS.format(port=reached.port, folder=folder))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(folder / "config")], stdin=subprocess.DEVNULL, stderr=log
        )
    try:
        wait_for_login(process, reached)
        yield reached
    finally:
        process.terminate()
        process.wait(PATIENCE)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_login(process: "subprocess.Popen[bytes]", server: Server) -> None:
    """Skip the test, with what the server says, where this user cannot log in."""

    def logs_in() -> bool:
        tried = subprocess.run(server.login("true"), capture_output=True, timeout=PATIENCE, check=False)
        return tried.returncode == 0

    try:
        until(lambda: process.poll() is not None or logs_in(), seconds=5)
    except AssertionError:
        process.terminate()
    if process.poll() is not None or not logs_in():
        process.wait(PATIENCE)
        pytest.skip(f"no login over OpenSSH here: {(server.folder / 'log').read_text()[-400:]}")


def logged(run: RunFolder) -> list[Event]:
    return EventReader(run.events).read()


def steps(run: RunFolder) -> list[int]:
    """The steps whose loss the run has logged, in the order of the log."""
    return [event.step for event in logged(run) if isinstance(event, Metrics) and "bce" in event.values]


def test_a_run_launched_over_ssh_survives_a_cut_connection(server: Server, tmp_path: Path) -> None:
    variables = environment(tmp_path)
    settings = ("classifier.epochs=5000", "training.log_every=1", "training.threads=1")
    small = ["--quick", "--device", "cpu", *(part for setting in settings for part in ("--set", setting))]
    launch = shlex.join(histotui("run", "--preset", "baseline", *small, "--detach", "--name", "pilot"))
    open_application, own = shlex.join(histotui()), tmp_path / "pid"
    with server.session(variables, f"{launch} && echo $$ > {own} && exec {open_application}") as first:
        first.sees("Quit", "● running", "pilot")
        first.type(ENTER)
        first.sees("1 Curves", "● running", "classifier: bce")
        (path,) = (tmp_path / "runs").iterdir()
        run = RunFolder(path)
        first.signal(signal.SIGKILL)
        first.end()
    until(lambda: not Path(f"/proc/{own.read_text().strip()}").exists(), PATIENCE)
    seen = len(steps(run))
    until(lambda: len(steps(run)) > seen + 3, PATIENCE)
    with server.session(variables, open_application) as second:
        second.sees("Quit", "● running", "pilot")
        assert life_of(run) is Life.ALIVE
        second.type(ENTER)
        second.sees("1 Curves", "● running", "classifier: bce")
        second.type("s")
        second.sees("‖ stopped")
        last = steps(run)[-1]
        second.sees(f"step {last}")
        second.type("\x11")
        assert second.end() == 0
    assert isinstance(logged(run)[-1], RunStopped)
    assert steps(run) == list(range(1, last + 1))
