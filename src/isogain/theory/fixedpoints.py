"""Searches for the variance q: the fixed point of the length map, and the point of the critical line with a given σ_w.

A table of moments at `LENGTHS` brackets each root, then Newton's steps in log q give all digits.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from isogain.theory.gaussian import Phi
from isogain.theory.moments import LENGTHS, mu_with_slope, second_with_slope, table
from isogain.theory.roots import newton

ONE = len(LENGTHS) // 2  # q = 1
ROUNDING = 1e-14


def fixed_point(phi: Phi, sigma_w: Tensor, sigma_b: Tensor) -> Tensor:
    """The fixed point that q = 1 is carried to, monotonically: 0, a number, or inf; NaN where every q is one.

    (n,) and (n,) -> (n,).
    """
    w, b = sigma_w.square(), sigma_b.square()
    growth = w[:, None] * (table(phi, "second") / LENGTHS) + b[:, None] / LENGTHS - 1
    sign = _sign(growth)
    falls_above = _first(sign[:, ONE:] < 0)
    rises_below = _first(sign[:, : ONE + 1].flip(-1) > 0)
    up = sign[:, ONE] >= 0
    left = torch.where(up, ONE + falls_above - 1, ONE - rises_below)
    none = torch.where(up, falls_above < 0, rises_below < 0)
    q = torch.where(up, torch.inf, 0.0).to(w)
    q[(sign == 0).all(-1)] = torch.nan
    todo = (~none).nonzero()[:, 0]
    left = left[todo]

    def f(u: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        at = u.exp()
        value, slope = second_with_slope(phi, at)
        mapped = w[todo[i]] * value + b[todo[i]]
        return mapped.log() - u, at * w[todo[i]] * slope / mapped - 1

    q[todo] = _root(f, growth[todo, left], growth[todo, left + 1], left)
    return q


def critical_length(phi: Phi, sigma_w: Tensor) -> Tensor:
    """The smallest q with χ = 1, 0 where that is the limit q -> 0; NaN where any q will do, −inf and inf
    where χ stays below or above 1. (n,) -> (n,).
    """
    w = sigma_w.square()
    excess = w[:, None] * table(phi, "mu") - 1
    sign = _sign(excess)
    side = sign[:, 0]
    crossing = _first(sign * side[:, None] < 0)
    q = side * torch.inf  # NaN at side 0
    q[(side == 0) & (sign != 0).any(-1)] = 0
    todo = (crossing > 0).nonzero()[:, 0]
    left, side = crossing[todo] - 1, side[todo]

    def f(u: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        at = u.exp()
        value, slope = mu_with_slope(phi, at)
        return side[i] * (w[todo[i]] * value).log(), side[i] * at * slope / value

    q[todo] = _root(f, side * excess[todo, left], side * excess[todo, left + 1], left)
    return q


def _root(
    f: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    before: Tensor,
    after: Tensor,
    left: Tensor,
) -> Tensor:
    """The root between LENGTHS number left and left + 1, where a function falls from `before` to `after`."""
    low, high = LENGTHS.log()[left], LENGTHS.log()[left + 1]
    share = (before / (before - after)).clamp(0, 1)
    return newton(f, low, high, low + share * (high - low)).exp()


def _sign(x: Tensor) -> Tensor:
    """The sign, 0 where x is rounding."""
    return x.sign() * (x.abs() > ROUNDING)


def _first(condition: Tensor) -> Tensor:
    """The place of the first True in each row, −1 where there is none; (n, m) -> (n,)."""
    return torch.where(condition.any(-1), condition.int().argmax(-1), -1)
