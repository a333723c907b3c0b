"""Moving averages of weights, which sample and classify better than the weights themselves."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class Average(nn.Module, Generic[Network]):
    """An exponential moving average of a network's weights (Polyak & Juditsky 1992), with which it is called.

    It is part of the state dict and of no optimizer. Buffers are taken as they are.
    """

    network: Network

    def __init__(self, network: Network, decay: float) -> None:
        """`decay` in [0, 1): the weight of what was; lower in the first steps, where what was is noise."""
        super().__init__()
        # Copied by hand: deepcopy asks tensors for their address, which those of the memory estimate do not have.
        copies: dict[int, Tensor] = {
            id(each): nn.Parameter(each.detach().clone(), requires_grad=False) for each in network.parameters()
        }
        copies |= {id(each): each.clone() for each in network.buffers()}
        self.network = copy.deepcopy(network, copies)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Take in the weights after step `step`, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        mine: list[Tensor] = list(self.network.parameters())
        theirs: list[Tensor] = [each.detach() for each in network.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for own, other in zip(self.network.buffers(), network.buffers(), strict=True):
            own.copy_(other)

    def forward(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.network(*inputs)
        return output
