"""The filter language and the order of `ls`."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from engine.spec.errors import ConfigError
from engine.spec.events import Progress
from engine.spec.presets import PRESETS
from engine.spec.resolve import dump, flatten
from engine.spec.run_folder import RunFolder
from histotui.filters import matching, parse
from histotui.runs import State
from histotui.sorting import sort
from histotui.summary import RunSummary


def run(run_id: str, state: State, auc: float | None, **generator: object) -> RunSummary:
    scores = ({"role": "answer", "auc": auc, "tested_on": "tissue"},) if auc is not None else ()
    return RunSummary(
        folder=RunFolder(Path(run_id)),
        name=f"name of {run_id}",
        preset="vae-500" if generator else "baseline",
        state=state,
        stage="generator",
        created=1000.0 + len(run_id),
        seconds=12.5,
        device="cuda:0",
        config={"generator": generator or None, "training": {"compile": False}},
        scores=scores,
        tags=("night", "pilot"),
    )


RUNS = [
    run("a", "finished", 0.75, latent_dim=500, kind="vae"),
    run("bb", "failed", None, latent_dim=100, kind="vae"),
    run("ccc", "finished", 0.93),
]


@pytest.mark.parametrize(
    ("expression", "ids"),
    [
        ("", "a bb ccc"),
        ("vae", "a bb"),
        ("VAE", "a bb"),
        ("night", "a bb ccc"),
        ("state=finished", "a ccc"),
        ("state!=finished", "bb"),
        ("state=finished vae", "a"),
        ("auc>0.8", "ccc"),
        ("auc>=0.75", "a ccc"),
        ("auc<0.75", ""),
        ("auc<=0.75", "a"),
        ("auc=0.75", "a"),
        ("auc=none", "bb"),
        ("tested_on=tissue", "a ccc"),
        ("cfg.generator.latent_dim>100", "a"),
        ("cfg.generator.kind=vae", "a bb"),
        ("cfg.generator.kind!=vae", "ccc"),
        ("cfg.training.compile=false", "a bb ccc"),
        ("device:cuda", "a bb ccc"),
        ("tags=pilot", "a bb ccc"),
        ("tags=pil", ""),
        ("tags:pil", "a bb ccc"),
        ("'name:of bb'", "bb"),
        ("created>1001.5", "bb ccc"),
        ("created<1970-01-02", "a bb ccc"),
        ("created>=2026-11-01T12:00:00Z", ""),
        ("created:1970-01", "a bb ccc"),
        ("created:1970-01-01T00:16:42", "bb"),
        ("created='1970-01-01 00:16:43'", "ccc"),
        ("created!=1970-01-01t00:16:42", "a ccc"),
        ("created:1971", ""),
        ("created<9999-12-31T23:59:59-23:59", "a bb ccc"),
        ("AUC>0.8", "ccc"),
        ("generator.latent_dim>100", "a"),
        ("generator.kind=vae", "a bb"),
        ("has:auc", "a ccc"),
        ("HAS:generator.kind", "a bb"),
        ("has:error", ""),
        ("has:tags", "a bb ccc"),
        ("not has:auc", "bb"),
        ("vae and auc>0.5", "a"),
        ("auc>0.8 or state=failed", "bb ccc"),
        ("auc>0.8 OR state=failed AND vae", "bb ccc"),
        ("(auc>0.8 or state=failed) and vae", "bb"),
        ("(auc>0.8 or state=failed) vae", "bb"),
        ("vae (auc>0.5 or latent)", "a"),
        ("not vae", "ccc"),
        ("not not vae", "a bb"),
        ("not(vae)", "ccc"),
        ("not vae or state=failed", "bb ccc"),
        ("not (vae or auc>0.9)", ""),
        ("((vae))", "a bb"),
        ("auc > 0.8", "ccc"),
        ("state != finished", "bb"),
        ("name : 'of bb'", "bb"),
        ('name:"of bb"', "bb"),
        (r"name:of\ bb", "bb"),
        (r"auc>0\.8", "ccc"),
        (r'"name:\"of"', ""),
        ("'or'", ""),
        ("''", "a bb ccc"),
        ("device:cuda(0)", ""),
        ("Generator.Latent_dim>100", "a"),
        ("generator.loss=bce", ""),
        ("generator.kl_weight>0 or generator.discriminator_steps>1", ""),
        ("has:cfg.generator", "a bb"),
        ("cfg.seed>0", ""),
        ("has:data.tissue", ""),
        ("training.compile>0", ""),
    ],
)
def test_matching(expression: str, ids: str) -> None:
    assert " ".join(found.id for found in matching(expression, RUNS)) == ids


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("ok stat=finished", "filter term 'stat=finished' at character 4: no field 'stat'; did you mean state?"),
        ("auc>high", "filter term 'auc>high' at character 1: 'high' is not a number"),
        ("auc>nan", "'nan' is not a number"),
        ("created>soon-ish", "'soon-ish' is not a number or a date"),
        ("created:today", "'today' is not a date or the beginning of one"),
        ("created:2026-1", "'2026-1' is not a date or the beginning of one"),
        ("a 'open", "at character 3: no closing quotation"),
        ("open\\", "at character 5: expected a character after"),
        ("cfg=1", "no field 'cfg'"),
        ("has:", "no field ''"),
        ("has:colour", "no field 'colour'"),
        ("genrator.x>1", "filter term 'genrator.x>1' at character 1: genrator: unknown; did you mean generator?"),
        ("vae cfg.genrator.x>1", "at character 5: genrator: unknown; did you mean generator?"),
        ("generator.latent_dims>1", "generator.latent_dims: unknown; did you mean generator.latent_dim?"),
        ("generator.latent_dim.deeper>1", "generator.latent_dim.deeper: unknown; did you mean generator.latent_dim?"),
        ("has:classifer.epochs", "classifer: unknown; did you mean classifier?"),
        ("data.sorce:pcam", "data.sorce: unknown; did you mean data.source?"),
        ("data.tisue.seed=1", "data.tisue: unknown; did you mean data.tissue?"),
        ("zzz.qqq=1", "zzz: unknown; `histotui presets NAME` lists all settings"),
        ("cfg.seeds=1", "seeds: unknown; did you mean seed?"),
        ("vae and", "at character 8: expected a term"),
        ("or vae", "at character 1: expected a term before 'or'"),
        ("vae and or x", "at character 9: expected a term before 'or'"),
        ("not", "at character 4: expected a term"),
        ("()", "at character 2: expected a term before ')'"),
        ("(vae", "at character 5: expected the parenthesis that closes the one at character 1"),
        ("vae)", "at character 4: ')' closes nothing"),
        ("auc >", "at character 6: expected a value after '>'"),
        ("auc > (1)", "at character 7: expected a value after '>'"),
        ("(" * 5000, "more than 50 levels"),
        ("not " * 5000, "more than 50 levels"),
    ],
)
def test_errors_say_where_and_what(expression: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(expression)
    assert said in str(error.value)


def test_garbage_is_a_config_error_or_a_filter() -> None:
    chance = random.Random(7)
    pieces = [
        *"()'\"\\ :=>é",
        "and",
        "or",
        "not",
        "auc",
        "<=",
        "has:",
        "0.5",
        "vae",
        "generator.",
        "cfg.",
        "gap",
        "tags",
    ]
    pieces += ["created", "9999-99-99", "1e999", "\ud800", "\0", "\n", "progress"]
    understood = 0
    for _ in range(4000):
        expression = "".join(chance.choices(pieces, k=chance.randint(1, 9)))
        try:
            found = matching(expression, RUNS)
        except ConfigError:
            continue
        understood += 1
        assert set(map(id, found)) <= set(map(id, RUNS))
    assert 400 < understood < 3600


def test_a_thousand_terms() -> None:
    assert [found.id for found in matching(" or ".join(["auc>0.9"] * 1000), RUNS)] == ["ccc"]


def test_a_number_that_no_float_can_hold() -> None:
    giant = replace(RUNS[0], config={"seed": 10**400})
    assert matching("cfg.seed>1e300", [giant]) == [giant]
    assert matching("cfg.seed=1", [giant]) == []
    assert sort([giant, replace(giant, config={"seed": 3})], "cfg.seed")[0].config == {"seed": 3}


def scored(run_id: str, auc: float, trained_on: str, reference: float | None = None) -> RunSummary:
    score = {"role": "answer", "auc": auc, "trained_on": trained_on, "n_test": 10}
    rows = [score] if reference is None else [score, {"role": "reference", "auc": reference}]
    return replace(run(run_id, "finished", None), scores=tuple(rows), fingerprint="f")


def test_the_gap_is_a_field() -> None:
    runs = [
        scored("base", 0.9, "real"),
        scored("near", 0.8, "synthetic"),
        scored("own", 0.7, "synthetic", 0.6),
        RUNS[1],
    ]
    assert [found.id for found in matching("gap<0", runs)] == ["near"]
    assert [found.id for found in sort(runs, "-gap")] == ["own", "near", "base", "bb"]
    assert [found.id for found in sort(runs[1:3], "gap", among=runs)] == ["near", "own"]
    assert [found.id for found in sort(runs[1:3], "gap")] == ["own", "near"]


def test_progress_and_time_left_are_fields() -> None:
    half = Progress(stage="classifier", step=5, total=10, seconds_left=40.0)
    live = replace(RUNS[0], state="running", stage="classifier", config={}, progress=half)
    begun = replace(live, folder=RunFolder(Path("begun")), progress=None, stage="prepare")
    # prepare, classifier, reference, evaluation
    assert matching("progress=37.5", [live, begun]) == [live]
    assert sort([RUNS[0], live, begun], "progress") == [begun, live, RUNS[0]]
    assert matching("left<60", [live, begun]) == [live]


def test_sort_by_tags() -> None:
    other, none = replace(RUNS[0], tags=("Dawn",)), replace(RUNS[0], tags=())
    assert sort([none, RUNS[0], other], "tags") == [other, RUNS[0], none]


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        ("auc", "a ccc bb"),
        ("-auc", "ccc a bb"),
        ("created", "a bb ccc"),
        ("-created", "ccc bb a"),
        ("state", "bb a ccc"),
        ("cfg.generator.latent_dim", "bb a ccc"),
    ],
)
def test_sort(column: str, ids: str) -> None:
    assert " ".join(found.id for found in sort(RUNS, column)) == ids


def test_sort_by_nothing_known() -> None:
    with pytest.raises(ConfigError, match="no field 'aucs'"):
        sort(RUNS, "aucs")
    with pytest.raises(ConfigError, match=r"^--sort -genrator\.x: genrator: unknown; did you mean generator\?$"):
        sort(RUNS, "-genrator.x")


def test_every_setting_of_every_generator_is_a_field() -> None:
    for preset in PRESETS.values():
        for path, _ in flatten(dump(preset.config)):
            parse(f"cfg.{path}=1 has:cfg.{path}")
