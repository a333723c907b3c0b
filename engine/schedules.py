"""Learning rates over a fit, as a share of the highest."""

import math

_WARM_UP = 0.05
"""Share of all steps in which the learning rate rises."""


def warm_cosine(done: float) -> float:
    """A short linear rise, then a half cosine to nothing (Loshchilov & Hutter 2017); `done` is the share of steps."""
    if done < _WARM_UP:
        return done / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))
