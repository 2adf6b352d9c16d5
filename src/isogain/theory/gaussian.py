"""Expectations of an activation under a Gaussian, by quadrature that is split where the activation bends.

Axes: any leading shape (a grid), and last the nodes. z is standard normal, x = shift + scale·z what
the activation sees.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from isogain.activations import ACTIVATIONS
from isogain.config.nearest import nearest

Phi = str | Callable[[Tensor], Tensor]
LEGENDRE = 16  # nodes a panel: polynomials of degree 31 are exact
TAIL = 10.0  # P(|z| > 10) = 1.5e-23
FAR = 64.0  # where the search for bends ends
FINEST = 1e-14  # of |x|, or of 1: the width at which the search for a kink ends
PIECE = 256  # expectations at once: more fall out of a CPU's cache
SPLITS = 4096  # a function that needs more panels is not piecewise smooth

_u, _weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(LEGENDRE))
_to_legendre = torch.from_numpy(
    np.polynomial.legendre.legvander(_u.numpy(), LEGENDRE - 1).T
    * _weights.numpy()
    * (np.arange(LEGENDRE)[:, None] + 0.5)
)  # values at the nodes -> coefficients of Legendre polynomials
_spread = torch.arange(-TAIL, TAIL + 1, 2, dtype=torch.float64)  # resolves the normal density


@dataclass(frozen=True, eq=False)
class Pointwise:
    """φ and φ', the x between which both are polynomials to rounding, and those of them that are kinks."""

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    breaks: Tensor
    kinks: Tensor


def named(phi: Phi) -> str:
    """φ in a message."""
    return phi if isinstance(phi, str) else getattr(phi, "__name__", "phi")


@lru_cache(maxsize=64)
def pointwise(phi: Phi) -> Pointwise:
    """An activation of `activations.py` or any elementwise callable on float64 tensors, taken apart.

    A callable's φ' is autograd's. Bends and kinks are looked for in |x| <= 64, by bisection to 1e-14: up to
    q = 40 no Gaussian sees more, and beyond only what goes on smoothly to infinity is accurate.
    """
    function, derivative = _functions(phi)
    dyadic = 2.0 ** torch.arange(0, 140, dtype=torch.float64)
    out = torch.cat([-dyadic.flip(0), torch.zeros(1, dtype=torch.float64), dyadic])
    near = out[out.abs() <= FAR]
    todo, breaks = torch.stack([near[:-1], near[1:]], -1), [out]
    while len(todo):
        smooth = _is_polynomial(function, todo) & _is_polynomial(derivative, todo)
        todo = todo[~smooth]
        middle = todo.mean(-1)
        breaks.append(middle)
        wide = todo.diff(dim=-1)[:, 0] > FINEST * middle.abs().clamp_min(1)
        todo, middle = todo[wide], middle[wide]
        todo = torch.stack([todo[:, 0], middle, middle, todo[:, 1]], -1).view(-1, 2)
        if len(todo) > SPLITS:
            raise ValueError("phi is not smooth between a few kinks: no quadrature can be trusted")
    ends = torch.cat(breaks).unique()
    return Pointwise(function, derivative, ends, ends[_is_kink(derivative, ends)])


def _functions(phi: Phi) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    if phi == "modrelu":
        raise ValueError(
            "phi must not be modrelu: mean-field theory needs one function for all units"
        )
    if isinstance(phi, str):
        if phi not in ACTIVATIONS:
            raise ValueError(f"phi has no activation '{phi}'; {nearest(phi, ACTIVATIONS)}")
        return ACTIVATIONS[phi].function, ACTIVATIONS[phi].derivative

    @torch.enable_grad()
    def derivative(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(phi(x).sum(), x)[0]

    return lambda x: phi(x).detach(), derivative


def _is_polynomial(f: Callable[[Tensor], Tensor], panels: Tensor) -> Tensor:
    """Whether the last Legendre coefficients of f vanish to rounding on each panel [a, b]; (n, 2) -> (n,)."""
    values = f(_on(panels[:, :1], panels[:, 1:])[..., 0, :])
    if not values.isfinite().all():
        raise ValueError("phi must be finite, with its derivative, wherever |x| <= 64")
    last = (values @ _to_legendre.mT)[:, -3:].abs().amax(-1)
    return last <= 1e-14 + 1e-13 * values.abs().amax(-1)


def _is_kink(derivative: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-6) -> Tensor:
    """Whether φ' or φ'' jumps at x; (n,) -> (n,)."""
    slopes = derivative(x[:, None] + step * torch.tensor([-2.0, -1, 1, 2], dtype=torch.float64))
    before, across, after = slopes.diff().abs().unbind(-1)
    return ((across > 1e-4) | ((after - before).abs() > 1e-3 * step)) & (x.abs() <= FAR)


def _on(low: Tensor, high: Tensor) -> Tensor:
    """Legendre's nodes on the panels from low to high; (...) -> (..., nodes)."""
    return ((low + high) / 2)[..., None] + ((high - low) / 2)[..., None] * _u


def panels(point: Pointwise, scale: Tensor, shift: Tensor | float = 0.0) -> Tensor:
    """The z, ascending, between which φ(shift + scale·z) and the normal density are smooth; (...) -> (..., breaks)."""
    scale = scale.clamp_min(1e-150)
    shift = torch.as_tensor(shift, dtype=torch.float64).expand_as(scale)
    reach = (shift.abs() + TAIL * scale).max().item() if scale.numel() else 0.0
    x = point.breaks[point.breaks.abs() < reach]
    z = ((x - shift[..., None]) / scale[..., None]).clamp(-TAIL, TAIL)
    return torch.cat([z, _spread.expand(*scale.shape, -1)], -1).sort(-1).values


def nodes(breaks: Tensor) -> tuple[Tensor, Tensor]:
    """z and its weight under the normal density, panel by panel; (..., breaks) -> twice (..., nodes)."""
    low, high = breaks[..., :-1], breaks[..., 1:]
    z = _on(low, high)
    weight = (
        (-z.square() / 2).exp_() * ((high - low)[..., None] / math.sqrt(8 * math.pi)) * _weights
    )
    return z.flatten(-2), weight.flatten(-2)


def legendre(low: float, high: float, points: int) -> tuple[Tensor, Tensor]:
    """z, ascending, and its weight under the normal density, by one rule from low to high; twice (points,)."""
    u, weight = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(points))
    z = (low + high) / 2 + (high - low) / 2 * u
    return z, (-z.square() / 2).exp() * ((high - low) / math.sqrt(8 * math.pi)) * weight


def expect(f: Callable[[Tensor, Tensor], Tensor], point: Pointwise, q: Tensor) -> Tensor:
    """E[f(√q z, z)] for f made of φ and φ', at least ten digits where q <= 40; q (...) -> (..., *q's shape).

    f takes x and z (n, nodes), and gives one result (n, nodes) or several (..., n, nodes).
    """
    means = []
    for part in q.flatten().split(PIECE):
        z, weight = nodes(panels(point, part.sqrt()))
        means.append((f(part.sqrt()[:, None] * z, z) * weight).sum(-1))
    whole = torch.cat(means, -1)
    return whole.view((*whole.shape[:-1], *q.shape))


def expect_pair(f: Callable[[Tensor], Tensor], point: Pointwise, q: float, c: float) -> float:
    """E[f(x)f(y)] for jointly normal x, y of variance q and correlation c; f is φ or φ'."""
    scale, rest = math.sqrt(q), math.sqrt(max(0.0, 1 - c * c))
    outer = torch.tensor(scale, dtype=torch.float64)
    breaks = [panels(point, outer)]
    if c:  # E[f(y) | x] bends where y does, and smoothly over the width of y given x
        widths = (
            rest / abs(c) * torch.tensor([-8.0, -4, -2, -1, 0, 1, 2, 4, 8], dtype=torch.float64)
        )
        soft = point.kinks[:, None] / (max(scale, 1e-150) * c) + widths
        smooth = point.breaks / (max(scale, 1e-150) * c)
        breaks += [b.flatten()[b.flatten().abs() < TAIL] for b in (soft, smooth)]
    z, weight = nodes(torch.cat(breaks).sort().values)
    inner = torch.full_like(z, scale * rest)
    y, other = nodes(panels(point, inner, scale * c * z))
    given = (f(scale * (c * z[:, None] + rest * y)) * other).sum(-1)
    return (f(scale * z) * given * weight).sum().item()
