"""Retractions on the Stiefel manifold: from an orthogonal V, along a tangent step, to an orthogonal matrix.

In the plane the step is Δ (..., n, k), n >= k; in the frame of a square V (matrices, n, n) it is VD with D skew.
"""

import math

import torch
from torch import Tensor

from isogain.linalg.bfloat16 import LOST, pays, rough_product
from isogain.linalg.orthogonality import orthonormal, polar
from isogain.linalg.stacks import solve, symmetric_product


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

    One or two products, rough ones where those are faster and good enough. Returns it and an upper
    bound of the gap ‖QᵀQ − I‖_F/√n that Q = I + it has, D⁴/4 or D⁶/72 and what a rough product lost
    (None: to fourth order, nothing is read from the device, nan).
    """
    if tolerance is None:
        return fourth_order(d, symmetric_product(d, d), roughly=False), math.nan
    root = math.sqrt(d.shape[-1])
    if pays(d) and LOST * (largest_norm(d) / root) ** 2 <= tolerance:  # ‖D‖²_F <= √n ‖D²‖_F
        square = rough_product(d, d)
        size = largest_norm(square)
        if (left := (size**2 / 4 + LOST * size) / root) <= tolerance:
            return torch.add(d, square, alpha=0.5), left
    square = symmetric_product(d, d)
    size = largest_norm(square)
    if (left := size**2 / 4 / root) <= tolerance:
        return torch.add(d, square, alpha=0.5), left
    left = (size**3 / 72 + size**4 / 576) / root
    lost = LOST * (size**1.5 / 6 + size**2 / 24) / root
    if roughly := pays(d) and left + lost <= tolerance:
        left += lost
    return fourth_order(d, square, roughly), left


def fourth_order(d: Tensor, square: Tensor, roughly: bool) -> Tensor:
    """D + D²/2 + D³/6 + D⁴/24, the last two of them roughly or all exactly."""
    higher = torch.mul(d, 1 / 6).add_(square, alpha=1 / 24)
    if roughly:
        return rough_product(square, higher).add_(square, alpha=0.5).add_(d)
    higher.diagonal(dim1=-2, dim2=-1).add_(0.5)
    return torch.baddbmm(d, square, higher)


def largest_norm(a: Tensor) -> float:
    """The largest Frobenius norm in a stack of matrices (..., n, n)."""
    return torch.linalg.matrix_norm(a).max().item()


def identity_like(a: Tensor) -> Tensor:
    """I, of the type and device of `a`."""
    return torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
