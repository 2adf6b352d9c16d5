"""In which precision a network is measured: its own, but at least float32, whatever its inputs come in."""

from functools import singledispatch
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from isogain.diagnostics.gram import bare
from isogain.linalg.half import HALF
from isogain.models.along import Along
from isogain.models.base import Network
from isogain.models.examples import Examples
from isogain.models.trajectory import Batch, Trajectory


class Measured(NamedTuple):
    """A trajectory in float64 and all that its steps are measured with; `dtype` is the module's own precision."""

    dtype: torch.dtype
    net: Trajectory
    hs: list[Tensor]
    x: Batch


def at_least_single(net: Trajectory, x: Tensor) -> tuple[Network, Tensor]:
    """The network, or a copy in float32 where a parameter is in half precision, and x in the network's precision.

    Of a network of several precisions x stays as it is. Raises TypeError for what is no network of ours.
    """
    if not isinstance(net, Network):
        raise TypeError(f"this is measured on a Network of isogain's own, got {type(net).__name__}")
    dtypes = {p.dtype for p in net.parameters()}
    if dtypes & HALF:
        net, dtypes = bare(net, torch.float32).requires_grad_(False), {torch.float32}
    return net, x.to(dtypes.pop()) if len(dtypes) == 1 else x


@singledispatch
def precise(net: Trajectory, x: Any) -> Measured:
    """A network's precision (at least float32), itself in float64, its trajectory of x, and x, for measurements.

    Slopes and trajectories of all examples come of one pass in float64, whatever is then done with some of them: a
    chaotic network shows the last digit of every state.
    """
    if not isinstance(net, Network):
        raise TypeError(
            f"a {type(net).__name__} is no trajectory: isogain.along(net, names) makes one of any module"
        )
    dtype = _precision(net)
    with torch.no_grad(), cached():
        net, x = bare(net, torch.float64).requires_grad_(False), net.inputs(x).double()
        return Measured(dtype, net, net.trajectory(net.start(x), x), x)


@precise.register
def _(net: Along, x: Any) -> Measured:
    """States narrower than the widest are filled up by zeros, which steps leave alone: see `widths`."""
    with torch.no_grad():
        examples = net.examples(x)
        most = max(examples.widths)
        hs = [nn.functional.pad(h, (0, most - h.shape[-1])) for h in examples.states]
        return Measured(_precision(net), net, hs, examples)


def widths(hs: list[Tensor], x: Batch) -> list[int]:
    """[n_0, …, n_L] of a trajectory `hs` of x, without the zeros that states were filled up by."""
    return x.widths if isinstance(x, Examples) else [h.shape[-1] for h in hs]


def _precision(net: Trajectory) -> torch.dtype:
    single = {torch.float16, torch.bfloat16, torch.float32}
    return torch.float32 if {p.dtype for p in net.parameters()} & single else torch.float64
