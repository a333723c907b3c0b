"""Rows of a study, the configs of its runs, and which runs that there are already count as theirs."""

from collections.abc import Iterable
from functools import reduce
from operator import getitem
from pathlib import Path
from types import MappingProxyType

import pytest
from fake_engine import score
from workbench import Bench

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.events import RunFailed, RunFinished, RunStarted, RunStopped
from engine.spec.presets import PRESETS, Preset, StudyResult
from engine.spec.resolve import apply, dump, load
from engine.spec.study import FLOOR, REAL, Part, Row, Share, all_rows, select, yardsticks
from histotui.store import RunStore
from histotui.study.keys import Library, key_of
from histotui.study.looking import Finding, Findings, first_line, look, seconds_left
from histotui.study.planning import Cell, Plan, Wish, default_name, plan

DONE = (RunStarted(time=100.0, device="cpu"), RunFinished(time=160.0, seconds=60.0))
NAMES = ("baseline", "vae-100", "null")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def store(bench: Bench) -> RunStore:
    return RunStore(bench.runs)


def planned(store: RunStore, *overrides: str, rows: tuple[str, ...] = NAMES, **wish: object) -> Plan:
    return plan(Wish(rows=rows, overrides=overrides, **wish), store)  # type: ignore[arg-type]


def names(rows: Iterable[Row]) -> list[str]:
    return [row.name for row in rows]


class TestRows:
    def test_the_table_has_every_preset_with_a_generator_behind_real_patches(self) -> None:
        table = [row for row in all_rows() if row.part is Part.TABLE]
        made = [name for name, preset in PRESETS.items() if preset.config.generator is not None]
        assert names(table) == [REAL, *made]
        assert FLOOR in made

    def test_a_new_preset_is_a_row_by_itself(self) -> None:
        new = Preset("other", "", apply(PRESETS["vae-100"].config, [{"preset": "other"}]))
        rows = all_rows(MappingProxyType({**PRESETS, "other": new}))
        assert {"other", "other+0.25", "other+0.5"} <= set(names(rows))

    def test_what_the_study_could_not_run_is_left_out_with_its_reason(self) -> None:
        (row,) = (row for row in all_rows() if row.why_not)
        assert (row.name, row.why_not) == ("vae-4000-c256", "ran out of memory in the study")

    def test_what_is_named_alone_is_run_all_the_same(self) -> None:
        assert [row.why_not for row in select(["vae-4000-c256"], all_rows())] == [""]
        assert [row.why_not for row in select(["vae-4*"], all_rows())] == ["ran out of memory in the study"]
        assert [row.why_not for row in select(["vae-4000-c256", "table"], all_rows()) if "4000" in row.name] == [""]

    def test_rows_are_named_by_names_patterns_and_parts(self) -> None:
        rows = all_rows()
        assert names(select(["null", "baseline"], rows)) == ["baseline", "null"]
        assert names(select(["vae-?00"], rows)) == ["vae-100", "vae-500"]
        assert {row.part for row in select(["table"], rows)} == {Part.TABLE}
        assert select([], rows) == rows

    def test_the_stronger_classifier_on_real_patches_is_no_row_of_its_own(self) -> None:
        assert names(select(["baseline-resnet"], all_rows())) == ["baseline"]

    @pytest.mark.parametrize(
        ("word", "said"), [("vae-10", "did you mean vae-100"), ("zzz", "there are table, curve"), ("", "no such row")]
    )
    def test_a_row_that_is_not_there_is_named(self, word: str, said: str) -> None:
        with pytest.raises(ConfigError, match=f"--rows {word}: .*{said}"):
            select([word], all_rows())

    def test_a_preset_of_ones_own_is_a_row(self, bench: Bench) -> None:
        folder = bench.folder / "config" / "histotui" / "presets"
        folder.mkdir(parents=True)
        (folder / "mine.toml").write_text('base = "vae-100"\n')
        (folder / "plain.toml").write_text("seed = 1\n")
        assert names(select(["mine"], all_rows())) == ["mine"]
        with pytest.raises(ConfigError, match="--rows plain: it has no generator"):
            select(["plain"], all_rows())

    def test_a_row_may_change_its_generator(self, store: RunStore) -> None:
        (row,) = select(["null~components=7"], all_rows())
        assert (row.part, row.preset, row.settings) == (Part.ABLATION, "null", ("components=7",))
        assert row.changes == {"generator": {"components": 7}}
        assert {row.part for row in select(["ablation"], all_rows())} == {Part.ABLATION}
        of_one = select(["vae-matched~*"], all_rows())
        assert of_one == tuple(row for row in select(["ablation"], all_rows()) if row.preset == "vae-matched")
        assert len(of_one) > 5
        for each in select(["ablation"], all_rows()):
            assert planned(store, rows=(each.name,)).rows[-1] == each

    @pytest.mark.parametrize(
        ("word", "said"),
        [
            ("nul~components=7", "did you mean null"),
            ("baseline~epochs=7", "it has no generator"),
            ("null~kind=vae", "another kind is another generator"),
            ("null~components", "--rows null~components: write each change as ~setting=value"),
            ("null~", "--rows null~: write each change"),
            ("null~component=7", "row null~component=7: .*did you mean generator.components"),
            ("null~components=0", "row null~components=0: generator.components"),
        ],
    )
    def test_changes_of_a_generator_that_cannot_be_are_named(self, store: RunStore, word: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            planned(store, rows=(word,))

    def test_a_name_says_what_is_trained_on(self) -> None:
        assert Row(Part.AUGMENTATION, "null", Share(0.01), 0.5).name == "null@0.01+0.5"
        assert Row(Part.AUGMENTATION, REAL, Share(tumour=0.1)).name == "baseline@rare-0.1"
        assert Row(Part.CEILING, "vae-100", ceiling=True).name == "vae-100-ceiling"
        assert len(set(names(all_rows()))) == len(all_rows())


class TestConfigs:
    def test_a_generator_is_trained_once_a_seed_and_lends_to_the_other_classifier(self, store: RunStore) -> None:
        own, borrowed = planned(store, rows=("null",)).cells
        assert (own.yardstick, own.template, own.maker) == ("cnn", PRESETS["null"].config, None)
        assert (borrowed.yardstick, borrowed.maker) == ("resnet", own.template)
        config = borrowed.config(Path("/runs/lender"))
        assert config.generator is None and config.synthesis.source == "/runs/lender"
        judge = PRESETS["baseline-resnet"].config.classifier
        assert config.classifier == judge.model_copy(update={"train_on": "synthetic"})
        assert config.data == own.template.data

    def test_real_patches_are_judged_by_both_without_any_loan(self, store: RunStore) -> None:
        cells = planned(store, rows=("baseline",)).cells
        assert [cell.template for cell in cells] == list(yardsticks().values())
        assert [cell.maker for cell in cells] == [None, None]

    def test_seeds_follow_each_other_whole_tables_first(self, store: RunStore) -> None:
        cells = planned(store, "seed=5", seeds=2).cells
        assert [cell.seed for cell in cells] == [5] * 6 + [6] * 6
        assert [cell.row.name for cell in cells[:6]] == ["baseline"] * 2 + ["vae-100"] * 2 + ["null"] * 2
        assert all(cell.maker is None or cell.maker.seed == cell.seed for cell in cells)

    def test_whoever_lends_comes_along_and_first(self, store: RunStore) -> None:
        cells = planned(store, rows=("null+0.5",)).cells
        assert [cell.row.name for cell in cells] == [REAL, REAL, "null", "null", "null+0.5", "null+0.5"]
        mixed = cells[4]
        assert mixed.maker == cells[2].template and mixed.yardstick == "cnn"
        assert (mixed.template.classifier.train_on, mixed.template.classifier.synthetic_proportion) == ("both", 0.5)

    @pytest.mark.parametrize(
        ("asked", "names"),
        [
            ("null@0.1+0.5", ["baseline@0.1", "null@0.1", "null@0.1+0.5"]),
            ("null@rare-0.1", ["baseline@rare-0.1", "null@rare-0.1"]),
            ("vae-matched-ceiling", ["null", "vae-matched", "vae-matched-ceiling"]),
            ("vae-matched~prior=mixture", ["null", "vae-matched", "vae-matched~prior=mixture"]),
            ("baseline@0.1", ["baseline@0.1"]),
            ("null", ["null"]),
            ("latent-flow", ["null", "latent-flow"]),
            ("baseline", ["baseline"]),
        ],
    )
    def test_what_a_row_is_shown_beside_comes_along(self, store: RunStore, asked: str, names: list[str]) -> None:
        assert [row.name for row in planned(store, rows=(asked,)).rows] == names

    def test_changes_are_for_all_for_a_row_or_for_a_classifier(self, store: RunStore) -> None:
        changes = ("classifier.epochs=4", "resnet:classifier.epochs=2", "vae-100:classifier.batch_size=16")
        changes += ("generator.epochs=3", "classifier.blocks=2")
        found = {cell.kind: cell.template for cell in planned(store, *changes).cells}
        assert [config.classifier.epochs for config in found.values()] == [4, 2] * 3
        assert [config.classifier.batch_size for config in found.values()] == [32, 32, 16, 16, 32, 32]
        assert found["vae-100", "cnn"].generator == PRESETS["vae-100"].config.generator.model_copy(  # type: ignore[union-attr]
            update={"epochs": 3}
        )
        assert [getattr(config.classifier, "blocks", None) for config in found.values()] == [None, 2] * 3

    def test_where_there_are_few_patches_there_are_more_epochs_of_the_seeds_own_choice(self, store: RunStore) -> None:
        rows = ("baseline@0.01", "null@0.01+0.5", "baseline@rare-0.1")
        found = {(*cell.kind, cell.seed): cell for cell in planned(store, rows=rows, seeds=2).cells}
        few = found["baseline@0.01", "cnn", 1].template
        assert (few.classifier.epochs, few.classifier.batch_size) == (2500, 8)
        assert (few.data.train_share, few.data.share_seed) == (0.01, 1)
        mixed = found["null@0.01+0.5", "resnet", 1]
        assert (mixed.template.classifier.epochs, mixed.template.synthesis.ratio) == (200, 4.0)
        assert mixed.maker == found["null@0.01", "cnn", 1].template and mixed.template.data == few.data
        assert (mixed.template.synthesis.classes, mixed.template.training.sample_every) == ("real", 1)
        rare = found["baseline@rare-0.1", "cnn", 1].template
        assert (rare.classifier.epochs, rare.data.train_share, rare.data.tumour_share) == (100, 1.0, 0.1)

    def test_epochs_that_are_short_have_fewer_grids(self, store: RunStore) -> None:
        cells = planned(store, "diffusion@0.1:training.sample_every=3", rows=("diffusion@0.01", "diffusion@0.1")).cells
        found = {cell.row.name: cell.template for cell in cells if cell.yardstick == "cnn" and cell.row.preset != REAL}
        few = found["diffusion@0.01"]
        epochs = [getattr(config.generator, "epochs", 0) for config in (few, PRESETS["diffusion"].config)]
        assert few.training.sample_every == pytest.approx(epochs[0] / epochs[1], abs=0.5) and epochs[0] > 10 * epochs[1]
        assert found["diffusion@0.1"].training.sample_every == 3

    def test_where_tumour_is_rare_it_is_made_up_for(self, store: RunStore) -> None:
        cells = planned(store, rows=("null@rare-0.1+0.5", "null@0.1")).cells
        classes = {cell.row.name: cell.template.synthesis.classes for cell in cells}
        assert classes == {
            "baseline@rare-0.1": "real",
            "null@rare-0.1": "equal",
            "null@rare-0.1+0.5": "equal",
            "baseline@0.1": "real",
            "null@0.1": "real",
        }

    def test_few_patches_have_fewer_components(self, store: RunStore) -> None:
        changes = ("generator.components=50", "null@0.1:generator.components=40")
        cells = planned(store, *changes, rows=("null", "null@0.01", "null@0.1", "null@rare-0.1")).cells
        found = {cell.row.name: dump(cell.template)["generator"] for cell in cells if cell.yardstick == "cnn"}
        made = {name: tree["components"] for name, tree in found.items() if tree}
        assert made == {"null": 50, "null@0.01": 5, "null@0.1": 40, "null@rare-0.1": 50}

    def test_epochs_set_for_a_row_of_few_patches_are_those(self, store: RunStore) -> None:
        changes = ("classifier.epochs=10", "baseline@0.01:classifier.epochs=33", "classifier.batch_size=64")
        cells = planned(store, *changes, rows=("baseline@0.01", "baseline@0.1")).cells
        found = {cell.kind: (cell.template.classifier.epochs, cell.template.classifier.batch_size) for cell in cells}
        assert found == {
            ("baseline@0.01", "cnn"): (33, 8),
            ("baseline@0.01", "resnet"): (33, 8),
            ("baseline@0.1", "cnn"): (31, 20),
            ("baseline@0.1", "resnet"): (31, 20),
        }

    def test_epochs_of_a_generator_in_stages_are_more_in_each(self, store: RunStore) -> None:
        (*_, whole, _), (*_, few, _) = (
            planned(store, rows=(name,)).cells for name in ("latent-flow", "latent-flow@0.01")
        )
        for part in ((), ("latent_prior",)):
            trees = [reduce(getitem, part, dump(cell.template)["generator"]) for cell in (whole, few)]
            steps = [tree["epochs"] * share / tree["batch_size"] for tree, share in zip(trees, (1, 0.01), strict=True)]
            assert steps[1] == pytest.approx(steps[0], rel=0.01)
            assert trees[1]["batch_size"] == max(8, round(trees[0]["batch_size"] / 10))

    def test_ceilings_are_of_autoencoders_and_the_other_classifier_borrows_them(self, store: RunStore) -> None:
        ceilings = {row.preset for row in all_rows() if row.part is Part.CEILING}
        assert "vae-matched" in ceilings and not {"null", "diffusion", "gan-bce", "vae-100"} & ceilings
        *_, own, borrowed = planned(
            store, "synthesis.ratio=2", "synthesis.classes=equal", rows=("vae-matched-ceiling",)
        ).cells
        assert own.template.synthesis.reconstruct and own.template.synthesis.ratio == 1
        assert borrowed.maker == own.template and not borrowed.template.synthesis.reconstruct
        assert planned(store, "synthesis.ratio=2", rows=("vae-matched",)).cells[0].template.synthesis.ratio == 2

    def test_a_changed_generator_is_beside_itself_unchanged(self, store: RunStore) -> None:
        changed = "vae-matched~kl_weight=0.05~epochs=90"
        changes = ("generator.kl_weight=3", f"{changed}:generator.beta1=0.25", "vae-matched:generator.beta2=0.75")
        found = {cell.kind: cell for cell in planned(store, *changes, rows=(changed,), quick=True).cells}
        assert [row for row, _ in found] == ["null"] * 2 + ["vae-matched"] * 2 + [changed] * 2
        trees = [dump(found[row, "cnn"].template)["generator"] for row in ("vae-matched", changed)]
        asked = ("kl_weight", "epochs", "beta1", "beta2")
        assert [[tree[name] for name in asked] for tree in trees] == [[3, 10, 0.5, 0.75], [0.05, 90, 0.25, 0.75]]
        assert found[changed, "resnet"].maker == found[changed, "cnn"].template

    def test_rows_that_come_to_the_same_share_their_runs(self, bench: Bench, store: RunStore) -> None:
        asked = planned(store, rows=("vae-100", "vae-matched~prior=standard~conditional=true"))
        others = ("null", "vae-matched")
        same = [cell for cell in asked.cells if cell.yardstick == "cnn" and cell.row.name not in others]
        write_cell(bench, same[0], 1)
        assert same[0].row != same[1].row and same[0].key == same[1].key
        fates = {finding.cell.kind: finding.fate for finding in look(asked, store).found}
        assert [fates[cell.kind] for cell in same] == ["done", "done"]
        assert fates["vae-matched", "cnn"] == "to do"

    def test_quick_gives_way_to_set(self, store: RunStore) -> None:
        found = {cell.kind: cell.template for cell in planned(store, "vae-100:generator.epochs=77", quick=True).cells}
        own = found["vae-100", "cnn"]
        assert (getattr(own.generator, "epochs", 0), own.classifier.epochs, own.data.limit) == (77, 12, 2400)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("generator.epoch=3", "no run of this study has generator.epoch; did you mean generator.epochs?"),
            ("foo:seed=1", "foo is no row of this study and none of cnn, resnet"),
            ("classifier.kind=cnn", "rows differ in classifier.kind"),
            ("null:data.source=x", "rows differ in data.source"),
            ("seed=x", 'seed: "x" is not allowed'),
            ("seed", "write it as field=value"),
        ],
    )
    def test_changes_that_cannot_be_are_named(self, store: RunStore, change: str, said: str) -> None:
        with pytest.raises(ConfigError) as raised:
            planned(store, change)
        assert said in str(raised.value)

    def test_the_report_lies_beside_the_runs_under_the_name_of_the_patches(self) -> None:
        assert default_name("tissue") == "study-tissue"
        assert default_name("/data/pcam mini/") == "study-pcam-mini"
        assert default_name("/") == "study-data"


def write_cell(bench: Bench, cell: Cell, number: int, lender: Path | None = None, **changes: object) -> Path:
    """A finished run of this cell, by hand."""
    config = apply(cell.config(lender), [changes]) if changes else cell.config(lender)
    run_id = f"20251123-12000{number}-hand-aaa{number}"
    return bench.write(run_id, DONE, scores=[score()], config=config).path


class TestWhatIsThere:
    def test_place_speed_and_the_name_of_the_preset_make_no_other_run(self) -> None:
        config = PRESETS["vae-100"].config
        shown = {"training": {"log_every": 7, "sample_every": 9, "checkpoint_seconds": 1.0}}
        for same in ({"device": "cpu"}, {"training": {"threads": 1}}, {"preset": "mine"}, shown):
            assert key_of(apply(config, [same])) == key_of(config)
        for other in ({"seed": 1}, {"training": {"compile": True}}, {"data": {"source": "/x"}}):
            assert key_of(apply(config, [other])) != key_of(config)

    def test_finished_runs_count_whoever_made_them(self, bench: Bench, store: RunStore) -> None:
        asked = planned(store, rows=("null",))
        path = write_cell(bench, asked.cells[0], 1, device="cpu", training={"threads": 1}, preset="mine")
        found = look(asked, store)
        assert [finding.fate for finding in found.found] == ["done", "to do"]
        # The second classifier's run has taken its patches from that one.
        write_cell(bench, asked.cells[1], 2, path)
        assert [finding.fate for finding in look(asked, store).found] == ["done", "done"]

    def test_a_loan_from_a_run_of_the_same_key_is_the_same_loan(self, bench: Bench, store: RunStore) -> None:
        asked = planned(store, rows=("null",))
        write_cell(bench, asked.cells[0], 1)
        other = write_cell(bench, asked.cells[0], 2)
        write_cell(bench, asked.cells[1], 3, other)
        assert [finding.fate for finding in look(asked, store).found] == ["done", "done"]

    def test_a_loan_from_another_run_is_not(self, bench: Bench, store: RunStore) -> None:
        asked = planned(store, rows=("null",))
        stranger = write_cell(bench, planned(store, "generator.components=7", rows=("null",)).cells[0], 1)
        write_cell(bench, asked.cells[1], 2, stranger)
        assert [finding.fate for finding in look(asked, store).found] == ["to do", "to do"]

    def test_settings_that_a_run_is_too_old_to_have_are_at_their_defaults(self, bench: Bench, store: RunStore) -> None:
        asked = planned(store, rows=("null",))
        path = write_cell(bench, asked.cells[0], 1)
        text = (path / "config.json").read_text()
        (path / "config.json").write_text(text.replace('"prior": "standard", ', ""))
        assert look(asked, store).found[0].fate == "done"

    def test_of_several_runs_a_finished_one_stands_for_all(self, bench: Bench, store: RunStore) -> None:
        asked = planned(store, rows=("baseline",))
        config = asked.cells[0].template
        stopped = (RunStarted(time=1.0), RunStopped(time=2.0, stage="classifier"))
        bench.write("20251123-120009-hand-bbbb", stopped, config=config)
        assert look(asked, store).found[0].fate == "to resume"
        path = write_cell(bench, asked.cells[0], 1)
        run = look(asked, store).found[0].run
        assert run is not None and run.folder.path.name == path.name

    def test_why_there_is_no_result(self, bench: Bench, store: RunStore) -> None:
        asked = planned(store, rows=("null",))
        failed = (
            RunStarted(time=1.0),
            RunFailed(time=2.0, error="RuntimeError", stage="", message="it broke\nsomewhere", exit_code=1),
        )
        bench.write("20251123-120009-hand-bbbb", failed, config=asked.cells[0].template)
        found = look(asked, store).found
        assert [finding.why for finding in found] == ["failed: it broke", "the run that makes its patches failed"]

    def test_a_config_that_borrows_in_a_circle_or_cannot_be_read_is_no_ones(
        self, bench: Bench, store: RunStore
    ) -> None:
        asked = planned(store, rows=("null",))
        path = write_cell(bench, asked.cells[1], 1, bench.runs / "20251123-120001-hand-aaa1")
        bad = bench.write("20251123-120005-hand-cccc", DONE, scores=[score()])
        bad.config.write_text('{"preset": "vae-100", "seed": "x"}')
        assert load(path / "config.json").synthesis.source == str(path)
        assert len(Library.of(store.summaries()).runs) == 1
        assert [finding.fate for finding in look(asked, store).found] == ["to do", "to do"]


def test_time_left_is_by_kind_then_by_what_is_foreseen_then_by_the_mean(bench: Bench, store: RunStore) -> None:
    asked = planned(store, rows=("baseline", "null"), seeds=2)
    assert seconds_left(look(asked, store), {}) is None
    write_cell(bench, asked.cells[0], 1)
    # One of a kind that took 60 s, two for which 10 s are foreseen, four of which nothing is known: 35 s each.
    assert seconds_left(look(asked, store), {("baseline", "resnet"): 10.0}) == pytest.approx(60 + 2 * 10 + 4 * 35)
    assert seconds_left(Findings(asked, ()), {("baseline", "cnn"): 10.0}) == 0


def test_of_an_error_a_cell_of_a_table_has_the_first_line() -> None:
    assert first_line("  it broke\x1b[31m\nsomewhere") == "it broke\\x1b[31m"
    assert first_line("") == "–" and len(first_line("x" * 1000)) == 160


def test_a_run_that_has_none_is_to_do() -> None:
    cell = Cell(Row(Part.TABLE, REAL), "cnn", RunConfig())
    assert Finding(cell).fate == "to do"
    assert StudyResult().ran
