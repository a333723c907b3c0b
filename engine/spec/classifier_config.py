"""Settings of the classifiers: one class for each kind, told apart by `kind`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from engine.spec.config_parts import FitConfig


class ClassifierFitConfig(FitConfig):
    """What every classifier states: the patches that it learns from, its steps, and what chooses its best epoch."""

    train_on: Literal["real", "synthetic", "both"] = Field("synthetic", description="The patches it is trained on.")
    synthetic_proportion: float = Field(
        0.5, gt=0, lt=1, description="Share of synthetic patches when trained on both; all real ones are used."
    )
    channels: int = Field(
        16, ge=1, le=1024, description="Channels of the first convolution; doubled at each of four levels."
    )
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Adam's step size.")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the first moment.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the second moment.")
    flips: bool = Field(False, description="Augment with the eight flips and quarter turns.")
    colour_jitter: float = Field(
        0.0, ge=0, le=0.5, description="Augment each patch's channels with gains and offsets up to this."
    )
    blur: float = Field(
        0.0, ge=0, le=2, description="Augment by Gaussian blur with a standard deviation of up to so many pixels."
    )
    noise: float = Field(
        0.0, ge=0, le=1, description="Augment by Gaussian noise with a standard deviation of up to this, in [-1, 1]."
    )
    validation: Literal["held-out", "official"] = Field(
        "held-out",
        description="What chooses the best epoch: a share of its own training set, or the source's validation split.",
    )
    validation_fraction: float = Field(
        0.25, gt=0, lt=1, description="Share of its own training set held out for validation."
    )
    real_validation: int = Field(
        1000,
        ge=0,
        le=1_000_000,
        description="Real patches, at most, that also choose an epoch where synthetic ones are trained on, for a "
        "score of its own beside the answer; 0 for none.",
    )


class CnnConfig(ClassifierFitConfig):
    """The study's classifier: four stride-2 convolutions."""

    kind: Literal["cnn"] = "cnn"


class ResnetConfig(ClassifierFitConfig):
    """Pre-activation residual network (He et al. 2016) with averaged weights, on patches altered in many ways."""

    kind: Literal["resnet"] = "resnet"
    epochs: int = Field(8, ge=1, le=100_000, description="Passes over the training patches.")
    # Batch normalisation over one patch would know nothing of the others.
    batch_size: int = Field(32, ge=2, le=65_536, description="Patches per step.")
    channels: int = Field(24, ge=1, le=1024, description="Channels of the first level; doubled at each further one.")
    blocks: int = Field(1, ge=1, le=16, description="Residual blocks at each of four levels.")
    learning_rate: float = Field(
        2e-3, gt=0, le=1, description="AdamW's highest step size, reached after a warm-up; it falls along a cosine."
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's decay of the first moment.")
    beta2: float = Field(0.999, ge=0, lt=1, description="AdamW's decay of the second moment.")
    weight_decay: float = Field(
        0.05, ge=0, le=1, description="AdamW's decay of the weights per unit of step size (Loshchilov & Hutter 2019)."
    )
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="Decay per step of the averaged weights that patches are classified with."
    )
    flips: bool = Field(True, description="Augment with the eight flips and quarter turns.")
    blur: float = Field(
        2.0, ge=0, le=2, description="Augment by Gaussian blur with a standard deviation of up to so many pixels."
    )
    noise: float = Field(
        0.3, ge=0, le=1, description="Augment by Gaussian noise with a standard deviation of up to this, in [-1, 1]."
    )
    stain_jitter: float = Field(
        0.2,
        ge=0,
        le=0.9,
        description="Augment each patch's stains with gains and offsets of optical density up to this.",
    )


def _cnn_unless_told(value: object) -> object:
    return {"kind": "cnn", **value} if isinstance(value, dict) else value


ClassifierConfig = Annotated[
    CnnConfig | ResnetConfig,
    Field(discriminator="kind"),
    # There was one kind of classifier before there were others, and it did not have to be named.
    BeforeValidator(_cnn_unless_told),
]
