"""`compare --repeats`: runs that differ in their seeds alone as one row, by values computed by hand."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from fake_engine import score
from workbench import Bench

from engine.spec.config import RunConfig
from engine.spec.events import RunFinished, RunStarted
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply

DONE = (RunStarted(time=100.0, device="cpu"), RunFinished(time=160.0, seconds=60.0))
VAE = PRESETS["vae-500"].config


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def write(bench: Bench, number: int, auc: float | None, config: RunConfig = VAE, **other: Any) -> str:
    """A run with this AUC, its seed its number unless the changes say otherwise."""
    run_id = f"20251121-{120000 + number}-{config.preset}-{number:04x}"
    changes = {"seed": number, **other.pop("changes", {})}
    scores = [] if auc is None else [score(auc=auc, auc_low=auc - 0.04, auc_high=auc + 0.02, **other)]
    name = other.pop("name", "")
    bench.write(run_id, DONE, scores=scores, config=apply(config, [changes]), name=name)
    return run_id


def test_mean_spread_and_number_over_seeds(bench: Bench) -> None:
    vaes = [write(bench, seed, auc, accuracy=0.6) for seed, auc in enumerate((0.5, 0.6, 0.7))]
    alone = write(bench, 9, 0.9, PRESETS["baseline"].config, trained_on="tissue")
    found = bench("compare", *vaes, alone, "--repeats", "--format", "json").json
    first, second = found
    assert (first["name"], first["runs"], first["seeds"], first["run"]) == ("vae-500", 3, "0 1 2", " ".join(vaes))
    assert (first["auc"], first["auc_sd"]) == (pytest.approx(0.6), pytest.approx(0.1))
    assert (first["auc_low"], first["auc_high"]) == (pytest.approx(0.56), pytest.approx(0.62))
    assert (first["accuracy"], first["accuracy_sd"]) == (pytest.approx(0.6), pytest.approx(0))
    assert (first["latent"], first["trained_on"], first["n_test"]) == (500, "synthetic", 600)
    assert (second["runs"], second["auc"], second["auc_sd"]) == (1, 0.9, None)
    said = bench("compare", *vaes, alone, "--repeats")
    lines = said.out.splitlines()
    assert lines[0].split() == [
        "REPEATS",
        "OF",
        "N",
        "TRAINED",
        "TESTED",
        "ACC.",
        "AUC",
        "95",
        "%",
        "INTERVAL",
        "STUDY",
    ]
    assert "0.6000 ± 0.1000" in lines[1] and "[0.560, 0.620]" in lines[1] and "±" not in lines[2]
    assert "Means over runs that differ in their seeds alone" in said.err


def test_another_setting_is_another_row_and_their_names_tell_them_apart(bench: Bench) -> None:
    runs = [write(bench, number, 0.5) for number in (0, 1)]
    runs += [write(bench, number, 0.6, changes={"generator": {"epochs": 7}}) for number in (2, 3)]
    rows = bench("compare", *runs, "--repeats", "--format", "json").json
    assert [(row["name"], row["runs"], row["generator_epochs"]) for row in rows] == [
        ("vae-500-0000", 2, 100),
        ("vae-500-0002", 2, 7),
    ]


def test_patches_chosen_anew_and_lenders_with_other_seeds_are_repeats_too(bench: Bench) -> None:
    lenders = [write(bench, number, 0.5) for number in (0, 1)]
    other = write(bench, 2, 0.5, changes={"generator": {"epochs": 7}})
    baseline = PRESETS["baseline-resnet"].config
    runs = []
    for number, lender in enumerate((*lenders, other), start=10):
        lent = {"source": str(bench.runs / lender)}
        changes = {"synthesis": lent, "data": {"share_seed": number}, "classifier": {"train_on": "synthetic"}}
        runs.append(write(bench, number, 0.7, baseline, changes=changes))
    rows = bench("compare", *runs, "--repeats", "--format", "json").json
    assert [row["seeds"] for row in rows] == ["10 11", "12"]


def test_repeats_are_called_by_the_name_that_they_were_given(bench: Bench) -> None:
    for number in (0, 1):
        config = apply(VAE, [{"seed": number}])
        bench.write(f"20251121-12000{number}-vae-500-000{number}", DONE, scores=[score()], config=config,
                    name=f"pilot seed {number}")  # fmt: skip
    (row,) = bench("compare", "pilot seed 0", "pilot seed 1", "--repeats", "--format", "json").json
    assert (row["name"], row["runs"]) == ("pilot", 2)


def test_the_same_seed_twice_is_no_repeat(bench: Bench) -> None:
    seeds = ((0, 0.5), (1, 0.7), (0, 0.6))
    runs = [write(bench, place, auc, changes={"seed": seed}) for place, (seed, auc) in enumerate(seeds)]
    (row,) = bench("compare", *runs, "--repeats", "--format", "json").json
    assert (row["runs"], sorted(row["seeds"].split())) == (2, ["0", "1"])
    assert (row["auc"], row["auc_sd"]) == (pytest.approx(0.65), pytest.approx(0.1 / 2**0.5))


def test_one_seed_on_the_patches_of_several_is_a_repeat_for_each(bench: Bench) -> None:
    lenders = [write(bench, number, None) for number in range(3)]
    runs = [
        write(
            bench, place, auc, changes={"seed": 0, "generator": None, "synthesis": {"source": str(bench.runs / lender)}}
        )
        for place, (lender, auc) in enumerate(zip(lenders, (0.5, 0.6, 0.7), strict=True), start=10)
    ]
    (row,) = bench("compare", *runs, "--repeats", "--format", "json").json
    assert (row["runs"], row["auc"], row["auc_sd"]) == (3, pytest.approx(0.6), pytest.approx(0.1))


def test_runs_without_a_score_are_not_counted(bench: Bench) -> None:
    runs = [write(bench, 0, 0.5), write(bench, 1, None)]
    said = bench("compare", *runs, "--repeats", "--format", "json")
    (row,) = said.json
    assert (row["runs"], row["auc"], row["seeds"]) == (1, 0.5, "0")
    assert f"{runs[1]} has no score" in said.err
    (row,) = bench("compare", runs[1], "--repeats", "--format", "json").json
    assert (row["runs"], row["auc"], row["auc_sd"]) == (0, None, None)
    assert bench("compare", runs[1], "--repeats").code == 0


def test_columns_and_formats_are_those_of_single_runs(bench: Bench) -> None:
    runs = [write(bench, seed, auc) for seed, auc in enumerate((0.5, 0.7))]
    said = bench("compare", *runs, "--repeats", "--format", "csv", "--columns", "name,runs,auc,auc_sd")
    (row,) = csv.DictReader(io.StringIO(said.out))
    assert (row["name"], row["runs"], float(row["auc"])) == ("vae-500", "2", pytest.approx(0.6))
    assert float(row["auc_sd"]) == pytest.approx(0.2 / 2**0.5)
    said = bench("compare", *runs, "--repeats", "--columns", "aucs")
    assert said.code == 2 and "--columns aucs: unknown" in said.err


@pytest.mark.parametrize("other", [("--paired",), ("--export", "there")])
def test_what_is_about_single_runs_is_refused_beside_it(bench: Bench, other: tuple[str, ...]) -> None:
    said = bench("compare", write(bench, 0, 0.5), "--repeats", *other)
    assert said.code == 2 and f"{other[0]} is about single runs" in said.err


def test_settings_that_a_run_was_saved_without_are_their_defaults(bench: Bench) -> None:
    old, new = (write(bench, seed, 0.5) for seed in (0, 1))
    path = bench.runs / old / "config.json"
    tree = json.loads(path.read_text())
    del tree["data"]["train_share"]
    path.write_text(json.dumps(tree))
    (row,) = bench("compare", old, new, "--repeats", "--format", "json").json
    assert row["runs"] == 2
