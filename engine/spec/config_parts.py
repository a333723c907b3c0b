"""What every part of a configuration is made of."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]


class Frozen(BaseModel):
    """A part of the configuration: immutable, with unknown keys, NaN and silent conversions refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class FitConfig(Frozen):
    """What every fitted model states: how long, and in what batches."""

    epochs: int = Field(100, ge=1, le=100_000, description="Passes over the training patches.")
    batch_size: int = Field(32, ge=1, le=65_536, description="Patches per step.")

    has_encoder: ClassVar[bool] = False
    """Whether a generator of this kind can make patches of patches, as `synthesis.reconstruct` needs."""
    sampling: ClassVar[frozenset[str]] = frozenset()
    """Settings that decide how what was learned is sampled from, and nothing of what is learned."""
    quick: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """What `--quick` lowers settings to, where its rule for all models is not enough."""
