"""`worth`: how many real patches teach as much as a run's training set."""

from typing import Annotated

import typer

from histotui.commands.options import JsonOption, RunArgument, RunsOption
from histotui.store import RunStore, runs_root


def worth(
    run: RunArgument,
    curve: Annotated[
        str,
        typer.Option("--curve", metavar="EXPR", help="Of which runs the curve may be made, as in `ls --filter`."),
    ] = "",
    json: JsonOption = False,
    runs: RunsOption = None,
) -> None:
    """Say what a run's training set is worth in real patches.

    The curve is made of the finished runs on real patches alone that have the same classifier and the same test
    patches, at whatever data.train_share; only its epochs and batches may be others, since few patches need more and
    smaller ones.

    \b
    histotui run --preset baseline --data PATH --set data.train_share=0.01 --set classifier.epochs=200 --repeat 3
    histotui run --preset baseline --data PATH --set data.train_share=0.1 --set classifier.epochs=50 --repeat 3
    histotui worth vae-pilot
    """
    # Configs are validated to compare them, which `ls` must not pay for.
    from histotui.filters import matching
    from histotui.learning_curve import print_worth
    from histotui.summary import readable

    store = RunStore(runs_root(runs))
    print_worth(readable(store.find(run)), matching(curve, store.summaries()), json)
