"""The law of d = φ'(√q z)², the squared slope of a unit: the spectrum of D² in mean-field theory.

All in logarithms: d = top · e^−fall, w = top · e^η with η in the strip 0 <= Im η <= π, so that neither a slope of
e^−8000 nor one of 1 − 1e-12 loses its digits. Axes: m points η, P panels of z with 16 nodes each.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from isogain.theory import poles
from isogain.theory.gaussian import LEGENDRE, Phi, legendre, nodes, panels, pointwise

PARTS, CUTS = 8, 20  # of a panel that a pole is near: into as many, as many times
HALVINGS, ZOOMS = 60, 12
STEEP = 3.0  # by which log d may change on a panel; a zero in its middle would show 4.7
EMPTY = 1e-18  # a probability not worth another panel
ROUNDING = 2e-12  # φ' below it, relative to the largest, is a difference of rounded numbers: it counts as 0
NOISE = 1e-14  # of log d where d is a rounded number: a panel that shows less is not cut
NARROW = 1e-8  # of log d: a law that s in float64 shows as one atom
REACH = 6.2  # P(|z| > 6.2) = 6e-10
SHORT = 1e-3  # of z: bends nearer to one another are one
PIECE = 2**21  # terms at once
LOG2 = math.log(2)


def _tanh_fall(x: Tensor) -> Tensor:
    """4 log cosh x."""
    x = x.abs()
    near = torch.log1p(2 * (x.clamp_max(1) / 2).sinh().square())
    return 4 * torch.where(x < 1, near, x + torch.log1p((-2 * x).exp()) - LOG2)


FALLS: dict[Phi, Callable[[Tensor], Tensor]] = {
    "tanh": _tanh_fall,
    "erf": lambda x: 2 * x.square(),
}


class Slopes:
    """Nodes of `fall` on panels of z, its atoms (d -> probability), the largest d `top`, and E `fall` where d > 0."""

    def __init__(self, phi: Phi, q: float) -> None:
        self.point, self.root, self.named_fall = pointwise(phi), q**0.5, FALLS.get(phi)
        self.finest = 0.0 if self.named_fall else NOISE
        breaks = panels(self.point, torch.tensor(self.root, dtype=torch.float64))
        breaks = breaks[torch.cat([torch.ones(1).bool(), breaks.diff() > 0])]
        even = self._squared(breaks) - self._squared(-breaks)
        self.sides = 1 if even.any() else 2
        if self.sides == 2:
            breaks = breaks[breaks >= 0]
        self.top = self._top(breaks[:-1], breaks[1:])
        self.low, self.high, self.fall, self.weight = self._panels(breaks)
        alive = self.fall.isfinite()
        if alive.any() and self.fall[alive].max() - self.fall[alive].min() < NARROW:
            self.top *= (-self.fall[alive].mean()).exp().item()
            self.fall = self.fall.masked_fill(alive, 0.0)
        self.spread = _spread(self.fall)
        self.atoms = self._atoms()
        self.decay = (self.weight[alive] * self.fall[alive]).sum().item()

    def transforms(self, eta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """M = E[d/(w − d)], 1 + M = E[w/(w − d)] and dM/dη; η complex (m,) -> three (m,).

        A panel is cut where η + fall comes as near to 0 as half its spread, so that all digits stay down to
        the real axis.
        """
        m, one_m, imag, turn, turn_imag = self._expect(poles.transforms, eta)
        return torch.complex(m, imag), torch.complex(one_m, imag), torch.complex(turn, turn_imag)

    def angle(self, eta: Tensor) -> Tensor:
        """E arg(w − d), π at small w and 0 at large; (m,) -> (m,)."""
        return self._expect(poles.angle, eta)[0]

    def rule(self, points: int) -> tuple[Tensor, Tensor]:
        """`fall` where it is no atom and its probability, at nodes of |z| < 6.2; twice (points,).

        Gauss–Legendre's between the kinks: sums over a smooth function of z have all digits, whatever the law of d.
        """
        ends = self._stretches()
        shares = [len(part) for part in torch.arange(points).tensor_split(len(ends))]
        rules = [legendre(a, b, n) for (a, b), n in zip(ends, shares, strict=True) if n]
        z, weight = (torch.cat(column) for column in zip(*rules, strict=True))
        return self._fall(z), self.sides * weight

    def _stretches(self) -> list[tuple[float, float]]:
        """Ends of z between atoms and kinks."""
        kinks, ends = set((self.point.kinks / self.root).tolist()), []
        low, high = self.low.clamp(-REACH, REACH), self.high.clamp(-REACH, REACH)
        alive = (self.spread > 0) & (low < high)
        for a, b in zip(low[alive].tolist(), high[alive].tolist(), strict=True):
            joins = ends and ends[-1][1] == a
            if joins and (a not in kinks or a - ends[-1][0] < SHORT):
                ends[-1] = ends[-1][0], b
            else:
                ends.append((a, b))
        return [(a, b) for a, b in ends if b - a > SHORT] or ends

    def _expect(self, f: Callable[..., list[Tensor]], eta: Tensor) -> list[Tensor]:
        """E f(η + fall), each panel as fine as η needs it."""
        parts = eta.split(max(1, PIECE // self.fall.numel()))
        sums = [self._sums(f, part) for part in parts]
        return [torch.cat(column) for column in zip(*sums, strict=True)]

    def _sums(self, f: Callable[..., list[Tensor]], eta: Tensor) -> list[Tensor]:
        near = _near(eta[:, None], self.fall, self.finest)
        values = f(eta[:, None], self.fall.flatten())
        total = [_far(t.unflatten(-1, (-1, LEGENDRE)), self.weight, near).sum(-1) for t in values]
        point, panel = near.nonzero().unbind(-1)
        low, high = self.low[panel], self.high[panel]
        for _ in range(CUTS):
            if not len(point):
                break
            width = ((high - low) / PARTS)[:, None]
            low = (low[:, None] + width * torch.arange(PARTS)).flatten()
            high = low + width.expand(-1, PARTS).flatten()
            point = point.repeat_interleave(PARTS)
            fall, weight = self._nodes(low, high)
            near = _near(eta[point], fall, self.finest)
            sums = [_far(t, weight, near) for t in f(eta[point, None], fall)]
            total = [t.index_add(0, point, s) for t, s in zip(total, sums, strict=True)]
            point, low, high = point[near], low[near], high[near]
        return total

    def _squared(self, z: Tensor) -> Tensor:
        return self.point.derivative(self.root * z).square()

    def _fall(self, z: Tensor) -> Tensor:
        """log(top/d), inf where d is 0."""
        if self.named_fall:
            return self.named_fall(self.root * z)
        below = (self._squared(z) - self.top) / self.top
        return torch.where(1 + below > ROUNDING**2, -torch.log1p(below.clamp(-1, 0)), torch.inf)

    def _nodes(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """`fall` and its probability on panels; (P,) twice -> twice (P, 16)."""
        z, weight = nodes(torch.stack([low, high], -1))
        return self._fall(z), self.sides * weight

    def _panels(self, breaks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Ends, `fall` and probability of panels that are halved until log d changes by at most STEEP on each."""
        low, high, done = breaks[:-1], breaks[1:], []
        for last in [False] * HALVINGS + [True]:
            fall, weight = self._nodes(low, high)
            steep = (_spread(fall) > STEEP) & (weight.sum(-1) > EMPTY) & (not last)
            done.append([t[~steep] for t in (low, high, fall, weight)])
            low, high = low[steep], high[steep]
            low, high = torch.cat([low, (low + high) / 2]), torch.cat([(low + high) / 2, high])
            if not len(low):
                break
        low, high, fall, weight = (torch.cat(column) for column in zip(*done, strict=True))
        order = low.argsort()
        return low[order], high[order], fall[order], weight[order]

    def _atoms(self) -> dict[float, float]:
        flat = self.spread == 0
        values, place = self.fall[flat, 0].unique(return_inverse=True)
        mass = torch.zeros_like(values).index_add(0, place, self.weight[flat].sum(-1))
        values = self.top * (-values).exp()
        atoms = {v: m for v, m in zip(values.tolist(), mass.tolist(), strict=True) if m > 1e-12}
        return dict(sorted(atoms.items()))

    def _top(self, lows: Tensor, highs: Tensor) -> float:
        d = self._squared(nodes(torch.stack([lows, highs], -1))[0])
        panel = d.amax(-1).argmax()
        low, high, largest = lows[panel], highs[panel], [d.max()]
        for _ in range(ZOOMS):
            z = torch.linspace(0, 1, 33, dtype=torch.float64) * (high - low) + low
            d = self._squared(z)
            i = d.argmax()
            largest.append(d[i])
            low, high = z[(i - 1).clamp_min(0)], z[(i + 1).clamp_max(32)]
        return max(largest).item()


def _spread(fall: Tensor) -> Tensor:
    """The range of each panel, 0 where all is inf; (P, 16) -> (P,)."""
    return (fall.amax(-1) - fall.amin(-1)).nan_to_num(0.0, torch.inf)


def _near(eta: Tensor, fall: Tensor, finest: float) -> Tensor:
    """Whether −η is nearer to a panel's `fall` than half its range; (...) with (..., P, 16) -> (..., P)."""
    low, high = fall.amin(-1), fall.amax(-1)
    beside = torch.maximum(low + eta.real, -high - eta.real).clamp(0, 1e300)
    spread = _spread(fall)
    return (torch.hypot(beside, eta.imag) < spread / 2) & (spread > finest)


def _far(values: Tensor, weight: Tensor, near: Tensor) -> Tensor:
    """The expectation over each panel, 0 on those that are near."""
    return torch.where(near, 0, (values * weight).sum(-1))
