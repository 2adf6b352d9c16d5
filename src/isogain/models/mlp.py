"""Fully connected network whose hidden layers are one (L, N, N) stack."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from isogain.activations import ACTIVATIONS
from isogain.init import gaussian_
from isogain.models.base import Network


class MLP(Network):
    """h_0 = φ(Ux + a), h_l = φ(W_l h_{l−1} + b_l) for l = 1 … depth, logits = Vh_depth + c.

    A sequence (B, T, D) is read as one flat vector of T·D features. ∂h_depth/∂h_0 = Π diag(φ') W_l
    is the Jacobian of Pennington, Schoenholz and Ganguli 2017, equation 2.
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
        self.phi = ACTIVATIONS[activation].function
        self.input = nn.Linear(n_in * length, hidden)
        self.kernel = nn.Parameter(gaussian_(torch.empty(depth, hidden, hidden)))
        self.bias = nn.Parameter(torch.zeros(depth, hidden))
        self.output = nn.Linear(hidden, n_out)

    def start(self, x: Tensor) -> Tensor:
        return self.phi(self.input(x.flatten(1)))

    def trajectory(self, h: Tensor, x: Tensor) -> list[Tensor]:
        hs = [h]
        for w, b in zip(self.kernel.unbind(), self.bias.unbind(), strict=True):
            hs.append(self.phi(nn.functional.linear(hs[-1], w, b)))
        return hs

    def top(self, hs: list[Tensor]) -> Tensor:
        return hs[-1]

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        yield self, "kernel"
