"""`run`, `follow`, `stop` and `resume` on an engine that does what a test asks of it."""

import hashlib
import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from workbench import FAKE, Bench, signalled, until

from engine.spec.errors import EnvironmentFault
from engine.spec.events import RunStarted
from engine.spec.presets import PRESETS
from engine.spec.process import ProcessIdentity
from engine.spec.quick import GENERATOR_EPOCHS
from engine.spec.resolve import load
from engine.spec.run_folder import RunFolder
from histotui import launcher
from histotui.runs import Stage
from histotui.settings import Request, settle
from histotui.stopping import stop_run
from histotui.store import RunStore
from histotui.summary import summarize
from histotui.views import position

# The command line in a process of its own, on the fake engine.
DRIVER = (
    sys.executable,
    "-c",
    "import sys; from histotui import ask, cli, launcher; "
    f"launcher.ENGINE = {FAKE!r}; ask.ANSWER = {(*FAKE, 'answer')!r}; sys.exit(cli.main(sys.argv[1:]))",
)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


class TestSettings:
    def settled(self, bench: Bench, *overrides: str, **options: object) -> dict[str, object]:
        request = Request(**{"preset": "vae-500", "overrides": overrides, **options})  # type: ignore[arg-type]
        return settle(request, RunStore(bench.runs)).config.model_dump()

    def test_set_over_file_over_preset_over_defaults(self, bench: Bench) -> None:
        file = bench.folder / "more.toml"
        file.write_text("seed = 1\n[generator]\nepochs = 7\nlatent_dim = 9\n")
        config = self.settled(bench, "generator.latent_dim=11", config=file)
        generator = config["generator"]
        assert isinstance(generator, dict)
        assert (config["seed"], generator["latent_dim"], generator["epochs"], generator["channels"]) == (1, 11, 7, 16)
        assert generator["beta1"] == 0.5

    def test_the_last_set_wins(self, bench: Bench) -> None:
        assert self.settled(bench, "seed=1", "seed=2")["seed"] == 2

    def test_set_wins_over_quick(self, bench: Bench) -> None:
        config = self.settled(bench, "generator.epochs=77", quick=True)
        generator, classifier = config["generator"], config["classifier"]
        assert isinstance(generator, dict) and isinstance(classifier, dict)
        assert (generator["epochs"], classifier["epochs"]) == (77, 12)

    def test_what_quick_alone_would_break_is_asked_for_all_the_same(self, bench: Bench) -> None:
        prior = ("generator.latent_prior.heads=3", "generator.latent_prior.width=192")
        config = self.settled(bench, *prior, preset="vqvae", quick=True)
        assert isinstance(config["generator"], dict)
        assert (config["generator"]["latent_prior"]["heads"], config["generator"]["latent_prior"]["width"]) == (3, 192)

    def test_set_repairs_what_the_file_alone_would_break(self, bench: Bench) -> None:
        file = bench.folder / "more.toml"
        file.write_text("[generator]\ngradient_penalty = 10\n")
        config = self.settled(bench, "generator.discriminator_norm=none", preset="gan-bce", config=file, quick=True)
        assert isinstance(config["generator"], dict)
        assert config["generator"]["gradient_penalty"] == 10

    def test_paths_become_absolute(self, bench: Bench) -> None:
        config = self.settled(bench, "data.slides=s.csv", data="patches")
        data = config["data"]
        assert isinstance(data, dict)
        assert (data["source"], data["slides"]) == (str(bench.folder / "patches"), str(bench.folder / "s.csv"))

    def test_an_earlier_run_is_data(self, bench: Bench) -> None:
        folder = bench.write("20251123-154501-vae-500-a1b2", name="pilot")
        data = self.settled(bench, data="pilot")["data"]
        assert isinstance(data, dict)
        assert data["source"] == str(folder.path)

    @pytest.mark.parametrize("reference", ["20251123-15", "pilot", "@last", "runs/20251123-154501-vae-500-a1b2"])
    def test_an_earlier_run_lends_its_synthetic_patches(self, bench: Bench, reference: str) -> None:
        folder = bench.write("20251123-154501-vae-500-a1b2", name="pilot")
        lent = f"synthesis.source={reference}"
        synthesis = self.settled(bench, "classifier.train_on=both", lent, preset="baseline")["synthesis"]
        assert isinstance(synthesis, dict)
        assert synthesis["source"] == str(folder.path)

    @pytest.mark.parametrize("reference", ["pilots", "runs/nothing"])
    def test_a_run_that_is_not_there_lends_nothing(self, bench: Bench, reference: str) -> None:
        bench.write("20251123-154501-vae-500-a1b2", name="pilot")
        result = bench("run", "--preset", "baseline", "--set", f"synthesis.source={reference}")
        assert (result.code, result.out) == (3, "")
        assert f"no run '{Path(reference).name}'" in result.err

    @pytest.mark.parametrize("option", [("--data",), ("--set", "data.slides"), ("--set", "synthesis.source")])
    def test_a_user_who_is_not_there_has_no_patches(self, bench: Bench, option: tuple[str, ...]) -> None:
        path = "~no-such-user/patches"
        value = [option[0], "=".join((*option[1:], path))]
        result = bench("run", "--preset", "baseline", *value)
        assert (result.code, result.out) == (2, "")
        assert f"{path}: no such user; write the path in full" in result.err

    @pytest.mark.parametrize("reference", ["20251123", "pilot", "@last"])
    def test_an_earlier_run_is_a_preset(self, bench: Bench, reference: str) -> None:
        bench.write("20251123-154501-vae-100-a1b2", name="pilot", config=PRESETS["vae-100"].config)
        assert settle(Request(reference), RunStore(bench.runs)).config == PRESETS["vae-100"].config

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--preset", "vae-200"], "preset 'vae-200': unknown; did you mean vae-2000?"),
            (["--preset", "@last"], "preset '@last': unknown"),
            (["--preset", "vae-500", "--set", "generator.latent_dims=5"], "did you mean generator.latent_dim?"),
            (["--preset", "vae-500", "--set", "generator.latent_dim=0"], "generator.latent_dim: 0 is not allowed"),
            (["--preset", "vae-500", "--set", "seed=abc"], 'seed: "abc" is not allowed'),
            (["--preset", "vae-500", "--set", "seed"], "write it as field=value"),
            (["--preset", "vae-500", "--config", "none.toml"], "none.toml: no such file"),
            (["--preset", "vae-500", "--device", "gpu"], 'device: "gpu" is not allowed'),
            (["--preset", "baseline", "--set", "classifier.train_on=synthetic"], "there is no generator"),
            ([], "Missing option '--preset'"),
            (["--preset", "vae-500", "--frobnicate"], "No such option: --frobnicate"),
        ],
    )
    def test_mistakes_are_named(self, bench: Bench, arguments: list[str], said: str) -> None:
        result = bench("run", *arguments)
        assert (result.code, result.out) == (2, "")
        assert said in result.err
        assert result.err.startswith("error: ")
        assert not bench.runs.exists()

    @pytest.mark.parametrize(
        "name",
        [
            "../up",
            "a/b",
            "a..b",
            "two\nlines",
            "\x1b[31mred",
            "-rf",
            ".hidden",
            "x" * 101,
            " ",
            "a ",
            "\u202eb",
            "a\x00b",
        ],
    )
    def test_bad_names_are_usage_errors(self, bench: Bench, name: str) -> None:
        result = bench("run", "--preset", "baseline", "--name", name)
        assert (result.code, result.out) == (2, "")
        assert "\x1b" not in result.err and "\u202e" not in result.err
        assert not bench.runs.exists()


class TestCommandText:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--preset", "vae-2000", "--quick"],
            ["--preset", "gan-wasserstein", "--set", "generator.weight_clip=none", "--data", "it's patches"],
            ["--preset", "vae-500", "--set", "generator.kind=gan", "--set", "generator.loss=wasserstein"],
            ["--preset", "vae-500", "--set", "generator=none", "--set", "classifier.train_on=real"],
            ["--preset", "mine", "--device", "cpu", "--set", 'data.source="12"'],
            ["--preset", "vae-500", "--set", "classifier.kind=resnet", "--set", "classifier.flips=false"],
            ["--preset", "baseline-resnet", "--set", "classifier.channels=16", "--set", "classifier.kind=cnn"],
            ["--preset", "baseline", "--set", "classifier.train_on=both", "--set", "synthesis.source=it's a run"],
            ["--preset", "vae-500", "--set", "generator=none", "--set", "synthesis.source=it's a run"],
        ],
    )
    def test_the_command_makes_the_same_config(self, bench: Bench, arguments: list[str]) -> None:
        presets = bench.folder / "config" / "histotui" / "presets"
        presets.mkdir(parents=True)
        (presets / "mine.toml").write_text('base = "gan-bce"\nseed = 5\n[generator]\nchannels = 4\n')
        (bench.folder / "it's a run").mkdir()
        assert bench("run", *arguments, "--quiet", "--detach").code == 0
        folder = bench.only_run()
        until(lambda: summarize(folder).state == "finished")
        text = folder.command.read_text()
        assert text.startswith("histotui run --preset ") and text.endswith("\n") and text.count("\n") == 1
        (presets / "mine.toml").unlink()
        again = bench(*shlex.split(text)[1:], "--dry-run", "--json")
        assert again.json["config"] == json.loads(folder.config.read_text())


class TestDryRun:
    def test_one_json_object(self, bench: Bench) -> None:
        result = bench("run", "--preset", "vae-500", "--dry-run", "--json")
        assert result.code == 0
        assert set(result.json) == {"config", "preflight"}
        assert result.json["config"]["generator"]["latent_dim"] == 500
        assert result.json["preflight"]["asked"]["config"] == result.json["config"]
        assert not bench.runs.exists()

    def test_people_see_settings_and_needs(self, bench: Bench) -> None:
        result = bench("run", "--preset", "vae-500", "--dry-run")
        assert "generator.latent_dim = 500\n" in result.out
        assert "memory      2.00 GB of 8.00 GB\n" in result.out
        assert "parameters  1,234,567\n" in result.out
        assert "warning     the patches are odd\n" in result.out

    def test_it_does_not_refuse(self, bench: Bench) -> None:
        bench.answers("too big")
        result = bench("run", "--preset", "vae-500", "--dry-run")
        assert result.code == 0
        assert "fits        no: " in result.out

    def test_quick_says_what_it_changed(self, bench: Bench) -> None:
        said = bench("run", "--preset", "vae-500", "--quick", "--dry-run").err
        assert f"generator.epochs: 100 -> {GENERATOR_EPOCHS}\n" in said
        assert "data.limit: none -> 2400\n" in said

    def test_what_is_odd_is_told_before_a_run_too(self, bench: Bench) -> None:
        assert "warning     the patches are odd\n" in bench("run", "--preset", "vae-500", "--detach").err


class TestPreflight:
    def test_what_does_not_fit_is_refused(self, bench: Bench) -> None:
        bench.answers("too big")
        result = bench("run", "--preset", "vae-500")
        assert (result.code, result.out) == (3, "")
        assert "needs 2.00 GB and cpu (fake) has 1.00 GB free; what binds: activations" in result.err
        assert "--set classifier.batch_size=16 would fit" in result.err
        assert not bench.runs.exists()

    def test_force_starts_it(self, bench: Bench) -> None:
        bench.answers("too big")
        assert bench("run", "--preset", "vae-500", "--force", "--quiet").code == 0

    def test_the_engines_error_keeps_its_code(self, bench: Bench) -> None:
        bench.answers("error")
        result = bench("run", "--preset", "vae-500", "--quiet")
        assert (result.code, result.err) == (3, "error: no patches there\n")

    def test_no_answer_shows_what_it_said(self, bench: Bench) -> None:
        bench.answers("silent")
        result = bench("run", "--preset", "vae-500", "--quiet")
        assert result.code == 3
        assert "Traceback: no libcuda" in result.err


class TestFollowedRun:
    def test_result_on_stdout_narration_on_stderr(self, bench: Bench) -> None:
        result = bench("run", "--preset", "vae-500")
        assert result.code == 0
        rows = {line[:16].strip(): line[16:].split() for line in result.out.splitlines()}
        assert rows["trained on"] == ["synthetic", "synthetic", "tissue"]
        assert rows["loss"] == ["0.6931", "26.81", "0.6931"]
        assert rows["accuracy"] == ["0.7125", "0.5496", "0.7125"]
        assert rows["AUC"] == ["0.7503", "0.4814", "0.9123"]
        assert "[0.711, 0.790]" in result.out
        assert "- small test set\n" in result.out
        assert "55,000 of Kaggle's patches" in result.out
        assert "samples/classifier/step-000050.png" in result.out
        assert "\x1b" not in result.out + result.err
        assert "classifier: stage 4 of 7" in result.err
        assert "epoch 1/2, step 50/100" in result.err
        assert result.err.count("warning: patches of one slide may fall on both sides") == 1

    def test_the_confusion_matrix_has_its_truth_in_rows(self, bench: Bench) -> None:
        lines = bench("run", "--preset", "vae-500", "--quiet").out.splitlines()
        (start,) = (place for place, line in enumerate(lines) if line.startswith("confusion"))
        assert lines[start].split() == ["confusion", "called", "normal", "called", "tumour", "at", "threshold", "0.5"]
        assert lines[start + 1].split() == ["normal", "247", "82%", "53", "18%"]
        assert lines[start + 2].split() == ["tumour", "120", "40%", "180", "60%"]

    def test_quiet_says_nothing(self, bench: Bench) -> None:
        assert bench("run", "--preset", "vae-500", "--quiet").err == ""

    def test_json_is_show(self, bench: Bench) -> None:
        result = bench("run", "--preset", "vae-500", "--json", "--name", "pilot")
        assert result.code == 0
        assert result.json == bench("show", "pilot", "--json").json
        assert (result.json["state"], result.json["name"], result.json["preset"]) == ("finished", "pilot", "vae-500")
        assert result.json["scores"][0]["confusion"] == [[247, 53], [120, 180]]

    def test_the_folder_is_whole_and_private(self, bench: Bench) -> None:
        bench("run", "--preset", "vae-500", "--quiet")
        folder = bench.only_run()
        assert load(folder.config) == PRESETS["vae-500"].config
        assert folder.log.read_text() == "engine log: finish\n"
        assert folder.path.stat().st_mode & 0o077 == 0
        assert all(
            path.stat().st_mode & 0o077 == 0 for path in (folder.config, folder.log, folder.command, folder.meta)
        )

    @pytest.mark.parametrize(("mode", "code"), [("fail", 1), ("badconfig", 2), ("nodata", 3), ("diverge", 4)])
    def test_a_failed_run_gives_its_exit_code(self, bench: Bench, mode: str, code: int) -> None:
        bench.engine(mode)
        result = bench("run", "--preset", "vae-500")
        assert result.code == code
        assert result.out == ""
        assert "error: something \\x1b]52;c;aGk=\\x07 went wrong" in result.err
        assert bench("follow", "@last", "--quiet").code == code
        shown = bench("show", "@last", "--json").json
        assert (shown["state"], shown["exit_code"], shown["stage"]) == ("failed", code, "classifier")

    def test_json_of_a_failed_run_is_still_one_document(self, bench: Bench) -> None:
        bench.engine("diverge")
        result = bench("run", "--preset", "vae-500", "--json", "--quiet")
        assert (result.code, result.json["state"]) == (4, "failed")

    @pytest.mark.parametrize(("mode", "last"), [("die", "Killed by it"), ("die-first", "engine log: die-first")])
    def test_an_engine_that_dies_without_a_word_is_lost(self, bench: Bench, mode: str, last: str) -> None:
        bench.engine(mode)
        result = bench("run", "--preset", "vae-500")
        assert result.code == 1
        assert "is lost" in result.err and f"  {last}\n" in result.err

    def test_an_engine_that_cannot_log_events_has_its_exit_code(self, bench: Bench) -> None:
        bench.engine("locked")
        assert bench("run", "--preset", "vae-500").code == 3

    def test_an_engine_faster_than_its_follower(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("histotui.watching.start_engine", start_and_wait)
        result = bench("run", "--preset", "vae-500")
        assert result.code == 0
        assert "classifier: done in 1.5 s" in result.err

    def test_detach_prints_the_id_and_leaves(self, bench: Bench) -> None:
        bench.engine("slow")
        result = bench("run", "--preset", "vae-500", "--detach", "--quiet")
        folder = bench.only_run()
        assert (result.code, result.out, result.err) == (0, f"{folder.id}\n", "")
        until(lambda: summarize(folder).state == "running")
        assert bench("stop", "@last").code == 0
        assert summarize(folder).state == "stopped"

    @pytest.mark.parametrize("mode", ["die-first", "die"])
    def test_detach_from_an_engine_that_dies_at_once(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, mode: str
    ) -> None:
        bench.engine(mode)
        monkeypatch.setattr("histotui.watching.start_engine", start_and_wait)
        result = bench("run", "--preset", "vae-500", "--detach")
        assert (result.code, result.out) == (1, "")
        assert "is lost" in result.err and f"  engine log: {mode}\n" in result.err

    @pytest.mark.parametrize(("mode", "code"), [("fail", 1), ("badconfig", 2), ("diverge", 4), ("locked", 3)])
    def test_detach_from_an_engine_that_fails_at_once(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, mode: str, code: int
    ) -> None:
        bench.engine(mode)
        monkeypatch.setattr("histotui.watching.start_engine", start_and_wait)
        assert bench("run", "--preset", "vae-500", "--detach", "--quiet").code == code

    def test_detach_from_an_engine_that_finishes_at_once(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("histotui.watching.start_engine", start_and_wait)
        result = bench("run", "--preset", "vae-500", "--detach", "--quiet")
        assert (result.code, result.out) == (0, f"{bench.only_run().id}\n")

    def test_detach_json(self, bench: Bench) -> None:
        result = bench("run", "--preset", "vae-500", "--detach", "--json", "--quiet")
        folder = bench.only_run()
        assert (result.json["id"], result.json["folder"]) == (folder.id, str(folder.path))
        until(lambda: summarize(folder).state == "finished")


def start_and_wait(folder: RunFolder) -> subprocess.Popen[bytes]:
    process = launcher.start_engine(folder)
    process.wait()
    return process


def hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_first_asks_for_a_checkpoint(self, bench: Bench, number: signal.Signals) -> None:
        bench.engine("slow")
        with signalled(number, bench.runs):
            result = bench("run", "--preset", "vae-500")
        assert result.code == 75
        assert "stopped: at classifier, step 50\n`histotui resume" in result.err
        assert summarize(bench.only_run()).state == "stopped"

    def test_asked_from_elsewhere_already(self, bench: Bench) -> None:
        bench.engine("saving")
        asker = threading.Thread(target=ask_and_interrupt, args=(bench,))
        asker.start()
        assert bench("run", "--preset", "vae-500", "--quiet").code == 75
        asker.join()

    def test_the_second_kills(self, bench: Bench) -> None:
        bench.engine("stubborn")
        with signalled(signal.SIGINT, bench.runs, times=2):
            result = bench("run", "--preset", "vae-500")
        assert result.code == 130
        assert "killed" in result.err
        assert summarize(bench.only_run()).state == "lost"

    def test_ctrl_c_ends_following_alone(self, bench: Bench) -> None:
        bench.engine("slow")
        bench("run", "--preset", "vae-500", "--detach", "--quiet")
        folder = bench.only_run()
        command = [*DRIVER, "follow", "@last"]
        # Tests that run in the background are deaf to Ctrl-C, and so are those that they start.
        with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=hear_ctrl_c) as follower:
            assert follower.stderr is not None and follower.stderr.readline() == b"started on cpu (fake)\n"
            follower.send_signal(signal.SIGINT)
            assert follower.wait(60) == 130
        assert summarize(folder).state == "running"
        assert bench("stop", "@last").code == 0

    def test_a_log_is_printed_as_far_as_it_goes_until_the_run_ends(self, bench: Bench) -> None:
        bench.engine("slow")
        bench("run", "--preset", "vae-500", "--detach", "--quiet")
        log = bench.only_run().log
        with subprocess.Popen([*DRIVER, "logs", "@last", "--follow"], stdout=subprocess.PIPE) as follower:
            assert follower.stdout is not None
            for written, printed in (
                (b"half", b"half"),
                (b" and \xe2\x82", b" and "),
                (b"\xac whole\n", "€ whole\n".encode()),
            ):
                append(log, written)
                expected = (b"engine log: slow\n" if written == b"half" else b"") + printed
                assert follower.stdout.read(len(expected)) == expected
            append(log, b"last")
            bench("stop", "@last")
            assert follower.stdout.read() == b"last\n"
        assert bench("logs", "@last").out == "engine log: slow\nhalf and € whole\nlast\n"

    def test_losing_the_terminal_does_not_stop_the_run(self, bench: Bench) -> None:
        bench.engine("slow")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(sys.executable, [*DRIVER, "run", "--preset", "vae-500"], launcher.environment())
        until(lambda: drain(terminal) and any(bench.runs.glob("*/process.json")))
        folder = bench.only_run()
        os.close(terminal)
        os.waitpid(pid, 0)
        assert summarize(folder).state == "running"
        assert bench("stop", "@last").code == 0


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (Stage("classifier", step=50, total=1000, epoch=1, epochs=2), "epoch 1/2, step 50/1,000"),
        (Stage("prepare", what="unpacking", step=300, total=1200), "unpacking 300/1,200"),
        (Stage("prepare", what="listing"), "listing"),
        (Stage("prepare"), ""),
    ],
)
def test_how_far_a_stage_is(stage: Stage, said: str) -> None:
    assert position(stage) == said


def drain(terminal: int) -> bool:
    """Read what the terminal shows, so that its writer does not wait."""
    while select.select([terminal], [], [], 0)[0]:
        os.read(terminal, 65536)
    return True


class TestOnATerminal:
    def shown(self, bench: Bench, *arguments: str, **variables: str) -> str:
        pid, terminal = pty.fork()
        if pid == 0:
            terminal_has = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
            os.execve(sys.executable, [*DRIVER, *arguments], {**launcher.environment(), **terminal_has, **variables})
        seen = b""
        while True:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
        os.waitpid(pid, 0)
        os.close(terminal)
        return seen.decode()

    def test_live_view_and_coloured_matrix(self, bench: Bench) -> None:
        seen = self.shown(bench, "run", "--preset", "vae-500")
        assert "✓" in seen and "cross_entropy 0.6543" in seen
        assert "\x1b[1;32m" in seen

    def test_no_color(self, bench: Bench) -> None:
        seen = self.shown(bench, "run", "--preset", "vae-500", NO_COLOR="1")
        assert "247" in seen
        assert "\x1b[1;32m" not in seen and "\x1b[36m" not in seen

    def test_a_dumb_terminal_gets_plain_lines(self, bench: Bench) -> None:
        seen = self.shown(bench, "run", "--preset", "vae-500", TERM="dumb")
        assert "classifier: stage 4 of 7" in seen
        assert "\x1b" not in seen

    def test_what_a_run_says_cannot_reach_the_terminal(self, bench: Bench) -> None:
        bench.engine("fail")
        assert "\x1b]52" not in self.shown(bench, "run", "--preset", "vae-500")

    def test_json_is_the_same_on_a_terminal(self, bench: Bench) -> None:
        bench("run", "--preset", "vae-500", "--quiet")
        seen = self.shown(bench, "show", "@last", "--json").replace("\r\n", "\n")
        assert seen == bench("show", "@last", "--json").out


class TestStop:
    def test_a_run_that_does_not_run(self, bench: Bench) -> None:
        bench("run", "--preset", "vae-500", "--quiet")
        result = bench("stop", "@last")
        assert result.code == 3
        assert "is not running; it is finished" in result.err

    def test_now_kills_it(self, bench: Bench) -> None:
        bench.engine("stubborn")
        bench("run", "--preset", "vae-500", "--detach", "--quiet")
        folder = bench.only_run()
        until(folder.process.exists)
        assert bench("stop", "@last", "--now").code == 0
        until(lambda: summarize(folder).state == "lost")

    def test_asked_twice_it_still_saves(self, bench: Bench) -> None:
        bench.engine("saving")
        bench("run", "--preset", "vae-500", "--detach", "--quiet")
        folder = bench.only_run()
        until(folder.process.exists)
        with pytest.raises(EnvironmentFault, match="waits on"):
            stop_run(folder, grace=0.2)
        assert bench("stop", "@last").code == 0
        assert summarize(folder).state == "stopped"

    def test_a_reused_pid_is_not_signalled(self, bench: Bench) -> None:
        folder = bench.write("20251123-154501-vae-500-a1b2", [RunStarted(device="cpu")])
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
            here = ProcessIdentity.current()
            ProcessIdentity(here.host, here.boot_id, other.pid, 1).write(folder.process)
            assert bench("stop", folder.id, "--now").code == 3
            assert bench("stop", folder.id).code == 3
            time.sleep(0.05)
            assert other.poll() is None
            other.kill()


class TestResume:
    def test_a_stopped_run_goes_on(self, bench: Bench) -> None:
        bench.engine("slow")
        with signalled(signal.SIGTERM, bench.runs):
            assert bench("run", "--preset", "vae-500", "--quiet").code == 75
        bench.engine("finish")
        result = bench("resume", "@last", "--json", "--quiet")
        assert (result.code, result.json["state"]) == (0, "finished")
        assert bench.only_run().log.read_text() == "engine log: slow\nengine log: finish\n"

    def test_an_engine_that_dies_at_once_is_not_taken_for_the_one_before(self, bench: Bench) -> None:
        bench.engine("fail")
        assert bench("run", "--preset", "vae-500", "--quiet").code == 1
        bench.engine("die-first")
        result = bench("resume", "@last", "--quiet")
        assert result.code == 1
        assert "is lost" in result.err

    def test_detached_from_an_engine_that_dies_at_once(self, bench: Bench) -> None:
        bench.engine("fail")
        assert bench("run", "--preset", "vae-500", "--quiet").code == 1
        bench.engine("die-first")
        result = bench("resume", "@last", "--detach", "--quiet")
        assert (result.code, result.out) == (1, "")
        assert "engine log: die-first" in result.err

    def test_a_log_that_cannot_be_written(self, bench: Bench) -> None:
        folder = bench.write("20251123-154501-vae-500-a1b2")
        folder.log.mkdir()
        result = bench("resume", folder.id)
        assert result.code == 3
        assert f"{folder.log}: Is a directory; check that it can be written" in result.err

    def test_a_finished_run_is_refused(self, bench: Bench) -> None:
        bench("run", "--preset", "vae-500", "--quiet")
        result = bench("resume", "@last")
        assert result.code == 3
        assert "has finished" in result.err

    def test_a_live_run_is_refused(self, bench: Bench) -> None:
        bench.engine("slow")
        bench("run", "--preset", "vae-500", "--detach", "--quiet")
        until(lambda: summarize(bench.only_run()).state == "running")
        result = bench("resume", "@last")
        assert result.code == 3
        assert "histotui follow" in result.err
        assert bench("rm", "@last").code == 3
        bench("stop", "@last")

    def test_a_changed_config_is_refused(self, bench: Bench) -> None:
        folder = bench.write("20251123-154501-vae-500-a1b2")
        digest = hashlib.sha256(folder.config.read_bytes()).hexdigest()
        folder.events.write_text(
            json.dumps({"type": "run_started", "config_sha256": digest})
            + '\n{"type": "run_stopped", "stage": "generator"}\n'
        )
        folder.config.write_text(folder.config.read_text().replace("500", "501"))
        result = bench("resume", folder.id)
        assert result.code == 3
        assert "is not what this run began with" in result.err

    def test_two_engines_on_one_run(self, bench: Bench) -> None:
        bench.engine("slow")
        bench("run", "--preset", "vae-500", "--detach", "--quiet")
        folder = bench.only_run()
        until(folder.process.exists)
        command = [*FAKE, str(folder.path)]
        second = subprocess.run(command, capture_output=True, text=True, check=False, env=launcher.environment())
        assert second.returncode != 0
        assert "another process is working on this run" in second.stderr
        assert summarize(folder).state == "running"
        bench("stop", "@last")


class TestFollow:
    def test_a_run_that_is_lost_while_it_is_followed(self, bench: Bench) -> None:
        bench.engine("slow")
        bench("run", "--preset", "vae-500", "--detach", "--quiet")
        folder = bench.only_run()
        until(folder.process.exists)
        killer = threading.Timer(0.5, lambda: bench_kill(folder))
        killer.start()
        result = bench("follow", "@last", "--quiet")
        killer.join()
        assert result.code == 1
        assert "is lost" in result.err

    def test_a_finished_run_shows_its_result(self, bench: Bench) -> None:
        first = bench("run", "--preset", "vae-500", "--quiet")
        assert bench("follow", "@last", "--quiet").out == first.out


def ask_and_interrupt(bench: Bench) -> None:
    until(lambda: any(bench.runs.glob("*/process.json")))
    folder = bench.only_run()
    identity = ProcessIdentity.read(folder.process)
    assert identity is not None and launcher.ask_to_stop(folder, identity)
    os.kill(os.getpid(), signal.SIGINT)


def bench_kill(folder: RunFolder) -> None:
    identity = ProcessIdentity.read(folder.process)
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
