"""`run`: settle the settings, look whether they fit, start the engine and follow it."""

from pathlib import Path
from typing import Annotated

import typer

from histotui.commands.options import DetachOption, JsonOption, QuietOption, RunsOption


def run(
    preset: Annotated[str, typer.Option("--preset", "-p", metavar="NAME|RUN", help="A preset, or an earlier run.")],
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="PATH", help="Patches, or a run whose synthetic set to use.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="A.B=C", help="Change a setting; any number of times.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="Settings in TOML.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The same, smaller: minutes on two CPU cores.")] = False,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, max=100, metavar="N", help="With N seeds, and the spread of their AUCs.")
    ] = 1,
    name: Annotated[str, typer.Option("--name", "-n", help="A name for the run.")] = "",
    runs: RunsOption = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = None,
    detach: DetachOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the settings and what they need.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start even where it seems not to fit in memory.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Start a run and follow it to its result.

    It trains a generator, makes patches with it, trains a classifier on those and tests it on real ones. `--set` wins
    over `--config`, that over the preset. Without --data, the built-in tissue stands in for real patches.
    Ctrl-C stops the run with a checkpoint; losing the terminal does not. --repeat runs this seed and those that follow
    it in turn, and takes runs of the same settings that have finished before as they are.

    \b
    histotui run --preset vae-2000 --quick
    histotui run --preset vae-500 --data ~/pcam --set generator.epochs=50 --name pilot
    histotui run --preset gan-wasserstein --data ~/pcam --device cuda:1 --detach
    histotui run --preset gan-bce --data ~/pcam --repeat 5 --name gan

    Exit codes: 0 done, 1 the run failed, 2 usage or configuration, 3 environment, 4 diverged, 75 stopped with a
    checkpoint, 130 interrupted.
    """
    from histotui.settings import Request
    from histotui.starting import Manner, launch

    request = Request(preset, data, device, tuple(overrides or ()), config, quick)
    launch(request, Manner(name, runs, detach, dry_run, force, json, quiet, repeat))
