"""TopBar: where one is, how many runs live, and what the devices do."""

from collections.abc import Iterator

from rich.text import Text
from textual.app import RenderResult
from textual.reactive import reactive
from textual.widget import Widget

from histotui.devices import DeviceLoad
from histotui.formats import size
from histotui.look import bar, joined, line
from histotui.runs import LIVE
from histotui.text import fit, width

_SHOWN_DEVICES = 4


class TopBar(Widget):
    """One line above every screen."""

    DEFAULT_CSS = """
    TopBar { height: 1; dock: top; background: $panel; padding: 0 1; }
    """

    place: reactive[str] = reactive("")
    live: reactive[int] = reactive(0)
    devices: reactive[tuple[DeviceLoad, ...]] = reactive(())

    def __init__(self, place: str) -> None:
        super().__init__()
        self.set_reactive(TopBar.place, place)

    def on_mount(self) -> None:
        self.watch(self.app, "devices", lambda devices: setattr(self, "devices", devices))
        self.watch(
            self.app, "listing", lambda runs: setattr(self, "live", sum(run.state in LIVE for run in runs or ()))
        )

    def render(self) -> RenderResult:
        left = Text.assemble(("histotui", "bold"), "  ")
        live = f"● {self.live} live" if self.live else "no live runs"
        loads = joined(list(self._loads()))
        room = self.size.width - left.cell_len
        right = joined([live, loads]) if width(joined([live, loads])) + 12 <= room else live
        place = fit(self.place, max(0, room - width(right) - 2))
        left.append_text(line(place))
        gap = max(1, self.size.width - left.cell_len - width(right))
        return left.append(" " * gap).append(right, "dim")

    def _loads(self) -> Iterator[str]:
        for device in self.devices[:_SHOWN_DEVICES]:
            busy = "" if device.busy is None else f"{bar(device.busy, 4)} {device.busy:.0%}"
            others = f"+{device.others} of others" if device.others else ""
            yield joined([device.name, busy, f"{size(device.used)} of {size(device.total)}", others], " ")
        if len(self.devices) > _SHOWN_DEVICES:
            yield f"+{len(self.devices) - _SHOWN_DEVICES} more"
