"""The squared singular values of the Jacobian J = Π D_l W_l of a wide random network, by free probability.

Pennington, Schoenholz and Ganguli 2017 and 2018. S-transforms multiply: with M(w) the moment
generating function of D² and y = M(w), JJᵀ takes the same value y at

    z = σ_w^{2L} (1 + y)/y · (w y/(1 + y))^L    for orthogonal W
    z = σ_w^{2L} (1 + y)/y · (w y)^L            for Gaussian W

(M⁻¹(y) = (1 + y)/(y S(y)) on both sides), so that w is the unknown and D²'s S-transform is never
inverted. s² is a squared singular value; everything is in logarithms, and no depth overflows.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from isogain.ranges import at_least, positive
from isogain.theory.gaussian import Phi
from isogain.theory.grids import Number, each
from isogain.theory.moments import mu as moment
from isogain.theory.moments import slope_spread
from isogain.theory.roots import newton
from isogain.theory.slopes import Slopes

Weights = Literal["orthogonal", "gaussian"]
S1 = {"orthogonal": 0, "gaussian": -1}
PIECE = 512  # values of s at once: more fall out of a CPU's cache
ZOOMS = 12
GAP = 1e-5  # the bulk keeps off an atom; nearer than this only rounding would be seen
REACH = 690.0  # |log w| that float64 holds
CLOSEST = 1e-9  # the angle of z at which the density is read off: a relative blur of s²; less would show rounding
TURN = 0.15  # by which the angle falls a step
# log(w/top − 1), where the upper edge is sought
ABOVE = torch.linspace(60, -36, 385, dtype=torch.float64)


def moments(
    phi: Phi, q_star: Number, sigma_w: Number, depth: Number, weights: Weights = "orthogonal"
) -> tuple[Number, Number]:
    """Mean χ^L and variance χ^{2L} L (μ₂/μ₁² − 1 − s₁) of s², s₁ = 0 for orthogonal and −1 for Gaussian W.

    Pennington, Schoenholz and Ganguli 2018; tensors broadcast.
    """

    def solve(q: Tensor, w: Tensor, depth: Tensor) -> Tensor:
        mean = (w.square() * moment(phi, q)) ** depth
        return torch.stack([mean, mean.square() * depth * (slope_spread(phi, q) - s1)])

    s1 = _s1(weights)
    mean, variance = each(solve, q_star, sigma_w, depth)
    return mean, variance


def s2_max(
    phi: Phi, q_star: float, sigma_w: float, depth: int, weights: Weights = "orthogonal"
) -> float:
    """The largest s² of the limit law, an edge of the bulk or an atom."""
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


def _s1(weights: Weights) -> float:
    """The first coefficient of the S-transform of WWᵀ/σ_w²."""
    if weights not in S1:
        raise ValueError(f"weights must be one of {', '.join(S1)}, got {weights}")
    return S1[weights]


class Spectrum:
    """The law of s² at depth L: its map from w to z, its atoms, its upper edge, its density."""

    def __init__(
        self, phi: Phi, q_star: float, sigma_w: float, depth: int, weights: Weights = "orthogonal"
    ) -> None:
        self.slopes = Slopes(phi, positive("q_star", q_star))
        self.log_gain = 2 * math.log(positive("sigma_w", sigma_w))
        self.depth = int(at_least("depth", depth, 1))
        self.orthogonal = _s1(weights) == 0

    def log_z(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log z, d log z/d log w and y at complex w; (m,) -> three (m,)."""
        y, one_y, turn = self.slopes.transforms(w)
        ratio, slope = one_y / y, turn / (y * one_y)  # d log(y/(1 + y))/d log w
        factor = w / ratio if self.orthogonal else w * y
        grows = 1 + (slope if self.orthogonal else turn / y)
        log = self.depth * (self.log_gain + factor.log()) + ratio.log()
        return log, self.depth * grows - slope, y

    def density(self, s: Tensor) -> Tensor:
        """−2 Im y/(πs) at s > 0, without the atoms; (m,) -> (m,).

        From z = −s², where w is real, z is turned along the circle |z| = s² to the real axis, and w
        follows by Newton's steps.
        """
        log = 2 * s.log()
        start = self._left_of_zero(log)
        w = torch.complex(start, torch.full_like(log, math.pi))
        angle = math.pi
        _, slope, _ = self.log_z(w.exp())
        while angle > CLOSEST:
            last, angle = angle, max(angle * TURN, CLOSEST)
            w = w + 1j * (angle - last) / slope
            for _ in range(2 if angle > CLOSEST else 3):
                value, slope, y = self.log_z(w.exp())
                w = w + (log + 1j * angle - value) / slope
        inside = start > -REACH  # nothing lies below what |z| <= 10 reaches
        for value, mass in self.atoms().items():  # blurred, they would reach far
            if value:
                ratio = torch.expm1(log - 2 * math.log(value) + 1j * CLOSEST)
                y = y - mass / ratio
                inside &= ratio.abs() > GAP
        found = (-2 * y.imag / (math.pi * s)).clamp_min(0)
        return torch.where(inside, found, 0)

    def atoms(self) -> dict[float, float]:
        """s -> probability: of 0, P(d = 0); of (σ_w² a)^{L/2}, 1 − L(1 − P(d = a)) for orthogonal W if positive."""
        found = {}
        for value, mass in self.slopes.atoms.items():
            mass = 1 - self.depth * (1 - mass) if value else mass
            if mass > 1e-12 and (self.orthogonal or not value):
                found[(math.exp(self.log_gain) * value) ** (self.depth / 2)] = mass
        return found

    def log_max(self) -> float:
        """The logarithm of the largest s²: z at the largest w where dz/dw = 0, else at the top of D²."""
        gap = ABOVE
        for _ in range(ZOOMS):
            w = self.slopes.top * (1 + gap.exp())
            log, slope, _ = self.log_z(w.to(torch.complex128))
            falls = (slope.real <= 0).int()
            if not falls.any():
                return log[-1].real.item()
            i = falls.argmax()
            gap = torch.linspace(gap[(i - 1).clamp_min(0)], gap[i], 17, dtype=torch.float64)
        return log[i].real.item()

    def grid(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """s that hold the bulk but 1e-9 above and 1e-7 below, ascending, and weights to integrate over s; (points,).

        Chebyshev's in log t, t = log(s_max/s): they resolve the upper edge, a tail to 0 and a sharp lower
        end, and the trapezoidal rule over their angle is exact to many digits.
        """
        log = self.log_max() / 2
        far = min(630.0, 8 * (self.depth + 1) + 4 * self.depth * self.slopes.decay)
        t = torch.logspace(-10, math.log10(far), 300, dtype=torch.float64)
        s = (log - t).exp()
        mass = torch.cumulative_trapezoid(self.density(s) * s * t, t.log())
        inside = (mass > 1e-9) & (mass < mass[-1] - 1e-7)
        first, last = inside.nonzero()[[0, -1], 0].tolist() if inside.any() else (0, 297)
        top, bottom = t[first].log(), t[last + 2].log()
        angle = torch.linspace(0, math.pi, points, dtype=torch.float64)
        u = bottom + (top - bottom) * (1 - angle.cos()) / 2
        s = (log - u.exp()).exp()
        return s, s * u.exp() * (bottom - top) / 2 * angle.sin() * angle[1]

    def _left_of_zero(self, log: Tensor) -> Tensor:
        """log(−w) at which z = −exp(log); (m,) -> (m,)."""

        def f(u: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
            value, slope, _ = self.log_z(-u.exp().to(torch.complex128))
            return log[i] - value.real, -slope.real

        bound = torch.full_like(log, REACH)
        start = ((log - self.depth * self.log_gain) / self.depth).clamp(-20, 20)
        return newton(f, -bound, bound, start)
