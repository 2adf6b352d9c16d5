"""Gaussian moments in closed form, by the activation's name: what quadrature is tested against, and faster.

x and y are jointly normal, of variance q > 0 and correlation c.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Closed:
    """E[φ(x)²] by q, its derivative by q, E[φ'(x)^{2k}] by q and k, E[φ(x)φ(y)] and E[φ'(x)φ'(y)] by c and q."""

    second: Callable[[Tensor], Tensor]
    second_slope: Callable[[Tensor], Tensor]
    mu: Callable[[Tensor, int], Tensor]
    kernel: Callable[[float, float], float] | None = None
    slope_kernel: Callable[[float, float], float] | None = None


def _relu_kernel(c: float, q: float) -> float:
    """q/2π · (√(1 − c²) + c (π − arccos c)). Cho and Saul 2009."""
    return q / (2 * math.pi) * (math.sqrt(max(0, 1 - c * c)) + c * (math.pi - math.acos(c)))


def _erf_kernel(c: float, q: float) -> float:
    """2/π · arcsin(2cq/(1 + 2q)). Williams 1997."""
    return 2 / math.pi * math.asin(2 * c * q / (1 + 2 * q))


def _erf_slope_kernel(c: float, q: float) -> float:
    return 4 / math.pi / math.sqrt((1 + 2 * q) ** 2 - (2 * c * q) ** 2)


def _erf_second(q: Tensor) -> Tensor:
    return 2 / math.pi * (2 * q / (1 + 2 * q)).asin()


def _inside(q: Tensor) -> Tensor:
    """P(|x| < 1)."""
    return (2 * q).rsqrt().erf()


def _inside_second(q: Tensor) -> Tensor:
    """E[x²; |x| < 1]/q."""
    return torch.special.gammainc(torch.full_like(q, 1.5), 1 / (2 * q))


CLOSED: dict[str, Closed] = {
    "linear": Closed(
        lambda q: q,
        torch.ones_like,
        lambda q, k: torch.ones_like(q),
        lambda c, q: c * q,
        lambda c, q: 1.0,
    ),
    "relu": Closed(
        lambda q: q / 2,
        lambda q: torch.full_like(q, 0.5),
        lambda q, k: torch.full_like(q, 0.5),
        _relu_kernel,
        lambda c, q: (math.pi - math.acos(c)) / (2 * math.pi),
    ),
    "hardtanh": Closed(
        lambda q: q * _inside_second(q) + (2 * q).rsqrt().erfc(),
        _inside_second,
        lambda q, k: _inside(q),
    ),
    "erf": Closed(
        _erf_second,
        lambda q: 4 / math.pi / ((1 + 2 * q) * (1 + 4 * q).sqrt()),
        lambda q, k: (4 / math.pi) ** k / (1 + 4 * k * q).sqrt(),
        _erf_kernel,
        _erf_slope_kernel,
    ),
}
