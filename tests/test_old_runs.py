"""Run folders that earlier versions left behind are read, are found whole, and are taken up again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from old_runs.make import BROKEN_OFF, IMAGES

from engine.audit import audit
from engine.soak.engines import Engines
from engine.spec.event_log import EventReader
from engine.spec.events import Metrics
from engine.spec.resolve import load
from engine.spec.run_folder import RunFolder
from histotui.summary import summarize

OLD = sorted(path.parent for path in Path(__file__).with_name("old_runs").glob(f"*/{IMAGES}"))
ROUNDING = 0.1
"""What another processor may make of the patches, as a share of their standard deviation."""


@pytest.fixture(params=OLD, ids=[path.name for path in OLD])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder: Path = shutil.copytree(request.param, tmp_path / "old")
    return folder


def test_there_is_one_of_each_kind() -> None:
    assert {path.name.partition("-")[2] for path in OLD} >= set(BROKEN_OFF)


def test_it_is_read(old: Path) -> None:
    run = RunFolder(old / "run")
    told, reader = summarize(run), EventReader(run.events)
    metrics = [event for event in reader.read() if isinstance(event, Metrics)]
    assert told.state == "lost" and told.preset == load(run.config).preset and told.stage
    assert metrics and reader.skipped == 0


def test_it_is_whole(old: Path) -> None:
    assert audit(RunFolder(old / "run"))["findings"] == []


def test_it_is_taken_up_again_and_ends_as_it_would_have(old: Path, engines: Engines) -> None:
    run = RunFolder(old / "run")
    assert engines.finish(run) == 0, run.log.read_text()
    assert summarize(run).state == "finished"
    expected, made = (np.load(path / IMAGES).astype(float) for path in (old, run.synthetic))
    assert made.shape == expected.shape and np.abs(made - expected).mean() < ROUNDING * expected.std()
