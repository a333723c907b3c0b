"""What `run` does, step by step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, DeviceError
from engine.spec.resolve import dump, flatten
from engine.spec.run_folder import RunFolder, check_name
from histotui import console
from histotui.ask import ask, hide_progress
from histotui.formats import NOTHING, count, duration, size
from histotui.repeating import done_before, names_for, print_repeats, with_seeds
from histotui.settings import Request, Settled, command_for, settle, written
from histotui.store import RunStore, runs_root
from histotui.text import clean_line
from histotui.watching import Watch, follow_through, watch

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is to be started and shown, which has no part in its result."""

    name: str = ""
    runs: Path | None = None
    detach: bool = False
    dry_run: bool = False
    force: bool = False
    json: bool = False
    quiet: bool = False
    repeat: int = 1
    """With how many seeds to run it, one after another."""


def launch(request: Request, manner: Manner) -> None:
    """Settle, check, create, start and follow."""
    if manner.repeat > 1 and manner.detach:
        raise ConfigError("--repeat: runs follow each other under this command; leave --detach out, or use tmux")
    name = check_name(manner.name) if manner.name else ""
    store = RunStore(runs_root(manner.runs))
    settled = settle(request, store)
    if not manner.quiet:
        _tell_settings(settled)
    preflight = _preflight(settled.config, store, manner.quiet)
    if manner.dry_run:
        _print_plan(settled.config, preflight, manner.json)
        return
    _refuse_what_does_not_fit(preflight, manner.force)
    if not manner.quiet:
        _tell_preflight(preflight)
    if manner.repeat > 1:
        _repeat(settled.config, store, manner, name)
    else:
        watch(_creator(settled.config, store, manner, name), Watch(manner.detach, manner.json, manner.quiet))


def _repeat(config: RunConfig, store: RunStore, manner: Manner, name: str) -> None:
    """Run every seed that has not been run before, then show what they come to; Ctrl-C ends the one at work and all."""
    configs = with_seeds(config, manner.repeat)
    folders = []
    for each, called in zip(configs, names_for(name, configs), strict=True):
        folder = done_before(each, store, manner.quiet)
        if folder is None:
            # Only the whole is for scripts.
            folder = follow_through(_creator(each, store, manner, called), Watch(quiet=manner.quiet))
        elif not manner.quiet:
            console.say(f"seed {each.seed}: done before by {folder.id}")
        folders.append(folder)
    print_repeats(folders, manner.json)


def _creator(config: RunConfig, store: RunStore, manner: Manner, name: str) -> Callable[[], RunFolder]:
    command = command_for(config, name, manner.runs)
    return lambda: store.create(config.preset, dump(config), command, name)


def _tell_settings(settled: Settled) -> None:
    if settled.quickened:
        console.say("--quick:")
    for path, old, new in settled.quickened:
        console.say(f"  {path}: {written(old)} -> {written(new)}")


def _preflight(config: RunConfig, store: RunStore, quiet: bool) -> Tree:
    question = {"config": dump(config), "runs": str(store.root.absolute())}
    return ask("preflight", question, hide_progress if quiet else None)


def _refuse_what_does_not_fit(preflight: Tree, force: bool) -> None:
    if preflight.get("fits", True) or force:
        return
    lines = [*shortages(preflight), str(preflight.get("advice") or ""), "--force starts it all the same"]
    raise DeviceError("\n".join(filter(None, lines)))


def shortages(preflight: Tree) -> Iterator[str]:
    """What there is too little of, in sentences."""
    need, room = preflight.get("peak_bytes", 0), preflight.get("available_bytes", 0)
    if need > room:
        stage, binds = preflight.get("stage", "the run"), preflight.get("binds", "memory")
        yield f"{stage} needs {size(need)} and {_device(preflight)} has {size(room)} free; what binds: {binds}"
    need, room = preflight.get("disk_bytes", 0), preflight.get("disk_free_bytes", 0)
    if need > room:
        yield f"the run needs {size(need)} of disk and {size(room)} are free"


def _tell_preflight(preflight: Tree) -> None:
    for label, value in preflight_lines(preflight):
        console.say(f"{label:<12}{value}")


def preflight_lines(preflight: Tree) -> list[tuple[str, str]]:
    """What a run works with and needs, as labels and values, and what is odd about it."""
    found = preflight.get("data") or {}
    data = ", ".join(dict.fromkeys(str(found[key]) for key in ("name", "layout", "provenance") if found.get(key)))
    patches, seconds = found.get("patches"), preflight.get("seconds")
    lines = (
        ("device", _device(preflight)),
        ("data", data + (f", {count(patches)} patches" if isinstance(patches, int) else "")),
        ("parameters", count(preflight.get("parameters"))),
        ("memory", f"{size(preflight.get('peak_bytes'))} of {size(preflight.get('available_bytes'))}"),
        ("disk", f"{size(preflight.get('disk_bytes'))} of {size(preflight.get('disk_free_bytes'))}"),
        ("duration", f"about {duration(seconds)}" if isinstance(seconds, float) else ""),
    )
    warnings = [("warning", clean_line(str(warning))) for warning in preflight.get("warnings") or ()]
    return [
        *((label, value) for label, value in lines if value and value not in (NOTHING, f"{NOTHING} of {NOTHING}")),
        *warnings,
    ]


def _device(preflight: Tree) -> str:
    device, name = preflight.get("device"), preflight.get("device_name")
    return f"{device} ({name})" if device and name and name != device else str(name or device or "the device")


def _print_plan(config: RunConfig, preflight: Tree, as_json: bool) -> None:
    tree = dump(config)
    if as_json:
        console.out_json({"config": tree, "preflight": preflight})
        return
    for path, value in flatten(tree):
        console.out(f"{path} = {written(value)}")
    console.out()
    for label, value in preflight_lines(preflight):
        console.out(f"{label:<12}{value}")
    if not preflight.get("fits", True):
        console.out(f"{'fits':<12}no: {'; '.join([*shortages(preflight), str(preflight.get('advice') or '')])}")
