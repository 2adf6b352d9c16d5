"""Singular values of ∂h_L/∂h_l, the Jacobian of a network's trajectory, one matrix an example.

Axes: B examples, S starts l, n state size, T time steps. All n rows of a block of examples go from
h_L back to h_0 together, one product of (n·block, n) matrices a layer or time step, and are
∂h_L/∂h_l at every l on their way.
"""

import copy
import math
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from isogain.cores import log_abs_dets, singular_values
from isogain.diagnostics.exact import exact_logs, identities
from isogain.models.base import Network
from isogain.products import log_singular_values

ENTRIES = 2**19  # of all Jacobians at once: more fall out of a CPU's cache
FEWEST = 4  # examples at once all the same
LOOKS = (32, 8, 2)  # parts of the way, of which one each is looked at
RESCALE = 16  # steps from one power of two taken out of the rows to the next
ROUNDING = 1e-2  # relative error that a plain product's least singular value may have


class Spectra(NamedTuple):
    """Natural logarithms of singular values, descending (B, S, n), and which of them are `exact` (B, S).

    The others are of a plain product in the network's precision, with a condition number below `limit`.
    """

    logs: Tensor
    exact: Tensor
    limit: float


def jacobian_spectrum(net: Network, x: Tensor) -> Tensor:
    """Natural logarithms of the singular values of ∂h_L/∂h_0, descending, in float64; (B, n)."""
    return jacobian_spectra(net, x).logs[:, 0]


def jacobian_spectra(net: Network, x: Tensor, starts: Sequence[int] = (0,)) -> Spectra:
    """log σ(∂h_L/∂h_l) for every l in `starts`, 0 <= l < L: of any size, −inf where it is singular.

    A plain product, and for the examples that are too ill-conditioned for it graded QR decompositions
    in float64 (see `products`). Raises torch.linalg.LinAlgError where a Jacobian is not finite.
    """
    plain, single = _at_least_single(net, x)
    with torch.no_grad(), cached():
        found = [_plain_spectra(plain, *block, starts) for block in _blocks(plain, single)]
        logs, exact = torch.cat([f.logs for f in found]), torch.cat([f.exact for f in found])
        again = exact.any(1).nonzero().flatten().tolist()
        if again:
            own = [[start for start, e in zip(starts, exact[i], strict=True) if e] for i in again]
            logs[exact] = exact_logs(net, x[again], own)
    return Spectra(logs, exact, found[0].limit)


def jacobian(net: Network, x: Tensor) -> Tensor:
    """∂h_L/∂h_0 as a plain product in the network's precision; (B, n, n)."""
    with torch.no_grad(), cached():
        ends = [next(_sweep(net, *block, [0])) for block in _blocks(net, x)]
        return torch.cat([rows * scale.exp().to(rows) for _, rows, scale in ends])


def factor_spectra(net: Network, x: Tensor, at: Sequence[int]) -> Tensor:
    """log σ(∂h_{l+1}/∂h_l), descending, for every l in `at`, in float64; (B, S, n)."""
    precise = copy.deepcopy(net).double()
    with torch.no_grad(), cached():
        found = [
            [log_singular_values([precise.pull_(identities(hs[0]), step, hs, part)]) for step in at]
            for hs, part in _blocks(precise, x.double())
        ]
    return torch.cat([torch.stack(logs, 1) for logs in found])


def input_norms(net: Network, x: Tensor) -> Tensor:
    """log ‖∂h_T/∂x_t‖_F of a sequential network for t = 1 … T; (B, T)."""
    net, x = _at_least_single(net, x)
    with torch.no_grad(), cached():
        return torch.cat([_input_norms(net, *block) for block in _blocks(net, x)])


def _input_norms(net: Network, hs: list[Tensor], x: Tensor) -> Tensor:
    rows, scale, norms = identities(hs[0]), _no_scale(hs[0]), []
    for step in reversed(range(len(hs) - 1)):
        into_x = net.pull_input(rows, step, hs, x)
        norms.append(torch.linalg.matrix_norm(into_x).double().log() + scale.flatten())
        scale = _rescale_(net.pull_(rows, step, hs, x), scale)
    return torch.stack(norms[::-1], 1).cpu()


def _plain_spectra(net: Network, hs: list[Tensor], x: Tensor, starts: Sequence[int]) -> Spectra:
    """As far as every example is too ill-conditioned, which the product of the last few factors may show."""
    n, first, last = hs[0].shape[-1], min(starts), len(hs) - 1
    limit = ROUNDING / (n**0.5 * torch.finfo(hs[0].dtype).eps)
    looks = {last - (last - first) // part for part in LOOKS} - {last}
    unknown = torch.full_like(hs[0], torch.nan, dtype=torch.float64)
    found = dict.fromkeys(starts, (unknown, unknown[:, 0].isnan()))
    for step, rows, scale in _sweep(net, hs, x, {*starts, *looks}):
        if step in starts:
            finite = rows.isfinite().all(2).all(1).view(-1, 1, 1)
            s = singular_values(rows.double().where(finite, 0))
            found[step] = s.log() + scale.view(-1, 1), ~(s[:, -1] * limit > s[:, 0])  # True for NaN
        elif not (least_condition(rows) < limit).any():
            break
    logs, exact = zip(*(found[step] for step in starts), strict=True)
    return Spectra(torch.stack(logs, 1).cpu(), torch.stack(exact, 1).cpu(), limit)


def least_condition(a: Tensor) -> Tensor:
    """A lower bound of σ_max/σ_min, the root mean square of the singular values over their geometric mean: (B, n, n)
    -> (B,).
    """
    n = a.shape[-1]
    return torch.linalg.matrix_norm(a) / n**0.5 / (log_abs_dets(a) / n).exp()


def _sweep(
    net: Network, hs: list[Tensor], x: Tensor, at: Collection[int]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(l, R (B, n, n), c (B, 1, 1)) with ∂h_L/∂h_l = eᶜ R at every l in `at`, the last first; R goes on changing."""
    rows, scale = identities(hs[0]), _no_scale(hs[0])
    for step in reversed(range(min(at), len(hs) - 1)):
        net.pull_(rows, step, hs, x)
        if step % RESCALE == 0:
            scale = _rescale_(rows, scale)
        if step in at:
            yield step, rows, scale


def _rescale_(rows: Tensor, scale: Tensor) -> Tensor:
    """A power of two goes from every example's rows to its scale, which is returned."""
    exponent = rows.abs().amax((1, 2), keepdim=True).frexp().exponent.clamp(-120, 120)
    rows.mul_(torch.ones_like(scale, dtype=rows.dtype).ldexp(-exponent))  # ldexp of many is slow
    return scale + exponent.double() * math.log(2)


def _blocks(net: Network, x: Tensor) -> Iterator[tuple[list[Tensor], Tensor]]:
    """The trajectory of all examples, and then a few of them at a time: ([h_0, …, h_L], x)."""
    hs = net.trajectory(net.start(x), x)
    few = block(hs[0].shape[-1])
    for i in range(0, len(x), few):
        yield [h[i : i + few] for h in hs], x[i : i + few]


def block(n: int) -> int:
    """How many examples with a state of size n are measured at once."""
    return max(FEWEST, ENTRIES // n**2)


def _no_scale(h: Tensor) -> Tensor:
    return torch.zeros(len(h), 1, 1, dtype=torch.float64, device=h.device)


def _at_least_single(net: Network, x: Tensor) -> tuple[Network, Tensor]:
    """The network, or a copy in float32 where its precision is below that, and x in the same."""
    dtypes = {p.dtype for p in net.parameters()}
    if dtypes & {torch.float16, torch.bfloat16}:
        net, dtypes = copy.deepcopy(net).float(), {torch.float32}
    return net, x.to(dtypes.pop()) if len(dtypes) == 1 else x
