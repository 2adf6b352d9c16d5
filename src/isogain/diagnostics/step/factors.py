"""The Jacobian of one step as a product of row-scaled matrices, and the slopes that it is made of.

Axes: B examples, n state size.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Scaled(NamedTuple):
    """diag(eˢ) A for s (B, n) and A (B, n, n) or (n, n), I where it is None: the scale of a row has no range."""

    s: Tensor
    a: Tensor | None


class States(list[Tensor]):
    """[h_0, …, h_L] of one trajectory, with the slopes that were last computed of it: rows and probes share them."""

    known: tuple[int, Any] = (-1, None)

    def slopes(self, step: int, compute: Callable[[], Any]) -> Any:
        """What `compute` gives, once for a step asked for twice in a row."""
        if self.known[0] != step:
            self.known = step, compute()
        return self.known[1]


def once(hs: list[Tensor], step: int, compute: Callable[[], Any]) -> Any:
    """What `compute` gives of a step, remembered by `States`."""
    return hs.slopes(step, compute) if isinstance(hs, States) else compute()


def resolved(slopes: Tensor, like: Tensor) -> Tensor:
    """Slopes in the precision of `like`, 0 where underflow has taken digits of them.

    A zero makes a Jacobian singular, which is noticed, and measured again with `scaled_factors`.
    """
    limits = torch.finfo(like.dtype)
    slopes = slopes.to(like.dtype)
    return slopes.where(slopes.abs() > limits.tiny / limits.eps, 0)
