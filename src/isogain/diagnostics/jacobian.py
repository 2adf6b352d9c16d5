"""Singular values of ∂h_L/∂h_l, the Jacobian of a network's trajectory, one matrix an example.

Axes: B examples, S starts l, n state size, T time steps. All n rows of a block of examples go from
h_L back to h_0 together, one product of (n·block, n) matrices a layer or time step, and are
∂h_L/∂h_l at every l on their way.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from isogain.diagnostics.blocks import blocks
from isogain.diagnostics.exact import exact_logs, identities
from isogain.diagnostics.plain_product import TOLERANCE, Spectra, plain_limit, plain_spectra, sweep
from isogain.diagnostics.precision import Measured, precise, widths
from isogain.diagnostics.pulled import no_scale, pull_input_scaled, pull_scaled_, rescale_
from isogain.diagnostics.rectangular import check_dense, rectangular_logs
from isogain.models.base import Network
from isogain.models.trajectory import Batch, Trajectory


def jacobian_spectrum(net: Trajectory, x: Any) -> Tensor:
    """Natural logarithms of the singular values of ∂h_L/∂h_0, descending, in float64; (B, min(n_0, n_L)).

    −inf exactly for those beyond a narrower state between. Of what `along` makes of a module x may be a tuple or a dict
    of arguments.

    Of four linear layers, 1.1 times orthogonal, all are 4 log 1.1.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=2, depth=4, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 1.1)
    >>> jacobian_spectrum(net, torch.ones(1, 2).double()).round(decimals=4)
    tensor([[0.3812, 0.3812]], dtype=torch.float64)
    """
    return jacobian_spectra(net, x).logs[:, 0]


def jacobian_spectra(net: Trajectory, x: Any, starts: Sequence[int] = (0,)) -> Spectra:
    """log σ(∂h_L/∂h_l) for every l in `starts`, 0 <= l < L: of any size, −inf where it is singular.

    To 1e-3 nats (1e-6 of a network in float64) along the trajectory that float64 computes of the network's own weights:
    a plain product in the network's precision, and for the examples that are too ill-conditioned for it, at the end or
    on the way, graded QR decompositions in float64 (see `products`), or in twice its digits. NaN, all of a Jacobian,
    where these do not decide it: a long power of one large Jordan block. Raises torch.linalg.LinAlgError where a
    Jacobian is not finite. Where widths differ all are graded, each has min(n_l, n_L) values, and NaN fills up.

    Of four linear layers, 1.1 times orthogonal, those from h_l on are (4 − l) log 1.1.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=2, depth=4, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 1.1)
    >>> jacobian_spectra(net, torch.ones(1, 2).double(), [0, 2]).logs[0].round(decimals=4)
    tensor([[0.3812, 0.3812],
            [0.1906, 0.1906]], dtype=torch.float64)
    """
    measured = precise(net, x)
    with torch.no_grad():
        check_dense(measured.hs, measured.x)
        sizes = set(widths(measured.hs, measured.x))
        return _square(measured, starts) if len(sizes) == 1 else _rectangular(measured, starts)


def _square(measured: Measured, starts: Sequence[int]) -> Spectra:
    dtype, net, hs, x = measured
    parts = [plain_spectra(net, *block, starts, dtype) for block in blocks(hs, x)]
    logs, exact = torch.cat([p.logs for p in parts]), torch.cat([p.exact for p in parts])
    again = exact.any(1).nonzero().flatten().tolist()
    if again:
        own = [[start for start, e in zip(starts, exact[i], strict=True) if e] for i in again]
        some = [h[again] for h in hs]
        logs[exact] = exact_logs(net, some, x[again], own, TOLERANCE[dtype])
    return Spectra(logs, exact, parts[0].limit)


def _rectangular(measured: Measured, starts: Sequence[int]) -> Spectra:
    dtype, net, hs, x = measured
    logs = rectangular_logs(net, hs, x, starts, TOLERANCE[dtype])
    return Spectra(logs, torch.ones(logs.shape[:2], dtype=torch.bool), plain_limit(hs[0], dtype))


def jacobian(net: Trajectory, x: Any) -> Tensor:
    """∂h_L/∂h_0 as a plain product in the network's precision; (B, n_L, n_0).

    Raises torch.linalg.LinAlgError where it leaves the range of that: `jacobian_spectrum` measures logarithms.

    >>> from isogain.init import identity_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=2, depth=4, activation="linear").double()
    >>> _ = identity_(net.kernel, 2.0)
    >>> jacobian(net, torch.ones(1, 2).double())
    tensor([[[16.,  0.],
             [ 0., 16.]]], dtype=torch.float64)
    """
    dtype, net, hs, x = precise(net, x)
    with torch.no_grad():
        check_dense(hs, x)
        n_0, *_, n_end = widths(hs, x)
        full = torch.cat([_within_range(net, *block, dtype) for block in blocks(hs, x)])
        return full[:, :n_end, :n_0]


def _within_range(net: Trajectory, hs: list[Tensor], x: Batch, dtype: torch.dtype) -> Tensor:
    _, rows, scale, *_ = next(sweep(net, hs, x, [0], dtype, rescale=1))
    logs, limits = rows.abs().amax((1, 2)).log() + scale.flatten(), torch.finfo(dtype)
    if (logs == -torch.inf).any():  # of zeros, or of slopes that are zero in this precision
        full, size = identities(hs[0]), no_scale(hs[0])
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


def factor_spectra(net: Trajectory, x: Any, at: Sequence[int]) -> Tensor:
    """log σ(∂h_{l+1}/∂h_l), descending, for every l in `at`, in float64; (B, S, n). NaN as in `jacobian_spectra`.

    Of widths that differ a factor has min(n_l, n_{l+1}) values, and NaN fills up.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=2, depth=4, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 1.1)
    >>> factor_spectra(net, torch.ones(1, 2).double(), [0, 3]).flatten().round(decimals=4)  # log 1.1
    tensor([0.0953, 0.0953, 0.0953, 0.0953], dtype=torch.float64)
    """
    dtype, net, hs, x = precise(net, x)
    with torch.no_grad():
        check_dense(hs, x)
        parts = [_factor_logs(net, hs[: step + 2], x, TOLERANCE[dtype]) for step in at]
        most = max(part.shape[-1] for part in parts)
        filled = [pad(part, (0, most - part.shape[-1]), value=torch.nan) for part in parts]
    return torch.stack(filled, 1)


def _factor_logs(net: Trajectory, hs: list[Tensor], x: Batch, tolerance: float) -> Tensor:
    """log σ of the last factor of the trajectory; (B, n)."""
    return rectangular_logs(net, hs, x, [len(hs) - 2], tolerance)[:, 0]


def input_norms(net: Network, x: Tensor) -> Tensor:
    """log ‖∂h_T/∂x_t‖_F of a sequential network for t = 1 … T; (B, T).

    An orthogonal linear network carries every input with the same weight, ‖U‖_F.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import RNN
    >>> net = RNN(1, 1, hidden=4, activation="linear").double()
    >>> _ = [orthogonal_(getattr(module, name)) for module, name in net.kernels()]
    >>> norms = input_norms(net, torch.ones(1, 5, 1).double())
    >>> torch.allclose(norms, norms[:, :1].expand(1, 5))
    True
    """
    if not getattr(net, "sequential", False):
        raise TypeError(f"input_norms needs a sequential network, got {type(net).__name__}")
    _, path, hs, inputs = precise(net, x)
    with torch.no_grad():
        return torch.cat([_input_norms(path, *block) for block in blocks(hs, inputs)])


def _input_norms(net: Trajectory, hs: list[Tensor], x: Batch) -> Tensor:
    rows, scale, norms = identities(hs[0]), no_scale(hs[0]), []
    for step in reversed(range(len(hs) - 1)):
        into_x, own = pull_input_scaled(net, rows, scale, step, hs, x)
        own = rescale_(into_x, own)
        norms.append(torch.linalg.matrix_norm(into_x).log() + own.flatten())
        scale = pull_scaled_(net, rows, scale, step, hs, x)
    return torch.stack(norms[::-1], 1).cpu()
