"""RunConfig and its parts: what a run is made of, with every bound and description in one place."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]


class Frozen(BaseModel):
    """A part of the configuration: immutable, with unknown keys, NaN and silent conversions refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


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


class FitConfig(Frozen):
    """What every fitted model states: how long, and in what batches."""

    epochs: int = Field(100, ge=1, le=100_000, description="Passes over the training patches.")
    batch_size: int = Field(32, ge=1, le=65_536, description="Patches per step.")

    has_encoder: ClassVar[bool] = False
    """Whether a generator of this kind can make patches of patches, as `synthesis.reconstruct` needs."""
    quick: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """What `--quick` lowers settings to, where its rule for all models is not enough."""


class NullConfig(Frozen):
    """No network: for each class a Gaussian over the principal components of the pixels, the floor for all others."""

    kind: Literal["null"] = "null"
    components: int = Field(100, ge=1, le=4096, description="Principal components that patches are made of.")


class VaeConfig(FitConfig):
    """Class-conditional convolutional variational autoencoder (Kingma & Welling 2014, Sohn et al. 2015)."""

    kind: Literal["vae"] = "vae"
    has_encoder: ClassVar[bool] = True
    latent_dim: int = Field(2000, ge=1, le=65_536, description="Dimensions of the latent z.")
    channels: int = Field(
        16, ge=1, le=1024, description="Channels of the first convolution; doubled at each of four levels."
    )
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Adam's step size.")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the first moment.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the second moment.")
    kl_weight: float = Field(1.0, ge=0, le=1000, description="Weight β of the KL term (Higgins et al. 2017).")
    prior: Literal["standard", "gaussian", "mixture"] = Field(
        "standard",
        description="What latents are drawn from: N(0, I), or for each class a Gaussian or a mixture of Gaussians "
        "fitted to the latents that the encoder uses.",
    )
    mixture_parts: int = Field(10, ge=2, le=100, description="Gaussians in a mixture, for each class.")
    conditional: bool = Field(
        True, description="Tell encoder and decoder the label. A decoder that knows it may paint a mark of its own."
    )
    likelihood: Literal["fixed", "learned"] = Field(
        "fixed",
        description="Variance of pixels about the decoder's output: the study's, 1/2 in units in which a channel goes "
        "from 0 to 1, or learned (Rybkin et al. 2021).",
    )
    pixel_noise: bool = Field(
        False, description="Draw pixels from the learned likelihood, where samples are its mean otherwise."
    )
    spectral_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Weight of the squared error between amplitudes of spatial frequencies, which blur lowers.",
    )

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        if not self.conditional and self.prior == "standard":
            raise ValueError(
                "neither the networks nor the prior would know the class: "
                "set generator.conditional to true or generator.prior to 'gaussian'"
            )
        if self.pixel_noise and self.likelihood == "fixed":
            raise ValueError("pixel noise needs a variance that was learned: set generator.likelihood to 'learned'")
        return self


class GanConfig(FitConfig):
    """Class-conditional convolutional GAN (Goodfellow et al. 2014, Mirza & Osindero 2014)."""

    kind: Literal["gan"] = "gan"
    loss: Literal["bce", "wasserstein"] = Field(
        "bce", description="Binary cross-entropy, or Wasserstein (Arjovsky et al. 2017)."
    )
    latent_dim: int = Field(2000, ge=1, le=65_536, description="Dimensions of the latent z.")
    channels: int = Field(
        16,
        ge=1,
        le=1024,
        description="Channels of the discriminator's first convolution; doubled at each of four levels.",
    )
    embedding_dim: int = Field(512, ge=1, le=65_536, description="Dimensions of the generator's label embedding.")
    discriminator_norm: Literal["batch", "none"] = Field("batch", description="Normalisation inside the discriminator.")
    discriminator_steps: int = Field(
        3, ge=1, le=100, description="Discriminator steps per generator step, each on a fresh batch."
    )
    pretrain_steps: int = Field(0, ge=0, description="Discriminator steps before the generator's first.")
    discriminator_learning_rate: float = Field(5e-5, gt=0, le=1, description="Adam's step size for the discriminator.")
    generator_learning_rate: float = Field(5e-5, gt=0, le=1, description="Adam's step size for the generator.")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the first moment.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the second moment.")
    weight_clip: float | None = Field(None, gt=0, le=10, description="Keep the discriminator's weights within ± this.")
    gradient_penalty: float = Field(
        0.0, ge=0, le=1000, description="Weight λ of the gradient penalty (Gulrajani et al. 2017)."
    )

    @model_validator(mode="after")
    def _penalty_needs_independent_patches(self) -> Self:
        if self.gradient_penalty and self.discriminator_norm == "batch":
            raise ValueError(
                "a gradient penalty is per patch and batch normalisation mixes patches: "
                "set generator.discriminator_norm to 'none'"
            )
        return self


class ProjectionGanConfig(FitConfig):
    """Residual GAN with a projection discriminator (Miyato & Koyama 2018) and the remedies against collapse."""

    kind: Literal["projection-gan"] = "projection-gan"
    batch_size: int = Field(64, ge=1, le=65_536, description="Patches per step.")
    loss: Literal["hinge", "relativistic"] = Field(
        "relativistic",
        description="Hinge (Lim & Ye 2017), or softplus of the difference between a real and a generated patch "
        "(Jolicoeur-Martineau 2019), which needs both penalties.",
    )
    latent_dim: int = Field(128, ge=1, le=65_536, description="Dimensions of the latent z.")
    channels: int = Field(
        64, ge=1, le=1024, description="Channels at half the patch's side; doubled at each of three levels below."
    )
    spectral_norm: bool = Field(
        False, description="Keep the largest singular value of each of the discriminator's layers at 1."
    )
    r1: float = Field(0.5, ge=0, le=1000, description="Weight γ of the squared slope at real patches.")
    r2: float = Field(0.5, ge=0, le=1000, description="Weight γ of the squared slope at generated patches.")
    penalty_share: float = Field(0.25, gt=0, le=1, description="Share of each batch at which slopes are penalised.")
    discriminator_steps: int = Field(
        1, ge=1, le=100, description="Discriminator steps per generator step, each on a fresh batch."
    )
    discriminator_learning_rate: float = Field(5e-4, gt=0, le=1, description="Adam's step size for the discriminator.")
    generator_learning_rate: float = Field(5e-4, gt=0, le=1, description="Adam's step size for the generator.")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's decay of the first moment.")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's decay of the second moment.")
    flips: bool = Field(True, description="Show real patches in all eight flips and quarter turns.")
    translation: float = Field(
        0.125, ge=0, le=0.5, description="Shift what the discriminator sees by up to this share of its side."
    )
    cutout: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="Cut a square out of what the discriminator sees, its side this share of the whole.",
    )
    colour: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Change brightness, saturation and contrast of what the discriminator sees by this share of "
        "DiffAugment's strength; stain is signal.",
    )
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="Decay per generator step of the averaged weights that patches are sampled with."
    )

    quick: ClassVar[Mapping[str, int]] = MappingProxyType({"epochs": 6, "batch_size": 16, "channels": 16})


class DiffusionConfig(FitConfig):
    """Class-conditional diffusion in pixels (Karras et al. 2022)."""

    kind: Literal["diffusion"] = "diffusion"
    batch_size: int = Field(64, ge=1, le=65_536, description="Patches per step.")
    channels: int = Field(64, ge=1, le=1024, description="Channels of the U-Net's first level; doubled at the others.")
    blocks: int = Field(2, ge=1, le=16, description="Residual blocks of each of three levels, down and up alike.")
    unshuffle: int = Field(
        2, ge=1, le=4, description="Side of the blocks of pixels that become channels: 1, 2 or 4. Larger is faster."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of features dropped in each residual block.")
    flips: bool = Field(True, description="Train on the eight flips and quarter turns.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's step size.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's decay of the first moment.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the second moment.")
    p_mean: float = Field(-1.2, ge=-10, le=10, description="Mean of ln σ, the noise that is trained at.")
    p_std: float = Field(1.2, gt=0, le=10, description="Standard deviation of ln σ.")
    ema_decay: float = Field(
        0.9995, ge=0, lt=1, description="Decay per step of the averaged weights that patches are sampled with."
    )
    sampling_steps: int = Field(
        18, ge=2, le=1000, description="Heun steps per patch; each but the last calls the network twice."
    )

    quick: ClassVar[Mapping[str, int]] = MappingProxyType(
        {"epochs": 10, "batch_size": 32, "channels": 16, "blocks": 1, "sampling_steps": 14}
    )

    @model_validator(mode="after")
    def _blocks_of_pixels_halve_twice(self) -> Self:
        if self.unshuffle == 3:
            raise ValueError("generator.unshuffle: 3 does not divide every crop; set it to 1, 2 or 4")
        return self


class FlowConfig(FitConfig):
    """Class-conditional flow matching over vectors (Lipman et al. 2023)."""

    epochs: int = Field(120, ge=1, le=100_000, description="Passes over the latents of the training patches.")
    batch_size: int = Field(512, ge=1, le=65_536, description="Latents per step.")
    width: int = Field(768, ge=8, le=8192, description="Units of each hidden layer.")
    blocks: int = Field(4, ge=1, le=64, description="Residual blocks.")
    flips: bool = Field(True, description="Learn the latents of the eight flips and quarter turns of each patch.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's highest step size; it falls along a cosine.")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's decay of the first moment.")
    beta2: float = Field(0.99, ge=0, lt=1, description="AdamW's decay of the second moment.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's decay of the weights per unit of step size.")
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="Decay per step of the averaged weights that latents are sampled with."
    )
    sampling_steps: int = Field(40, ge=1, le=1000, description="Heun steps per latent; each calls the network twice.")

    quick: ClassVar[Mapping[str, int]] = MappingProxyType({"epochs": 100, "batch_size": 256, "width": 384})


class LatentFlowConfig(FitConfig):
    """A VAE that is blind to the label and, over its latents, class-conditional flow matching."""

    kind: Literal["latent-flow"] = "latent-flow"
    has_encoder: ClassVar[bool] = True
    epochs: int = Field(10, ge=1, le=100_000, description="Passes over the training patches for the VAE.")
    latent_dim: int = Field(256, ge=1, le=65_536, description="Dimensions of the latent z.")
    channels: int = Field(
        32, ge=1, le=1024, description="Channels of the first convolution; doubled at each of four levels."
    )
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Adam's step size for the VAE.")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the first moment.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the second moment.")
    kl_weight: float = Field(
        0.05, ge=0, le=1000, description="Weight β of the KL term: low, for the flow makes up for what it leaves."
    )
    latent_prior: FlowConfig = Field(default=FlowConfig(), description="The flow that latents are drawn from.")


class TransformerConfig(FitConfig):
    """Class-conditional transformer over codes in raster order (Vaswani et al. 2017, Radford et al. 2019)."""

    epochs: int = Field(100, ge=1, le=100_000, description="Passes over the codes of the training patches.")
    batch_size: int = Field(64, ge=1, le=65_536, description="Grids of codes per step.")
    width: int = Field(256, ge=8, le=8192, description="Dimensions of the vector at each place.")
    layers: int = Field(6, ge=1, le=100, description="Blocks of attention and two layers.")
    heads: int = Field(8, ge=1, le=128, description="Attention heads; they share the width between them.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of each block's outputs dropped in training.")
    flips: bool = Field(True, description="Learn the codes of the eight flips and quarter turns of each patch.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's highest step size; it falls along a cosine.")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's decay of the first moment.")
    beta2: float = Field(0.99, ge=0, lt=1, description="AdamW's decay of the second moment.")
    weight_decay: float = Field(0.05, ge=0, le=1, description="AdamW's decay of the weights per unit of step size.")
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="Decay per step of the averaged weights that codes are sampled with."
    )
    temperature: float = Field(
        1.0, gt=0, le=10, description="Divides the logits that codes are drawn by; below 1 for the likelier codes."
    )
    top_k: int | None = Field(None, ge=1, le=32_767, description="Draw each code from so many likeliest alone.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Draw each code from the fewest likeliest that have this probability together."
    )

    quick: ClassVar[Mapping[str, int]] = MappingProxyType({"epochs": 10, "batch_size": 32, "width": 128, "layers": 3})

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"a width of {self.width} cannot be shared by {self.heads} heads: "
                "set generator.latent_prior.width to a multiple of generator.latent_prior.heads"
            )
        return self


class VqvaeConfig(FitConfig):
    """VQ-VAE and, over its codes, a class-conditional transformer (van den Oord et al. 2017, Esser et al. 2021)."""

    kind: Literal["vqvae"] = "vqvae"
    has_encoder: ClassVar[bool] = True
    epochs: int = Field(40, ge=1, le=100_000, description="Passes over the training patches for the VQ-VAE.")
    channels: int = Field(
        64, ge=1, le=1024, description="Channels after the first halving; doubled at each further one, up to fourfold."
    )
    blocks: int = Field(2, ge=0, le=16, description="Residual blocks at the codes' resolution, in each network.")
    downsampling: int = Field(8, ge=2, le=32, description="Side in pixels that one code stands for, a power of two.")
    codebook_size: int = Field(512, ge=2, le=32_767, description="Codes that there are.")
    code_dim: int = Field(16, ge=1, le=1024, description="Dimensions in which vectors are compared with codes.")
    codebook_decay: float = Field(
        0.99, ge=0, lt=1, description="Decay per step of the averages that the codes are made of."
    )
    commitment: float = Field(
        0.25, ge=0, le=1000, description="Weight β of the squared distance between vectors and their codes."
    )
    flips: bool = Field(True, description="Train on the eight flips and quarter turns.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's highest step size; it falls along a cosine.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's decay of the first moment.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the second moment.")
    latent_prior: TransformerConfig = Field(
        default=TransformerConfig(), description="The transformer that codes are drawn from."
    )

    quick: ClassVar[Mapping[str, int]] = MappingProxyType({"epochs": 10, "channels": 16, "codebook_size": 256})

    @model_validator(mode="after")
    def _sides_are_halved(self) -> Self:
        if self.downsampling & (self.downsampling - 1):
            raise ValueError(f"generator.downsampling: {self.downsampling} is not a power of two, such as 8")
        return self


GeneratorConfig = Annotated[
    VaeConfig | GanConfig | ProjectionGanConfig | NullConfig | DiffusionConfig | LatentFlowConfig | VqvaeConfig,
    Field(discriminator="kind"),
]


class SynthesisConfig(Frozen):
    """The synthetic training set."""

    ratio: float = Field(1.0, gt=0, le=100, description="Synthetic patches per real training patch, class by class.")
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
    """Pre-activation residual network (He et al. 2016) with flips and stain augmentation."""

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
    flips: bool = Field(True, description="Augment with the eight flips and quarter turns.")
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
        "auto", description="Arithmetic of the forward pass; `auto` is bfloat16 on CUDA."
    )
    compile: bool = Field(False, description="Compile the loss with torch.compile.")
    deterministic: bool = Field(True, description="Same result for the same seed, device and thread count.")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; all cores when not set.")
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
        0.25, description="Share of real patches' diversity within a class below which its samples have collapsed."
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
        if self.classifier.train_on != "synthetic":
            raise ValueError(
                "synthesis.reconstruct asks what reconstructions alone teach: set classifier.train_on to 'synthetic'"
            )
        return self
