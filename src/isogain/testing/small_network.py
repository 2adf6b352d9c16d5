"""A network of a few units whose every parameter matters, biases too."""

from collections.abc import Callable
from typing import Any

import torch

from isogain.models.base import Network

SIZES = {"n_in": 3, "n_out": 4, "length": 5, "hidden": 6}


def small(model: Callable[..., Network], **options: Any) -> Network:
    """A network in float64 with every parameter drawn from U(−0.7, 0.7): 3 features, 5 steps, 6 units, 4 classes.

    >>> from isogain.models import MLP
    >>> small(MLP, depth=2).kernel.shape
    torch.Size([2, 6, 6])
    """
    net = model(**(SIZES | options)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.uniform_(-0.7, 0.7)
    return net
