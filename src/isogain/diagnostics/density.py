"""The density of a Jacobian's singular values by stochastic Lanczos quadrature, with an error estimate.

Axes: B examples, P probes, k Lanczos steps, A points, m = min(n_0, n_L) singular values, n the widest state.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isogain.config.ranges import at_least, positive
from isogain.diagnostics.precision import precise, widths
from isogain.diagnostics.pulled import no_scale, pull_scaled_
from isogain.diagnostics.step import push as push_step
from isogain.models.trajectory import Batch, Trajectory

ENTRIES = 2**23  # of the Lanczos vectors of some examples, measured at once
SHORTER = 3 / 4  # of the steps: what fewer of them give shows what the last ones have changed

Product = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Density:
    """Gauss quadratures of the spectral measure of JᵀJ (or JJᵀ, the smaller), one a probe.

    logs, weights  nodes log σ and their weights, which sum to one; (B, P, k)
    shorter        nodes and weights of three quarters of the steps
    count          m, the number of singular values
    resolved       log of the least σ that float64 tells from 0 beside the largest; (B,). Of nodes below it only the
                   weight is known

    >>> logs, weights = torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[0.5, 0.5]]])
    >>> Density(logs, weights, (logs, weights), 2, torch.tensor([-34.0])).cdf(torch.tensor([0.5]))[0]
    tensor([[0.5000]])
    """

    logs: Tensor
    weights: Tensor
    shorter: tuple[Tensor, Tensor]
    count: int
    resolved: Tensor

    def mean(self, function: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Σ f(log σ_i)/m over all singular values and its error, (B, ...) each, for an f that maps (...) to (..., *A).

        The error is the standard error between probes plus what the last quarter of the steps has changed.
        """
        by_probe = _quadrature(function, self.logs, self.weights)
        fewer = _quadrature(function, *self.shorter).mean(1)
        value, probes = by_probe.mean(1), by_probe.shape[1]
        left = (self.count - probes) / max(
            self.count - 1, 1
        )  # probes are orthogonal: m of them leave no error
        spread = by_probe.var(1, correction=min(1, probes - 1)) * left / probes
        return value, spread.sqrt() + (value - fewer).abs()

    def cdf(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """The fraction of singular values with log σ <= `at` (A,), and its error; (B, A) each."""
        return self.mean(lambda logs: (logs.unsqueeze(-1) <= at.to(logs)).to(logs))

    def density(self, at: Tensor, width: float) -> tuple[Tensor, Tensor]:
        """The density of log σ at `at` (A,), each value a Gaussian of standard deviation `width` in nats; (B, A).

        Lin, Saad and Yang 2016, section 3.2.3. A Gauss rule is exact where `width` is large beside the gaps of nodes.
        """
        width = positive("width", width)

        def gaussians(logs: Tensor) -> Tensor:
            z = (at.to(logs) - logs.unsqueeze(-1)) / width
            return (-z.square() / 2).exp() / (width * math.sqrt(2 * math.pi))

        return self.mean(gaussians)


def jacobian_density(net: Trajectory, x: Any, steps: int = 64, probes: int = 8) -> Density:
    """The density of the log singular values of ∂h_L/∂h_0, from `steps` products with J and Jᵀ a probe, J never formed.

    φ(JᵀJ) = tr f/m is estimated by vᵀf(JᵀJ)v for `probes` orthogonal random v of length one, each by the Gauss rule of
    Golub and Kahan's bidiagonalisation from v, re-orthogonalised. Lengths of products are kept apart, so J may have any
    size; what lies 15 digits below its largest value is known by its weight alone. With `steps` and `probes` from
    min(n_0, n_L) on it is exact. Raises ValueError for fewer than two probes or steps. Lin, Saad and Yang 2016
    (Approximating spectral densities of large matrices), section 3.2; Ubaru, Chen and Saad 2017 (Fast estimation of
    tr(f(A)) via stochastic Lanczos quadrature).

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=8, depth=4, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 1.1)
    >>> value, error = jacobian_density(net, torch.ones(1, 2)).mean(lambda logs: logs)
    >>> value.round(decimals=4), bool(error < 1e-12)  # 4 log 1.1
    (tensor([0.3812], dtype=torch.float64), True)
    """
    at_least("steps", steps, 2)
    at_least("probes", probes, 2)
    _, net, hs, x = precise(net, x)
    n_0, *_, n_end = widths(hs, x)
    count = min(n_0, n_end)
    steps, probes = min(steps, count), min(probes, count)
    few = max(1, ENTRIES // (steps * probes * hs[0].shape[-1]))
    with torch.no_grad():
        parts = []
        for i in range(0, len(x), few):
            index = [b for b in range(i, min(i + few, len(x))) for _ in range(probes)]
            some = [h[index] for h in hs]
            parts.append(_bidiagonal(net, some, x[index], steps, probes, (n_0, n_end)))
        alphas, betas, scale = (torch.cat(part) for part in zip(*parts, strict=True))
        logs, weights = _gauss_rule(alphas, betas, scale)
        shorter = max(1, int(SHORTER * steps))
        fewer = _gauss_rule(alphas[:, :, :shorter], betas[:, :, :shorter], scale)
    top = logs.amax((1, 2)) + math.log(steps * torch.finfo(torch.float64).eps)
    return Density(logs, weights, fewer, count, top)


def _bidiagonal(
    net: Trajectory, hs: list[Tensor], x: Batch, steps: int, probes: int, sizes: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """α (B, P, k), β (B, P, k) and c (B, P, 1) of bidiagonal matrices eᶜ B, α_i on B's diagonal and β_i right of it."""
    push, pull = _products(net, hs, x)
    if sizes[0] > sizes[1]:
        push, pull, sizes = pull, push, sizes[::-1]
    v = _probes(hs[0], sizes[0], probes)
    vs, us, scale = v.unsqueeze(1), v.new_empty(len(v), 0, v.shape[-1]), push(v)[1]
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    for _ in range(steps):
        w, c = push(vs[:, -1])
        u, alpha = _normalised(_outside(w * (c - scale).exp(), us))
        us, alphas = torch.cat([us, u.unsqueeze(1)], 1), [*alphas, alpha]
        w, c = pull(u)
        v, beta = _normalised(_outside(w * (c - scale).exp(), vs))
        vs, betas = torch.cat([vs, v.unsqueeze(1)], 1), [*betas, beta]
    alpha, beta, c = (
        part.unflatten(0, (-1, probes))
        for part in (torch.cat(alphas, 1), torch.cat(betas, 1), scale)
    )
    return alpha, beta, c


def _products(net: Trajectory, hs: list[Tensor], x: Batch) -> tuple[Product, Product]:
    """v ↦ (w, c) with Jv = eᶜ w and with Jᵀv = eᶜ w, for v and w (B, n) and c (B, 1)."""
    last = len(hs) - 1

    def push(v: Tensor) -> tuple[Tensor, Tensor]:
        scale = v.new_zeros(len(v), 1)
        for step in range(last):
            v, size = _normalised(push_step(net, v, step, hs, x))
            scale = scale + size.where(size > 0, 1).log()
        return v, scale

    def pull(u: Tensor) -> tuple[Tensor, Tensor]:
        rows, scale = u.unsqueeze(1).clone(), no_scale(u)
        for step in reversed(range(last)):
            scale = pull_scaled_(net, rows, scale, step, hs, x)
        return rows.squeeze(1), scale.squeeze(1)

    return push, pull


def _probes(like: Tensor, size: int, probes: int) -> Tensor:
    """Orthonormal vectors in the first `size` of n coordinates, the same for every example: (B·P, n)."""
    draw = torch.Generator().manual_seed(0)  # its own: a look changes nothing
    drawn = torch.randn(size, probes, generator=draw, dtype=torch.float64)
    v = like.new_zeros(probes, like.shape[-1])
    v[:, :size] = torch.linalg.qr(drawn).Q.mT.to(like)
    return v.repeat(len(like) // probes, 1)


def _outside(v: Tensor, basis: Tensor) -> Tensor:
    """The part of v (B, n) outside the span of the basis (B, k, n), twice is enough."""
    for _ in range(2):
        v = v - ((basis @ v.unsqueeze(-1)) * basis).sum(1)
    return v


def _normalised(v: Tensor) -> tuple[Tensor, Tensor]:
    """v/‖v‖ and ‖v‖ (B, 1), without under- or overflow of squares; 0 of 0."""
    if not v.isfinite().all():
        raise torch.linalg.LinAlgError("a product with the Jacobian is not finite")
    largest = v.abs().amax(-1, keepdim=True)
    v = v / largest.where(largest > 0, 1)
    norm = v.norm(dim=-1, keepdim=True)
    return v / norm.where(norm > 0, 1), largest * norm


def _gauss_rule(alphas: Tensor, betas: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """log σ and weights of bidiagonal matrices: squares of the first entries of right singular vectors; (B, P, k)."""
    b = torch.diag_embed(alphas) + torch.diag_embed(betas[..., :-1], 1)
    _, s, right = torch.linalg.svd(b)
    return s.log() + scale, right[..., 0].square()


def _quadrature(function: Callable[[Tensor], Tensor], logs: Tensor, weights: Tensor) -> Tensor:
    """Σ w f(log σ) over the nodes; (B, P, ...). A node without weight counts nothing, whatever f is there."""
    values = function(logs)
    weights = weights.reshape(*weights.shape, *(1,) * (values.dim() - weights.dim())).to(values)
    return (weights * values).where(weights > 0, 0).sum(2)
