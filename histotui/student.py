"""Student's interval of a mean over runs."""

import math
from typing import Final

STUDENT: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t at 97.5 % for one degree of freedom and more; the last is a little wide for more than thirty."""


def half_width(deviation: float, freedom: int, runs: int) -> float:
    """Half the 95 % interval of a mean of so many runs, by a standard deviation that has so many degrees of freedom."""
    return STUDENT[min(freedom, len(STUDENT)) - 1] * deviation / math.sqrt(runs)
