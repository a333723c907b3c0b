"""RunConfig and its parts: what a run is made of, with every bound and description in one place."""

from typing import Literal, Self

from pydantic import Field, model_validator

from engine.spec.classifier_config import ClassifierConfig, CnnConfig
from engine.spec.config_parts import FitConfig, Fraction, Frozen
from engine.spec.generator_config import GeneratorConfig


class TissueConfig(Frozen):
    """The built-in tissue, rendered from a seed."""

    train: int = Field(8000, ge=2, le=1_000_000, description="Training patches to render.")
    test: int = Field(2000, ge=2, le=1_000_000, description="Test patches to render, from other slides than training.")
    slides: int = Field(40, ge=2, le=10_000, description="Slides with a stain of their own that the patches come from.")
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="The tissue is the same for the same seed, wherever it is made."
    )


class DataConfig(Frozen):
    """Where real patches come from and how they are divided."""

    source: str = Field(
        "tissue", min_length=1, description="A folder, a run folder, or `tissue` for the built-in rendered patches."
    )
    crop: int = Field(64, ge=16, le=512, multiple_of=16, description="Side in pixels of the centre crop.")
    split: Literal["auto", "official", "slide", "hash"] = Field(
        "auto",
        description="How patches are divided where the source does not say: by slide, or by a hash of each patch. "
        "`auto` keeps official splits, else goes by slide where slides are known, else by hash.",
    )
    slides: str | None = Field(None, description="A CSV with columns `id,wsi` that names the slide of each patch.")
    test_fraction: float = Field(
        0.25, gt=0, lt=1, description="Share held out for testing where there is no official test split."
    )
    duplicates: Literal["keep", "drop"] = Field(
        "keep",
        description="Identical patches within a split. Across splits they are always removed from training.",
    )
    broken: Literal["skip", "refuse"] = Field("skip", description="What to do about a patch that cannot be read.")
    broken_limit: Fraction = Field(
        0.01, description="Share of broken patches above which the run refuses even when it may skip."
    )
    limit: int | None = Field(
        None, ge=2, description="At most so many training patches, and a quarter as many test patches."
    )
    train_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the training patches that are used, class by class. Test and validation splits stay.",
    )
    tumour_share: float = Field(
        1.0, gt=0, le=1, description="Share of these tumour training patches that are used, for classes out of balance."
    )
    share_seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Which patches a share keeps; a smaller share's are in every larger one."
    )
    tissue: TissueConfig = Field(default=TissueConfig(), description="The built-in tissue, where it is the source.")


class SynthesisConfig(Frozen):
    """The synthetic training set."""

    ratio: float = Field(1.0, gt=0, le=100, description="Synthetic patches per real training patch.")
    classes: Literal["real", "equal"] = Field(
        "real",
        description="How many of each class: in the real training patches' ratio, or equally many, which makes up for "
        "a class that is rare; beside real patches this class is mostly synthetic then, and may be told by that.",
    )
    source: str | None = Field(
        None,
        min_length=1,
        description="An earlier run whose synthetic patches are taken; none to make them with the run's own generator.",
    )
    reconstruct: bool = Field(
        False,
        description="Take reconstructions of the training patches in the place of samples: what an autoencoder could "
        "teach at best, and no generator's result.",
    )
    batch_size: int = Field(256, ge=1, le=65_536, description="Patches sampled or copied at once.")


class EvaluationConfig(Frozen):
    """How the classifier is tested on real patches."""

    threshold: float = Field(0.5, gt=0, lt=1, description="Probability from which a patch is called tumour.")
    bootstrap: int = Field(
        1000,
        ge=0,
        le=100_000,
        description="Replicates of a second AUC interval, over slides where they are known, else over patches; "
        "0 for DeLong's alone.",
    )
    ece_bins: int = Field(15, ge=2, le=1000, description="Bins of the expected calibration error.")
    reference: bool = Field(
        True,
        description="Also train the classifier on real patches, or take it from an earlier run with the same data.",
    )


class QualityConfig(Frozen):
    """How near the synthetic patches are to real ones: measured beside the answer, and without a part in it."""

    enabled: bool = Field(True, description="Measure the synthetic set's quality, where the run has one.")
    patches: int = Field(
        1000, ge=20, le=100_000, description="Patches of each class that are compared; all where there are fewer."
    )
    neighbours: int = Field(
        5, ge=1, le=1000, description="Nearest neighbours k of precision, recall, density and coverage."
    )
    copies: int = Field(
        500, ge=20, le=100_000, description="Synthetic patches whose likeness is looked for among all training patches."
    )
    features: str | None = Field(
        None,
        min_length=1,
        description="A feature space of your own: a TorchScript file (.pt, .ts), or a classifier's checkpoint "
        "(.safetensors) in a run folder.",
    )

    @model_validator(mode="after")
    def _patches_have_so_many_neighbours(self) -> Self:
        if self.neighbours >= self.patches:
            raise ValueError(
                f"quality.neighbours {self.neighbours}: of {self.patches} patches none has so many neighbours; "
                f"set it to at most {self.patches - 1}, or quality.patches to more"
            )
        return self


class TrainingConfig(Frozen):
    """How any model is fitted: numbers, cadence and checkpoints."""

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Arithmetic of the forward pass; `auto` is bfloat16 on CUDA. A processor that has instructions for "
        "it, as doctor says, is faster with bfloat16.",
    )
    compile: bool = Field(False, description="Compile the loss with torch.compile.")
    deterministic: bool = Field(True, description="Same result for the same seed, device and thread count.")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; all cores when not set.")
    reuse: bool = Field(
        True,
        description="Take what an earlier run beside this one has trained with the same settings, patches and program: "
        "the reference, an autoencoder, a latent prior. False to train all of it here.",
    )
    log_every: int = Field(50, ge=1, description="Steps between metrics.")
    sample_every: int = Field(1, ge=1, description="Epochs between sample grids.")
    checkpoint_seconds: float = Field(120.0, ge=0, description="Time between checkpoints; 0 for one after every step.")


class MonitoringConfig(Frozen):
    """What is looked at while a generator trains: the diversity of its samples, and what they teach a small classifier.

    `usefulness_auc` is measured on real validation patches, never on test patches: the source's validation split, or
    where it has none a part of the training patches, which the generator has seen.
    """

    share: float = Field(0.05, ge=0, le=1, description="At most this share of training time; 0 to look at nothing.")
    patches: int = Field(
        512, ge=32, le=65_536, description="Fresh synthetic patches that a small classifier is trained on each time."
    )
    passes: int = Field(6, ge=1, le=1000, description="Times that it goes over them.")
    channels: int = Field(8, ge=1, le=1024, description="Channels of its first convolution; doubled at each level.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Adam's step size for it.")
    validation_patches: int = Field(
        1024, ge=2, description="At most so many real validation patches that its AUC is measured on."
    )
    collapse_below: Fraction = Field(
        0.25,
        description="Share of real patches' diversity within a class, or of their distance to the nearest other one, "
        "below which its samples have collapsed.",
    )
    collapse_grace: int = Field(
        5, ge=1, description="Epochs before which a class that was never as diverse is not yet called collapsed."
    )
    generator_choice: Literal["last", "usefulness"] = Field(
        "last",
        description="The epoch whose weights the generator is left with: the last, or that with the highest "
        "usefulness_auc among those that were looked at and had not collapsed.",
    )

    @model_validator(mode="after")
    def _choosing_needs_looking(self) -> Self:
        if self.generator_choice == "usefulness" and not self.share:
            raise ValueError(
                "nothing would be looked at to choose by: set monitoring.share above 0 or "
                "monitoring.generator_choice to 'last'"
            )
        return self


class RunConfig(Frozen):
    """Everything that decides a run's result."""

    preset: str = Field("custom", min_length=1, max_length=64, description="The preset it started from.")
    data: DataConfig = Field(default=DataConfig(), description="Where real patches come from and how they are divided.")
    generator: GeneratorConfig | None = Field(
        None, description="The generator; none for a classifier on real patches alone."
    )
    synthesis: SynthesisConfig = Field(default=SynthesisConfig(), description="The synthetic training set.")
    classifier: ClassifierConfig = Field(
        default=CnnConfig(train_on="real"), description="The classifier whose test AUC is the answer."
    )
    evaluation: EvaluationConfig = Field(
        default=EvaluationConfig(), description="How the classifier is tested on real patches."
    )
    quality: QualityConfig = Field(
        default=QualityConfig(), description="How near the synthetic patches are to real ones."
    )
    training: TrainingConfig = Field(default=TrainingConfig(), description="How any model is fitted.")
    monitoring: MonitoringConfig = Field(
        default=MonitoringConfig(), description="What is looked at while a generator trains."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of everything random in the run.")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N.")

    @property
    def has_synthetic(self) -> bool:
        """Whether the run comes to a synthetic set, of its own generator or of an earlier run."""
        return self.generator is not None or self.synthesis.source is not None

    @property
    def latent_prior(self) -> FitConfig | None:
        """The prior that the run trains over its generator's latents; None where it draws from none."""
        prior = None if self.synthesis.reconstruct else getattr(self.generator, "latent_prior", None)
        return prior if isinstance(prior, FitConfig) else None

    @property
    def measures_quality(self) -> bool:
        """Whether the run has synthetic patches whose quality is to be measured."""
        return self.has_synthetic and self.quality.enabled

    @model_validator(mode="after")
    def _synthetic_patches_have_one_origin(self) -> Self:
        if self.generator is not None and self.synthesis.source is not None:
            raise ValueError(
                "generator and synthesis.source are both set: set generator to 'none' to take the earlier run's "
                "patches, or synthesis.source to 'none' to make them"
            )
        if not self.has_synthetic and self.classifier.train_on != "real":
            raise ValueError(
                f"classifier.train_on is {self.classifier.train_on!r} and there is no generator: choose a preset that "
                "has one, name an earlier run in synthesis.source, or set classifier.train_on to 'real'"
            )
        return self

    @model_validator(mode="after")
    def _reconstructions_are_a_ceiling(self) -> Self:
        if not self.synthesis.reconstruct:
            return self
        if not isinstance(self.generator, FitConfig) or not self.generator.has_encoder:
            kind = "no generator" if self.generator is None else f"a generator of the kind {self.generator.kind!r}"
            raise ValueError(f"synthesis.reconstruct needs an encoder and there is {kind}: choose an autoencoder")
        if self.synthesis.ratio != 1:
            raise ValueError("synthesis.reconstruct makes one patch of each training patch: set synthesis.ratio to 1")
        if self.synthesis.classes != "real":
            raise ValueError(
                "synthesis.reconstruct makes one patch of each training patch: set synthesis.classes to 'real'"
            )
        if self.classifier.train_on != "synthetic":
            raise ValueError(
                "synthesis.reconstruct asks what reconstructions alone teach: set classifier.train_on to 'synthetic'"
            )
        return self
