"""∂h_L/∂h_l as a plain product in the network's precision, and how far its singular values can be trusted.

Axes: B examples, S starts l, n state size.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from isogain.diagnostics.exact import identities
from isogain.diagnostics.pulled import no_scale, rescale_
from isogain.diagnostics.step import pull_
from isogain.linalg.per_core import each, log_abs_dets, singular_values
from isogain.models.trajectory import Batch, Trajectory

LOOKS = (32, 8, 2)  # parts of the way, of which one each is looked at
RESCALE = 16  # steps from one power of two taken out of the rows to the next
ROUNDING = 1e-2  # relative error of a plain product's least singular value above which it is not even estimated
PROBES = 4  # random rows, carried in float64 beside a plain product
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}  # nats


class Spectra(NamedTuple):
    """Natural logarithms of singular values, descending (B, S, n), and which of them are `exact` (B, S).

    The others are of a plain product in the network's precision, with a condition number below `limit` and a measured
    error below TOLERANCE.

    >>> Spectra(torch.zeros(1, 1, 2), torch.tensor([[True]]), limit=1e3).logs.exp()
    tensor([[[1., 1.]]])
    """

    logs: Tensor
    exact: Tensor
    limit: float


def plain_spectra(
    net: Trajectory, hs: list[Tensor], x: Batch, starts: Sequence[int], dtype: torch.dtype
) -> Spectra:
    """As far as every example is too ill-conditioned, which the product of the last few factors may show."""
    first, last, limit = min(starts), len(hs) - 1, plain_limit(hs[0], dtype)
    looks = {last - (last - first) // part for part in LOOKS} - {last}
    unknown = torch.full_like(hs[0], torch.nan, dtype=torch.float64)
    results = dict.fromkeys(starts, (unknown, unknown[:, 0].isnan()))
    for step, rows, scale, *probed in sweep(net, hs, x, {*starts, *looks}, dtype):
        if step in starts:
            finite = rows.isfinite().all(2).all(1).view(-1, 1, 1)
            plain = rows.double().where(finite, 0)
            s = singular_values(plain)
            lost = ~(s[:, -1] * limit > s[:, 0])  # True for NaN
            kept = ~lost
            losses = _losses(*(part[kept] for part in (plain, scale, *probed)))
            lost[kept] = ~(losses < TOLERANCE[dtype])
            results[step] = s.log() + scale.view(-1, 1), lost
        elif not (least_condition(rows) < limit).any():
            break
    logs, exact = zip(*(results[step] for step in starts), strict=True)
    return Spectra(torch.stack(logs, 1).cpu(), torch.stack(exact, 1).cpu(), limit)


def plain_limit(h: Tensor, dtype: torch.dtype) -> float:
    """The condition number from which on a plain product is not looked into."""
    return ROUNDING / (h.shape[-1] ** 0.5 * torch.finfo(dtype).eps)


def sweep(
    net: Trajectory,
    hs: list[Tensor],
    x: Batch,
    at: Collection[int],
    dtype: torch.dtype,
    rescale: int = RESCALE,
) -> Iterator[tuple[int, Tensor, Tensor, Tensor, Tensor]]:
    """(l, R (B, n, n), c (B, 1, 1), P (B, PROBES, n), d (B, 1, 1)) at every l in `at`, the last first; R and P go on
    changing. ∂h_L/∂h_l = eᶜ R in the precision `dtype`, and Ω ∂h_L/∂h_l = eᵈ P in float64.
    """
    rows, scale = identities(hs[0]).to(dtype), no_scale(hs[0])
    probes, probes_scale = _random_rows(hs[0]).repeat(len(hs[0]), 1, 1), scale
    for step in reversed(range(min(at), len(hs) - 1)):
        pull_(net, rows, step, hs, x)
        pull_(net, probes, step, hs, x)
        if step % rescale == 0:
            scale, probes_scale = rescale_(rows, scale), rescale_(probes, probes_scale)
        if step in at:
            yield step, rows, scale, probes, probes_scale


def _losses(plain: Tensor, scale: Tensor, probes: Tensor, probes_scale: Tensor) -> Tensor:
    """About ‖E‖_F for the R (B, n, n) = (I + E) J in eᶜ R, of which no logarithm of a singular value is further off
    (Ostrowski 1959), from probes ΩJ carried in float64; (B,).
    """
    omega = _random_rows(plain)
    error = omega @ plain - probes * (probes_scale - scale).exp()
    errors = each(lambda i: torch.linalg.solve(plain[i], error[i], left=False), len(plain))
    return torch.stack([e.norm() / PROBES**0.5 for e in errors]) if errors else plain.new_empty(0)


def _random_rows(h: Tensor) -> Tensor:
    """Ω, standard normal, always the same; (PROBES, n)."""
    draw = torch.Generator().manual_seed(0)
    return torch.randn(PROBES, h.shape[-1], generator=draw, dtype=torch.float64).to(h.device)


def least_condition(a: Tensor) -> Tensor:
    """A lower bound of σ_max/σ_min, the root mean square of the singular values over their geometric mean: (B, n, n)
    -> (B,).
    """
    n = a.shape[-1]
    return torch.linalg.matrix_norm(a) / n**0.5 / (log_abs_dets(a) / n).exp()
