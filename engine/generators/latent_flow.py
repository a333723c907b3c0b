"""A VAE that is blind to the label, and a class-conditional flow over its latents."""

from dataclasses import replace

import torch
from torch import Tensor

from engine.generators.base import LatentGenerator, Loss, Phase
from engine.generators.flow import Flow
from engine.generators.vae import Vae
from engine.schedules import warm_cosine
from engine.spec.generator_config import LatentFlowConfig, VaeConfig


class LatentFlow(LatentGenerator):
    """Latents by flow matching, patches from them by the decoder of a VAE (as Rombach et al. 2022, with a flow).

    The networks of the VAE are the study's, without the label: a decoder that is told it paints a mark of its own. Its
    KL term weighs little, so that latents say more than a Gaussian could be fitted to; the flow fits what they are.
    Against the study's training, the learning rate rises and falls and gradients are shortened.
    """

    def __init__(self, config: LatentFlowConfig, side: int) -> None:
        super().__init__()
        self.autoencoder = Vae(_autoencoder(config), side)
        self.autoencoder.prior = None  # the flow stands in its place
        self.latent_prior: Flow = Flow(config.latent_prior, config.latent_dim)

    def phases(self) -> tuple[Phase, ...]:
        return tuple(replace(phase, schedule=warm_cosine) for phase in self.autoencoder.phases())

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        return self.autoencoder.loss(phase, images, labels)

    def latents(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean and log variance of q(z | x) side by side, (B, 2·latent_dim) float16."""
        return torch.cat(self.autoencoder.encode(images, labels), dim=1).half()

    def reconstruct(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self.autoencoder.reconstruct(images, labels, rng)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self.autoencoder.decode(self.latent_prior.draw(labels, rng), labels).float().clamp(-1, 1)


def _autoencoder(config: LatentFlowConfig) -> VaeConfig:
    same = {name: value for name, value in config if name in VaeConfig.model_fields and name != "kind"}
    return VaeConfig(**same, prior="gaussian", conditional=False)
