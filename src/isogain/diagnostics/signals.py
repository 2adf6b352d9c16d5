"""The forward signal layer by layer or step by step: length, shape and correlation of the pre-activations z.

Axes: B examples, L layers or time steps, G matrices a step (an RNN's layers, an LSTM's layers × gates i, f, g, o;
one in an MLP), N units. A law of mean-field theory is about the N units of one example, so statistics are taken
over units and then averaged over examples.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from isogain.diagnostics.preactivations import preactivations, relative_slope
from isogain.diagnostics.precision import at_least_single
from isogain.models.along import Along
from isogain.models.base import Network
from isogain.models.recurrent_steps import RecurrentSteps
from isogain.models.trajectory import Trajectory

LINEAR = 0.9  # of the steepest slope, above which a unit works in its linear regime
DEAD = 1e-3  # of it, below which it passes no gradient
CRITICAL = 0.752  # of A*² at 5 %: D'Agostino and Stephens 1986, table 4.7


@dataclass(frozen=True)
class Signals:
    """What the pre-activations are like; every field is (L, G), in float64, NaN where all units are equal.

    mean         E z
    q            E z², the q_l of mean-field theory
    kurtosis     E (z − E z)⁴ / (E (z − E z)²)², 3 for a Gaussian
    normality    A*² of Anderson and Darling, see `anderson_darling`
    rejected     the fraction of examples with A*² above its 5 % point: 0.05 where units are Gaussian
    correlation  c_l = z·z'/‖z‖‖z'‖ of an example and the next one in the batch
    linear       the fraction of units with φ' at least 0.9 of its largest value
    dead         the fraction of units with φ' below 0.001 of it for all examples; both NaN where φ is not known

    >>> Signals(*torch.zeros(8, 4, 1)).q.shape  # four layers, one matrix each
    torch.Size([4, 1])
    """

    mean: Tensor
    q: Tensor
    kurtosis: Tensor
    normality: Tensor
    rejected: Tensor
    correlation: Tensor
    linear: Tensor
    dead: Tensor


@torch.no_grad()
def signals(net: Trajectory, x: Any) -> Signals:
    """Statistics of z_1 … z_L on the inputs x; of what `along` makes of a module, those of its states h_0 … h_L.

    Linear layers that are 1.1 times orthogonal multiply the length q by 1.1² each.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=8, depth=4, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 1.1)
    >>> q = signals(net, torch.ones(3, 2).double()).q[:, 0]
    >>> (q[1:] / q[:-1]).round(decimals=4)
    tensor([1.2100, 1.2100, 1.2100], dtype=torch.float64)
    """
    if isinstance(net, Along | RecurrentSteps):
        with cached():
            zs = [h.unsqueeze(1) for h in net.states(x)]
        rows = [_of_step(z.double(), torch.full_like(z, torch.nan)) for z in zs]
    else:
        net, x = at_least_single(net, x)
        with cached():
            zs = preactivations(net, net.start(x), x)
            rows = [_of_step(z.double(), relative_slope(net, z)) for z in zs]
    return Signals(*(torch.stack(column) for column in zip(*rows, strict=True)))


@torch.no_grad()
def correlations(net: Network, x: Tensor, other: Tensor) -> Tensor:
    """c_l = z·z'/‖z‖‖z'‖ over the units for every pair (x_b, other_b), in float64; (L, G, B).

    Poole et al. 2016, equation 5.

    >>> from isogain.models import MLP
    >>> net, x = MLP(2, 2, hidden=8, depth=3), torch.ones(1, 2)
    >>> correlations(net, x, x).flatten().round(decimals=4)
    tensor([1., 1., 1.], dtype=torch.float64)
    """
    (net, x), other = at_least_single(net, x), at_least_single(net, other)[1]
    with cached():
        pairs = [preactivations(net, net.start(inputs), inputs) for inputs in (x, other)]
    return torch.stack([_cosine(z.double(), w.double()).mT for z, w in zip(*pairs, strict=True)])


def anderson_darling(z: Tensor) -> Tensor:
    """A*² = A²(1 + 0.75/N + 2.25/N²) of the last axis against a Gaussian of its mean and variance; (..., N) -> (...).

    A² = −N − Σ_i (2i − 1)/N · [log Φ(y_(i)) + log Φ(−y_(N+1−i))] with y standardised and sorted. For Gaussian z it is
    above 0.752 in 5 % and 1.035 in 1 % of cases, at any N from 8. It depends on the direction of z − mean alone, which
    is equally distributed under a Haar orthogonal and a Gaussian matrix on the same signal: a rejection at layer l
    comes of what earlier layers did, never of orthogonality in l itself. D'Agostino and Stephens 1986, table 4.7.
    """
    n = z.shape[-1]
    y = ((z - z.mean(-1, True)) / z.std(-1, keepdim=True)).sort(-1).values
    odd = torch.arange(1, 2 * n, 2, dtype=z.dtype, device=z.device)
    logs = torch.special.log_ndtr(y) + torch.special.log_ndtr(-y.flip(-1))
    return (-n - (odd * logs).mean(-1)) * (1 + 0.75 / n + 2.25 / n**2)


def kurtosis(z: Tensor) -> Tensor:
    """Fourth central moment over the square of the second, over the last axis; (..., N) -> (...)."""
    squares = (z - z.mean(-1, True)).square()
    return squares.square().mean(-1) / squares.mean(-1).square()


def _of_step(z: Tensor, slope: Tensor) -> list[Tensor]:
    """The fields of `Signals` for one step, z and φ' are (B, G, N); (G,) each."""
    a2 = anderson_darling(z)
    rejected = torch.where(a2.isnan(), a2, (a2 > CRITICAL).double())
    by_example = [
        z.mean(-1),
        z.square().mean(-1),
        kurtosis(z),
        a2,
        rejected,
        _cosine(z, z.roll(-1, 0)),
    ]
    linear, dead = (slope >= LINEAR).double(), (slope < DEAD).all(0).double()
    unknown = slope.isnan()
    linear[unknown], dead[unknown.any(0)] = torch.nan, torch.nan
    return [*(value.mean(0) for value in by_example), linear.mean((0, 2)), dead.mean(1)]


def _cosine(z: Tensor, w: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(z, w, dim=-1, eps=0)
