"""Singular values of ∂h_L/∂h_l, the Jacobian of a network's trajectory, one matrix an example.

Axes: B examples, S starts l, n state size, T time steps. All n rows of a block of examples go from
h_L back to h_0 together, one product of (n·block, n) matrices a layer or time step, and are
∂h_L/∂h_l at every l on their way.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from isogain.diagnostics.exact import exact_logs, identities
from isogain.diagnostics.gram import bare
from isogain.diagnostics.pulled import pull_input_scaled, pull_scaled_, rescale_
from isogain.linalg.per_core import each, log_abs_dets, singular_values
from isogain.models.base import Network
from isogain.models.factors import States

ENTRIES = 2**19  # of all Jacobians at once: more fall out of a CPU's cache
FEWEST = 4  # examples at once all the same
LOOKS = (32, 8, 2)  # parts of the way, of which one each is looked at
RESCALE = 16  # steps from one power of two taken out of the rows to the next
ROUNDING = 1e-2  # relative error of a plain product's least singular value above which it is not even estimated
PROBES = 4  # random rows, carried in float64 beside a plain product
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}  # nats


class Spectra(NamedTuple):
    """Natural logarithms of singular values, descending (B, S, n), and which of them are `exact` (B, S).

    The others are of a plain product in the network's precision, with a condition number below `limit` and a measured
    error below TOLERANCE.
    """

    logs: Tensor
    exact: Tensor
    limit: float


def jacobian_spectrum(net: Network, x: Tensor) -> Tensor:
    """Natural logarithms of the singular values of ∂h_L/∂h_0, descending, in float64; (B, n)."""
    return jacobian_spectra(net, x).logs[:, 0]


def jacobian_spectra(net: Network, x: Tensor, starts: Sequence[int] = (0,)) -> Spectra:
    """log σ(∂h_L/∂h_l) for every l in `starts`, 0 <= l < L: of any size, −inf where it is singular.

    To 1e-3 nats (1e-6 of a network in float64) along the trajectory that float64 computes of the network's own weights:
    a plain product in the network's precision, and for the examples that are too ill-conditioned for it, at the end or
    on the way, graded QR decompositions in float64 (see `products`), or in twice its digits. NaN, all of a Jacobian,
    where these do not decide it: a long power of one large Jordan block. Raises torch.linalg.LinAlgError where a
    Jacobian is not finite.
    """
    dtype, net, hs, x = precise(net, x)
    with torch.no_grad():
        found = [_plain_spectra(net, *block, starts, dtype) for block in _blocks(hs, x)]
        logs, exact = torch.cat([f.logs for f in found]), torch.cat([f.exact for f in found])
        again = exact.any(1).nonzero().flatten().tolist()
        if again:
            own = [[start for start, e in zip(starts, exact[i], strict=True) if e] for i in again]
            some = [h[again] for h in hs]
            logs[exact] = exact_logs(net, some, x[again], own, TOLERANCE[dtype])
    return Spectra(logs, exact, found[0].limit)


def jacobian(net: Network, x: Tensor) -> Tensor:
    """∂h_L/∂h_0 as a plain product in the network's precision; (B, n, n).

    Raises torch.linalg.LinAlgError where it leaves the range of that: `jacobian_spectrum` measures logarithms.
    """
    dtype, net, hs, x = precise(net, x)
    with torch.no_grad():
        found = torch.cat([_within_range(net, *block, dtype) for block in _blocks(hs, x)])
    return found


def _within_range(net: Network, hs: list[Tensor], x: Tensor, dtype: torch.dtype) -> Tensor:
    _, rows, scale, *_ = next(_sweep(net, hs, x, [0], dtype, rescale=1))
    logs, limits = rows.abs().amax((1, 2)).log() + scale.flatten(), torch.finfo(dtype)
    if (logs == -torch.inf).any():  # of zeros, or of slopes that are zero in this precision
        full, size = identities(hs[0]), _no_scale(hs[0])
        for step in reversed(range(len(hs) - 1)):
            size = pull_scaled_(net, full, size, step, hs, x)
        logs = full.abs().amax((1, 2)).log() + size.flatten()
    outside = (logs < math.log(limits.tiny)) & (logs > -torch.inf) | (logs > math.log(limits.max))
    if outside.any():
        raise torch.linalg.LinAlgError(
            f"the Jacobian's largest entry is e^{logs[outside][0]:.0f}, beyond {str(dtype)[6:]}: "
            "take jacobian_spectrum, which measures logarithms"
        )
    return rows * scale.exp().to(rows)


def factor_spectra(net: Network, x: Tensor, at: Sequence[int]) -> Tensor:
    """log σ(∂h_{l+1}/∂h_l), descending, for every l in `at`, in float64; (B, S, n). NaN as in `jacobian_spectra`."""
    dtype, net, hs, x = precise(net, x)
    with torch.no_grad():
        found = [
            exact_logs(net, hs[: step + 2], x, [[step]] * len(x), TOLERANCE[dtype]) for step in at
        ]
    return torch.stack(found, 1)


def input_norms(net: Network, x: Tensor) -> Tensor:
    """log ‖∂h_T/∂x_t‖_F of a sequential network for t = 1 … T; (B, T)."""
    _, net, hs, x = precise(net, x)
    with torch.no_grad():
        return torch.cat([_input_norms(net, *block) for block in _blocks(hs, x)])


def _input_norms(net: Network, hs: list[Tensor], x: Tensor) -> Tensor:
    rows, scale, norms = identities(hs[0]), _no_scale(hs[0]), []
    for step in reversed(range(len(hs) - 1)):
        into_x, own = pull_input_scaled(net, rows, scale, step, hs, x)
        own = rescale_(into_x, own)
        norms.append(torch.linalg.matrix_norm(into_x).log() + own.flatten())
        scale = pull_scaled_(net, rows, scale, step, hs, x)
    return torch.stack(norms[::-1], 1).cpu()


def precise(net: Network, x: Tensor) -> tuple[torch.dtype, Network, list[Tensor], Tensor]:
    """A network's precision (at least float32), itself in float64, its trajectory of x, and x, for measurements.

    Slopes and trajectories of all examples come of one pass in float64, whatever is then done with some of them: a
    chaotic network shows the last digit of every state.
    """
    single = {torch.float16, torch.bfloat16, torch.float32}
    dtype = torch.float32 if {p.dtype for p in net.parameters()} & single else torch.float64
    with torch.no_grad(), cached():
        net, x = bare(net, torch.float64).requires_grad_(False), x.double()
        return dtype, net, net.trajectory(net.start(x), x), x


def _plain_spectra(
    net: Network, hs: list[Tensor], x: Tensor, starts: Sequence[int], dtype: torch.dtype
) -> Spectra:
    """As far as every example is too ill-conditioned, which the product of the last few factors may show."""
    n, first, last = hs[0].shape[-1], min(starts), len(hs) - 1
    limit = ROUNDING / (n**0.5 * torch.finfo(dtype).eps)
    looks = {last - (last - first) // part for part in LOOKS} - {last}
    unknown = torch.full_like(hs[0], torch.nan, dtype=torch.float64)
    found = dict.fromkeys(starts, (unknown, unknown[:, 0].isnan()))
    for step, rows, scale, *probed in _sweep(net, hs, x, {*starts, *looks}, dtype):
        if step in starts:
            finite = rows.isfinite().all(2).all(1).view(-1, 1, 1)
            plain = rows.double().where(finite, 0)
            s = singular_values(plain)
            lost = ~(s[:, -1] * limit > s[:, 0])  # True for NaN
            kept = ~lost
            losses = _losses(*(part[kept] for part in (plain, scale, *probed)))
            lost[kept] = ~(losses < TOLERANCE[dtype])
            found[step] = s.log() + scale.view(-1, 1), lost
        elif not (least_condition(rows) < limit).any():
            break
    logs, exact = zip(*(found[step] for step in starts), strict=True)
    return Spectra(torch.stack(logs, 1).cpu(), torch.stack(exact, 1).cpu(), limit)


def _losses(plain: Tensor, scale: Tensor, probes: Tensor, probes_scale: Tensor) -> Tensor:
    """About ‖E‖_F for the R (B, n, n) = (I + E) J in eᶜ R, of which no logarithm of a singular value is further off
    (Ostrowski 1959), from probes ΩJ carried in float64; (B,).
    """
    omega = _random_rows(plain)
    error = omega @ plain - probes * (probes_scale - scale).exp()
    found = each(lambda i: torch.linalg.solve(plain[i], error[i], left=False), len(plain))
    return torch.stack([e.norm() / PROBES**0.5 for e in found]) if found else plain.new_empty(0)


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


def _sweep(
    net: Network,
    hs: list[Tensor],
    x: Tensor,
    at: Collection[int],
    dtype: torch.dtype,
    rescale: int = RESCALE,
) -> Iterator[tuple[int, Tensor, Tensor, Tensor, Tensor]]:
    """(l, R (B, n, n), c (B, 1, 1), P (B, PROBES, n), d (B, 1, 1)) at every l in `at`, the last first; R and P go on
    changing. ∂h_L/∂h_l = eᶜ R in the precision `dtype`, and Ω ∂h_L/∂h_l = eᵈ P in float64.
    """
    rows, scale = identities(hs[0]).to(dtype), _no_scale(hs[0])
    probes, probes_scale = _random_rows(hs[0]).repeat(len(hs[0]), 1, 1), scale
    for step in reversed(range(min(at), len(hs) - 1)):
        net.pull_(rows, step, hs, x)
        net.pull_(probes, step, hs, x)
        if step % rescale == 0:
            scale, probes_scale = rescale_(rows, scale), rescale_(probes, probes_scale)
        if step in at:
            yield step, rows, scale, probes, probes_scale


def _blocks(hs: list[Tensor], x: Tensor) -> Iterator[tuple[list[Tensor], Tensor]]:
    """The trajectory of a few examples at a time: ([h_0, …, h_L], x)."""
    few = block(hs[0].shape[-1])
    for i in range(0, len(x), few):
        yield States(h[i : i + few] for h in hs), x[i : i + few]


def block(n: int) -> int:
    """How many examples with a state of size n are measured at once."""
    return max(FEWEST, ENTRIES // n**2)


def _no_scale(h: Tensor) -> Tensor:
    return torch.zeros(len(h), 1, 1, dtype=torch.float64, device=h.device)
