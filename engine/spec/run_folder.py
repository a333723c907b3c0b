"""RunFolder: the name of every file in a run folder."""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.spec.errors import ConfigError

RUN_ID = re.compile(r"(?P<stamp>\d{8}-\d{6})-(?P<preset>.+)-(?P<random>[0-9a-f]{4})")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder. Nothing outside it is needed to show the run."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def command(self) -> Path:
        return self.path / "command.txt"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def process(self) -> Path:
        return self.path / "process.json"

    @property
    def lock(self) -> Path:
        return self.path / "run.lock"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def data(self) -> Path:
        """The splits that the run works on, and the fingerprint of its patches."""
        return self.path / "data"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def synthetic(self) -> Path:
        return self.path / "synthetic"

    @property
    def scores(self) -> Path:
        return self.path / "scores.json"

    @property
    def quality(self) -> Path:
        """How near the synthetic patches are to real ones."""
        return self.path / "quality.json"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.npz"

    @property
    def postmortem(self) -> Path:
        return self.path / "postmortem.json"

    @property
    def stop_request(self) -> Path:
        """The engine process that was last asked to stop, so that it is not asked twice: the second time ends it."""
        return self.path / "asked-to-stop.json"

    @property
    def meta(self) -> Path:
        return self.path / "meta.json"


def new_run_id(preset: str, now: datetime | None = None) -> str:
    """An id such as 20261123-154501-vae-2000-a1b2: UTC time, preset, random."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%d-%H%M%S")
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", preset).strip("-.") or "custom"
    return f"{stamp}-{slug}-{secrets.token_hex(2)}"


def check_name(name: str) -> str:
    """A run's display name, if it can stand in a path and on a terminal; ConfigError otherwise."""
    if not re.fullmatch(r"[^\W_][\w .+=,@-]{0,99}", name) or ".." in name or name != name.strip():
        raise ConfigError(
            f"name {name!r}: use 1 to 100 letters, digits, spaces and . _ + = , @ - with a letter or digit first"
        )
    return name
