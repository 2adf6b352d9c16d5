"""Rows carried back through a network, whatever their size: a power of two of each example's is kept apart.

Axes: B examples, m rows, n state size.
"""

import math
from functools import singledispatch

import torch
from torch import Tensor

from isogain.diagnostics.step import (
    Scaled,
    pull_,
    pull_input,
    scaled_factors,
    scaled_input_factors,
)
from isogain.linalg.double_double import power_of_two
from isogain.models.along import Along
from isogain.models.examples import Examples
from isogain.models.trajectory import Batch, Trajectory

SMALL = 1e-250  # a largest entry below it, of rows of size 1, may be what underflow has left


@singledispatch
def pull_scaled_(
    net: Trajectory, rows: Tensor, scale: Tensor, step: int, hs: list[Tensor], x: Batch
) -> Tensor:
    """R <- R ∂h_{l+1}/∂h_l of eᶜ R, R (B, m, n) in float64, c (B, 1, 1); returns the new c.

    Where slopes leave the range of float64 their logarithms are added to c: zero is left of what is zero.
    """
    before = rows.clone()
    largest = pull_(net, rows, step, hs, x).abs().amax((1, 2))
    for i in (largest < SMALL).nonzero().flatten().tolist():
        one = slice(i, i + 1)
        factors = scaled_factors(net, step, [h[one] for h in hs], x[one])
        rows[one], scale[one] = _through(factors, before[one], scale[one])
    return rescale_(rows, scale)


@pull_scaled_.register
def _(net: Along, rows: Tensor, scale: Tensor, step: int, hs: list[Tensor], x: Examples) -> Tensor:
    """Slopes by autograd have no logarithms of their own."""
    pull_(net, rows, step, hs, x)
    return rescale_(rows, scale)


def pull_input_scaled(
    net: Trajectory, rows: Tensor, scale: Tensor, step: int, hs: list[Tensor], x: Batch
) -> tuple[Tensor, Tensor]:
    """eᶜ R ∂h_{l+1}/∂x_{l+1} as rows (B, m, D) and c (B, 1, 1), R kept."""
    pulled, scale = pull_input(net, rows, step, hs, x), scale.clone()
    for i in (pulled.abs().amax((1, 2)) < SMALL).nonzero().flatten().tolist():
        one = slice(i, i + 1)
        factors = scaled_input_factors(net, step, [h[one] for h in hs], x[one])
        pulled[one], scale[one] = _through(factors, rows[one], scale[one])
    return pulled, scale


def _through(factors: list[Scaled], rows: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    for s, a in reversed(factors):
        rows, scale = _scaled(rows, scale, s)
        rows = rows if a is None else rows @ a
    return rows, scale


def _scaled(rows: Tensor, scale: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """R diag(eˢ) of one example, its largest entry 1 if it is not 0, and the new scale."""
    logs = rows.abs().log() + s.unsqueeze(-2)
    top = logs.amax((1, 2), keepdim=True)
    top = top.where(top > -torch.inf, 0)
    return rows.sign() * (logs - top).exp(), scale + top


def rescale_(rows: Tensor, scale: Tensor) -> Tensor:
    """A power of two goes from every example's rows to its scale, which is returned."""
    most = 120 if rows.dtype == torch.float32 else 1000
    exponent = rows.abs().amax((1, 2), keepdim=True).frexp().exponent.clamp(-most, most)
    rows.mul_(power_of_two(-exponent).to(rows.dtype))  # ldexp of many is slow
    return scale + exponent.double() * math.log(2)


def no_scale(h: Tensor) -> Tensor:
    """The logarithm of rows that have no scale apart, 0 for every example; (B, 1, 1)."""
    return torch.zeros(len(h), 1, 1, dtype=torch.float64, device=h.device)
