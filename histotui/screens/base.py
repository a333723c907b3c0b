"""BenchScreen: a screen that knows the application it belongs to."""

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from rich.console import RenderableType
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import ModalScreen, Screen

from histotui.backdrop import Backdrop

if TYPE_CHECKING:
    from histotui.app import HistoTUI

Result = TypeVar("Result")


class BenchScreen(Screen[Result], Generic[Result]):
    """A whole screen."""

    @property
    def bench(self) -> "HistoTUI":
        """The application, with the store and what the follow worker has read."""
        return cast("HistoTUI", self.app)

    @property
    def followed(self) -> frozenset[str]:
        """The runs whose events this screen wants to see."""
        return frozenset()


class BenchModal(ModalScreen[Result], Generic[Result]):
    """A dialogue above another screen."""

    @property
    def bench(self) -> "HistoTUI":
        return cast("HistoTUI", self.app)

    def render(self) -> RenderableType:
        """What is below, with its pictures."""
        below = super().render()
        return Backdrop(below.screen, below.color) if isinstance(below, BackgroundScreen) else below
