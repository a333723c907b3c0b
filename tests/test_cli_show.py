"""`ls`, `show`, `compare`, `logs`, `rm`, `presets`, `data` and `doctor`: what they print, to the byte."""

import csv
import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_engine import score
from workbench import Bench

from engine.spec.config import RunConfig
from engine.spec.events import Event, RunFailed, RunFinished, RunStarted, Warned
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply
from engine.spec.run_folder import RunFolder
from histotui import console, launcher
from histotui.commands.options import complete_run
from histotui.diagnosis import terminal
from histotui.formats import duration, interval, number, size, table
from histotui.graphics import Graphics, Kind
from histotui.summary import summarize
from histotui.widgets.run_table import COLUMNS, Row, run_line

ONE, TWO, THREE = "20251121-120000-vae-500-aaaa", "20251122-120000-baseline-bbbb", "20251123-120000-vae-100-cccc"
ATTACK = "\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202eevil\u2028"
DONE = (RunStarted(time=100.0, device="cpu"), RunFinished(time=160.0, seconds=60.0))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path, monkeypatch)
    bench.write(ONE, DONE, scores=[score()], name="pilot")
    bench.write(TWO, DONE, scores=[score(trained_on="tissue", auc=0.93)], config=PRESETS["baseline"].config)
    failed = (DONE[0], RunFailed(time=130.0, error="Diverged", message="loss is NaN", exit_code=4, stage="generator"))
    bench.write(THREE, failed, config=PRESETS["vae-100"].config)
    return bench


def is_safe(text: str) -> bool:
    return not set(text) & set("\x1b\x07\x9b\u202e\u2028\x00")


class TestLs:
    def test_json_has_what_scripts_need(self, bench: Bench) -> None:
        rows = bench("ls", "--json").json
        assert [row["id"] for row in rows] == [ONE, TWO, THREE]
        needed = {"id", "name", "preset", "state", "stage", "created", "seconds", "device", "scores"}
        assert all(needed <= set(row) and "config" not in row for row in rows)
        assert (rows[0]["name"], rows[0]["state"], rows[0]["seconds"]) == ("pilot", "finished", 60.0)
        assert (rows[2]["state"], rows[2]["error"], rows[2]["exit_code"]) == ("failed", "loss is NaN", 4)
        assert rows[0]["scores"][0]["auc"] == 0.7503

    def test_lines_for_people(self, bench: Bench) -> None:
        lines = [line.split("  ") for line in bench("ls").out.splitlines()]
        cells = [[cell.strip() for cell in line if cell] for line in lines]
        assert cells[0] == ["RUN", "NAME", "STATE", "STAGE", "TESTED ON", "AUC", "95 % INTERVAL"]
        assert cells[1] == [ONE, "pilot", "finished", "tissue", "0.7503", "[0.711, 0.790]"]
        assert cells[3][:3] == [THREE, "failed", "generator"]

    def test_filter_and_sort(self, bench: Bench) -> None:
        found = bench("ls", "--filter", "state=finished auc>0.5", "--sort", "-auc", "--json").json
        assert [row["id"] for row in found] == [TWO, ONE]

    def test_a_bad_filter_is_a_usage_error(self, bench: Bench) -> None:
        result = bench("ls", "--filter", "auk>1")
        assert (result.code, result.out) == (2, "")
        assert "filter term 'auk>1'" in result.err
        result = bench("ls", "--filter", "genrator.latent_dim>1")
        assert result.code == 2
        assert "genrator: unknown; did you mean generator?" in result.err

    def test_no_runs_is_an_empty_list(self, bench: Bench) -> None:
        result = bench("ls", "--json", "--runs", "nothing")
        assert (result.code, result.json) == (0, [])
        assert bench("ls", "--runs", "nothing").out == ""

    def test_damage_does_not_break_the_list(self, bench: Bench) -> None:
        RunFolder(bench.runs / ONE).config.write_text("{")
        RunFolder(bench.runs / TWO).events.write_text('{"type": "run_started", "schema": 99}\n')
        rows = bench("ls", "--json").json
        assert [row["state"] for row in rows] == ["unreadable", "unreadable", "failed"]
        assert "schema 99" in rows[1]["error"]


class TestShow:
    def test_json_has_what_scripts_need(self, bench: Bench) -> None:
        shown = bench("show", "pilot", "--json").json
        listed = bench("ls", "--json").json[0]
        assert {key: shown[key] for key in listed if key != "scores"} == {
            key: value for key, value in listed.items() if key != "scores"
        }
        assert shown["config"]["generator"]["latent_dim"] == 500
        assert shown["scores"] == [score()]

    def test_a_failed_run(self, bench: Bench) -> None:
        out = bench("show", THREE).out
        assert "state     failed, generator\n" in out
        assert "error     loss is NaN\n" in out
        assert "no scores yet" in out

    def test_the_reference_row_is_beside_the_answer(self, bench: Bench) -> None:
        fidelity = score(role="label fidelity", trained_on="tissue", tested_on="synthetic", auc=0.61)
        bench.write("20251124-120000-vae-500-dddd", DONE, scores=[score(), score(role="reference", auc=0.9), fidelity])
        lines = bench("show", "@last").out.splitlines()
        (header,) = (line for line in lines if "this run" in line)
        (auc,) = (line for line in lines if line.startswith("AUC"))
        assert header.split("  ")[-1].strip() == "label fidelity"
        assert auc.split() == ["AUC", "0.7503", "0.4814", "0.9000", "0.6100"]

    def test_a_changed_generator_is_not_the_studys(self, bench: Bench) -> None:
        changed = apply(PRESETS["vae-500"].config, [{"generator": {"latent_dim": 501}}])
        bench.write("20251124-120000-vae-500-dddd", DONE, scores=[score()], config=changed)
        out = bench("show", "@last").out
        assert "the study" not in out
        assert "- Differs from the preset vae-500: generator.latent_dim=501\n" in out

    def test_the_run_that_has_lent_its_patches_is_named(self, bench: Bench) -> None:
        lent = {"synthesis": {"source": f"/elsewhere/{ONE}"}, "classifier": {"train_on": "both"}}
        config = apply(PRESETS["baseline"].config, [lent])
        bench.write("20251124-120000-baseline-dddd", DONE, scores=[score(trained_on="both")], config=config)
        out = bench("show", "@last").out
        assert f"\nbaseline, synthetic patches of {ONE}\n" in out and "the study" not in out
        rows = bench("compare", "pilot", "@last", "--format", "json").json
        assert [row["synthetic_of"] for row in rows] == ["", ONE]

    @pytest.mark.parametrize(
        ("reference", "said"),
        [("2025", "could be 3 runs"), ("nope", "no run 'nope'"), ("pilots", "did you mean pilot?")],
    )
    def test_not_found(self, bench: Bench, reference: str, said: str) -> None:
        result = bench("show", reference)
        assert (result.code, result.out) == (3, "")
        assert said in result.err

    @pytest.mark.parametrize("file", ["config.json", "scores.json"])
    @pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["follow"], ["resume"], ["compare"]], ids=str)
    def test_damage_is_a_clear_error(self, bench: Bench, command: list[str], file: str) -> None:
        (bench.runs / ONE / file).write_text("{")
        result = bench(*command, ONE)
        assert (result.code, result.out) == (3, "")
        assert result.err.startswith("error: ") and file in result.err

    def test_a_newer_schema_is_a_clear_error(self, bench: Bench) -> None:
        RunFolder(bench.runs / ONE).events.write_text('{"type": "run_started", "schema": 99}\n')
        for command in ("show", "follow", "resume"):
            result = bench(command, ONE)
            assert (result.code, result.out) == (3, "")
            assert "schema 99" in result.err


class TestSafety:
    """Whatever a run folder holds, a terminal sees text."""

    @pytest.fixture
    def hostile(self, bench: Bench) -> Bench:
        config = apply(PRESETS["vae-500"].config, [{"preset": ATTACK, "data": {"source": f"/data/{ATTACK}"}}])
        events: Sequence[Event] = (
            RunStarted(device=ATTACK),
            Warned(stage=ATTACK, message=ATTACK),
            RunFailed(error=ATTACK, message=ATTACK, exit_code=1, stage=ATTACK),
        )
        folder = bench.write(f"20251124-120000-{ATTACK}-dddd", events, config=config, name=ATTACK)
        folder.scores.write_text(json.dumps({"scores": [score(trained_on=ATTACK)], "notes": [ATTACK]}))
        folder.log.write_bytes(ATTACK.encode() + b"\xff\xfe\x9b31m\n[red]markup[/red]\n")
        return bench

    @pytest.mark.parametrize(
        "command",
        [["ls"], ["ls", "--json"], ["show", "@last"], ["show", "@last", "--json"], ["logs", "@last"],
         ["follow", "@last"], ["compare", "@last"], ["compare", "@last", "--format", "csv"],
         ["compare", "@last", "--format", "latex"], ["stop", "@last"], ["rm", "@last"], ["show", ATTACK],
         ["run", "--preset", ATTACK], ["run", "--preset", "@last", "--set", f"{ATTACK}=1"], ["ls", "--filter", ATTACK],
         [ATTACK], ["run", f"--{ATTACK}"]],
        ids=str,
    )  # fmt: skip
    def test_no_byte_acts_on_the_terminal(self, hostile: Bench, command: list[str]) -> None:
        result = hostile(*command)
        assert result.out + result.err != ""
        assert is_safe(result.out) and is_safe(result.err)

    def test_markup_is_text(self, hostile: Bench) -> None:
        assert "[red]markup[/red]\n" in hostile("logs", "@last").out

    def test_what_was_escaped_can_be_read(self, hostile: Bench) -> None:
        assert "\\x1b]52;c;aGk=\\x07" in hostile("show", "@last").out


class TestCompare:
    COLUMNS = (
        "run", "preset", "latent", "channels", "trained_on", "tested_on", "n_train", "n_test", "loss", "accuracy",
        "auc", "auc_low", "auc_high", "ece", "sensitivity", "specificity", "study_loss", "study_accuracy", "study_auc",
        "selected_on",
    )  # fmt: skip

    def test_json(self, bench: Bench) -> None:
        rows: list[dict[str, Any]] = bench("compare", "pilot", TWO, "--format", "json").json
        assert all(set(self.COLUMNS) <= set(row) for row in rows)
        assert [(row["latent"], row["channels"], row["auc"], row["study_auc"]) for row in rows] == [
            (500, 16, 0.7503, 0.4814),
            (None, None, 0.93, 0.9225),
        ]

    def test_csv_can_be_read(self, bench: Bench) -> None:
        rows = list(csv.DictReader(io.StringIO(bench("compare", "pilot", TWO, "--format", "csv").out)))
        assert [(row["run"], row["auc"], row["study_loss"]) for row in rows] == [
            (ONE, "0.7503", "26.81"),
            (TWO, "0.93", "0.3576"),
        ]
        assert set(self.COLUMNS) <= set(rows[0])

    def test_counts_stay_whole_beside_a_run_without_any(self, bench: Bench) -> None:
        bench.write("20261123-154504-baseline-a1b5", DONE, name="large", scores=[score(n_train=15130)])
        words = ["compare", "large", THREE, "--columns", "name,n_train,auc", "--format"]
        assert "15130 & 0.7503" in (latex := bench(*words, "latex").out) and "{lrr}" in latex
        assert " 15130 | 0.7503 |" in bench(*words, "md").out

    def test_markdown_and_latex(self, bench: Bench) -> None:
        markdown = bench("compare", "pilot", "--format", "md").out
        assert markdown.startswith("| run ") and " 0.7503 |" in markdown
        latex = bench("compare", "pilot", "--format", "latex").out
        assert latex.startswith("\\begin{tabular}") and "trained\\_on" in latex

    def test_table(self, bench: Bench) -> None:
        lines = bench("compare", "pilot", TWO).out.splitlines()
        assert lines[1].split() == [
            "pilot",
            "synthetic",
            "tissue",
            "0.6931",
            "0.7125",
            "0.7503",
            "[0.711,",
            "0.790]",
            "0.4814",
        ]
        assert lines[2].split()[0] == "baseline-bbbb"

    def test_different_patches_are_said(self, bench: Bench) -> None:
        for run, print_ in ((ONE, "a" * 64), (TWO, "b" * 64)):
            (bench.runs / run / "data").mkdir()
            (bench.runs / run / "data" / "manifest.json").write_text(json.dumps({"fingerprint": print_}))
        result = bench("compare", ONE, TWO, "--format", "json")
        assert "different patches: their scores cannot be compared" in result.err
        assert len(result.json) == 2

    def test_patches_that_changed_under_one_path_are_said(self, bench: Bench) -> None:
        for run, print_ in ((ONE, "a" * 64), (TWO, "b" * 64)):
            (bench.runs / run / "data").mkdir()
            manifest = {"fingerprint": print_, "test_fingerprint": "c" * 64}
            (bench.runs / run / "data" / "manifest.json").write_text(json.dumps(manifest))
        said = f"{ONE} and {TWO} have the same data settings and worked on other patches"
        assert said in bench("compare", ONE, TWO).err
        config = json.loads((bench.runs / TWO / "config.json").read_text())
        config["data"]["train_share"] = 0.5
        (bench.runs / TWO / "config.json").write_text(json.dumps(config))
        assert said not in bench("compare", ONE, TWO).err

    def test_versions_and_devices_that_differ_are_said(self, bench: Bench) -> None:
        for run, program, device in ((ONE, "a", "cpu"), (TWO, "b", "cuda:1")):
            said = {"engine_sha256": program * 64, "commit": program * 40, "device": device}
            (bench.runs / run / "environment.json").write_text(json.dumps(said))
        err = bench("compare", ONE, TWO).err
        assert f"2 versions of the program made these runs ({'a' * 12}, {'b' * 12}): a change in it may be what" in err
        assert "the runs were made on cpu and cuda: they round differently" in err
        assert "versions" not in bench("compare", ONE, ONE).err

    def test_a_run_without_a_score_is_said(self, bench: Bench) -> None:
        assert f"{THREE} has no score: it is failed" in bench("compare", ONE, THREE).err

    def test_an_unknown_format(self, bench: Bench) -> None:
        assert bench("compare", ONE, "--format", "xml").code == 2

    def test_columns_are_those_asked_for_in_that_order(self, bench: Bench) -> None:
        out = bench("compare", "pilot", TWO, "--format", "csv", "--columns", "auc,preset").out
        assert out.splitlines()[0] == "auc,preset" and len(out.splitlines()) == 3
        assert bench("compare", "pilot", "--columns", "preset,auc").out.split()[:2] == ["preset", "auc"]

    def test_an_unknown_column_is_named_with_those_there_are(self, bench: Bench) -> None:
        result = bench("compare", "pilot", "--columns", "auc,speed")
        assert result.code == 2
        assert "--columns speed: unknown; there are run, name" in result.err


class TestTrash:
    def test_out_and_back(self, bench: Bench) -> None:
        assert bench("rm", "pilot", TWO).code == 0
        assert [row["id"] for row in bench("ls", "--json").json] == [THREE]
        assert bench("restore", "pilot").code == 0
        assert [row["id"] for row in bench("ls", "--json").json] == [ONE, THREE]

    def test_one_wrong_name_moves_nothing(self, bench: Bench) -> None:
        assert bench("rm", "pilot", "nope").code == 3
        assert len(bench("ls", "--json").json) == 3

    @pytest.mark.parametrize("reference", ["..", "../runs", "/etc", ".trash", "", "."])
    def test_nothing_outside_is_moved(self, bench: Bench, reference: str) -> None:
        assert bench("rm", reference).code in (2, 3)
        assert len(bench("ls", "--json").json) == 3


class TestPresets:
    def test_json(self, bench: Bench) -> None:
        found = {preset["name"]: preset for preset in bench("presets", "--json").json}
        assert set(found) == set(PRESETS)
        assert found["vae-500"]["study"] == {"loss": 26.81, "accuracy": 0.5496, "auc": 0.4814, "note": "", "ran": True}
        assert RunConfig.model_validate(found["vae-500"]["config"]) == PRESETS["vae-500"].config

    def test_one_with_its_settings(self, bench: Bench) -> None:
        out = bench("presets", "vae-500").out
        assert "generator.latent_dim = 500  # Dimensions of the latent z.\n" in out
        assert "loss 26.81, accuracy 0.5496, AUC 0.4814 on 55,000 of Kaggle's patches" in out

    def test_a_setting_means_what_it_means_in_the_preset_s_kind_of_part(self, bench: Bench) -> None:
        out = bench("presets", "baseline").out
        assert "classifier.channels = 16  # Channels of the first convolution; doubled at each of four levels.\n" in out
        assert "stain_jitter" not in out
        out = bench("presets", "baseline-resnet").out
        assert "classifier.channels = 24  # Channels of the first level; doubled at each further one.\n" in out
        assert "classifier.stain_jitter = " in out

    def test_the_table_is_the_studys(self, bench: Bench) -> None:
        lines = bench("presets").out.splitlines()
        assert lines[0].split() == ["PRESET", "LATENT", "CHANNELS", "LOSS", "ACCURACY", "AUC"]
        assert ["vae-2000-c64", "2000", "64", "9.875", "0.5608", "0.4940"] in [line.split() for line in lines]
        assert "vae-4000-c256: ran out of memory" in lines

    def test_the_users_own_are_listed(self, bench: Bench) -> None:
        folder = bench.folder / "config" / "histotui" / "presets"
        folder.mkdir(parents=True)
        (folder / "mine.toml").write_text('base = "vae-500"\nseed = 3\n')
        assert "mine" in bench("presets").out
        assert bench("presets", "mine", "--json").json["config"]["seed"] == 3

    def test_unknown(self, bench: Bench) -> None:
        assert (bench("presets", "vae-501").code, bench("presets", "vae-501").out) == (2, "")


class TestData:
    def test_the_question_and_the_answer(self, bench: Bench) -> None:
        asked = bench("data", "inspect", "patches", "--slides", "s.csv", "--json").json
        assert asked["query"] == "inspect"
        assert asked["asked"]["data"] == {
            "source": str(bench.folder / "patches"),
            "slides": str(bench.folder / "s.csv"),
        }

    def test_the_built_in_tissue_is_no_path(self, bench: Bench) -> None:
        assert bench("data", "pack", "tissue", "--json").json["asked"]["data"] == {"source": "tissue"}

    def test_a_crop_to_pack(self, bench: Bench) -> None:
        asked = bench("data", "pack", "tissue", "--crop", "32", "--json").json["asked"]
        assert asked["data"] == {"source": "tissue", "crop": 32}

    def test_export_names_run_and_folder(self, bench: Bench) -> None:
        asked = bench("data", "export", "pilot", "out", "--json").json["asked"]
        assert asked == {"run": str(bench.runs / ONE), "folder": str(bench.folder / "out")}

    def test_for_people(self, bench: Bench) -> None:
        out = bench("data", "inspect", "patches").out
        assert "peak bytes       2.00 GB\n" in out
        assert "  patches  10,000\n" in out

    def test_an_error_has_its_code(self, bench: Bench) -> None:
        bench.answers("error")
        assert bench("data", "inspect", "patches").code == 3


class TestFullDisk:
    @pytest.mark.parametrize(("stream", "code"), [("stdout", 3), ("stderr", 0)])
    def test_output_that_cannot_be_written(self, tmp_path: Path, stream: str, code: int) -> None:
        command = [sys.executable, "-m", "histotui", "ls", *(["--json"] if stream == "stdout" else [])]
        environment = {**launcher.environment(), "HISTOTUI_RUNS": str(tmp_path)}
        with Path("/dev/full").open("wb") as full:
            streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
            said = subprocess.run(command, check=False, env=environment, **streams)
        assert said.returncode == code
        if stream == "stdout":
            assert said.stderr == b"error: stdout: No space left on device; free some space there\n"

    def test_no_room_for_temporary_files(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        result = bench("data", "inspect", "tissue")
        assert (result.code, result.err) == (
            3,
            "error: temporary files: No space left on device; free some space there\n",
        )


class TestDoctor:
    def test_json(self, bench: Bench) -> None:
        found = bench("doctor", "--json").json
        assert set(found) == {"versions", "devices", "terminal", "folders"}
        assert found["versions"]["histotui"] == "0.1.0"
        assert found["folders"]["runs"] == {"path": str(bench.runs), "exists": True, "writable": True}

    def test_an_engine_that_cannot_answer_is_a_finding(self, bench: Bench) -> None:
        bench.answers("silent")
        result = bench("doctor", "--json")
        assert result.code == 0
        assert "gave no answer" in result.json["devices"]["error"]

    @pytest.mark.parametrize(
        ("kind", "pictures"),
        [("kitty", "kitty graphics"), ("sixel", "sixels"), ("halfcell", "half cells"), ("unicode", "grey letters")],
    )
    def test_pictures(self, kind: Kind, pictures: str) -> None:
        found = terminal({}, True, lambda: Graphics(kind, "it says so", (9, 18)))
        assert (found["pictures"], found["pictures because"]) == (pictures, "it says so")
        assert found.get("cell in pixels") == ("9 × 18" if kind in ("kitty", "sixel") else None)
        assert not any("tmux.conf" in name for name in found)

    def test_pictures_in_tmux_say_what_to_add(self) -> None:
        found = terminal({"TMUX": "/tmp/tmux"}, True, lambda: Graphics("halfcell", "tmux passes nothing on"))
        lines = found["lines for tmux.conf, as far as they are missing"].values()
        assert "set -g allow-passthrough on" in lines

    def test_a_terminal_elsewhere_is_not_asked(self, bench: Bench) -> None:
        found = bench("doctor", "--json").json["terminal"]
        assert (found["pictures"], found["pictures because"]) == (
            "grey letters",
            "not on a terminal: it was not asked",
        )

    def test_an_unknown_way_to_draw_is_a_finding(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HISTOTUI_IMAGES", "sixle")
        result = bench("doctor", "--json")
        assert (result.code, result.json["terminal"]["pictures"]) == (0, "none")
        assert "'sixle' is unknown" in result.json["terminal"]["pictures because"]


class TestBare:
    def test_bare_needs_a_terminal_and_points_to_what_does_not(self, bench: Bench) -> None:
        result = bench()
        assert (result.code, result.out) == (2, "")
        assert "histotui --help" in result.err

    @pytest.mark.parametrize("arguments", [["-h"], ["run", "-h"], ["data", "-h"], ["data", "pack", "-h"]], ids=str)
    def test_help(self, bench: Bench, arguments: list[str]) -> None:
        result = bench(*arguments)
        assert (result.code, result.err) == (0, "")
        assert "Usage: histotui" in result.out

    def test_version(self, bench: Bench) -> None:
        assert bench("--version").out == "0.1.0\n"

    def test_an_unknown_command(self, bench: Bench) -> None:
        assert bench("lss").code == 2
        astray = bench("--runs", "elsewhere", "ls")
        assert astray.code == 2 and "write it behind the command, as in `histotui ls --runs …`" in astray.err
        assert bench("data").code == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.69314, "0.6931"), (26.81, "26.81"), (0.0, "0.0000"), (12345.6, "12346"), (1.5e-7, "1.5e-07"), (None, "–"),
     (float("nan"), "–"), (float("inf"), "–"), (7, "7"), (True, "–"), (-0.5, "-0.5000")],
)  # fmt: skip
def test_number(value: object, text: str) -> None:
    assert number(value) == text


def test_spans_and_sizes() -> None:
    spans = [duration(seconds) for seconds in (0.04, 9.96, 61, 3725, None)]
    assert spans == ["0.0 s", "10 s", "1 min 01 s", "1 h 02 min", "–"]
    assert [size(value) for value in (0, 999, 1000, 2.5e9, None)] == ["0 B", "999 B", "1.00 kB", "2.50 GB", "–"]
    assert interval(0.1, 0.98765) == "[0.100, 0.988]"


def test_tables_align_and_shrink() -> None:
    rows = [["one", "a long long name", "1.5"], ["病理", "b", "22"]]
    assert table(["RUN", "NAME", "N"], rows) == [
        "RUN   NAME                N",
        "one   a long long name  1.5",
        "病理  b                  22",
    ]
    assert table(["RUN", "NAME", "N"], rows, columns=20, shrink="NAME")[1] == "one   a long l…  1.5"


class TestWrapping:
    def test_narration_breaks_between_words(self, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        monkeypatch.setattr(console, "columns", lambda stream: 20)
        console.say("results on it say nothing about real tissue")
        assert capsys.readouterr().err == "results on it say\n  nothing about real\n  tissue\n"

    def test_a_pipe_gets_whole_lines(self, capsys: Any) -> None:
        console.say("word " * 50)
        assert capsys.readouterr().err == "word " * 50 + "\n"

    def test_narrow_terminals_lose_columns_not_letters(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(console, "columns", lambda stream: 80)
        lines = bench("ls").out.splitlines()
        assert max(map(len, lines)) <= 80
        assert lines[0].split()[:3] == ["RUN", "NAME", "STATE"] and "STAGE" not in lines[0]
        assert lines[1].startswith(ONE)


def test_completion_offers_ids_and_names(bench: Bench) -> None:
    assert complete_run("") == ["@last", ONE, "pilot", TWO, THREE]
    assert complete_run("pi") == ["pilot"]


def test_a_reader_that_has_gone_is_no_traceback(bench: Bench) -> None:
    command = f"{sys.executable} -m histotui ls --json --runs {bench.runs} | true; echo ${{PIPESTATUS[0]}}"
    said = subprocess.run(
        ["bash", "-c", command], env=launcher.environment(), capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() in ("0", "130") and said.stderr == ""


class TestIntervalsBySlide:
    @pytest.fixture
    def bench(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
        bench = Bench(tmp_path, monkeypatch)
        by_slide = {"bootstrap_by": "slide", "bootstrap_low": 0.6105, "bootstrap_high": 0.8807}
        bench.write(ONE, DONE, scores=[score(**by_slide)], name="pilot")
        by_patch = {"bootstrap_by": "patch", "bootstrap_low": 0.7, "bootstrap_high": 0.8}
        bench.write(TWO, DONE, scores=[score(**by_patch)], config=PRESETS["baseline"].config)
        return bench

    def test_show_has_them_beside_delong_s(self, bench: Bench) -> None:
        rows = {line[:16].strip(): line[16:].split("  ") for line in bench("show", ONE).out.splitlines()}
        assert "[0.611, 0.881]" in " ".join(rows["95 % by slides"])
        assert "95 % by slides" not in bench("show", TWO).out

    def test_compare_has_them_where_a_run_has(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        header, first, second = (line.split() for line in bench("compare", ONE, TWO).out.splitlines()[:3])
        assert "SLIDES" in header and "[0.611," in first and "[0.611," not in second
        assert "SLIDES" not in bench("compare", TWO).out
        rows = bench("compare", ONE, TWO, "--format", "json").json
        assert [(row["slide_low"], row["slide_high"]) for row in rows] == [(0.6105, 0.8807), (None, None)]
        monkeypatch.setattr(console, "columns", lambda stream: 80)
        lines = bench("compare", ONE, TWO).out.splitlines()[:3]
        assert max(map(len, lines)) <= 80 and "SLIDES" in lines[0] and "AUC" in lines[0]


class TestEpochByReal:
    BOTH = (score(), score(role="epoch by real", auc=0.8101, auc_low=0.7812, auc_high=0.8390, selected_epoch=2))

    def test_it_stands_beside_the_answer_and_is_not_taken_for_it(self, bench: Bench) -> None:
        run = "20251125-120000-vae-500-eeee"
        bench.write(run, DONE, scores=self.BOTH)
        lines = bench("show", run).out.splitlines()
        (header,) = (line for line in lines if "this run" in line)
        assert [title.strip() for title in header.split("  ") if title] == ["this run", "the study", "epoch by real"]
        (aucs,) = (line.split() for line in lines if line.startswith("AUC"))
        assert aucs == ["AUC", "0.7503", "0.4814", "0.8101"]
        (row,) = (row for row in bench("ls", "--json").json if row["id"] == run)
        assert [each["auc"] for each in row["scores"]] == [0.7503, 0.8101]
        assert "0.7503" in bench("ls").out and "0.8101" not in bench("ls").out

    def test_compare_has_a_column_of_it_where_a_run_has_it(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        run = "20251125-120000-vae-500-eeee"
        bench.write(run, DONE, scores=self.BOTH)
        rows = bench("compare", run, ONE, "--format", "json").json
        found = [(row["auc"], row["by_real_auc"], row["by_real_low"], row["by_real_high"]) for row in rows]
        assert found == [(0.7503, 0.8101, 0.7812, 0.8390), (0.7503, None, None, None)]
        header, first, second = bench("compare", run, ONE).out.splitlines()[:3]
        assert "BY REAL" in header and "0.8101" in first and "0.8101" not in second
        assert "BY REAL" not in bench("compare", ONE, TWO).out
        monkeypatch.setattr(console, "columns", lambda stream: 80)
        assert max(map(len, bench("compare", run, ONE).out.splitlines()[:3])) <= 80

    def test_columns_that_80_have_no_room_for_go_below(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        run = "20251125-120000-vae-500-eeee"
        reference, fidelity = score(role="reference", auc=0.91), score(role="label fidelity", auc=0.61)
        bench.write(run, DONE, scores=[*self.BOTH, reference, fidelity])
        wide = bench("show", run).out
        monkeypatch.setattr(console, "columns", lambda stream: 80)
        lines = bench("show", run).out.splitlines()
        table = lines[: next(place for place, text in enumerate(lines) if text.startswith("confusion"))]
        assert max(map(len, table)) <= 80
        titles = ("this run", "the study", "epoch by real", "reference", "label fidelity")
        assert all(sum(title in text for text in table) == 1 for title in titles)
        aucs = [text.split()[1:] for text in table if text.startswith("AUC")]
        assert aucs == [["0.7503", "0.4814", "0.8101", "0.9100"], ["0.6100"]]
        assert sum(text.startswith("AUC") for text in wide.splitlines()) == 1


def test_a_ceiling_is_called_one_wherever_its_auc_stands(bench: Bench) -> None:
    run = "20251125-120000-vae-100-ffff"
    bench.write(run, DONE, scores=[score(trained_on="reconstructed", auc=0.8101)])
    (listed,) = (text for text in bench("ls").out.splitlines() if text.startswith(run))
    assert "finished, ceiling" in listed and "0.8101" in listed
    said = bench("compare", run, ONE)
    assert f"{run} trained on reconstructions of training patches: a ceiling, not a generator's result" in said.err
    assert "reconstructed" in said.out and "reconstructed" in bench("show", run).out
    found = summarize(RunFolder(bench.runs / run))
    assert found.result == "ceiling of the test AUC on tissue 0.8101"
    shown = next(column for column in COLUMNS if column.field == "progress").cell(Row(found, None, 0.0))
    assert shown.plain == "ceiling, tissue"
    assert "ceiling" in run_line(found, 0.0) and "ceiling" not in run_line(summarize(RunFolder(bench.runs / ONE)), 0.0)
