"""Named RunConfigs: the study's Table 1, and the user's own TOML files beside them."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from engine.spec.classifier_config import CnnConfig, ResnetConfig
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.generator_config import (
    DiffusionConfig,
    GanConfig,
    GeneratorConfig,
    LatentFlowConfig,
    NullConfig,
    ProjectionGanConfig,
    VaeConfig,
    VqvaeConfig,
)
from engine.spec.resolve import Tree, apply, read_toml


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What the study (Zheng 2020, Table 1) measured on Kaggle's patches; None where nothing was scored."""

    loss: float | None = None
    accuracy: float | None = None
    auc: float | None = None
    note: str = ""
    ran: bool = True
    """False where the study could not run it."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A named starting point for a run."""

    name: str
    description: str
    config: RunConfig
    study: StudyResult | None = None
    origin: str = "built in"


_VAE_CHANGES = (
    "Against the study: the last epoch's weights are used, not those of the lowest KL, "
    "and samples are clamped before they become bytes."
)
_GAN_CHANGES = (
    "Against the study: generated patches are judged with the labels they were made for, every discriminator step "
    "sees a fresh batch, and the last weights are used, not those of the lowest generator loss."
)


def _vae(latent_dim: int, channels: int, study: StudyResult) -> Preset:
    name = f"vae-{latent_dim}" + (f"-c{channels}" if channels != 16 else "")
    generator = VaeConfig(latent_dim=latent_dim, channels=channels)
    return Preset(
        name,
        f"The study's conditional VAE: {latent_dim} latents, {channels} channels. {_VAE_CHANGES}",
        RunConfig(preset=name, generator=generator, classifier=CnnConfig(train_on="synthetic")),
        study,
    )


def _gan(generator: GanConfig, changes: str) -> Preset:
    name = f"gan-{generator.loss}"
    return Preset(
        name,
        f"The study's conditional GAN with the {generator.loss} loss. {changes}",
        RunConfig(preset=name, generator=generator, classifier=CnnConfig(train_on="synthetic")),
        StudyResult(note="collapsed, never scored"),
    )


def _beyond_the_study(name: str, generator: GeneratorConfig, description: str) -> Preset:
    """A generator that the study did not have."""
    return Preset(
        name,
        description,
        RunConfig(preset=name, generator=generator, classifier=CnnConfig(train_on="synthetic")),
    )


_BUILT_IN = (
    Preset(
        "baseline",
        "The study's classifier on real patches, no generator. Against the study: the split keeps slides and "
        "duplicates apart.",
        RunConfig(preset="baseline", classifier=CnnConfig(train_on="real")),
        StudyResult(0.3576, 0.8491, 0.9225),
    ),
    _vae(100, 16, StudyResult(40.67, 0.5531, 0.4328)),
    _vae(500, 16, StudyResult(26.81, 0.5496, 0.4814)),
    _vae(2000, 16, StudyResult(4.317, 0.5165, 0.5065)),
    _vae(2000, 64, StudyResult(9.875, 0.5608, 0.4940)),
    _vae(4000, 256, StudyResult(note="ran out of memory", ran=False)),
    _gan(GanConfig(loss="bce"), _GAN_CHANGES),
    _gan(
        GanConfig(loss="wasserstein", discriminator_norm="none", weight_clip=0.01),
        f"{_GAN_CHANGES} The critic has no batch normalisation; generator.gradient_penalty=10 with "
        "generator.weight_clip=none replaces the clipping.",
    ),
    _beyond_the_study(
        "null",
        NullConfig(),
        "No network: for each class a Gaussian over the 100 first principal components of the pixels, fitted in "
        "seconds. A generator that does not beat it is not worth its training.",
    ),
    _beyond_the_study(
        "vae-matched",
        VaeConfig(latent_dim=100, prior="gaussian", conditional=False),
        "The network of vae-100 without the label, and for each class latents from a Gaussian with the mean and "
        "covariance of those that the encoder uses.",
    ),
    _beyond_the_study(
        "diffusion",
        DiffusionConfig(),
        "Diffusion in pixels (Karras et al. 2022): a small U-Net takes noise away, trained on patches in all eight "
        "orientations. Patches are sampled with averaged weights in 18 Heun steps, without guidance.",
    ),
    _beyond_the_study(
        "latent-flow",
        LatentFlowConfig(),
        "A VAE that is not told the label and hardly held to its prior; over its latents, with the label, flow "
        "matching (Lipman et al. 2023) on patches in all eight orientations, from which samples are drawn with "
        "guidance 2. It works without a GPU.",
    ),
    _beyond_the_study(
        "gan-stable",
        ProjectionGanConfig(),
        "A GAN with remedies against collapse: residual networks, a projection discriminator (Miyato & Koyama 2018), "
        "the relativistic loss with gradient penalties, augmentation of all that the discriminator sees, and averaged "
        "weights.",
    ),
    _beyond_the_study(
        "gan-wgan-gp",
        GanConfig(
            loss="wasserstein",
            discriminator_norm="none",
            discriminator_steps=5,
            discriminator_learning_rate=1e-4,
            generator_learning_rate=1e-4,
            beta1=0.0,
            beta2=0.9,
            gradient_penalty=10.0,
        ),
        "The networks and the loss of gan-wasserstein with a gradient penalty (Gulrajani et al. 2017) in the place of "
        "clipped weights, and that paper's five critic steps and Adam settings.",
    ),
    _beyond_the_study(
        "vqvae",
        VqvaeConfig(),
        "Patches as grids of discrete codes (van den Oord et al. 2017), which no network is told the label of; over "
        "them, with the label, a transformer that draws one code after the other, at temperature 1.",
    ),
    Preset(
        "baseline-resnet",
        "A stronger classifier on real patches, no generator: a small pre-activation ResNet, trained on patches "
        "flipped and with their stains perturbed.",
        RunConfig(preset="baseline-resnet", classifier=ResnetConfig(train_on="real")),
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _BUILT_IN})


def user_folder() -> Path:
    """Where a user's own presets lie, one TOML file each."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "histotui" / "presets"


def all_presets(folder: Path | None = None) -> dict[str, Preset]:
    """The built-in presets and the user's, which may not take a built-in name."""
    presets = dict(PRESETS)
    for path in sorted((folder or user_folder()).glob("*.toml")):
        if path.stem in PRESETS:
            raise ConfigError(f"{path}: {path.stem} is a built-in preset; give the file another name")
        presets[path.stem] = load_preset(path)
    return presets


def find_preset(name: str, folder: Path | None = None) -> Preset:
    """The preset of this name; ConfigError with the nearest known one."""
    if name in PRESETS:
        return PRESETS[name]
    presets = all_presets(folder)
    if name not in presets:
        near = difflib.get_close_matches(name, presets, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(presets)}"
        raise ConfigError(f"preset {name!r}: unknown; {hint}")
    return presets[name]


def load_preset(path: Path) -> Preset:
    """A user's preset: settings as in `--config`, and optionally `base` and `description`."""
    tree = read_toml(path)
    base, description = _text(path, tree, "base", "baseline"), _text(path, tree, "description", "")
    if base not in PRESETS:
        raise ConfigError(f"{path}: base {base!r} is not a built-in preset; there are {', '.join(PRESETS)}")
    try:
        config = apply(PRESETS[base].config, [tree, {"preset": path.stem}])
    except ConfigError as error:
        raise ConfigError(f"{path}:\n{error}") from None
    return Preset(path.stem, description or f"From {base}, {path}", config, origin=str(path))


def _text(path: Path, tree: Tree, key: str, default: str) -> str:
    value = tree.pop(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key} must be a string")
    return value
