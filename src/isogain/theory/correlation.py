"""How the correlation of two signals goes from layer to layer."""

import math

from isogain.theory.closed import CLOSED
from isogain.theory.gaussian import Phi, expect_pair, pointwise


def kernel(phi: Phi, c: float, q: float) -> float:
    """E[φ(x)φ(y)] for jointly normal x, y of variance q and correlation c."""
    closed = CLOSED[phi].kernel if phi in CLOSED else None
    point = pointwise(phi)
    return closed(c, q) if closed else expect_pair(point.function, point, q, c)


def slope_kernel(phi: Phi, c: float, q: float) -> float:
    """E[φ'(x)φ'(y)], the derivative of `kernel` by c, over q."""
    closed = CLOSED[phi].slope_kernel if phi in CLOSED else None
    point = pointwise(phi)
    return closed(c, q) if closed else expect_pair(point.derivative, point, q, c)


def fixed_correlation(phi: Phi, q: float, w: float, b: float) -> float:
    """The stable fixed point c* of (σ_w² kernel(c) + σ_b²)/q, which is convex: Newton's steps from 0 climb to it.

    w and b are σ_w² and σ_b², and χ must be above 1.
    """
    c = 0.0
    for _ in range(100):
        value = (w * kernel(phi, c, q) + b) / q - c
        slope = w * slope_kernel(phi, c, q) - 1
        if slope >= 0:  # 1 is so close that rounding hides c*
            return 1.0
        new = min(1.0, c - value / slope)
        if abs(new - c) <= 1e-15:
            break
        c = new
    return c


def depth(x: float) -> float:
    """−1/log|x| layers, in which a deviation multiplied by x a layer falls to 1/e; inf where x is 1 to rounding."""
    return math.inf if abs(x) > 1 - 1e-12 else -1 / math.log(abs(x)) if x else 0.0
