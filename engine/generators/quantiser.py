"""Vector quantisation: vectors to the nearest of a few codes, which follow the vectors that they stand for."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LLOYD_STEPS = 10
"""Rounds of k-means from which the codes begin."""
_DEAD = 0.05
"""Share of the mean use below which a code is dead."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """Feature maps after quantisation."""

    values: Tensor
    """(B, D, H, W): the codes' vectors, with the gradient of what was quantised."""
    codes: Tensor
    """(B, H, W) int64."""
    commitment: Tensor
    """Mean squared distance of the vectors from their codes; its gradient moves the vectors alone."""


class Quantiser(nn.Module):
    """A codebook learned by moving averages (van den Oord et al. 2017, appendix A.1; Razavi et al. 2019).

    Codes begin as the k-means of the first batch. One that is hardly used any more becomes a vector of the batch at
    hand (Dhariwal et al. 2020), so that none is dead for long. All of it is buffers: no optimizer knows of the codes.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    used: Tensor

    def __init__(self, size: int, dim: int, decay: float) -> None:
        """`size` codes of `dim` values; `decay` in [0, 1): the weight per step of the vectors that were."""
        super().__init__()
        self._decay = decay
        self.register_buffer("codebook", torch.randn(size, dim))
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("sums", self.codebook.clone())
        self.register_buffer("used", torch.zeros(size, dtype=torch.int64))

    def forward(self, features: Tensor) -> Quantised:
        """The nearest code at every place of feature maps (B, D, H, W), in float32 whatever these come in."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            codes = nearest(as_vectors(features.detach()), self.codebook).view(len(features), *features.shape[2:])
            values = self.look_up(codes)
            return Quantised(straight_through(features, values), codes, F.mse_loss(features, values))

    def look_up(self, codes: Tensor) -> Tensor:
        """The vectors of codes (B, H, W), as (B, D, H, W)."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    @torch.no_grad()
    def learn(self, vectors: Tensor, codes: Tensor, step: int, valid: Tensor) -> None:
        """Take in vectors (N, D) and their codes (N,) after step `step`; nothing where `valid`, a scalar, is false."""
        if step == 0:
            self._begin(vectors, valid)
            return
        size = len(self.codebook)
        counts, sums = totals(vectors, codes, size)
        _keep(self.used, self.used + counts.long(), valid)
        # In the first steps the networks move too fast for vectors of long ago to count.
        decay = min(self._decay, (1 + step) / (10 + step))
        counts = torch.lerp(self.counts, counts, 1 - decay)
        sums = torch.lerp(self.sums, sums, 1 - decay)
        usual = len(vectors) / size
        dead = (counts < _DEAD * usual)[:, None]
        seeds = vectors[torch.randint(0, len(vectors), (size,), device=vectors.device)]
        # A code that comes back has the weight of one in use, or the next vector would carry it away.
        _keep(self.counts, torch.where(dead[:, 0], usual, counts), valid)
        _keep(self.sums, torch.where(dead, seeds * usual, sums), valid)
        _keep(self.codebook, self.sums / self.counts[:, None], valid)

    def take_usage(self) -> dict[str, Tensor]:
        """Since the last call: the share of codes that were used, and the perplexity of their use."""
        share, effective = (self.used > 0).float().mean(), perplexity(self.used)
        self.used.zero_()
        return {"codebook_usage": share, "codebook_perplexity": effective}

    def _begin(self, vectors: Tensor, valid: Tensor) -> None:
        codebook, usual = k_means(vectors, len(self.codebook)), len(vectors) / len(self.codebook)
        _keep(self.codebook, codebook, valid)
        _keep(self.counts, torch.full_like(self.counts, usual), valid)
        _keep(self.sums, codebook * usual, valid)


def as_vectors(features: Tensor) -> Tensor:
    """Feature maps (B, D, H, W) as the vectors of their places, (B·H·W, D)."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """For each vector (N, D) the code (K, D) at the least Euclidean distance, (N,) int64."""
    # |v - c|² without |v|², which is the same for every code.
    return torch.addmm(codebook.square().sum(1), vectors, codebook.mT, alpha=-2).argmin(1)


def straight_through(features: Tensor, values: Tensor) -> Tensor:
    """`values`, with the gradient going to `features` unchanged (Bengio et al. 2013)."""
    return features + (values - features).detach()


def totals(vectors: Tensor, codes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """How many vectors (N, D) have each of `size` codes, (K,), and their sums, (K, D)."""
    counts = vectors.new_zeros(size).index_add_(0, codes, vectors.new_ones(len(codes)))
    return counts, vectors.new_zeros(size, vectors.shape[1]).index_add_(0, codes, vectors)


def k_means(vectors: Tensor, size: int) -> Tensor:
    """`size` centres (K, D) of vectors (N, D), from vectors drawn among them by a few of Lloyd's steps."""
    order = torch.randperm(len(vectors), device=vectors.device)
    centres = vectors[order.repeat(-(-size // len(vectors)))[:size]]
    for _ in range(_LLOYD_STEPS):
        counts, sums = totals(vectors, nearest(vectors, centres), size)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp_min(1), centres)
    return centres


def perplexity(counts: Tensor) -> Tensor:
    """How many codes used alike would be as hard to guess as those used so often, (K,) to a scalar; 0 for none."""
    shares = counts.double() / counts.sum().clamp_min(1)
    return torch.where(counts.sum() > 0, torch.special.entr(shares).sum().exp(), 0.0)


def _keep(buffer: Tensor, value: Tensor, valid: Tensor) -> None:
    """Put a value into a buffer, where it is valid: decided on the device, which nothing waits for."""
    buffer.copy_(torch.where(valid, value, buffer))
