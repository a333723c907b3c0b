"""A disk that is really full, by the kernel: a small one in a mount namespace, and a limit on the size of files."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.soak.ending import Ending, differences, ending
from engine.soak.engines import Engines
from engine.soak.toys import toy_config, toy_run
from engine.spec.event_log import read_last

SESSION = Path(__file__).with_name("full_disk_session.py")
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
SIZES = [4096, 16384, 32768, 65536, 131072, 262144, 524288]
"""Bytes that are free: for nothing at all, for some checkpoints, and for nearly all of a run."""


LAST_WORDS = 1 << 16
"""What a run sets aside to be able to say why it has ended."""


def can_mount() -> bool:
    try:
        command = [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_mount(), reason="this system gives no user a mount namespace")
@pytest.mark.parametrize("preset", ["vae-100", "vqvae"])
def test_a_run_on_a_disk_that_is_full(
    preset: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    command = [*NAMESPACE, sys.executable, str(SESSION), str(tmp_path), preset, *map(str, SIZES)]
    environment = {**os.environ, "PYTHONPATH": str(SESSION.parents[1])}
    said = subprocess.run(command, capture_output=True, check=False, env=environment, text=True)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    record_property("faults", len(found))
    for size, each in zip(SIZES, found, strict=True):
        assert each["code"] in (0, 3), (size, each)
        assert each["left"] == [], (size, each)
        assert each["named"] or each["code"] == 0 or size < LAST_WORDS, (size, each)
        assert (each["again"], each["differences"]) == (0, []), (size, each)
    assert found[0]["code"] == 3


@pytest.fixture(scope="module")
def whole(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Ending:
    run = toy_run(tmp_path_factory.mktemp("whole") / "run", toy_config("vae-100"))
    assert engines.finish(run) == 0
    return ending(run)


@pytest.mark.parametrize("size", [100, 700, 3000, 8000, 20_000])
def test_files_that_may_not_grow(size: int, engines: Engines, whole: Ending, tmp_path: Path) -> None:
    run = toy_run(tmp_path / "run", toy_config("vae-100"))
    assert engines.wait(engines.start(run, file_size=size)) == 3
    assert os.strerror(errno.EFBIG) in run.log.read_text() + str(read_last(run.events))
    assert not list(run.path.rglob(".partial-*.json"))
    assert engines.finish(run) == 0
    assert differences(ending(run), whole) == []
