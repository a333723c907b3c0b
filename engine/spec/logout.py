"""What becomes of a user's processes at logout, and how a run is started so that it outlives it."""

import getpass
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

_ASK: Final = (
    "busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
    "KillUserProcesses",
)  # fmt: skip
_SCOPE: Final = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--")
_LINGERING: Final = Path("/var/lib/systemd/linger")
_PATIENCE: Final = 2.0

CAUTION: Final = (
    "This system ends all processes of a user at logout (KillUserProcesses=yes), tmux among them: "
    "`loginctl enable-linger` lets runs go on."
)


def outliving() -> tuple[str, ...]:
    """What stands before a command so that logging out does not end it; empty where nothing is needed or helps."""
    return _SCOPE if _ends_all() and _lingers() and shutil.which(_SCOPE[0]) else ()


def cautions() -> list[str]:
    """What to say before a run is started that logging out would end."""
    return [CAUTION] if _ends_all() and not (_lingers() and shutil.which(_SCOPE[0])) else []


def _ends_all() -> bool:
    """Whether the login manager ends what is left of a session; not asked outside of one."""
    if not os.environ.get("XDG_SESSION_ID") or shutil.which(_ASK[0]) is None:
        return False
    try:
        said = subprocess.run(_ASK, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.returncode == 0 and said.stdout.strip() == "b true"


def _lingers() -> bool:
    """Whether the user's own manager goes on after the last session, which scopes live in."""
    try:
        return (_LINGERING / getpass.getuser()).exists()
    except (KeyError, OSError):
        return False
