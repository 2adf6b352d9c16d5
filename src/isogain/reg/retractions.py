"""Retractions on the Stiefel manifold: from an orthogonal V, along a tangent step, to an orthogonal matrix.

In the plane the step is Δ (..., n, k), n >= k; in the frame of a square V (matrices, n, n) it is VD with D skew.
"""

import math

import torch
from torch import Tensor

from isogain.linalg import orthonormal, polar, solve, symmetric_product


def polar_plane(v: Tensor, step: Tensor) -> Tensor:
    """The nearest orthogonal matrix to V + Δ. Absil, Mahony and Sepulchre 2008, equation 4.7."""
    return polar(v + step)


def qr_plane(v: Tensor, step: Tensor) -> Tensor:
    """Q of V + Δ = QR, R with a positive diagonal. Absil, Mahony and Sepulchre 2008, equation 4.8."""
    return orthonormal(v + step)


def cayley_plane(v: Tensor, step: Tensor) -> Tensor:
    """(I − A/2)⁻¹(I + A/2)V for the skew A with AV = Δ, by an n × n solve. Wen and Yin 2013, equation 7."""
    half = step - 0.5 * v @ (v.mT @ step)
    a = half @ v.mT - v @ half.mT
    return solve(identity_like(a) - a / 2, v + a @ v / 2)


def polar_frame(v: Tensor, d: Tensor) -> Tensor:
    """The nearest orthogonal matrix to V(I + D)."""
    return polar(torch.baddbmm(v, v, d))


def qr_frame(v: Tensor, d: Tensor) -> Tensor:
    """Q of V(I + D) = QR, R with a positive diagonal."""
    return orthonormal(torch.baddbmm(v, v, d))


def cayley_frame(v: Tensor, d: Tensor) -> Tensor:
    """V(I − D/2)⁻¹(I + D/2)."""
    eye = identity_like(d)
    return v @ solve(eye - d / 2, eye + d / 2)


def exponential(d: Tensor, tolerance: float | None) -> tuple[Tensor, float]:
    """exp(D) − I of skew D, to second order in D if that leaves a gap of at most `tolerance`, else to fourth.

    One or two products. Returns it and an upper bound of the gap ‖QᵀQ − I‖_F/√n that Q = I + it has
    in exact arithmetic, D⁴/4 or D⁶/72 (None: to fourth order, nothing is read from the device, nan).
    """
    square = symmetric_product(d, d)
    if tolerance is None:
        left = math.nan
    else:
        norm, root = torch.linalg.matrix_norm(square).max().item(), math.sqrt(d.shape[-1])
        left = norm**2 / 4 / root
        if left <= tolerance:
            return torch.add(d, square, alpha=0.5), left
        left = norm**3 / 72 / root + norm**4 / 576 / root
    higher = d.mul(1 / 6).add_(square, alpha=1 / 24)
    higher.diagonal(dim1=-2, dim2=-1).add_(0.5)
    return torch.baddbmm(d, square, higher), left


def identity_like(a: Tensor) -> Tensor:
    """I, of the type and device of `a`."""
    return torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
