"""The map from w, where D² takes the value y, to z, where JJᵀ takes it, and back: free probability in logarithms.

With M(w) the moment generating function of D² and y = M(w), JJᵀ takes the same value y at

    z = σ_w^{2L} (1 + y)/y · (w y/(1 + y))^L    for orthogonal W
    z = σ_w^{2L} (1 + y)/y · (w y)^L            for Gaussian W

(S-transforms multiply, and M⁻¹(y) = (1 + y)/(y S(y)) on both sides), so that w is the unknown and D²'s S-transform is
never inverted. Everything is in logarithms, w = top · e^η, and no depth overflows. Pennington et al. 2018.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from isogain.config.ranges import at_least, positive
from isogain.theory.gaussian import Phi
from isogain.theory.roots import newton
from isogain.theory.slopes import Slopes

Weights = Literal["orthogonal", "gaussian"]
S1 = {"orthogonal": 0, "gaussian": -1}
ZOOMS = 12
# the angle of z at which the density is read off, for a law of width 1; less would show rounding: of one
# orthogonal layer w is as near to the slopes themselves, else it keeps off the real axis inside the bulk
CLOSEST, CLOSEST_OF_ONE = 1e-12, 1e-9
TURN = 0.15  # by which the angle falls a step
# log η, where the upper edge is sought
ABOVE = torch.linspace(4, -44, 385, dtype=torch.float64)


def s1(weights: Weights) -> float:
    """The first coefficient of the S-transform of WWᵀ/σ_w²."""
    if weights not in S1:
        raise ValueError(f"weights must be one of {', '.join(S1)}, got {weights}")
    return S1[weights]


class Transform:
    """z at w and w at z, of the Jacobian of L = `depth` layers; the largest z that is real where w is."""

    def __init__(
        self, phi: Phi, q_star: float, sigma_w: float, depth: int, weights: Weights
    ) -> None:
        self.slopes = Slopes(phi, positive("q_star", q_star))
        self.depth = int(at_least("depth", depth, 1))
        self.orthogonal = s1(weights) == 0
        self.log_gain = 2 * math.log(positive("sigma_w", sigma_w))
        self.log_scale = self.depth * (self.log_gain + log(self.slopes.top))
        self.width = self._width() if self.orthogonal else 1.0
        self.one = self.orthogonal and self.depth == 1
        self.angle = (CLOSEST_OF_ONE if self.one else CLOSEST) * self.width

    def log_z(self, eta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log z − L log(σ_w² top), its derivative by η and y at w = top · e^η; (m,) -> three (m,)."""
        y, one_y, turn = self.slopes.transforms(eta)
        ratio = torch.where(y.abs() > 1, _log1p(1 / y), (one_y / y).log())  # log (1 + y)/y
        slope = turn / (y * one_y)  # d log(y/(1 + y))/dη
        if self.orthogonal:
            return (
                self.depth * eta - (self.depth - 1) * ratio,
                self.depth + (self.depth - 1) * slope,
                y,
            )
        log_y = (-y).log() - 1j * math.pi  # y lies below the real axis
        return (
            self.depth * (eta + log_y) + ratio,
            self.depth * (1 + turn / y) - slope,
            y,
        )

    def log_max(self) -> float:
        """The logarithm of the largest s²: z at the largest w where dz/dw = 0, else at the top of D²."""
        gap = ABOVE
        for _ in range(ZOOMS):
            eta = gap.exp().to(torch.complex128)
            log, slope, _ = self.log_z(eta)
            falls = (slope.real <= 0).int()
            if not falls.any():
                return self.log_scale + log[-1].real.item()
            i = falls.argmax()
            gap = torch.linspace(gap[(i - 1).clamp_min(0)], gap[i], 17, dtype=torch.float64)
        return self.log_scale + log[i].real.item()

    def _width(self) -> float:
        """The range of log s² by its order of magnitude, at most 1."""
        fall = self.slopes.fall.clamp_max(1)
        return min(1.0, max(self.depth * (self.slopes.weight * fall).sum().item(), 1e-12))

    def _reach(self, offset: Tensor) -> float:
        """|η| at which |z| is beyond all offsets."""
        fall = self.slopes.fall[self.slopes.fall.isfinite()]
        return 100 + (offset.abs().max().item() + 2 * self.depth * fall.max().item())

    def solve(self, offset: Tensor) -> Tensor:
        """η at which log z is offset + i `angle`; (m,) -> (m,).

        From z = −s², where w is real, z is turned along the circle |z| = s² to the real axis, and η
        follows by Newton's steps.
        """
        if self.one:
            return torch.complex(offset, torch.full_like(offset, self.angle))
        start = self._left_of_zero(offset)
        eta, angle = torch.complex(start, torch.full_like(start, math.pi)), math.pi
        slope = self.log_z(eta)[1]
        while angle > self.angle:
            last, angle = angle, max(angle * TURN, self.angle)
            eta = eta + 1j * (angle - last) / slope
            for _ in range(2 if angle > self.angle else 3):
                value, slope, _ = self.log_z(eta)
                eta = eta + (offset + 1j * angle - value) / slope
        return eta

    def _left_of_zero(self, offset: Tensor) -> Tensor:
        """Re η on the negative axis, at which z = −exp(offset); (m,) -> (m,)."""

        def f(u: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
            value, slope, _ = self.log_z(torch.complex(u, torch.full_like(u, math.pi)))
            return offset[i] - value.real, -slope.real

        bound = torch.full_like(offset, self._reach(offset))
        return newton(f, -bound, bound, (offset / self.depth).clamp(-20, 20))


def log(x: float) -> float:
    """The logarithm of x >= 0, −∞ of 0."""
    return math.log(x) if x else -math.inf


def _log1p(x: Tensor) -> Tensor:
    """log(1 + x) of complex x, with all digits near 0."""
    a, b = x.real, x.imag
    return torch.complex(torch.log1p(2 * a + x.abs().square()) / 2, torch.atan2(b, 1 + a))
