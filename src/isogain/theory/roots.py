"""Roots of many decreasing functions at once: Newton's steps, kept inside a bracket."""

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 100


def newton(
    f: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], low: Tensor, high: Tensor, start: Tensor
) -> Tensor:
    """u with f(u) = 0, f > 0 at `low` and < 0 at `high`; (n,) -> (n,).

    `f(u, i)` gives value and slope of the functions number i. A step that leaves the bracket is
    replaced by bisection; it ends where the value is its own rounding.
    """
    low, high, u = low.clone(), high.clone(), start.clone()
    todo = torch.arange(len(u))
    for _ in range(STEPS):
        if not len(todo):
            break
        at = u[todo]
        value, slope = f(at, todo)
        low[todo] = torch.where(value > 0, at, low[todo])
        high[todo] = torch.where(value < 0, at, high[todo])
        new = at - value / slope
        inside = (new >= low[todo]) & (new <= high[todo])
        new = torch.where(inside, new, (low[todo] + high[todo]) / 2)
        ended = (value.abs() <= 4e-16) | ((new - at).abs() <= 1e-15)
        u[todo] = torch.where(value == 0, at, new)
        todo = todo[~ended]
    return u
