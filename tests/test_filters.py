"""The filter language and the order of `ls`."""

from pathlib import Path

import pytest

from engine.spec.errors import ConfigError
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
    ],
)
def test_matching(expression: str, ids: str) -> None:
    assert " ".join(found.id for found in matching(expression, RUNS)) == ids


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("ok stat=finished", "filter term 'stat=finished': no field 'stat'"),
        ("auc>high", "filter term 'auc>high': 'high' is not a number"),
        ("'open", 'filter "\'open": no closing quotation'),
        ("cfg=1", "no field 'cfg'"),
    ],
)
def test_errors_name_the_term(expression: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(expression)
    assert said in str(error.value)


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
