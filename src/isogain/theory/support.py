"""Where the law of s has its mass, and nodes to integrate over it.

A place is u = log log(s_max/s): fine at the upper edge, and wide enough for a tail down to 0.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from isogain.theory.slopes import Slopes

GAP = 1e-5  # the bulk keeps off an atom; nearer than this only rounding would be seen
ABOVE, BELOW = 1e-9, 1e-7  # probabilities that are left out at either end
SMALL = 1e-6  # a probability that no piece of the bulk is made for
HOLE = 1e-11  # a probability that is rounding
POLE = 0.2  # of L(1 − p): at 1 an atom of the slopes leaves a pole, no atom; near it a peak
PROBES = 200
SECTIONS = 32  # of the interval between two probes
LEAST_ZOOMS, ZOOMS = (
    3,
    10,
)  # to 3e-5 of it, or on until no more than ABOVE lies between: beside a pole much does


class Law(Protocol):
    """What is asked of a law: see `Spectrum`."""

    slopes: Slopes
    depth: int
    log_scale: float  # log s² where all slopes are the largest
    width: float  # of log s², by its order of magnitude, at most 1
    one: bool  # orthogonal layer
    bulk: float  # the probability that is no atom's

    def bulk_above(self, log_s: Tensor) -> Tensor: ...
    def log_density(self, log_s: Tensor) -> Tensor: ...
    def log_atoms(self) -> dict[float, float]: ...
    def power(self, d: float) -> float: ...
    def log_max(self) -> float: ...


def nodes(law: Law, points: int, least: float) -> tuple[Tensor, Tensor]:
    """log s >= `least`, ascending, and weights to integrate over log s; twice (points,).

    Chebyshev's on each piece between the ends, gaps, jumps and poles of the density: the midpoint rule over
    their angle is exact to many digits even where the density grows or falls like a root. Of one orthogonal layer,
    whose density has poles of any power, Gauss–Legendre's of its slopes in z.
    """
    if law.one and law.bulk > ABOVE:
        return _slopes(law, points, least)
    edge, ends = law.log_max() / 2, pieces(law, least)
    shares = [len(part) for part in torch.arange(points).tensor_split(len(ends))]
    rules = [_chebyshev(*end, n) for end, n in zip(reversed(ends), shares, strict=True)]
    u, weight = (torch.cat(column) for column in zip(*rules, strict=True))
    return edge - u.exp(), weight * u.exp()


def _slopes(law: Law, points: int, least: float) -> tuple[Tensor, Tensor]:
    """As `nodes`, of one orthogonal layer: a node's weight is its probability over the density there, however high."""
    fall, mass = law.slopes.rule(points)
    fall, order = fall.sort(descending=True)
    log_s, mass = (law.log_scale - fall) / 2, mass[order]
    log_s = log_s.clamp_min(max(least, log_s[log_s.isfinite()].min().item()))
    for (
        atom
    ) in law.log_atoms():  # what is as near to it as the density does not reach stands beside it
        off = log_s - atom
        log_s = torch.where(off.abs() < GAP, atom + GAP * off.sign(), log_s)
    log_s, order = log_s.sort()
    density, mass = law.log_density(log_s), mass[order]
    none, some = (density <= 0).nonzero()[:, 0], (density > 0).nonzero()[:, 0]
    if len(none) and len(some):
        nearest = some[(log_s[none, None] - log_s[some]).abs().argmin(-1)]
        mass = mass.index_add(0, nearest, mass[none])
    return log_s, torch.where(density > 0, mass / density, 0)


def pieces(law: Law, least: float) -> list[tuple[float, float]]:
    """The places between which the bulk's density is smooth, from the upper edge down to log s = `least`."""
    edge = law.log_max() / 2
    u = _probes(law, edge, least)
    mass = law.bulk_above(edge - u.exp())
    inside = ((mass > ABOVE) & (mass < law.bulk - BELOW)).nonzero()
    if not len(inside):
        return [(u[0].item(), u[-1].item())]
    first, last = inside[0].item(), inside[-1].item()
    limits = torch.tensor([ABOVE, law.bulk - BELOW], dtype=torch.float64)
    low = torch.stack([u[max(first - 1, 0)], u[last]])
    high = torch.stack([u[first], u[min(last + 1, len(u) - 1)]])
    top, bottom = _passed(law, edge, low, high, limits)
    ends = sorted({top, bottom, *(c for c in _cuts(law, edge, u, mass) if top < c < bottom)})
    return [
        (a, b) for a, b in zip(ends[:-1], ends[1:], strict=True) if _holds(law, edge, a, b)
    ] or [(top, bottom)]


def _probes(law: Law, edge: float, least: float) -> Tensor:
    fall = law.slopes.fall[law.slopes.fall.isfinite()]
    far = 8 * (law.depth + 1) + law.depth * fall.max().item() / 2
    near = 1e-18 * law.width
    far = min(far, edge - least)
    return torch.linspace(math.log(near), math.log(far), PROBES, dtype=torch.float64)


def _cuts(law: Law, edge: float, u: Tensor, mass: Tensor) -> list[float]:
    """The inner places where the density may not be smooth: gaps, and poles where an atom has just vanished."""
    flat = (mass.diff() < HOLE) & (mass[1:] > BELOW) & (mass[:-1] < law.bulk - BELOW)
    begins = (flat & ~flat.roll(1)).nonzero()[:, 0]
    ends = (flat & ~flat.roll(-1)).nonzero()[:, 0] + 1
    level = mass[begins]
    slopes = law.slopes.atoms.items() if law.orthogonal else ()
    poles = [law.power(d) for d, mass in slopes if d and abs(law.depth * (1 - mass) - 1) < POLE]
    return [
        *(math.log(edge - at) for at in poles if at < edge),
        *_passed(law, edge, u[begins - 1], u[begins], level - HOLE),
        *_passed(law, edge, u[ends], u[ends + 1], level + HOLE),
    ]


def _passed(law: Law, edge: float, low: Tensor, high: Tensor, level: Tensor) -> list[float]:
    """Where the probability above passes `level`, between places; (k,) each."""
    share = torch.linspace(0, 1, SECTIONS + 1, dtype=torch.float64)
    for zoom in range(ZOOMS if len(level) else 0):
        u = low[:, None] + (high - low)[:, None] * share
        mass = law.bulk_above(edge - u.exp().flatten()).view(len(u), -1)
        i = (mass[:, 1:-1] < level[:, None]).sum(-1, keepdim=True)
        low, high = u.gather(1, i)[:, 0], u.gather(1, i + 1)[:, 0]
        between = mass.gather(1, i + 1) - mass.gather(1, i)
        if zoom + 1 >= LEAST_ZOOMS and between.max() < ABOVE:
            break
    return low.tolist()


def _holds(law: Law, edge: float, a: float, b: float) -> bool:
    above, below = law.bulk_above(edge - torch.tensor([a, b], dtype=torch.float64).exp())
    return (below - above).item() > SMALL


def _chebyshev(top: float, bottom: float, points: int) -> tuple[Tensor, Tensor]:
    """Of the first kind, inside the ends: at a pole the probability of the outermost angles is not 0."""
    angle = (torch.arange(points, dtype=torch.float64) + 0.5) * math.pi / points
    u = bottom + (top - bottom) * (1 - angle.cos()) / 2
    return u, (bottom - top) / 2 * angle.sin() * math.pi / points
