"""In which precision a network is measured: its own, but at least float32, whatever its inputs come in."""

import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from isogain.diagnostics.gram import bare
from isogain.linalg.half import HALF
from isogain.models.base import Network


def at_least_single(net: Network, x: Tensor) -> tuple[Network, Tensor]:
    """The network, or a copy in float32 where a parameter is in half precision, and x in the network's precision.

    Of a network of several precisions x stays as it is.
    """
    dtypes = {p.dtype for p in net.parameters()}
    if dtypes & HALF:
        net, dtypes = bare(net, torch.float32).requires_grad_(False), {torch.float32}
    return net, x.to(dtypes.pop()) if len(dtypes) == 1 else x


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
