"""From what was asked for to the runs that a study is made of. Nothing here looks at a run."""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.presets import find_preset
from engine.spec.resolve import Tree, apply, dump, flatten, parse_override
from engine.spec.study import SMALLEST_BATCH, WHOLE, Row, all_rows, select, yardsticks
from histotui.repeating import with_seeds
from histotui.settings import quickened, with_absolute_paths
from histotui.store import RunStore
from histotui.study.keys import key_of

_LENDER: Final = "/"
"""Stands for the run that lends its patches until that is known."""
_FIXED: Final = frozenset(
    {
        "preset",
        "generator",
        "generator.kind",
        "classifier",
        "classifier.kind",
        "classifier.train_on",
        "classifier.synthetic_proportion",
        "synthesis",
        "synthesis.source",
        "synthesis.reconstruct",
        "data",
        "data.source",
        "data.train_share",
        "data.tumour_share",
        "data.share_seed",
    }
)
"""Settings that rows differ in, which nobody else may set."""


Kind = tuple[str, str]
"""The names of a row and of a classifier, which a run shares with those of other seeds."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user asked `study` for."""

    data: str | None = None
    rows: tuple[str, ...] = ()
    seeds: int = 1
    quick: bool = False
    overrides: tuple[str, ...] = ()
    """`a.b=c` for all runs that have the setting, `NAME:a.b=c` for a row's or a classifier's."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a study."""

    row: Row
    yardstick: str
    """The kind of its classifier."""
    template: RunConfig
    """Its config, without the folder of the run that lends its patches."""
    maker: RunConfig | None = None
    """The config of the run that lends its patches; None where it makes its own, or needs none."""

    @property
    def seed(self) -> int:
        return self.template.seed

    @property
    def kind(self) -> Kind:
        """What it shares with the runs of other seeds."""
        return self.row.name, self.yardstick

    @property
    def key(self) -> str:
        """What tells it from all other runs."""
        return key_of(self.template, None if self.maker is None else key_of(self.maker))

    @property
    def name(self) -> str:
        """What its run is called."""
        return re.sub(r"[^\w .+=,@-]", "-", f"{self.row.name} {self.yardstick} seed {self.seed}")

    def config(self, lender: Path | None) -> RunConfig:
        """The config to run, with the folder of the run that lends its patches."""
        if self.maker is None:
            return self.template
        return apply(self.template, [{"synthesis": {"source": str(lender)}}])


@dataclass(frozen=True, slots=True)
class Plan:
    """A study: its rows, and its runs in the order in which they are made, whoever lends before who borrows."""

    wish: Wish
    rows: tuple[Row, ...]
    cells: tuple[Cell, ...]
    source: str
    """Where the patches come from."""

    def of(self, row: Row, yardstick: str) -> tuple[Cell, ...]:
        """A row's runs with one classifier, by seed."""
        return tuple(cell for cell in self.cells if cell.kind == (row.name, yardstick))


def plan(wish: Wish, store: RunStore) -> Plan:
    """The study that was asked for; ConfigError names what is wrong with it."""
    rows = _with_company(select(wish.rows, all_rows()))
    kinds = list(yardsticks())
    overrides = [
        _Override.read(text, {name for row in rows for name in (row.name, row.preset)}, kinds)
        for text in wish.overrides
    ]
    settler = _Settler(wish, store, tuple(overrides))
    first = [cell for row in rows if not row.why_not for cell in settler.cells(row)]
    _refuse_idle(overrides, [cell.template for cell in first])
    by_seed = zip(*(list(_seeded(cell, wish.seeds)) for cell in first), strict=True)
    source = first[0].template.data.source if first else wish.data or "tissue"
    return Plan(wish, rows, tuple(chain.from_iterable(by_seed)), source)


def _with_company(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, each after those that it needs or is shown beside and that were not asked for."""
    asked = {row.name for row in rows}
    found: dict[str, Row] = {}
    for row in rows:
        for each in (*(beside for beside in row.company if beside.name not in asked), row):
            found.setdefault(each.name, each)
    return tuple(found.values())


def _seeded(cell: Cell, count: int) -> Iterator[Cell]:
    makers = [None] * count if cell.maker is None else with_seeds(cell.maker, count)
    for template, maker in zip(with_seeds(cell.template, count), makers, strict=True):
        yield Cell(cell.row, cell.yardstick, _drawn(template, cell.row), maker and _drawn(maker, cell.row))


def _drawn(config: RunConfig, row: Row) -> RunConfig:
    """The config with real patches of its seed's own choice where a row has few of them: the choice is chance too."""
    return config if row.share == WHOLE else apply(config, [{"data": {"share_seed": config.seed}}])


@dataclass(frozen=True, slots=True)
class _Override:
    """A change of a setting, for all rows or for those called so."""

    text: str
    setting: str
    """What it sets, without the name of those that it is for."""
    scope: str = ""

    @classmethod
    def read(cls, text: str, rows: Collection[str], kinds: Sequence[str]) -> "_Override":
        """`NAME:a.b=c` or `a.b=c`; ConfigError where nothing is called so, or the study itself sets it."""
        scope, setting = _scoped(text, (*rows, *kinds))
        if scope and scope not in (*rows, *kinds):
            raise ConfigError(f"--set {text}: {scope} is no row of this study and none of {', '.join(kinds)}")
        parse_override(setting)
        override = cls(text, setting, scope)
        if override.path in _FIXED:
            raise ConfigError(f"--set {text}: rows differ in {override.path}; --rows and --data choose among them")
        return override

    @property
    def tree(self) -> Tree:
        """The change as a nested dict."""
        return parse_override(self.setting)

    @property
    def path(self) -> str:
        """The dotted path of the setting."""
        return self.setting.partition("=")[0].strip()

    def concerns(self, row: Row, kind: str, config: RunConfig) -> bool:
        """Whether it changes a run of this row with this classifier and, as yet, this config."""
        if self.path in dict(flatten(row.changes)):
            return False
        return self.scope in ("", row.name, row.preset, kind) and self.path in dict(flatten(dump(config)))


def _scoped(text: str, names: Sequence[str]) -> tuple[str, str]:
    """The name that a change is for, empty for all, and the change; a name may have a "=" in it, a value a ":"."""
    for name in names:
        if text.startswith(f"{name}:"):
            return name, text[len(name) + 1 :]
    before, colon, after = text.partition(":")
    return (before, after) if colon and "=" not in before else ("", text)


@dataclass(frozen=True, slots=True)
class _Settler:
    """Makes configs of rows, as the user wishes them."""

    wish: Wish
    store: RunStore
    overrides: tuple[_Override, ...]

    def cells(self, row: Row) -> Iterator[Cell]:
        """The row with each classifier and the first seed."""
        for place, (kind, judge) in enumerate(yardsticks().items()):
            config = self._settled(row, kind, judge)
            if row.is_real or (row.maker is None and place == 0):
                yield Cell(row, kind, config)
            else:
                yield Cell(row, kind, _borrowing(config), self._maker(row))

    def _maker(self, row: Row) -> RunConfig:
        """The run that makes the synthetic patches of a row, with the first classifier."""
        kind, judge = next(iter(yardsticks().items()))
        return self._settled(row.maker or row, kind, judge)

    def _settled(self, row: Row, kind: str, judge: RunConfig) -> RunConfig:
        """A row's config with one classifier; ConfigError names the row where there can be none."""
        try:
            return self._laid_over(row, kind, judge)
        except ConfigError as error:
            raise ConfigError(f"row {row.name}: {error}") from None

    def _laid_over(self, row: Row, kind: str, judge: RunConfig) -> RunConfig:
        """A row's config with one classifier: `--set` over `--quick` over the preset."""
        base = find_preset(judge.preset if row.is_real else row.preset).config
        given: Tree = {} if self.wish.data is None else {"data": {"source": self.wish.data}}
        judged = apply(base, [{"classifier": dump(judge)["classifier"] | _trained_on(row)}, row.changes, given])
        wanted = [each.tree for each in self.overrides if each.concerns(row, kind, judged)]
        asked = with_absolute_paths(apply(judged, wanted), self.store)
        kept = [row.changes, *wanted]
        config = with_absolute_paths(quickened(asked, kept), self.store) if self.wish.quick else asked
        named = {each.path for each in self.overrides if each.scope == row.name}
        return apply(config, _for_few(config, row, named))


def _for_few(config: RunConfig, row: Row, named: Collection[str]) -> Iterator[Tree]:
    """Smaller batches where there are few patches, and as many more epochs as make the steps those on all of them.

    Grids of samples come after as many more epochs. Settings made for this very row stay as they are.
    """
    share, settings = row.share, dict(flatten(dump(config)))
    for name in getattr(config.generator, "by_patches", ()):
        path = f"generator.{name}"
        if path not in named:
            yield parse_override(f"{path}={max(1, round(settings[path] / share.batch_divisor))}")
    growth = 1.0
    for path, batch in settings.items() if share.batch_divisor != 1 else ():
        owner, _, name = path.rpartition(".")
        if name != "batch_size" or f"{owner}.epochs" not in settings:
            continue
        fewer = batch if path in named else min(batch, max(SMALLEST_BATCH, round(batch / share.batch_divisor)))
        yield parse_override(f"{path}={fewer}")
        if f"{owner}.epochs" not in named:
            more = fewer / (batch * share.train)
            yield parse_override(f"{owner}.epochs={max(1, round(settings[f'{owner}.epochs'] * more))}")
            growth = max(growth, more if owner.startswith("generator") else 1.0)
    # Short epochs are no reason for more pictures, which would take longer than the training.
    if growth > 1 and "training.sample_every" not in named:
        yield parse_override(f"training.sample_every={round(settings['training.sample_every'] * growth)}")


def _trained_on(row: Row) -> Tree:
    if row.is_real:
        return {"train_on": "real"}
    if row.proportion is None:
        return {"train_on": "synthetic"}
    return {"train_on": "both", "synthetic_proportion": row.proportion}


def _borrowing(config: RunConfig) -> RunConfig:
    """The config with another run's patches in place of its generator."""
    return apply(config, [{"generator": None, "synthesis": {"source": _LENDER, "reconstruct": False}}])


def _refuse_idle(overrides: Iterable[_Override], configs: Sequence[RunConfig]) -> None:
    """ConfigError for a change of a setting that no run has."""
    known = {path for config in configs for path in dict(flatten(dump(config)))}
    for override in overrides:
        if configs and override.path not in known:
            near = difflib.get_close_matches(override.path, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"--set {override.text}: no run of this study has {override.path}{hint}")


def default_name(source: str) -> str:
    """The folder of a study of these patches, beside its runs."""
    return f"study-{re.sub(r'[^A-Za-z0-9._]+', '-', Path(source).name).strip('-.') or 'data'}"
