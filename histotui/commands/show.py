"""`show`: one run."""

from histotui import console
from histotui.commands.options import JsonOption, RunArgument, RunsOption
from histotui.store import RunStore, runs_root


def show(run: RunArgument, json: JsonOption = False, runs: RunsOption = None) -> None:
    """Show one run: state, result, settings.

    \b
    histotui show @last
    histotui show vae-pilot --json | jq '.scores[0].auc'
    """
    # What it shows beside the result comes from the presets, whose import `ls` must not pay.
    from histotui.details import details, print_details

    folder = RunStore(runs_root(runs)).find(run)
    if json:
        console.out_json(details(folder))
    else:
        print_details(folder)
