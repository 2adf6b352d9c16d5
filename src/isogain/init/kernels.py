"""Initialisers: in place on (..., n, k), every leading axis (layer, gate) a batch of separate
matrices.

All take `gain` > 0 and draw from torch's global generator; half precision is drawn in float32 and rounded, and what
has no entries stays as it is. With `blocks=3` the rows of a matrix (3n, k) are three matrices (n, k): the gates of a
GRU, or as "qkv" the three of `nn.MultiheadAttention.in_proj_weight`. With `view`, a function that rearranges entries,
the matrices are those of view(w): `lambda w: w.flatten(1)` for a convolution (O, I, k, k), which is otherwise a stack
of O × I matrices. They raise ValueError where w is no stack of real floating-point matrices, where `blocks` does
not divide the rows, and where `view` computes anything.
"""

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from isogain.config.ranges import positive
from isogain.init.fill_view import fill_view_
from isogain.linalg import orthonormal
from isogain.linalg.half import working_type
from isogain.reg.kernel_views import Blocks, Function


def checked(w: Tensor, gain: float) -> float:
    """The gain; raises ValueError where it is not positive, or w is no stack of matrices that could be filled."""
    if w.dim() < 2 or not w.is_floating_point():
        shape = tuple(w.shape)
        raise ValueError(f"w must be (..., n, k) and real floating-point, got {shape} of {w.dtype}")
    return positive("gain", gain)


@torch.no_grad()
def orthogonal_(
    w: Tensor, gain: float = 1.0, *, view: Function | None = None, blocks: Blocks | None = None
) -> Tensor:
    """Haar-distributed orthonormal columns (rows, if wide), times `gain`. Mezzadri 2007, section 5.

    Unlike `torch.nn.init.orthogonal_`, the four gates of an LSTM are four orthogonal matrices, not
    slices of one.

    >>> w = orthogonal_(torch.empty(5, 3, dtype=torch.float64), gain=2.0)
    >>> torch.allclose(w.mT @ w, 4 * torch.eye(3, dtype=torch.float64))
    True
    >>> gates = orthogonal_(torch.nn.GRU(2, 5).weight_hh_l0, blocks=3).detach().view(3, 5, 5)
    >>> torch.allclose(gates @ gates.mT, torch.eye(5).expand(3, 5, 5), atol=1e-6)
    True
    """
    if view is not None or blocks is not None:
        return fill_view_(w, partial(orthogonal_, gain=gain), view, blocks)
    checked(w, gain)
    normal = torch.randn_like(w, dtype=working_type(w), memory_format=torch.contiguous_format)
    return w.copy_(gain * orthonormal(normal))  # the unique QR, hence Haar


@torch.no_grad()
def gaussian_(
    w: Tensor, gain: float = 1.0, *, view: Function | None = None, blocks: Blocks | None = None
) -> Tensor:
    """Independent normal entries of variance gain²/k, so that σ_w = gain in mean-field theory; (..., n, k).

    >>> w = gaussian_(torch.empty(1000, 100), gain=2.0)
    >>> abs(w.var().item() - 0.04) < 0.002
    True
    """
    if view is not None or blocks is not None:
        return fill_view_(w, partial(gaussian_, gain=gain), view, blocks)
    std = checked(w, gain) / math.sqrt(max(w.shape[-1], 1))
    return w.normal_(0, std)


@torch.no_grad()
def glorot_(
    w: Tensor,
    gain: float = 1.0,
    distribution: Literal["uniform", "normal"] = "uniform",
    *,
    view: Function | None = None,
    blocks: Blocks | None = None,
) -> Tensor:
    """Independent entries of variance 2 gain²/(n + k); (..., n, k). Glorot and Bengio 2010, equation 16.

    >>> w = glorot_(torch.empty(10, 20))
    >>> bool(w.abs().max() <= (6 / 30) ** 0.5)
    True
    """
    if view is not None or blocks is not None:
        return fill_view_(w, partial(glorot_, gain=gain, distribution=distribution), view, blocks)
    std = checked(w, gain) * math.sqrt(2 / max(sum(w.shape[-2:]), 1))
    return (
        w.normal_(0, std) if distribution == "normal" else w.uniform_(-std * 3**0.5, std * 3**0.5)
    )


@torch.no_grad()
def identity_(
    w: Tensor, gain: float = 1.0, *, view: Function | None = None, blocks: Blocks | None = None
) -> Tensor:
    """gain times the identity (ones on the main diagonal, if rectangular). Le, Jaitly and Hinton 2015.

    >>> identity_(torch.empty(2, 3), gain=2.0)
    tensor([[2., 0., 0.],
            [0., 2., 0.]])
    """
    if view is not None or blocks is not None:
        return fill_view_(w, partial(identity_, gain=gain), view, blocks)
    checked(w, gain)
    return w.copy_(gain * torch.eye(*w.shape[-2:], dtype=w.dtype, device=w.device))


def henaff_(
    w: Tensor, gain: float = 1.0, *, view: Function | None = None, blocks: Blocks | None = None
) -> Tensor:
    """gain times exp(A), A skew with 2×2 blocks of angle t ~ U(−π, π). Henaff, Szlam and LeCun 2016, section 3.

    >>> w = henaff_(torch.empty(4, 4, dtype=torch.float64))
    >>> torch.allclose(w.mT @ w, torch.eye(4, dtype=torch.float64))
    True
    """
    if view is not None or blocks is not None:
        return fill_view_(w, partial(henaff_, gain=gain), view, blocks)
    return _rotations_(w, gain, -math.pi, math.pi)


def cayley_(
    w: Tensor, gain: float = 1.0, *, view: Function | None = None, blocks: Blocks | None = None
) -> Tensor:
    """gain times the Cayley transform of A, skew with 2×2 blocks s = −√((1 − cos t)/(1 + cos t)), t
    ~ U(0, π/2).

    (I + A)⁻¹(I − A) is then a rotation by t in each plane: eigenvalues e^{±it} on the right half
    circle. Helfrich, Willmott and Ye 2018, section 4.1.

    >>> w = cayley_(torch.empty(4, 4, dtype=torch.float64))
    >>> bool((torch.linalg.eigvals(w).real >= 0).all())
    True
    """
    if view is not None or blocks is not None:
        return fill_view_(w, partial(cayley_, gain=gain), view, blocks)
    return _rotations_(w, gain, 0, math.pi / 2)


@torch.no_grad()
def _rotations_(w: Tensor, gain: float, low: float, high: float) -> Tensor:
    """Blocks [[cos t, sin t], [−sin t, cos t]], 1 in an odd last place; rectangles are cut from squares."""
    checked(w, gain)
    n, k = w.shape[-2:]
    even = max(n, k) // 2 * 2
    like = torch.empty(0, dtype=working_type(w), device=w.device)
    t = like.new_empty(*w.shape[:-2], even // 2).uniform_(low, high)
    square = torch.eye(max(n, k), dtype=like.dtype, device=w.device).repeat(*w.shape[:-2], 1, 1)
    i = torch.arange(0, even, 2, device=w.device)
    square[..., i, i] = square[..., i + 1, i + 1] = t.cos()
    square[..., i, i + 1] = t.sin()
    square[..., i + 1, i] = -t.sin()
    return w.copy_(gain * square[..., :n, :k])
