"""Factors in [0, 1] over the fraction t in [0, 1] of a training that is over."""

import math
from collections.abc import Callable


def constant(t: float) -> float:
    """1."""
    return 1.0


def linear(t: float) -> float:
    """1 − t."""
    return 1 - t


def cosine(t: float) -> float:
    """(1 + cos πt)/2."""
    return (1 + math.cos(math.pi * t)) / 2


def step(t: float) -> float:
    """1, then 1e-3, 1e-4, 1e-6 and 0 from 10, 25, 35 and 60 % of the training.

    After epochs 20, 50, 70 and 120 of 200, as Bansal, Chen and Wang 2018 train their Wide ResNets.
    """
    return next(
        f
        for end, f in [(0.1, 1), (0.25, 1e-3), (0.35, 1e-4), (0.6, 1e-6), (math.inf, 0)]
        if t < end
    )


FACTORS: dict[str, Callable[[float], float]] = {
    f.__name__: f for f in (constant, linear, cosine, step)
}
