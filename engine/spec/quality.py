"""Quality: how near a run's synthetic patches are to real ones, with a floor of real patches beside each measure."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from engine.spec.atomic import write_text
from engine.spec.errors import RunFolderError
from engine.spec.failpoints import Write
from engine.spec.json_file import read_json
from engine.spec.typed import conforms

Record = TypeVar("Record")

Of = Literal["both classes", "normal", "tumour"]


@dataclass(frozen=True, slots=True)
class Measures:
    """What is measured between test patches and as many others in one feature space; None where it was left out.

    All but the detector's AUC depend on how many patches there are: compare values of equal numbers only.
    """

    frechet: float | None = None
    """Fréchet distance (Heusel et al. 2017) of standardised features: no FID, whose features are another network's."""
    kernel: float | None = None
    """Kernel distance (Bińkowski et al. 2018), unbiased: below zero by chance where nothing differs."""
    kernel_error: float | None = None
    """Its standard error over subsets, a lower bound."""
    precision: float | None = None
    """Share within reach of the test patches (Kynkäänniemi et al. 2019)."""
    recall: float | None = None
    """Share of test patches within their reach."""
    density: float | None = None
    """About 1 for patches of the test patches' distribution (Naeem et al. 2020)."""
    coverage: float | None = None
    """Share of test patches with one of them near."""
    detector_auc: float | None = None
    """That of a detector of them: 0.5 where they cannot be told from test patches, 1 where they always can."""
    detector_low: float | None = None
    detector_high: float | None = None
    """A 95 % interval, too narrow near 0.5: how far the floor is from 0.5 says more of what is chance."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Synthetic patches, and training patches in their place, beside as many test patches, in one feature space."""

    space: str
    """What the measures are named for; values of two spaces say nothing of each other."""
    of: Of
    patches: int
    """How many of each of the three."""
    synthetic: Measures
    floor: Measures
    """Of training patches in the place of synthetic ones, on whose likes no generator can be expected to improve.

    In a classifier's space it is of real patches that chose its epoch: of fewer slides than a generator has learnt
    from, which may come below.
    """
    left_out: tuple[str, ...] = ()
    """What was not measured, and why."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Whether synthetic patches are training patches again, by the pixels of thumbnails, in any orientation.

    A copy is found through noise, changes of brightness and a little blur, and mostly when moved by a pixel; hardly
    when moved by two.
    """

    synthetic: int
    held_out: int
    train: int
    """How many patches of each there were; `held_out` are test patches, which cannot be copies."""
    matched: float
    """Share of synthetic patches that are much nearer to one training patch than to all others."""
    matched_held_out: float
    """That of test patches."""
    near: float
    """Share of synthetic patches nearer to a training patch than all but a twentieth of the test patches are."""
    distance: float
    """Median distance to the nearest training patch over that of test patches; blurred patches have a lower one too."""
    clear: bool
    """Whether that is copying, by the criterion below."""
    criterion: str


@dataclass(frozen=True, slots=True)
class QualitySheet:
    """Everything in quality.json."""

    comparisons: tuple[Comparison, ...]
    copies: Copies | None
    notes: tuple[str, ...]
    """What a reader must know of these numbers, and what is missing."""


def write_quality(path: Path, sheet: QualitySheet) -> None:
    write_text(path, json.dumps(asdict(sheet), indent=1, allow_nan=False) + "\n", Write.QUALITY)


def read_quality(path: Path) -> QualitySheet | None:
    """What was measured, newer fields left out; None where nothing has been. RunFolderError for a damaged file."""
    try:
        tree = read_json(path, finite=True)
        return QualitySheet(
            tuple(_made(Comparison, row, synthetic=_measures, floor=_measures) for row in tree["comparisons"]),
            None if tree["copies"] is None else _made(Copies, tree["copies"]),
            tuple(_words(tree["notes"])),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(f"{path}: no record of quality that can be read ({error})") from None


def _measures(tree: Any) -> Measures:
    return _made(Measures, tree)


def _made(kind: type[Record], tree: Any, **parts: Callable[[Any], object]) -> Record:
    """The dataclass of a JSON object, some of its fields made from what stands there."""
    if not isinstance(tree, dict) or not conforms(kind, tree):
        raise ValueError(f"{kind.__name__.lower()} with a field of the wrong type")
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    known: dict[str, Any] = {name: tree[name] for name in names if name in tree}
    known |= {name: make(tree[name]) for name, make in parts.items()}
    return kind(**{name: tuple(_words(value)) if isinstance(value, list) else value for name, value in known.items()})


def _words(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError("a list holds something else than text")
    return value
