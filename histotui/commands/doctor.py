"""`doctor`: what works here and why something does not, and whether runs are whole."""

from typing import Annotated, Any

import typer

from engine.spec.errors import ConfigError
from histotui import console
from histotui.commands.options import JsonOption, RunsOption, complete_run
from histotui.formats import facts
from histotui.runs import LIVE
from histotui.store import RunStore, runs_root
from histotui.summary import summarize

_AT_ONCE = 200

_RunsToCheck = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="With --deep, these runs alone.", autocompletion=complete_run),
]


def doctor(
    references: _RunsToCheck = None,
    deep: Annotated[bool, typer.Option("--deep", help="Look through every file of every run.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="With --deep, mend what can be; never what is whole.")
    ] = False,
    json: JsonOption = False,
    runs: RunsOption = None,
) -> int:
    """Look at versions, devices, the terminal and folders; with --deep at the files of runs instead.

    The exit code is 1 where something is wrong with a run and was not repaired.

    \b
    histotui doctor --json | jq .devices
    histotui doctor --deep --repair
    """
    if deep:
        return _look_deep(RunStore(runs_root(runs)), references or [], repair, json)
    if repair or references:
        raise ConfigError("--repair and names of runs go with --deep")
    from histotui.diagnosis import diagnose

    found = diagnose(runs_root(runs))
    if json:
        console.out_json(found)
    else:
        _say(list(facts(found)))
    return 0


def _look_deep(store: RunStore, references: list[str], repair: bool, json: bool) -> int:
    from histotui.ask import ask

    folders = [store.find(reference) for reference in references] or store.folders()
    # One at work on another machine may hold a lock that is not seen here.
    live = [folder for folder in folders if summarize(folder).state in LIVE]
    idle = [str(folder.path.absolute()) for folder in folders if folder not in live]
    found: dict[str, Any] = {"runs": [], "packs": [], "problems": 0}
    # A command line has room for so many.
    for start in range(0, max(1, len(idle)), _AT_ONCE):
        body = {"runs": idle[start : start + _AT_ONCE], "repair": repair, "packs": start == 0}
        for name, part in ask("audit", body).items():
            found[name] += part
    found["runs"] += [{"run": folder.id, "at_work": True, "findings": []} for folder in live]
    if json:
        console.out_json(found)
    else:
        _say(list(_lines(found)))
    return int(found["problems"] > 0)


def _lines(found: dict[str, Any]) -> list[str]:
    parts = [(run["run"], run["findings"]) for run in found["runs"]] + [("packed patches", found["packs"])]
    lines = [line for name, findings in parts if findings for line in (name, *map(_line, findings))]
    at_work = sum(run["at_work"] for run in found["runs"])
    looked = f"{len(found['runs']) - at_work} runs looked through"
    if at_work:
        looked += f", {at_work} left alone that are at work"
    repaired = sum(finding["repaired"] for _, findings in parts for finding in findings)
    return [*lines, f"{looked}: {found['problems']} problems" + (f", {repaired} repaired" if repaired else "")]


def _line(finding: dict[str, Any]) -> str:
    done = "repaired" if finding["repaired"] else "--repair would" if finding["can_repair"] else "to do"
    return f"  {finding['path']}: {finding['problem']}; {done}: {finding['remedy']}"


def _say(lines: list[str]) -> None:
    for line in lines:
        console.out_prose(line, len(line) - len(line.lstrip()) + 4)
