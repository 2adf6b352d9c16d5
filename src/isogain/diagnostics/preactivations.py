"""What a network's non-linearities are applied to, and how steep they are there.

Axes: B examples, G matrices a step (an RNN's layers, an LSTM's layers × gates), N units.
"""

from functools import singledispatch

import torch
from torch import Tensor

from isogain.activations import ACTIVATIONS, sigmoid_derivative, tanh_derivative
from isogain.models.base import Network
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN


def preactivations(net: Network, h: Tensor, x: Tensor) -> list[Tensor]:
    """[z_1, …, z_L] from h = h_0, to which each step applies its non-linearities; (B, G, N), a row a matrix."""
    return [
        torch.cat([m.z.unflatten(-1, (-1, net.hidden)) for m in maps if m.inputs], 1)
        for maps, _ in net.steps(h, x)
    ]


@singledispatch
def relative_slope(net: Network, z: Tensor) -> Tensor:
    """φ'(z) over its largest value, of `preactivations` z (B, G, N); NaN of a network whose φ is not known."""
    return torch.full_like(z, torch.nan)


@relative_slope.register
def _(net: MLP, z: Tensor) -> Tensor:
    phi = ACTIVATIONS[net.activation]
    return phi.derivative(z) / phi.steepest


@relative_slope.register
def _(net: RNN, z: Tensor) -> Tensor:
    phi, beta = ACTIVATIONS[net.activation], () if net.beta is None else (net.beta,)
    return phi.derivative(z, *beta) / phi.steepest


@relative_slope.register
def _(net: LSTM, z: Tensor) -> Tensor:
    i, f, g, o = z.unflatten(1, (-1, 4)).unbind(2)
    i, f, o = (4 * sigmoid_derivative(s) for s in (i, f, o))
    return torch.stack([i, f, tanh_derivative(g), o], 2).flatten(1, 2)
