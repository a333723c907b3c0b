"""`doctor`: what works here and why something does not."""

from histotui import console
from histotui.commands.options import JsonOption, RunsOption
from histotui.formats import facts
from histotui.store import runs_root


def doctor(json: JsonOption = False, runs: RunsOption = None) -> None:
    """Look at versions, devices, the terminal and folders.

    \b
    histotui doctor --json | jq .devices
    """
    from histotui.diagnosis import diagnose

    found = diagnose(runs_root(runs))
    if json:
        console.out_json(found)
        return
    for line in facts(found):
        console.out_prose(line, len(line) - len(line.lstrip()) + 4)
