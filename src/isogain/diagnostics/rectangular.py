"""Jacobians between states of different widths: blocks of square ones, in states filled up by zeros to the widest.

Axes: B examples, S starts l, n_l the numbers of state h_l.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from isogain.diagnostics.exact import LARGEST, exact_logs, unit_rows
from isogain.diagnostics.precision import widths
from isogain.models.trajectory import Batch, Trajectory


def rectangular_logs(
    net: Trajectory, hs: list[Tensor], x: Batch, starts: Sequence[int], tolerance: float
) -> Tensor:
    """log σ(∂h_L/∂h_l) for every l in `starts`, descending, by graded QR decompositions; (B, S, most).

    min(n_l, n_L) of each, −inf exactly where a narrower state lies between; where others have more, NaN fills up.
    """
    sizes = widths(hs, x)[: len(hs)]
    rows = unit_rows(hs[0], sizes[-1])
    logs = exact_logs(net, hs, x, [list(starts)] * len(x), tolerance, rows)
    logs = logs.view(len(x), len(starts), -1)
    counts = [min(sizes[start], sizes[-1]) for start in starts]
    for own, count in zip(logs.unbind(1), counts, strict=True):
        own[:, count:] = torch.nan
    return logs[:, :, : max(counts)]


def check_dense(hs: list[Tensor], x: Batch) -> None:
    """Raise ValueError where a Jacobian is too large to be formed."""
    sizes = widths(hs, x)
    if max(sizes) > LARGEST:
        gigabytes = max(a * b for a, b in zip(sizes, sizes[1:], strict=False)) * 8 / 2**30
        raise ValueError(
            f"a state of {max(sizes)} numbers is too large for dense Jacobians ({gigabytes:.3g} GiB that of a step): "
            "take jacobian_extremes or jacobian_density, which form none"
        )
