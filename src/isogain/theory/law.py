"""The law of the singular values s at depth L: its atoms, its density and its distribution function.

Pennington, Schoenholz and Ganguli 2018.
"""

import math

import torch
from torch import Tensor

from isogain.theory import support
from isogain.theory.gaussian import Phi
from isogain.theory.transform import Transform, Weights, log

LEAST = -690.0  # log s that float64 holds


class Spectrum(Transform):
    """The law of s at depth L: its map from w to z, its atoms, its upper edge, its density and distribution.

    A linear layer of orthogonal weights has all its singular values at σ_w, an atom without a bulk.

    >>> round(abs(Spectrum("linear", 1.0, 1.0, depth=4).bulk), 6)
    0.0
    """

    def __init__(
        self, phi: Phi, q_star: float, sigma_w: float, depth: int, weights: Weights = "orthogonal"
    ) -> None:
        super().__init__(phi, q_star, sigma_w, depth, weights)
        self.bulk = 1 - sum(self.log_atoms().values())

    def density(self, s: Tensor) -> Tensor:
        """−2 Im y/(πs) at s > 0, without the atoms; (m,) -> (m,)."""
        return self.log_density(s.log()) / s

    def log_density(self, log_s: Tensor) -> Tensor:
        """The density of log s, without the atoms; (m,) -> (m,)."""
        if self.bulk < support.ABOVE:
            return torch.zeros_like(log_s)
        offset = 2 * log_s - self.log_scale
        y = self.slopes.transforms(self.solve(offset))[0]
        inside = y.isfinite()  # far below the bulk 1 + y underflows
        for ratio, mass in self._from_atoms(offset):  # blurred, they would reach far
            y = y - mass / ratio
            inside &= ratio.abs() > support.GAP
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
        eta = self.solve(offset)
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
        atoms: dict[float, float] = {}
        for log_s, mass in self.log_atoms().items():
            atoms[math.exp(log_s)] = atoms.get(math.exp(log_s), 0) + mass
        return atoms

    def log_atoms(self) -> dict[float, float]:
        """log s -> probability, as `atoms`."""
        atoms = {}
        for value, mass in self.slopes.atoms.items():
            mass = 1 - self.depth * (1 - mass) if value else mass
            if mass > 1e-12 and (self.orthogonal or not value):
                atoms[self.power(value)] = mass
        return atoms

    def power(self, d: float) -> float:
        """log s where every layer has the squared slope d."""
        return self.depth / 2 * (self.log_gain + log(d))

    def _from_atoms(self, offset: Tensor) -> list[tuple[Tensor, float]]:
        """z/a − 1 of each atom a > 0 of s², and its probability."""
        turned = torch.complex(offset, torch.full_like(offset, self.angle))
        ends = [(2 * at - self.log_scale, mass) for at, mass in self.log_atoms().items()]
        return [(_expm1(turned - at), mass) for at, mass in ends if at > -math.inf]

    def grid(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """s that hold the bulk but 1e-9 above and 1e-7 below, ascending, and weights to integrate over s; (points,).

        What lies below 1e-300 counts at the least s, so that E f(s) is right for every f that is continuous at 0;
        `log_grid` has it where it lies. The trapezoidal rule over s would be wrong: the density may have poles.
        Raises ValueError where all of the law is below 1e-300.
        """
        if self.log_max() / 2 < LEAST:
            raise ValueError(
                "all s are below 1e-300, beyond float64: log_grid holds their logarithms"
            )
        log_s, weight = support.nodes(self, points, LEAST)
        weight = weight * log_s.exp()
        rest = self.bulk - self.bulk_above(torch.full_like(log_s[:1], LEAST))
        density = self.density(log_s[:1].exp())
        if rest > support.BELOW and density > 0 and not self.one:  # whose nodes hold all of it
            weight[:1] += rest / density
        return log_s.exp(), weight

    def log_grid(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """log s that hold the bulk as `grid` does at any depth, and weights to integrate over log s; (points,)."""
        return support.nodes(self, points, -math.inf)


def _expm1(x: Tensor) -> Tensor:
    """e^x − 1, without inf."""
    return torch.complex(x.real.clamp_max(300), x.imag).expm1()
