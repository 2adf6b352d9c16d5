"""The extreme singular values of a Jacobian that is too large to be formed: matrix-free, by Lanczos.

Axes: B examples, n state size, k Lanczos steps.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from isogain.diagnostics.exact import exact_logs, unit_rows
from isogain.diagnostics.plain_product import TOLERANCE
from isogain.diagnostics.precision import precise, widths
from isogain.diagnostics.pulled import pull_scaled_
from isogain.diagnostics.step import push as push_step
from isogain.models.trajectory import Batch, Trajectory

SPENT = 1e-10  # of a vector's length: what is left of it inside a subspace is rounding


def jacobian_extremes(net: Trajectory, x: Any, steps: int = 32) -> Tensor:
    """log of the largest singular value of ∂h_L/∂h_0, from below, and of the least, from above; (B, 2).

    They are those of UᵀJ, whose singular values lie within J's for any orthonormal U (n, k), here the left Lanczos
    vectors, and are measured as `jacobian_spectra` measures: of any size, −inf only where J is singular, NaN where
    31 digits do not decide. `steps`
    products with J and twice as many with Jᵀ. The largest has converged long before the least, which is a bound and
    no more; with `steps` >= min(n_0, n_L) both are values. Nothing of the size of J is made: where a state has more
    than LARGEST numbers, NaN is what 15 digits do not decide. Golub and Kahan 1965;
    Horn and Johnson 2013, corollary 4.3.37.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=2, depth=4, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 1.1)
    >>> jacobian_extremes(net, torch.ones(1, 2).double()).round(decimals=4)  # 4 log 1.1, twice
    tensor([[0.3812, 0.3812]], dtype=torch.float64)
    """
    dtype, net, hs, x = precise(net, x)
    with torch.no_grad():
        n_0, *_, n_end = widths(hs, x)
        k = min(steps, n_0, n_end)
        u = unit_rows(hs[0], k) if k == n_end else _krylov(net, hs, x, k)
        logs = exact_logs(net, hs, x, [(0,)] * len(x), TOLERANCE[dtype], u)
    return logs[:, [0, -1]]


def _krylov(net: Trajectory, hs: list[Tensor], x: Batch, steps: int) -> Tensor:
    """`lanczos_vectors` of the Jacobians, every product by steps that take the vectors' lengths away."""
    last = len(hs) - 1

    def push(v: Tensor) -> Tensor:
        for step in range(last):
            v = _unit(push_step(net, v, step, hs, x))
        return v

    def pull(u: Tensor) -> Tensor:
        rows, scale = u.unsqueeze(1).clone(), u.new_zeros(len(u), 1, 1)
        for step in reversed(range(last)):
            scale = pull_scaled_(net, rows, scale, step, hs, x)
        return _unit(rows.squeeze(1))

    n_0, *_, n_end = widths(hs, x)
    if n_0 >= n_end:
        return lanczos_vectors(push, pull, hs[0], steps, (n_0, n_end))
    v = lanczos_vectors(pull, push, hs[0], steps, (n_end, n_0))
    return _image(net, hs, x, v)


def _image(net: Trajectory, hs: list[Tensor], x: Batch, v: Tensor) -> Tensor:
    """An orthonormal basis of what J makes of the span of V (B, k, n), a decomposition a step.

    For J with more rows than columns: outside of its image a Uᵀ J would have values below J's.
    """
    for step in range(len(hs) - 1):
        pushed = torch.stack([push_step(net, one, step, hs, x) for one in v.unbind(1)], 2)
        v = torch.linalg.qr(pushed / pushed.abs().amax((1, 2), keepdim=True).clamp_min(1e-300)).Q.mT
    return v


def lanczos_vectors(
    push: Callable[[Tensor], Tensor],
    pull: Callable[[Tensor], Tensor],
    like: Tensor,
    steps: int,
    sizes: tuple[int, int] | None = None,
) -> Tensor:
    """Orthonormal U (B, k, n) that spans u, JJᵀu, …, (JJᵀ)^(k − 1) u, for the J (B, n, n) of `push` and Jᵀ of `pull`.

    These may give products of any length. A direction that is spent is followed by a random one. Of J's columns and
    rows the first `sizes` = (n_0, n_L) are not zero, all without.
    """
    draw = torch.Generator().manual_seed(0)  # its own: a look changes nothing

    n_0, n_end = sizes or like.shape[-1:] * 2

    def random(size: int) -> Tensor:
        drawn = torch.randn(like.shape, generator=draw, dtype=torch.float64).to(like)
        drawn[:, size:] = 0
        return drawn

    us = vs = like.new_empty(len(like), 0, like.shape[-1])
    u = random(n_end)
    for k in range(steps):
        us = torch.cat([us, _outside(u, us, random(n_end)).unsqueeze(1)], 1)
        if k < steps - 1:
            vs = torch.cat([vs, _outside(pull(us[:, -1]), vs, random(n_0)).unsqueeze(1)], 1)
            u = push(vs[:, -1])
    return us


def _outside(v: Tensor, basis: Tensor, other: Tensor) -> Tensor:
    """The part of v (B, n) outside the span of the basis (B, k, n), or of `other` where v has none; of length one."""
    for _ in range(3):
        v = _unit(v)
        out = v - ((basis @ v.unsqueeze(-1)) * basis).sum(1)
        v = out.where(out.norm(dim=-1, keepdim=True) > SPENT, other)
    for _ in range(2):
        v = _unit(v - ((basis @ v.unsqueeze(-1)) * basis).sum(1))
    return v


def _unit(v: Tensor) -> Tensor:
    """v/‖v‖ without under- or overflow; 0 and what is not finite are 0."""
    largest = v.abs().amax(-1, keepdim=True)
    v = v / largest.where(largest > 0, 1)
    v = v / v.norm(dim=-1, keepdim=True).clamp_min(1)
    return v.where(v.isfinite().all(-1, keepdim=True), 0)
