"""`data`: look at patches, pack them, export a run's synthetic ones."""

from pathlib import Path
from typing import Annotated, Any

import typer

from histotui import console
from histotui.ask import ask
from histotui.commands.options import JsonOption, RunArgument, RunsOption
from histotui.formats import facts
from histotui.store import RunStore, runs_root

data = typer.Typer(help="Look at patches, pack them, export a run's synthetic ones.", rich_markup_mode=None)

SourceArgument = Annotated[str, typer.Argument(metavar="PATH", help="A folder of patches, a run folder, or `tissue`.")]
SlidesOption = Annotated[
    Path | None, typer.Option("--slides", metavar="CSV", help="Columns `id,wsi`: the slide of each patch.")
]


@data.command()
def inspect(path: SourceArgument, slides: SlidesOption = None, json: JsonOption = False) -> None:
    """Say what is there: layout, patches, classes, splits, duplicates, broken files.

    \b
    histotui data inspect ~/kaggle --slides ~/kaggle/slides.csv
    """
    _print(ask("inspect", {"data": _data(path, slides)}), json)


@data.command()
def pack(
    path: SourceArgument,
    crop: Annotated[
        int | None, typer.Option("--crop", metavar="N", help="Side in pixels of the centre crop: data.crop of the run.")
    ] = None,
    slides: SlidesOption = None,
    json: JsonOption = False,
) -> None:
    """Pack patches into the cache now, as a run would at its start.

    \b
    histotui data pack ~/pcam
    histotui data pack ~/pcam --crop 32
    """
    cropped = {} if crop is None else {"crop": crop}
    _print(ask("pack", {"data": _data(path, slides) | cropped}), json)


@data.command()
def export(
    run: RunArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet or is empty.")],
    json: JsonOption = False,
    runs: RunsOption = None,
) -> None:
    """Write a run's synthetic patches as PNG files in class folders.

    \b
    histotui data export @last synthetic/
    """
    found = RunStore(runs_root(runs)).find(run)
    _print(ask("export", {"run": str(found.path.resolve()), "folder": str(folder.expanduser().resolve())}), json)


def _data(path: str, slides: Path | None) -> dict[str, Any]:
    tree: dict[str, Any] = {"source": path if path == "tissue" else str(Path(path).expanduser().resolve())}
    return tree | ({"slides": str(slides.expanduser().resolve())} if slides else {})


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.out_json(answer)
        return
    for line in facts(answer):
        console.out_prose(line, len(line) - len(line.lstrip()) + 4)
