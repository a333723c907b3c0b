"""`study`: the whole table by one command, and its report."""

from pathlib import Path
from typing import Annotated

import typer

from histotui.commands.options import JsonOption, QuietOption, RunsOption


def study(
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="PATH", help="Real patches; else the built-in tissue.")
    ] = None,
    rows: Annotated[
        str, typer.Option("--rows", metavar="A,B,C", help="Rows, patterns with a star, or parts of the study.")
    ] = "",
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, metavar="N", help="Runs of each row.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="The same, smaller: minutes a run on two CPU cores.")] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="[NAME:]A.B=C", help="A setting of all runs, a row's or a classifier's."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="For the report; else study-DATA beside the runs.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and what there is of them.")] = False,
    report_only: Annotated[bool, typer.Option("--report-only", help="Report what there is; start nothing.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    runs: RunsOption = None,
) -> None:
    """Make every row of the study's tables, and a report of them.

    A row is a generator; each is run with N seeds and judged by two classifiers, the study's and a ResNet, which shares
    the synthetic patches. Runs that have finished before are taken as they are, whoever made them; those that were
    stopped, failed or lost are resumed. Ctrl-C stops the run at work with a checkpoint, and the same command goes on.
    A run that fails is noted in the tables. --rows knows the parts table, curve, augmentation, ceiling and ablation
    too, and presets with settings of their generator changed, which stand beside the preset as it is. The row that
    every generator has to beat comes along with each.

    \b
    histotui study --quick --rows table --seeds 1
    histotui study --data ~/pcam --set classifier.epochs=20 --set resnet:classifier.epochs=8
    histotui study --data ~/pcam --rows baseline,null,vae-100 --set vae-100:generator.epochs=20 --dry-run
    histotui study --data ~/pcam --rows 'vae-matched~prior=mixture,vae-matched~likelihood=learned~pixel_noise=true'

    The report is report.html in one file, report.md with its pictures beside it, and table.md. Exit codes: 0 done,
    1 some runs failed, 2 usage or configuration, 3 environment, 75 stopped with a checkpoint, 130 interrupted.
    """
    from histotui.study.conducting import Manner, conduct
    from histotui.study.planning import Wish

    named = tuple(filter(None, (word.strip() for word in rows.split(","))))
    conduct(
        Wish(data, named, seeds, quick, tuple(overrides or ())), Manner(out, runs, dry_run, report_only, json, quiet)
    )
