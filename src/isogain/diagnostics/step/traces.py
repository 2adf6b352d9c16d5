"""The derivatives of one step of `along`'s trajectory: backward passes through the graph of that step alone.

Axes: B examples, m rows, n_l the numbers of state h_l, of n columns that the widest state has.
"""

import torch
from torch import Tensor

from isogain.diagnostics.step.definition import pull_, push, scaled_factors
from isogain.diagnostics.step.factors import Scaled
from isogain.models.along import Along
from isogain.models.examples import Examples


@pull_.register
@torch.no_grad()
def _pull_(net: Along, rows: Tensor, step: int, hs: list[Tensor], x: Examples) -> Tensor:
    """In the precision of R: a trace a precision, from the same states."""
    before, after = x.widths[step : step + 2]
    pulled = x.trace(rows.dtype).pull(rows[..., :after], step)
    rows[..., :before] = pulled
    rows[..., before:] = 0
    return rows


@push.register
@torch.no_grad()
def _push(net: Along, v: Tensor, step: int, hs: list[Tensor], x: Examples) -> Tensor:
    before, after = x.widths[step : step + 2]
    pushed = torch.zeros_like(v)
    pushed[:, :after] = x.trace(v.dtype).push(v[:, :before], step)
    return pushed


@scaled_factors.register
@torch.no_grad()
def _scaled_factors(net: Along, step: int, hs: list[Tensor], x: Examples) -> list[Scaled]:
    """The factor itself, whose slopes are torch's: none of them has a logarithm of its own."""
    before, after = x.widths[step : step + 2]
    n, h = hs[step].shape[-1], hs[step]
    unit = torch.eye(after, dtype=h.dtype, device=h.device).repeat(len(h), 1, 1)
    factor = h.new_zeros(len(h), n, n)
    factor[:, :after, :before] = x.trace(h.dtype).pull(unit, step)
    return [Scaled(torch.zeros_like(h), factor)]
