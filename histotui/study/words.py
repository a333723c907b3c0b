"""Numbers of a study as its tables write them."""

from histotui.formats import NOTHING, count, number
from histotui.repeating import Spread
from histotui.study.results import Auc, Difference, Result
from histotui.worth import CurvePoint


def auc(result: Result | None) -> str:
    """Mean, spread over seeds and interval over patches, such as 0.811 ± 0.004 [0.796, 0.826]; else why not."""
    if result is None:
        return NOTHING
    if result.auc is None:
        return result.why or NOTHING
    parts = [mean_and_spread(result.auc), interval(result.low, result.high)]
    if missing := sum(finding.fate != "done" for finding in result.findings):
        parts.append(f"({missing} of {len(result.findings)} seeds missing)")
    return " ".join(filter(None, parts))


def second_auc(found: Auc | None) -> str:
    """An AUC that stands beside another, which says what is missing."""
    return NOTHING if found is None else f"{mean_and_spread(found.spread)} {interval(found.low, found.high)}"


def mean_and_spread(spread: Spread) -> str:
    """The mean, and the standard deviation where there is one."""
    return fixed(spread.mean) + ("" if spread.deviation is None else f" ± {fixed(spread.deviation)}")


def point(found: CurvePoint) -> str:
    """A point of the learning curve with its interval."""
    return f"{fixed(found.auc)} {interval(found.low, found.high)}"


def interval(low: float | None, high: float | None) -> str:
    """An interval; nothing where there is none."""
    return "" if low is None or high is None else f"[{fixed(low)}, {fixed(high)}]"


def difference(found: Difference | None) -> str:
    """A difference with its interval and p, such as −0.021 [−0.032, −0.010], p < 0.001."""
    if found is None:
        return NOTHING
    return f"{signed(found.mean)} [{signed(found.low)}, {signed(found.high)}], {probability(found.p)}"


def probability(p: float) -> str:
    """A p as papers write it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def fixed(value: float | None) -> str:
    """Three decimals."""
    return NOTHING if value is None else f"{value:.3f}"


def signed(value: float) -> str:
    """Three decimals with a sign that is as wide as a plus."""
    return f"{value:+.3f}".replace("-", "−")


def counted(name: str, result: Result | None) -> str:
    """A measure of this name that is a count, its mean over seeds."""
    return count(round(result.means[name])) if result is not None and name in result.means else NOTHING


def measure(value: float | None) -> str:
    """Any other measure."""
    return number(value)
