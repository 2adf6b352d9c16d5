"""Fully connected network whose hidden layers are one (L, N, N) stack."""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from isogain.activations import ACTIVATIONS
from isogain.init import gaussian_
from isogain.models.base import Affine, Network
from isogain.theory.network import LayersTheory, mean_field


class MLP(Network):
    """h_0 = φ(Ux + a), h_l = φ(W_l h_{l−1} + b_l) for l = 1 … depth, logits = Vh_depth + c.

    A sequence (B, T, D) is read as one flat vector of T·D features. ∂h_depth/∂h_0 = Π diag(φ') W_l
    is the Jacobian of Pennington, Schoenholz and Ganguli 2017, equation 2.

    >>> net, x = MLP(n_in=3, n_out=2, hidden=8, depth=4), torch.zeros(5, 3)
    >>> [w.shape for w in (net.kernel, net(x))]
    [torch.Size([4, 8, 8]), torch.Size([5, 2])]
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        length: int = 1,
        hidden: int = 128,
        depth: int = 4,
        activation: Literal["linear", "tanh", "relu", "hardtanh", "erf"] = "tanh",
    ) -> None:
        super().__init__(n_in, n_out, length, hidden, depth)
        self.activation = activation
        self.input = nn.Linear(n_in * length, hidden)
        self.kernel = nn.Parameter(gaussian_(torch.empty(depth, hidden, hidden)))
        self.bias = nn.Parameter(torch.zeros(depth, hidden))
        self.output = nn.Linear(hidden, n_out)

    @property  # looked up by name: a network with a function of its own could not be pickled
    def phi(self) -> Callable[[Tensor], Tensor]:
        return ACTIVATIONS[self.activation].function

    def entry(self, x: Tensor) -> tuple[list[Affine], Tensor]:
        z = self.input(flat := x.flatten(1))
        return [Affine((flat,), z)], self.phi(z)

    def steps(self, h: Tensor, x: Tensor) -> Iterator[tuple[list[Affine], Tensor]]:
        for w, b in zip(self.kernel.unbind(), self.bias.unbind(), strict=True):
            before, z = h, nn.functional.linear(h, w, b)
            h = self.phi(z)
            yield [Affine((before,), z)], h

    def top(self, hs: list[Tensor]) -> Tensor:
        return hs[-1]

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        yield self, "kernel"


@mean_field.register
def _(net: MLP) -> LayersTheory:
    return LayersTheory(net.activation, net.depth)
