"""The law of d = φ'(√q z)², the squared slope of a unit: the spectrum of D² in mean-field theory.

Axes: m points w of the complex plane, P panels of z with 16 nodes each.
"""

import torch
from torch import Tensor

from isogain.theory.gaussian import LEGENDRE, Phi, nodes, panels, pointwise

HALVINGS = 60  # of a panel that a pole is near
ZOOMS = 12


class Slopes:
    """Nodes of d on panels of z, its atoms (value -> probability), its largest value `top` and `decay` E|log d|."""

    def __init__(self, phi: Phi, q: float) -> None:
        self.point, self.root = pointwise(phi), q**0.5
        self.breaks = panels(self.point, torch.tensor(self.root, dtype=torch.float64))
        self.breaks = self.breaks[torch.cat([torch.ones(1).bool(), self.breaks.diff() > 0])]
        even = self._squared(self.breaks) - self._squared(-self.breaks)
        self.sides = 1 if even.any() else 2
        if self.sides == 2:
            self.breaks = self.breaks[self.breaks >= 0]
        self.low, self.high = self.breaks[:-1], self.breaks[1:]
        self.d, self.weight = self._nodes(self.low, self.high)
        self.spread = self.d.amax(-1) - self.d.amin(-1)
        log = self.d.clamp_min(1e-300).log() * (self.d > 0)
        self.decay = (self.weight * log.abs()).sum().item()  # E|log d|
        self.atoms = self._atoms()
        self.top = self._top()

    def transforms(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """M = E[d/(w − d)], 1 + M = E[w/(w − d)] and w dM/dw; w complex (m,) -> three (m,).

        A panel is halved where w comes as near to its values as half their spread, so that all digits
        stay down to the real axis.
        """
        d, weight = self.d.flatten(), self.weight.flatten()
        near = self._near(w[:, None, None], self.d, self.spread)
        total = self._sums(w[:, None], d, weight * ~near.repeat_interleave(LEGENDRE, -1))
        point, panel = near.nonzero().unbind(-1)
        low, high = self.low[panel], self.high[panel]
        for _ in range(HALVINGS):
            if not len(point):
                break
            middle = (low + high) / 2
            low, high = torch.cat([low, middle]), torch.cat([middle, high])
            point = point.repeat(2)
            d, weight = self._nodes(low, high)
            near = self._near(w[point, None], d, d.amax(-1) - d.amin(-1))
            sums = self._sums(w[point, None], d, weight * ~near[:, None])
            total = [t.index_add(0, point, s) for t, s in zip(total, sums, strict=True)]
            point, low, high = point[near], low[near], high[near]
        return tuple(total)

    def _sums(self, w: Tensor, d: Tensor, weight: Tensor) -> list[Tensor]:
        inverse = 1 / (w - d)
        part = inverse * (d * weight)
        return [
            part.sum(-1),
            w[..., 0] * (inverse * weight).sum(-1),
            -w[..., 0] * (part * inverse).sum(-1),
        ]

    def _near(self, w: Tensor, d: Tensor, spread: Tensor) -> Tensor:
        return (w - d).abs().amin(-1) < spread / 2

    def _squared(self, z: Tensor) -> Tensor:
        return self.point.derivative(self.root * z).square()

    def _nodes(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """d and its probability on panels; (P,) twice -> twice (P, 16)."""
        z, weight = nodes(torch.stack([low, high], -1))
        return self._squared(z), self.sides * weight

    def _atoms(self) -> dict[float, float]:
        flat = self.spread == 0
        values, place = self.d[flat, 0].unique(return_inverse=True)
        mass = torch.zeros_like(values).index_add(0, place, self.weight[flat].sum(-1))
        return {v: m for v, m in zip(values.tolist(), mass.tolist(), strict=True) if m > 1e-12}

    def _top(self) -> float:
        panel = self.d.amax(-1).argmax()
        low, high = self.low[panel], self.high[panel]
        found = []
        for _ in range(ZOOMS):
            z = torch.linspace(0, 1, 33, dtype=torch.float64) * (high - low) + low
            d = self._squared(z)
            i = d.argmax()
            found.append(d[i])
            low, high = z[(i - 1).clamp_min(0)], z[(i + 1).clamp_max(32)]
        return max(*found, self.d.max()).item()
