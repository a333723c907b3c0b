"""The rows of a study: each generator, on all or few real patches, alone or beside real ones."""

import difflib
import fnmatch
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from engine.spec.config import RunConfig
from engine.spec.config_parts import FitConfig
from engine.spec.errors import ConfigError
from engine.spec.presets import PRESETS, Preset, find_preset
from engine.spec.resolve import Tree, merge, parse_override

REAL: Final = "baseline"
"""The row of classifiers that are trained on real patches alone."""
FLOOR: Final = "null"
"""The row that every generator has to beat."""
YARDSTICKS: Final = ("baseline", "baseline-resnet")
"""Presets on real patches, whose classifiers judge every row. A generator's own run trains the first."""
FEW: Final = (0.01, 0.1)
"""Shares of the real training patches at which it is asked whether synthetic ones help."""
CURVE: Final = (0.01, 0.03, 0.1, 0.3)
"""Shares of the real training patches that, with all of them, make the learning curve."""
RARE: Final = 0.1
"""Share of tumour patches that is kept where tumour is made rare."""
SMALLEST_BATCH: Final = 8
"""Patches of a batch where there are few."""
RATIO: Final = 4.0
"""Synthetic patches for each real one where these are few."""
CHANGE: Final = "~"
"""Stands in a row's name before each setting in which its generator differs from the preset."""
ABLATION: Final = (
    "vae-matched~prior=standard~conditional=true",
    "vae-matched~conditional=true",
    "vae-matched~prior=mixture",
    "vae-matched~likelihood=learned",
    "vae-matched~likelihood=learned~pixel_noise=true",
    "vae-matched~spectral_weight=1",
    "vae-matched~kl_weight=0.05",
    "vae-matched~latent_dim=256",
    "vae-matched~kl_weight=0.05~latent_dim=256~channels=32",
    "latent-flow~latent_prior.guidance=1",
    "latent-flow~latent_prior.flips=false",
    "latent-flow~kl_weight=1",
    "gan-stable~loss=hinge~r2=0",
    "gan-stable~loss=hinge~r1=0~r2=0",
    "gan-stable~loss=hinge~r1=0~r2=0~spectral_norm=true",
    "gan-stable~translation=0~cutout=0~colour=0",
    "gan-stable~discriminator_learning_rate=0.002",
    "gan-stable~ema_decay=0",
)
"""What a plain VAE lacks, the first of them as the study had it, what a flow lives by, and what each remedy does for a
GAN."""


class Part(StrEnum):
    """The tables that rows belong to; each is also a name for all of its rows."""

    TABLE = "table"
    CURVE = "curve"
    AUGMENTATION = "augmentation"
    CEILING = "ceiling"
    ABLATION = "ablation"


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the real training patches there are, as shares: of all, and then of the tumour among them."""

    train: float = 1.0
    tumour: float = 1.0

    @property
    def suffix(self) -> str:
        """What a row's name has of it."""
        return "" if self == WHOLE else f"@{self.train:g}" if self.tumour == 1 else f"@rare-{self.tumour:g}"

    @property
    def words(self) -> str:
        """What a table calls it."""
        if self.tumour != 1:
            return f"{self.tumour * 100:g} % of the tumour"
        return "all" if self == WHOLE else f"{self.train * 100:g} %"

    @property
    def batch_divisor(self) -> float:
        """How many times smaller batches are than on all patches, as far as SMALLEST_BATCH lets them."""
        return 1 / math.sqrt(self.train)

    @property
    def changes(self) -> Tree:
        """Settings of the data that make it so."""
        wanted = {"train_share": self.train, "tumour_share": self.tumour}
        return {name: value for name, value in wanted.items() if value != 1}


WHOLE: Final = Share()


@dataclass(frozen=True, slots=True)
class Row:
    """One question of the study: the AUC that these training patches lead to."""

    part: Part
    preset: str
    share: Share = WHOLE
    proportion: float | None = None
    """Share of synthetic patches where they are trained on beside real ones; None where not."""
    ceiling: bool = False
    """Reconstructions of real patches in place of samples."""
    settings: tuple[str, ...] = ()
    """Settings of the generator in which it differs from its preset, as `name=value`."""
    why_not: str = ""
    """Why it is not run unless it is asked for by its name."""

    @property
    def name(self) -> str:
        """What it is called in `--rows` and in tables, such as `null@0.01+0.5` or `vae-matched~prior=mixture`."""
        mixed = "" if self.proportion is None else f"+{self.proportion:g}"
        changed = "".join(f"{CHANGE}{setting}" for setting in self.settings)
        return f"{self.preset}{changed}{'-ceiling' if self.ceiling else ''}{self.share.suffix}{mixed}"

    @property
    def is_real(self) -> bool:
        """Whether real patches alone are trained on."""
        return self.preset == REAL

    @property
    def has_own_ratio(self) -> bool:
        """Whether it says itself how many synthetic patches are made."""
        return self.ceiling or (self.share != WHOLE and not self.is_real)

    @property
    def maker(self) -> "Row | None":
        """The row whose synthetic patches are taken; None where there are none, or its own."""
        return None if self.proportion is None else Row(Part.AUGMENTATION, self.preset, self.share)

    @property
    def unchanged(self) -> "Row | None":
        """The row of its preset as it is, which it is compared with; None where it changes nothing."""
        return Row(Part.TABLE, self.preset) if self.settings else None

    @property
    def real(self) -> "Row":
        """The row of the same real patches alone; of real patches alone, the row itself."""
        return Row(_part_of_real(self.share), REAL, self.share)

    @property
    def company(self) -> "tuple[Row, ...]":
        """Rows that its tables show it beside: the floor, what it takes patches from, is a change or a ceiling of."""
        if self.is_real:
            return ()
        beside = self.real if self.part is Part.AUGMENTATION else Row(Part.TABLE, FLOOR)
        samples = Row(Part.TABLE, self.preset) if self.ceiling else None
        return tuple(row for row in (beside, self.maker, self.unchanged, samples) if row is not None and row != self)

    @property
    def changes(self) -> Tree:
        """Settings in which it differs from its preset, those of the classifier left out."""
        synthesis: Tree = {"reconstruct": True, "classes": "real"} if self.ceiling else {}
        if self.has_own_ratio:
            # A ceiling makes one patch of each.
            synthesis["ratio"] = 1.0 if self.ceiling else RATIO
        if self.share.tumour != 1 and not self.is_real:
            # The generator, not the classifier, is to make up for the tumour that is missing.
            synthesis["classes"] = "equal"
        generator: Tree = {}
        for setting in self.settings:
            generator = merge(generator, parse_override(setting))
        parts = {"data": self.share.changes, "synthesis": synthesis, "generator": generator}
        return {name: part for name, part in parts.items() if part}


def all_rows(presets: Mapping[str, Preset] = PRESETS) -> tuple[Row, ...]:
    """Every row that these presets make, those of the study first."""
    generators = [preset for preset in presets.values() if preset.config.generator is not None]
    runnable = [preset for preset in generators if _ran(preset)]
    return (
        Row(Part.TABLE, REAL),
        *(Row(Part.TABLE, preset.name, why_not=_why_not(preset)) for preset in generators),
        *_real_and_few(),
        *(row for preset in runnable if preset.study is None for row in _augmented(preset.name)),
        *(row for preset in runnable if preset.study is None for row in _ceiling(preset)),
        *(_changed(name) for name in ABLATION),
    )


def select(words: Sequence[str], rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows that these names, patterns such as `vae-*`, parts or other presets mean, in the order of the study.

    Whoever is named alone is run whatever stands against it. ConfigError for what names none.
    """
    if not words:
        return tuple(rows)
    chosen = [row for word in words for row in _meant(word, rows)]
    places = {row.name: place for place, row in enumerate(rows)}
    unique = {row.name: row for row in sorted(chosen, key=lambda row: bool(row.why_not), reverse=True)}
    return tuple(sorted(unique.values(), key=lambda row: places.get(row.name, len(places))))


def _meant(word: str, rows: Sequence[Row]) -> list[Row]:
    named = [row for row in rows if row.name == (REAL if word in YARDSTICKS else word)]
    if named:
        return [replace(row, why_not="") for row in named]
    if found := [row for row in rows if row.part == word or fnmatch.fnmatchcase(row.name, word)]:
        return found
    if CHANGE in word:
        return [_changed(word)]
    return [Row(Part.TABLE, _with_generator(word, word, [*Part, *(row.name for row in rows)]))]


def _changed(word: str) -> Row:
    """The row of a preset whose generator is changed, such as `vae-matched~prior=mixture`."""
    preset, *settings = word.split(CHANGE)
    for setting in settings:
        name, equals, _ = setting.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--rows {word}: write each change as {CHANGE}setting=value")
        if name.strip() == "kind":
            raise ConfigError(f"--rows {word}: another kind is another generator; name a preset of it")
    return Row(Part.ABLATION, _with_generator(preset, word, PRESETS), settings=tuple(settings))


def _with_generator(name: str, word: str, known: Iterable[str]) -> str:
    """The name of a preset if it has a generator; else ConfigError about `word`."""
    try:
        preset = find_preset(name)
    except ConfigError:
        raise ConfigError(f"--rows {word}: {_nearest(name, known)}") from None
    if preset.config.generator is None:
        raise ConfigError(f"--rows {word}: it has no generator; {REAL} is the row of real patches")
    return preset.name


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"no such row; did you mean {near[0]}?" if near else f"no such row; there are {', '.join(known)}"


def _ran(preset: Preset) -> bool:
    return preset.study is None or preset.study.ran


def _why_not(preset: Preset) -> str:
    return "" if _ran(preset) or preset.study is None else f"{preset.study.note} in the study"


def _real_and_few() -> Iterator[Row]:
    for share in (*map(Share, CURVE), Share(tumour=RARE)):
        yield Row(_part_of_real(share), REAL, share)


def _part_of_real(share: Share) -> Part:
    """The part that the row of these real patches alone belongs to."""
    return Part.TABLE if share == WHOLE else Part.CURVE if share.tumour == 1 else Part.AUGMENTATION


def _augmented(name: str) -> Iterator[Row]:
    """With a generator: synthetic patches alone and beside real ones, where these are many, few or lack tumour."""
    for proportion in (0.25, 0.5):
        yield Row(Part.AUGMENTATION, name, proportion=proportion)
    for share in (*map(Share, FEW), Share(tumour=RARE)):
        yield from (Row(Part.AUGMENTATION, name, share, proportion) for proportion in (None, 0.5, 0.8))


def _ceiling(preset: Preset) -> Iterator[Row]:
    generator = preset.config.generator
    if isinstance(generator, FitConfig) and generator.has_encoder:
        yield Row(Part.CEILING, preset.name, ceiling=True)


def yardsticks() -> dict[str, RunConfig]:
    """The configs of the classifiers that judge, by their kinds."""
    configs = [PRESETS[name].config for name in YARDSTICKS]
    return {config.classifier.kind: config for config in configs}
