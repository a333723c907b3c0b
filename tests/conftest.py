"""What several files of tests share, and the table of promises, made from how the tests went."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from promises import tally, write_table

from engine.soak.engines import Engines

_outcomes: list[tuple[str, int, bool]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promises", metavar="FILE", help="write the table of promises between its marks in this file")


FIRST = (
    "test_session_pty",
    "test_failpoints",
    "test_cli_run",
    "test_full_disk",
    "test_application_pty",
    "test_ssh",
    "test_engine",
)
"""Files that take long: begun last, they would be waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and not report.skipped:
        faults = dict(report.user_properties).get("faults", 1)
        _outcomes.append((report.nodeid, int(str(faults)), report.passed))


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--promises")
    # With several workers, only who gathers their reports has all of them.
    if path and not hasattr(session.config, "workerinput"):
        write_table(Path(path), tally(_outcomes))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Engines for toy runs, which share their packed patches."""
    return Engines(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For engines in this process: a cache of the test's own, and signals and umask afterwards as they were."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
    handlers = [(number, signal.getsignal(number)) for number in numbers]
    mask = os.umask(0o077)
    yield
    os.umask(mask)
    for number, handler in handlers:
        signal.signal(number, handler)
