"""In which precision a network is measured: its own, but at least float32, whatever its inputs come in."""

import torch
from torch import Tensor

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
