"""SamplesPane: a generator's samples through time, beside real patches of the same classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Label

from engine.spec.events import ImageSaved
from histotui.graphics import Graphics
from histotui.grids import outlined
from histotui.look import bar, line
from histotui.widgets.picture import Picture

_EMPTY = "no samples yet: a grid appears after each epoch of the generator"


class SamplesPane(Vertical):
    """Sample grids with a place in time."""

    DEFAULT_CSS = """
    SamplesPane Horizontal { height: 1fr; }
    SamplesPane .grid { width: 1fr; padding: 0 1; }
    SamplesPane .title { height: 1; text-style: bold; }
    SamplesPane #when { height: 1; padding: 0 1; }
    SamplesPane.-enlarged #real { display: none; }
    SamplesPane.-enlarged.-real #real { display: block; }
    SamplesPane.-enlarged.-real #synthetic { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "Earlier", id="earlier"),
        Binding("right", "step(1)", "Later", id="later"),
        Binding("home", "step(-1000000)", "First", id="first", show=False),
        Binding("end", "step(1000000)", "Last", id="last", show=False),
        Binding("o", "outline", "Centre", id="outline", tooltip="Outline the central 32x32 pixels"),
        Binding("b", "real", "Real", id="real", tooltip="Real patches over the whole screen"),
        Binding("f", "enlarge", "Enlarge", id="enlarge", tooltip="One grid over the whole screen"),
    ]

    can_focus = True

    def __init__(self, graphics: Graphics, folder: Path, id: str | None = None) -> None:
        super().__init__(id=id)
        self._graphics, self._folder = graphics, folder
        self._synthetic: tuple[ImageSaved, ...] = ()
        self._real: ImageSaved | None = None
        self._place: int | None = None
        self._outlined = False

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="synthetic", classes="grid"):
                yield Label("generator: normal above, tumour below", classes="title")
                yield Picture(self._graphics, empty=_EMPTY, full=True, id="synthetic-grid")
            with Vertical(id="real", classes="grid"):
                yield Label("real: normal above, tumour below", classes="title")
                yield Picture(self._graphics, empty="no real patches yet", full=True, id="real-grid")
        yield Label("", id="when", markup=False)

    def show(self, images: Sequence[ImageSaved]) -> None:
        """Show these grids; at the newest one, new ones are followed."""
        synthetic = tuple(image for image in images if image.stage != "prepare")
        real = next((image for image in images if image.stage == "prepare"), None)
        if synthetic != self._synthetic or real != self._real:
            self._synthetic, self._real = synthetic, real
            self._paint()

    def _paint(self) -> None:
        shown = self._shown()
        self._draw("#synthetic-grid", shown)
        self._draw("#real-grid", self._real)
        self.query_one("#when", Label).update(line(self._when(shown)))

    def _shown(self) -> ImageSaved | None:
        if not self._synthetic:
            return None
        return self._synthetic[-1 if self._place is None else min(self._place, len(self._synthetic) - 1)]

    def _when(self, shown: ImageSaved | None) -> str:
        keys = "   b other  esc back" if self.has_class("-enlarged") else ""
        if shown is None:
            return keys.strip()
        place = self._synthetic.index(shown) + 1
        track = bar(place / len(self._synthetic), 20)
        return f"{track}  {place} of {len(self._synthetic)}  step {shown.step:,}  {_before_comma(shown.caption)}{keys}"

    def _draw(self, where: str, image: ImageSaved | None) -> None:
        path = None if image is None else self._folder / image.path
        self.query_one(where, Picture).show(path, finish=outlined if self._outlined else None)

    def action_step(self, by: int) -> None:
        if self._synthetic:
            last = len(self._synthetic) - 1
            place = max(0, min(last, (last if self._place is None else self._place) + by))
            self._place = None if place == last else place
            self._paint()

    def action_outline(self) -> None:
        self._outlined = not self._outlined
        self._paint()

    def action_real(self) -> None:
        if self.has_class("-enlarged"):
            self.toggle_class("-real")
        else:
            self.add_class("-real")
            self.action_enlarge()
        self._paint()

    def action_enlarge(self) -> None:
        enlarged = not self.has_class("-enlarged")
        self.set_class(enlarged, "-enlarged")
        self.screen.set_class(enlarged, "-full")
        if not enlarged:
            self.remove_class("-real")
        self._paint()


def _before_comma(caption: str) -> str:
    """A caption without what the titles above the grids say already."""
    return caption.partition(",")[0]
