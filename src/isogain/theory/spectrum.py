"""The squared singular values s² of the Jacobian J = Π D_l W_l of a wide random network, by free probability.

Pennington, Schoenholz and Ganguli 2017 and 2018.
"""

import math

import torch
from torch import Tensor

from isogain.theory.gaussian import Phi
from isogain.theory.grids import Number, each
from isogain.theory.law import Spectrum
from isogain.theory.moments import mu as moment
from isogain.theory.moments import slope_spread
from isogain.theory.transform import Weights, s1

__all__ = ["Spectrum", "Weights", "atoms", "density", "moments", "s2_max"]
PIECE = 512  # values of s at once: more fall out of a CPU's cache


def moments(
    phi: Phi, q_star: Number, sigma_w: Number, depth: Number, weights: Weights = "orthogonal"
) -> tuple[Number, Number]:
    """Mean χ^L and variance χ^{2L} L (μ₂/μ₁² − 1 − s₁) of s², s₁ = 0 for orthogonal and −1 for Gaussian W.

    Pennington, Schoenholz and Ganguli 2018; tensors broadcast.
    """

    def solve(q: Tensor, w: Tensor, depth: Tensor) -> Tensor:
        mean = (w.square() * moment(phi, q)) ** depth
        return torch.stack([mean, mean.square() * depth * (slope_spread(phi, q) - first)])

    first = s1(weights)
    mean, variance = each(solve, q_star, sigma_w, depth)
    return mean, variance


def s2_max(
    phi: Phi, q_star: float, sigma_w: float, depth: int, weights: Weights = "orthogonal"
) -> float:
    """The largest s² of the limit law, an edge of the bulk or an atom.

    >>> round(s2_max("linear", q_star=1.0, sigma_w=1.1, depth=4), 6)  # 1.1⁸
    2.143589
    """
    return math.exp(Spectrum(phi, q_star, sigma_w, depth, weights).log_max())


def atoms(
    phi: Phi, q_star: float, sigma_w: float, depth: int, weights: Weights = "orthogonal"
) -> dict[float, float]:
    """Singular values s of positive probability, and that probability; ascending."""
    return Spectrum(phi, q_star, sigma_w, depth, weights).atoms()


def density(
    phi: Phi, q_star: float, sigma_w: float, depth: int, weights: Weights, s: Tensor
) -> Tensor:
    """The density of s > 0 without the atoms: its integral and their probabilities make 1; s (...) -> (...)."""
    if not (s > 0).all():
        raise ValueError("s must be > 0: what lies at 0 is an atom")
    flat = s.to(torch.float64).flatten()
    law = Spectrum(phi, q_star, sigma_w, depth, weights)
    return torch.cat([law.density(part) for part in flat.split(PIECE)]).view(s.shape)
