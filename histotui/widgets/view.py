"""View: which part of its x axis a chart shows, zoomed and moved along what there is to see."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class View:
    """A part of the x axis within the `whole` that the points span; all of it, whatever comes, where `part` is None."""

    whole: Range
    part: Range | None = None

    def shown(self, columns: int) -> Range:
        """What is drawn on so many columns: the last point of all has half a column to itself."""
        return self.part or with_room(self.whole, 0, 0.5 / columns)

    def zoomed(self, shown: Range, factor: float, cursor: float | None = None) -> "View":
        """`factor` times what is shown, around the cursor where that is in sight, else around the middle."""
        low, high = shown
        middle = cursor if cursor is not None and low <= cursor <= high else (low + high) / 2
        return self._kept_inside(middle + (low - middle) * factor, middle + (high - middle) * factor)

    def panned(self, share: float) -> "View":
        """Moved by a share of its width; the whole stays where it is."""
        if self.part is None:
            return self
        low, high = self.part
        shift = (high - low) * share
        return self._kept_inside(low + shift, high + shift)

    def with_in_sight(self, x: float) -> "View":
        """As it is where x is in sight, else moved to have it in the middle."""
        if self.part is None or self.part[0] <= x <= self.part[1]:
            return self
        half = (self.part[1] - self.part[0]) / 2
        return self._kept_inside(x - half, x + half)

    def _kept_inside(self, low: float, high: float) -> "View":
        first, last = self.whole
        if high - low >= last - first:
            return View(self.whole)
        # Closer than this, neighbouring floats fall into one column.
        if high - low < 1e-9 * max(abs(first), abs(last)):
            return self
        shift = max(first - low, 0.0) - max(high - last, 0.0)
        return View(self.whole, (low + shift, high + shift))


def with_room(values: Range, below: float, above: float) -> Range:
    """The range with shares of it added at its ends; something around it where it is a point."""
    low, high = values
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high)):
        room = max(abs(low), abs(high)) / 10 or 0.5
        return low - room, high + room
    return low - span * below, high + span * above
