"""Moving averages of weights against their closed form."""

import pytest
import torch
from torch import nn

from engine.ema import Average


def constant(value: float) -> nn.Linear:
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, value)
    nn.init.zeros_(layer.bias)
    return layer


def test_an_average_of_steps_is_what_the_recursion_gives() -> None:
    average, expected = Average(constant(0.0), 0.9), 0.0
    for step in range(200):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        average.update(constant(float(step)), step)
    assert average(torch.ones(1, 2)).item() == pytest.approx(2 * expected, rel=1e-5)


def test_the_first_steps_do_not_keep_the_initial_weights() -> None:
    average = Average(constant(100.0), 0.9999)
    for step in range(50):
        average.update(constant(1.0), step)
    assert average(torch.ones(1, 2)).item() == pytest.approx(2.0, abs=0.1)


def test_an_average_is_saved_and_not_trained() -> None:
    average = Average(constant(1.0), 0.5)
    assert set(average.state_dict()) == {"network.weight", "network.bias"}
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_buffers_are_those_of_the_network() -> None:
    network = nn.BatchNorm1d(2)
    average = Average(network, 0.9)
    network(torch.randn(8, 2))
    average.update(network, 0)
    assert isinstance(average.network, nn.BatchNorm1d)
    assert torch.equal(average.network.running_mean, network.running_mean)
