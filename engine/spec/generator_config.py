"""Settings of the generators: one class for each kind, told apart by `kind`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from engine.spec.config_parts import FitConfig, Frozen


class NullConfig(Frozen):
    """No network: for each class a Gaussian over the principal components of the pixels, the floor for all others."""

    kind: Literal["null"] = "null"
    by_patches: ClassVar[tuple[str, ...]] = ("components",)
    """Settings that few training patches allow less of."""
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
    gradient_clip: float | None = Field(
        None, gt=0, description="Shorten gradients to this length: one that is far too long undoes what was learned."
    )
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
        if self.gradient_penalty and self.weight_clip is not None:
            raise ValueError(
                "clipped weights and a gradient penalty are two ways to keep slopes small: "
                "set generator.weight_clip to none or generator.gradient_penalty to 0"
            )
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
    r1: float = Field(0.5, ge=0, le=1000, description="Weight γ of the squared gradient norm at real patches.")
    r2: float = Field(0.5, ge=0, le=1000, description="Weight γ of the squared gradient norm at generated patches.")
    penalty_share: float = Field(0.25, gt=0, le=1, description="Share of each batch at which gradients are penalised.")
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

    quick: ClassVar[Mapping[str, int]] = MappingProxyType({"epochs": 5, "batch_size": 16, "channels": 16})


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
        {"epochs": 7, "batch_size": 32, "channels": 16, "blocks": 1, "sampling_steps": 12}
    )

    @model_validator(mode="after")
    def _blocks_of_pixels_halve_twice(self) -> Self:
        if self.unshuffle == 3:
            raise ValueError("generator.unshuffle: 3 does not divide every crop; set it to 1, 2 or 4")
        return self


class FlowConfig(FitConfig):
    """Class-conditional flow matching over vectors (Lipman et al. 2023)."""

    epochs: int = Field(150, ge=1, le=100_000, description="Passes over the latents of the training patches.")
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
    sampling_steps: int = Field(
        20,
        ge=1,
        le=1000,
        description="Heun steps per latent; each calls the network twice, and twice more where guidance is not 1.",
    )
    label_dropout: float = Field(
        0.1, ge=0, lt=1, description="Share of latents that are learned without their label, which guidance needs."
    )
    guidance: float = Field(
        2.0,
        ge=0,
        le=10,
        description="How far samples are led by their label (Ho & Salimans 2022): 1 for as far as it leads, more for "
        "samples of clearer class and less diversity.",
    )

    sampling: ClassVar[frozenset[str]] = frozenset({"sampling_steps", "guidance"})
    quick: ClassVar[Mapping[str, int]] = MappingProxyType({"epochs": 100, "batch_size": 256, "width": 384})

    @model_validator(mode="after")
    def _guidance_needs_to_know_what_no_label_leads_to(self) -> Self:
        if self.guidance != 1 and not self.label_dropout:
            raise ValueError(
                "guidance leads away from samples of no label, and none is learned without: "
                "set generator.latent_prior.label_dropout above 0 or generator.latent_prior.guidance to 1"
            )
        return self


class LatentFlowConfig(FitConfig):
    """A VAE that is blind to the label and, over its latents, class-conditional flow matching."""

    kind: Literal["latent-flow"] = "latent-flow"
    has_encoder: ClassVar[bool] = True
    epochs: int = Field(20, ge=1, le=100_000, description="Passes over the training patches for the VAE.")
    latent_dim: int = Field(256, ge=1, le=65_536, description="Dimensions of the latent z.")
    channels: int = Field(
        32, ge=1, le=1024, description="Channels of the first convolution; doubled at each of four levels."
    )
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="Adam's highest step size for the VAE; it falls along a cosine."
    )
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the first moment.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the second moment.")
    gradient_clip: float | None = Field(
        1000.0, gt=0, description="Shorten gradients to this length: one that is far too long undoes what was learned."
    )
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

    sampling: ClassVar[frozenset[str]] = frozenset({"temperature", "top_k", "top_p"})
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

    quick: ClassVar[Mapping[str, int]] = MappingProxyType({"epochs": 8, "channels": 16, "codebook_size": 256})

    @model_validator(mode="after")
    def _sides_are_halved(self) -> Self:
        if self.downsampling & (self.downsampling - 1):
            raise ValueError(f"generator.downsampling: {self.downsampling} is not a power of two, such as 8")
        return self


GeneratorConfig = Annotated[
    VaeConfig | GanConfig | ProjectionGanConfig | NullConfig | DiffusionConfig | LatentFlowConfig | VqvaeConfig,
    Field(discriminator="kind"),
]
