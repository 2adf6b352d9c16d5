"""The extreme singular values of a Jacobian that is too large to be formed: matrix-free, by Lanczos.

Axes: B examples, n state size, k Lanczos steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp
from torch.nn.utils.parametrize import cached

from isogain.models.base import Network

TINY = 1e-30  # a norm below it is one of a direction that is spent


def jacobian_extremes(net: Network, x: Tensor, steps: int = 32) -> Tensor:
    """log of the largest singular value of ∂h_L/∂h_0, from below, and of the least, from above; (B, 2).

    `steps` products with J and as many with Jᵀ, in the network's precision. The largest has converged long before
    the least, which is a bound and no more; with `steps` >= n both are values. Golub and Kahan 1965.
    """
    with torch.no_grad(), cached():
        h = net.start(x)
        hs = net.trajectory(h, x)

        def push(v: Tensor) -> Tensor:
            return jvp(lambda h: net.trajectory(h, x)[-1], (h,), (v,))[1]

        def pull(u: Tensor) -> Tensor:
            rows = u.unsqueeze(1).clone()
            for step in reversed(range(len(hs) - 1)):
                net.pull_(rows, step, hs, x)
            return rows.squeeze(1)

        s = torch.linalg.svdvals(bidiagonal(push, pull, h, min(steps, h.shape[-1])))
        return s[:, [0, -1]].log().cpu()


def bidiagonal(
    push: Callable[[Tensor], Tensor], pull: Callable[[Tensor], Tensor], like: Tensor, steps: int
) -> Tensor:
    """B = UᵀJV with upper bidiagonal B (B, k, k), in float64, for the J (B, n, n) of `push` and Jᵀ of `pull`.

    U and V are kept orthogonal to rounding by projecting twice on what is left.
    """
    draw = torch.Generator().manual_seed(0)  # its own: a look changes nothing
    v = torch.randn(like.shape, generator=draw, dtype=torch.float64).to(like)
    us = vs = like.new_empty(len(like), 0, like.shape[-1])
    b = torch.zeros(len(like), steps, steps, dtype=torch.float64, device=like.device)
    for k in range(steps):
        v, beta = _next(v, vs)
        vs = torch.cat([vs, v.unsqueeze(1)], 1)
        if k:
            b[:, k - 1, k] = beta
        u, b[:, k, k] = _next(push(v), us)
        us = torch.cat([us, u.unsqueeze(1)], 1)
        v = pull(u)
    return b


def _next(v: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """The part of v (B, n) outside the span of the basis (B, k, n), of length one, and its length (B,)."""
    for _ in range(2):
        v = v - ((basis @ v.unsqueeze(-1)) * basis).sum(1)
    norm = v.norm(dim=-1)
    return v / norm.clamp_min(TINY).unsqueeze(-1), norm.double()
