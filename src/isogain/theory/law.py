"""The law of s² at depth L: its map from w to z, its atoms, its upper edge, its density and distribution.

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

from isogain.ranges import at_least, positive
from isogain.theory import support
from isogain.theory.gaussian import Phi
from isogain.theory.roots import newton
from isogain.theory.slopes import Slopes

Weights = Literal["orthogonal", "gaussian"]
S1 = {"orthogonal": 0, "gaussian": -1}
ZOOMS = 12
GAP = 1e-5  # the bulk keeps off an atom; nearer than this only rounding would be seen
LEAST = -690.0  # log s that float64 holds
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


class Spectrum:
    """The law of s² at depth L: its map from w to z, its atoms, its upper edge, its density and distribution."""

    def __init__(
        self, phi: Phi, q_star: float, sigma_w: float, depth: int, weights: Weights = "orthogonal"
    ) -> None:
        self.slopes = Slopes(phi, positive("q_star", q_star))
        self.depth = int(at_least("depth", depth, 1))
        self.orthogonal = s1(weights) == 0
        self.log_gain = 2 * math.log(positive("sigma_w", sigma_w))
        self.log_scale = self.depth * (self.log_gain + _log(self.slopes.top))
        self.width = self._width() if self.orthogonal else 1.0
        self.one = self.orthogonal and self.depth == 1
        self.angle = (CLOSEST_OF_ONE if self.one else CLOSEST) * self.width
        self.bulk = 1 - sum(self.log_atoms().values())

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

    def density(self, s: Tensor) -> Tensor:
        """−2 Im y/(πs) at s > 0, without the atoms; (m,) -> (m,)."""
        return self.log_density(s.log()) / s

    def log_density(self, log_s: Tensor) -> Tensor:
        """The density of log s, without the atoms; (m,) -> (m,)."""
        if self.bulk < support.ABOVE:
            return torch.zeros_like(log_s)
        offset = 2 * log_s - self.log_scale
        y = self.slopes.transforms(self._solve(offset))[0]
        inside = y.isfinite()  # far below the bulk 1 + y underflows
        for ratio, mass in self._from_atoms(offset):  # blurred, they would reach far
            y = y - mass / ratio
            inside &= ratio.abs() > GAP
        return torch.where(inside, (-2 * y.imag / math.pi).clamp_min(0), 0)

    def survival(self, log_s: Tensor) -> Tensor:
        """P(log S > log s), atoms included; (m,) -> (m,)."""
        return self.bulk_above(log_s) + sum(
            mass * (log_s < at) for at, mass in self.log_atoms().items()
        )

    def bulk_above(self, log_s: Tensor) -> Tensor:
        """The probability of the bulk above s, in closed form: (m,) -> (m,).

        π P(S² > x) is the imaginary part of ∫ log(x − t) dμ(t) = L E log(w − d) + (L − 1) log y [+ L y for Gaussian W]
        up to a real constant, since the derivative of both sides by log z is 1 + y.
        """
        if self.bulk < support.ABOVE:
            return torch.zeros_like(log_s)
        offset = 2 * log_s - self.log_scale
        eta = self._solve(offset)
        y = self.slopes.transforms(eta)[0]
        angle = self.depth * self.slopes.angle(eta) + (self.depth - 1) * (-y).log().imag
        angle = angle - (self.depth - 1) * math.pi
        if not self.orthogonal:
            angle = angle + self.depth * y.imag
        for ratio, mass in self._from_atoms(offset):
            angle = angle - mass * ratio.angle()
        bulk = torch.where(angle.isfinite(), angle / math.pi, self.bulk)  # underflow far below
        return bulk.clamp(0, self.bulk)

    def atoms(self) -> dict[float, float]:
        """s -> probability: of 0, P(d = 0); of (σ_w² a)^{L/2}, 1 − L(1 − P(d = a)) for orthogonal W if positive."""
        found: dict[float, float] = {}
        for log, mass in self.log_atoms().items():
            found[math.exp(log)] = found.get(math.exp(log), 0) + mass
        return found

    def log_atoms(self) -> dict[float, float]:
        """log s -> probability, as `atoms`."""
        found = {}
        for value, mass in self.slopes.atoms.items():
            mass = 1 - self.depth * (1 - mass) if value else mass
            if mass > 1e-12 and (self.orthogonal or not value):
                found[self.depth / 2 * (self.log_gain + _log(value))] = mass
        return found

    def _from_atoms(self, offset: Tensor) -> list[tuple[Tensor, float]]:
        """z/a − 1 of each atom a > 0 of s², and its probability."""
        turned = torch.complex(offset, torch.full_like(offset, self.angle))
        ends = [(2 * at - self.log_scale, mass) for at, mass in self.log_atoms().items()]
        return [(_expm1(turned - at), mass) for at, mass in ends if at > -math.inf]

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

    def grid(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """s that hold the bulk but 1e-9 above and 1e-7 below, ascending, and weights to integrate over s; (points,).

        What lies below 1e-300 counts at the least s, so that E f(s) is right for every f that is continuous at 0;
        `log_grid` has it where it lies. Raises ValueError where all of the law is there.
        """
        if self.log_max() / 2 < LEAST:
            raise ValueError(
                "all s are below 1e-300, beyond float64: log_grid holds their logarithms"
            )
        log_s, weight = support.nodes(self, points, LEAST)
        weight = weight * log_s.exp()
        rest = self.bulk - self.bulk_above(log_s[:1])
        density = self.density(log_s[:1].exp())
        if rest > support.BELOW and density > 0:
            weight[:1] += rest / density
        return log_s.exp(), weight

    def log_grid(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """log s that hold the bulk as `grid` does at any depth, and weights to integrate over log s; (points,)."""
        return support.nodes(self, points, -math.inf)

    def _width(self) -> float:
        """The range of log s² by its order of magnitude, at most 1."""
        fall = self.slopes.fall.clamp_max(1)
        return min(1.0, max(self.depth * (self.slopes.weight * fall).sum().item(), 1e-12))

    def _reach(self, offset: Tensor) -> float:
        """|η| at which |z| is beyond all offsets."""
        fall = self.slopes.fall[self.slopes.fall.isfinite()]
        return 100 + (offset.abs().max().item() + 2 * self.depth * fall.max().item())

    def _solve(self, offset: Tensor) -> Tensor:
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


def _log(x: float) -> float:
    return math.log(x) if x else -math.inf


def _expm1(x: Tensor) -> Tensor:
    """e^x − 1, without inf."""
    return torch.complex(x.real.clamp_max(300), x.imag).expm1()


def _log1p(x: Tensor) -> Tensor:
    """log(1 + x) of complex x, with all digits near 0."""
    a, b = x.real, x.imag
    return torch.complex(torch.log1p(2 * a + x.abs().square()) / 2, torch.atan2(b, 1 + a))
