"""A class-conditional transformer over codes, one after the other: what a VQ-VAE's codes are drawn from."""

import math
from collections.abc import Sequence
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.ema import Average
from engine.generators.base import LatentPrior, Loss, Passes, Phase, adamw_phase
from engine.generators.blocks import CLASSES
from engine.spec.errors import ConfigError
from engine.spec.generator_config import TransformerConfig

_WIDER: Final = 4
"""Hidden units of a block's second half, in its width."""
_INITIAL: Final = 0.02


class CodePrior(LatentPrior):
    """Codes in raster order from a causal transformer that begins with the class (as Esser et al. 2021).

    The loss is the negative log-likelihood per code in nats. Codes are drawn with averaged weights, at temperature 1
    and from all of them unless told otherwise: what is cut off of the distribution is missing in what it teaches.
    """

    ready: Tensor

    def __init__(self, config: TransformerConfig, codebook_size: int, side: int) -> None:
        """For grids of `side` x `side` codes."""
        super().__init__()
        self.config, self._side = config, side
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))
        self.network = CodeTransformer(codebook_size, side, config.width, config.layers, config.heads, config.dropout)
        self.average = Average(self.network, config.ema_decay)

    def phases(self) -> tuple[Phase, ...]:
        return (adamw_phase("prior", self.network, self.config),)

    def prepare(self, passes: Passes, rng: torch.Generator) -> None:
        """Look whether there is something to learn: ConfigError where all codes are one and the same."""
        seen = torch.zeros(self.network.codebook_size, dtype=torch.bool, device=self.ready.device)
        for codes, _ in passes():
            seen[codes.flatten().long()] = True
        if seen.sum() < 2:
            raise ConfigError(
                "generator: all patches have one and the same code; train for more epochs, or lower "
                "generator.commitment or generator.learning_rate"
            )
        self.ready.fill_(True)

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        codes = images.flatten(1).long()
        logits = self.network(codes, labels).float()
        loss = F.cross_entropy(logits.flatten(0, 1), codes.flatten())
        return Loss(loss, {"nats_per_code": loss})

    def after_step(self, step: int) -> None:
        self.average.update(self.network, step)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Codes for labels (B,), (B, side, side) int64; ConfigError before there is anything to draw from."""
        if not self.ready:
            raise ConfigError("generator: there is no prior over its codes yet; train stage latent_prior first")
        network = self.average.network
        # Drawn on the CPU, all at once, so that a sample is the same on every device.
        uniform = torch.rand(len(labels), self._side**2, generator=rng, dtype=torch.float64).to(labels.device)
        return draw_codes(network, labels, uniform, self.config).view(len(labels), self._side, self._side)


def draw_codes(network: "CodeTransformer", labels: Tensor, uniform: Tensor, config: TransformerConfig) -> Tensor:
    """Codes (B, L) int64 one after the other from uniform draws (B, L) in [0, 1)."""
    codes = torch.zeros(uniform.shape, dtype=torch.int64, device=labels.device)
    cache = network.empty_cache()
    for place in range(uniform.shape[1]):
        logits = network.following(codes[:, :place], labels, cache).double()
        shares = truncated((logits / config.temperature).softmax(-1), config.top_k, config.top_p)
        codes[:, place] = pick(shares, uniform[:, place])
    return codes


def truncated(shares: Tensor, top_k: int | None, top_p: float) -> Tensor:
    """Probabilities (B, K) of the likeliest codes alone, not normalised again.

    They are the `top_k` likeliest (Fan et al. 2018), and of these the fewest that reach `top_p` together (nucleus
    sampling, Holtzman et al. 2020).
    """
    if top_k is None and top_p == 1:
        return shares
    ordered, which = shares.sort(dim=-1, descending=True, stable=True)
    kept = ordered.cumsum(-1) - ordered < top_p
    if top_k is not None:
        kept[:, top_k:] = False
    return torch.zeros_like(shares).scatter_(-1, which, ordered * kept)


def pick(shares: Tensor, uniform: Tensor) -> Tensor:
    """The code that each draw (B,) in [0, 1) falls on, where codes lie side by side by their share (B, K); (B,)."""
    reached = shares.cumsum(-1)
    return (reached <= (uniform * reached[:, -1])[:, None]).sum(-1)


class CodeTransformer(nn.Module):
    """A causal transformer with layer normalisation before each half of a block (Radford et al. 2019).

    The input at a place is the class at the first and the code of the place before at any other, with an embedding of
    the place's row and one of its column; the output is what the code at that place may be.
    """

    def __init__(self, codebook_size: int, side: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.codebook_size, self._side = codebook_size, side
        self.of_code = nn.Embedding(codebook_size, width)
        self.of_class = nn.Embedding(CLASSES, width)
        self.of_row, self.of_column = nn.Embedding(side, width), nn.Embedding(side, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.to_logits = nn.Linear(width, codebook_size)
        self.apply(_initialise)
        for block in self.blocks:
            cast(_Block, block).shrink(layers)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Logits (B, L, K) of each of L codes (B, L), given those before it and the label (B,)."""
        inputs = torch.cat([self.of_class(labels)[:, None], self.of_code(codes[:, :-1])], dim=1)
        x = self.drop(inputs + self._places(0, codes.shape[1]))
        for block in self.blocks:
            x = block(x, None)
        logits: Tensor = self.to_logits(self.norm(x))
        return logits

    def following(self, codes: Tensor, labels: Tensor, cache: Sequence["Cache"]) -> Tensor:
        """Logits (B, K) of the code that follows codes (B, n), where all before the last of them are in the cache."""
        place = codes.shape[1]
        inputs = self.of_code(codes[:, -1]) if place else self.of_class(labels)
        x = inputs[:, None] + self._places(place, place + 1)
        for block, own in zip(self.blocks, cache, strict=True):
            x = block(x, own)
        logits: Tensor = self.to_logits(self.norm(x))
        return logits[:, 0]

    def empty_cache(self) -> list["Cache"]:
        """A cache for each block."""
        return [Cache() for _ in self.blocks]

    def _places(self, start: int, stop: int) -> Tensor:
        """Embeddings of places `start` to `stop` in raster order, (stop - start, width)."""
        places = torch.arange(start, stop, device=self.of_row.weight.device)
        embedded: Tensor = self.of_row(places // self._side) + self.of_column(places % self._side)
        return embedded


class Cache:
    """Keys and values (B, heads, n, D) of the n places that attention has seen."""

    def __init__(self) -> None:
        self._key: Tensor | None = None
        self._value: Tensor | None = None

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values, once those of one more place are added."""
        self._key = key if self._key is None else torch.cat([self._key, key], dim=2)
        self._value = value if self._value is None else torch.cat([self._value, value], dim=2)
        return self._key, self._value


class _Block(nn.Module):
    """Attention to what came before, then two layers for each place by itself; (B, L, width) to the same."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = _Attention(width, heads)
        self.widen, self.narrow = nn.Linear(width, _WIDER * width), nn.Linear(_WIDER * width, width)
        self.drop = nn.Dropout(dropout)

    def shrink(self, layers: int) -> None:
        """Begin with smaller weights where it adds to its input, so that the sum does not grow with the layers."""
        for layer in (self.attention.project, self.narrow):
            nn.init.normal_(layer.weight, std=_INITIAL / math.sqrt(2 * layers))

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        x = x + self.drop(self.attention(self.norm1(x), cache))
        output: Tensor = x + self.drop(self.narrow(F.gelu(self.widen(self.norm2(x)))))
        return output


class _Attention(nn.Module):
    """Causal self-attention: over a whole sequence, or of one new place to those in a cache."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        batch, length, width = x.shape
        query, key, value = self.qkv(x).view(batch, length, 3, self._heads, width // self._heads).permute(2, 0, 3, 1, 4)
        if cache is not None:
            key, value = cache.extend(key, value)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=cache is None)
        projected: Tensor = self.project(attended.transpose(1, 2).reshape(batch, length, width))
        return projected


def _initialise(module: nn.Module) -> None:
    """Small normal weights and no offsets (Radford et al. 2019)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=_INITIAL)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
