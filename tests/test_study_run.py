"""`study` on an engine that does what a test asks of it: what is run, taken, resumed, noted and told."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from fake_engine import score
from workbench import FAKE, Bench, signalled

from engine.spec.errors import ConfigError
from engine.spec.events import RunFinished, RunStarted
from engine.spec.presets import PRESETS
from engine.spec.resolve import load
from engine.spec.run_folder import RunFolder
from histotui import launcher, watching
from histotui.stopping import stop_run
from histotui.study import looking, running, writing

ROWS = ("--rows", "baseline,null", "--seeds", "1")
DONE = (RunStarted(time=100.0, device="cpu"), RunFinished(time=160.0, seconds=60.0))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(writing, "ask", lambda *_: {"pairs": []})
    return Bench(tmp_path, monkeypatch)


def runs_of(bench: Bench) -> list[RunFolder]:
    folders = [RunFolder(path) for path in sorted(bench.runs.iterdir()) if (path / "config.json").exists()]
    return sorted(folders, key=lambda run: run.meta.stat().st_mtime_ns)


def cells(said: Any) -> dict[tuple[str, str, int], str]:
    return {(cell["row"], cell["classifier"], cell["seed"]): cell["state"] for cell in said.json["cells"]}


def test_every_row_is_run_with_both_classifiers_on_the_same_patches(bench: Bench) -> None:
    said = bench("study", *ROWS, "--json")
    assert said.code == 0
    assert set(cells(said).values()) == {"done"} and len(cells(said)) == 4
    runs = runs_of(bench)
    names = [json.loads(run.meta.read_text())["name"] for run in runs]
    assert names == ["baseline cnn seed 0", "baseline resnet seed 0", "null cnn seed 0", "null resnet seed 0"]
    borrowed = load(runs[3].config)
    assert borrowed.synthesis.source == str(runs[2].path.resolve()) and borrowed.generator is None
    assert "1 of 4: baseline cnn seed 0" in said.err
    assert "4 of 4: null resnet seed 0, about 2.5 s left for all" in said.err


def test_the_command_of_each_run_makes_it_again(bench: Bench) -> None:
    bench("study", *ROWS)
    run = runs_of(bench)[3]
    words = run.command.read_text().split()
    assert words[:4] == ["histotui", "run", "--preset", "null"] and "generator=none" in words


def test_the_second_time_nothing_is_run(bench: Bench) -> None:
    bench("study", *ROWS)
    before = runs_of(bench)
    said = bench("study", *ROWS, "--json", "--quiet")
    assert (said.code, said.err) == (0, "")
    assert runs_of(bench) == before and set(cells(said).values()) == {"done"}


def test_runs_on_patches_that_were_changed_since_are_made_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench("study", *ROWS)
    before = runs_of(bench)
    for run in before[1:]:
        run.data.mkdir()
        (run.data / "manifest.json").write_text(json.dumps({"source_fingerprint": "then"}))
    monkeypatch.setenv("FAKE_FINGERPRINT", "then")
    assert bench("study", *ROWS, "--quiet").err == "" and runs_of(bench) == before
    monkeypatch.setenv("FAKE_FINGERPRINT", "now")
    planned = bench("study", *ROWS, "--dry-run", "--json")
    assert sorted(cells(planned).values()) == ["done", "to do", "to do", "to do"]
    said = bench("study", *ROWS, "--json")
    assert "3 of 4 runs were made on other patches than tissue has now; they are to be made again" in said.err
    # One has nothing that says what it worked on.
    assert len(runs_of(bench)) == 7 and set(cells(said).values()) == {"done"}
    assert before[0].id in {cell["run"] for cell in said.json["cells"]}


def test_patches_that_are_changed_between_two_runs_are_noticed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asks = looking.sources_now

    def changed_after_two(*args: Any) -> Any:
        """Whatever has been run by now was so on the first patches, and later ones on others."""
        monkeypatch.setenv("FAKE_FINGERPRINT", "first" if len(runs_of(bench)) < 2 else "second")
        for run in runs_of(bench)[:2]:
            run.data.mkdir(exist_ok=True)
            (run.data / "manifest.json").write_text(json.dumps({"source_fingerprint": "first"}))
        return asks(*args)

    monkeypatch.setattr(looking, "sources_now", changed_after_two)
    said = bench("study", "--rows", "baseline,null", "--seeds", "1", "--json")
    assert said.err.count("2 of 4 runs were made on other patches than tissue has now") == 1
    # What was made on the first patches is no result of this study any more; the next time makes it.
    assert said.code == 1 and sorted(cells(said).values()) == ["done", "done", "to do", "to do"]
    assert bench("study", "--rows", "baseline,null", "--seeds", "1").code == 0


def test_a_source_that_is_gone_keeps_what_was_made(bench: Bench) -> None:
    bench("study", *ROWS)
    bench.answers("error")
    said = bench("study", *ROWS)
    assert said.code == 0 and len(runs_of(bench)) == 4
    assert "cannot be checked: no patches there" in said.err


def test_a_larger_study_takes_what_a_smaller_one_has_made(bench: Bench) -> None:
    bench("study", *ROWS)
    said = bench("study", "--rows", "baseline,null,vae-100", "--seeds", "1", "--dry-run", "--json")
    assert [state for state in cells(said).values()] == ["done", "done", "to do", "to do", "done", "done"]


def test_a_study_of_other_settings_takes_nothing(bench: Bench) -> None:
    bench("study", *ROWS)
    said = bench("study", *ROWS, "--set", "classifier.batch_size=16", "--dry-run", "--json")
    assert set(cells(said).values()) == {"to do"}
    bench("study", *ROWS, "--set", "classifier.batch_size=16", "--out", "other")
    assert len(runs_of(bench)) == 8 and (bench.folder / "other" / "report.html").exists()


def test_dry_runs_start_and_write_nothing(bench: Bench) -> None:
    said = bench("study", "--rows", "table", "--seeds", "2", "--dry-run")
    assert said.code == 0 and not bench.runs.exists()
    lines = said.out.splitlines()
    assert lines[0].split() == ["ROW", "CLASSIFIER", "SEED", "STATE", "RUN"]
    assert lines[1].split() == ["baseline", "cnn", "0", "to", "do"]
    assert "vae-4000-c256: left out, ran out of memory in the study; --rows vae-4000-c256 asks for it" in lines
    assert lines[-1].endswith("runs, of which 0 are done")


def test_a_report_alone_starts_nothing(bench: Bench) -> None:
    bench("study", "--rows", "baseline", "--seeds", "1")
    said = bench("study", *ROWS, "--report-only", "--json")
    assert said.code == 0 and len(runs_of(bench)) == 2
    assert [cell["why"] for cell in said.json["cells"]] == ["", "", "not run yet", "not run yet"]
    assert "not run yet" in (bench.runs / "study-tissue" / "report.html").read_text()


def test_one_that_fails_is_noted_and_the_others_are_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_for(monkeypatch, lambda config: config["generator"] is not None)
    said = bench("study", "--rows", "baseline,null,vae-100", "--seeds", "1", "--json")
    assert said.code == 1
    assert "error: 4 of 6 runs have no result" in said.err
    assert cells(said)["baseline", "resnet", 0] == "done"
    why = {(cell["row"], cell["classifier"]): cell["why"] for cell in said.json["cells"]}
    assert why["null", "cnn"].startswith("failed: something") and "\x1b" not in said.out
    assert why["null", "resnet"] == "the run that makes its patches has no result"
    assert "failed: something" in (bench.runs / "study-tissue" / "table.md").read_text()


def test_what_failed_or_was_lost_is_resumed_the_next_time(bench: Bench) -> None:
    bench.engine("die")
    assert bench("study", "--rows", "baseline", "--seeds", "1").code == 1
    lost = runs_of(bench)
    bench.engine("finish")
    said = bench("study", "--rows", "baseline", "--seeds", "1")
    assert said.code == 0 and runs_of(bench) == lost
    assert f"going on with {lost[0].id}" in said.err


def test_what_cannot_be_resumed_is_noted(bench: Bench) -> None:
    bench.engine("fail")
    bench("study", "--rows", "baseline", "--seeds", "1")
    changed = runs_of(bench)[0]
    first = changed.events.read_text().splitlines()
    started = json.loads(first[0]) | {"config_sha256": "0" * 64}
    changed.events.write_text("\n".join([json.dumps(started), *first[1:]]) + "\n")
    bench.engine("finish")
    said = bench("study", "--rows", "baseline", "--seeds", "1", "--json")
    assert said.code == 1 and list(cells(said).values()) == ["to resume", "done"]
    assert "is not what this run began with" in said.json["cells"][0]["why"]


def test_ctrl_c_stops_the_run_and_the_study_with_a_checkpoint(bench: Bench) -> None:
    bench.engine("slow")
    with signalled(signal.SIGINT, bench.runs):
        said = bench("study", *ROWS)
    assert said.code == 75 and len(runs_of(bench)) == 1
    bench.engine("finish")
    assert bench("study", *ROWS).code == 0
    assert len(runs_of(bench)) == 4


def test_a_second_ctrl_c_kills_the_run_and_ends_the_study(bench: Bench) -> None:
    bench.engine("stubborn")
    with signalled(signal.SIGINT, bench.runs, times=2):
        said = bench("study", *ROWS)
    assert said.code == 130 and len(runs_of(bench)) == 1


def test_a_run_that_is_at_work_already_is_followed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.engine("slow")
    assert bench("run", "--preset", "baseline", "--detach", "--quiet").code == 0
    (run,) = runs_of(bench)
    bench.engine("finish")
    followed = threading.Event()

    def follow(folder: RunFolder, manner: watching.Watch) -> None:
        followed.set()
        watching.follow_along(folder, manner)

    def stop() -> None:
        followed.wait(20)
        stop_run(run, say=lambda _: None)

    monkeypatch.setattr(running, "follow_along", follow)
    thread = threading.Thread(target=stop)
    thread.start()
    try:
        said = bench("study", *ROWS, "--json")
    finally:
        thread.join()
    # Whoever stops a run of a study, stops the study.
    assert said.code == 75 and len(runs_of(bench)) == 1
    assert f"{run.id} is at it already" in said.err


def test_what_does_not_fit_is_left_out_with_its_reason_and_is_no_failure(bench: Bench) -> None:
    bench.answers("large")
    said = bench("study", "--rows", "null", "--seeds", "2", "--json")
    assert said.code == 0 and not runs_of(bench)
    whys = [cell["why"] for cell in said.json["cells"]]
    assert whys[0].startswith("does not fit: the run needs 2.00 GB") and whys[2] == whys[0]


def test_whether_it_fits_is_asked_once_for_all_seeds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(running, "ask", lambda query, *_: asked.append(query) or {"fits": True, "seconds": 7.0})
    said = bench("study", "--rows", "null", "--seeds", "3")
    assert said.code == 0 and asked == ["preflight"]


def test_a_row_that_the_engine_refuses_is_noted_and_the_others_are_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(query: str, body: Any, *_: Any) -> dict[str, Any]:
        if body["config"]["generator"]["components"] == 9:
            raise ConfigError("generator.components: 9 are more than there are")
        return {"fits": True}

    monkeypatch.setattr(running, "ask", answer)
    said = bench("study", "--rows", "null~components=9,null~components=5", "--seeds", "1", "--json")
    assert said.code == 1
    done = {row: state for (row, kind, _), state in cells(said).items() if kind == "cnn"}
    assert done == {"null": "done", "null~components=9": "to do", "null~components=5": "done"}
    assert "generator.components: 9 are more than there are" in (bench.runs / "study-tissue" / "report.md").read_text()


def test_patches_that_are_not_there_end_it_at_once(bench: Bench) -> None:
    bench.answers("error")
    said = bench("study", *ROWS)
    assert said.code == 3 and "no patches there" in said.err
    assert not bench.runs.exists() or not runs_of(bench)


def test_the_report_takes_no_runs_folder(bench: Bench) -> None:
    folder = bench.write("20251123-120000-vae-500-aaaa", DONE, scores=[score()])
    for path in (folder.path, folder.path / "data"):
        said = bench("study", *ROWS, "--out", str(path))
        assert said.code == 2 and "it is a run's folder, or in one" in said.err


def test_a_report_that_could_not_be_written_is_refused_before_any_run(bench: Bench) -> None:
    (bench.folder / "file").write_text("")
    for path in (bench.folder / "file", bench.folder / "file" / "x"):
        said = bench("study", *ROWS, "--out", str(path))
        assert said.code == 3 and "file is no folder that can be written to" in said.err
    assert not bench.runs.exists()


def test_the_reports_folder_is_no_run(bench: Bench) -> None:
    bench("study", "--rows", "baseline", "--seeds", "1")
    assert (bench.runs / "study-tissue" / "report.md").exists()
    assert len(bench("ls", "--json").json) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "vae-10"], "did you mean vae-100"),
        (["--seeds", "0"], "--seeds"),
        (["--set", "generator.kind=vae"], "rows differ in generator.kind"),
        (["--data", "~no-such-user/x"], "no such user"),
    ],
)
def test_mistakes_are_usage_errors(bench: Bench, arguments: list[str], said: str) -> None:
    result = bench("study", *arguments)
    assert (result.code, result.out) == (2, "") and said in result.err
    assert not bench.runs.exists()


def test_names_of_runs_are_allowed_ones(bench: Bench) -> None:
    assert bench("study", "--rows", "null+0.5", "--seeds", "1").code == 0
    mixed = runs_of(bench)[-1]
    assert bench("show", "null+0.5 resnet seed 0", "--json").json["id"] == mixed.id
    assert load(mixed.config).data == PRESETS["null"].config.data


def fail_for(monkeypatch: pytest.MonkeyPatch, chosen: Any) -> None:
    """Engines of runs whose config is chosen fail."""
    code = (
        "import json, os, pathlib, runpy, sys; "
        "config = json.loads((pathlib.Path(sys.argv[1]) / 'config.json').read_text()); "
        "os.environ['FAKE_ENGINE'] = 'fail' if config['generator'] is not None else 'finish'; "
        f"sys.path.insert(0, {str(Path(FAKE[1]).parent)!r}); sys.argv[0] = {FAKE[1]!r}; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    monkeypatch.setattr(launcher, "ENGINE", (FAKE[0], "-c", code))
