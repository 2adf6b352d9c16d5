"""Fully connected network whose hidden layers are one (L, N, N) stack."""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from isogain.activations import ACTIVATIONS
from isogain.init import gaussian_
from isogain.models.base import Affine, Network
from isogain.models.factors import Scaled, once, resolved
from isogain.theory import critical_point, prediction
from isogain.theory.critical_point import Point
from isogain.theory.prediction import Prediction
from isogain.theory.spectrum import Weights


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

    @torch.no_grad()
    def pull_(self, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        derivative = ACTIVATIONS[self.activation].derivative
        slopes = once(hs, step, lambda: derivative(self._z(step, hs)))
        delta = rows * resolved(slopes, rows).unsqueeze(-2)
        torch.mm(delta.flatten(0, 1), self.kernel[step].to(rows.dtype), out=rows.flatten(0, 1))
        return rows

    @torch.no_grad()
    def push(self, v: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        slopes = ACTIVATIONS[self.activation].derivative(self._z(step, hs))
        return slopes * (v @ self.kernel[step].mT)

    @torch.no_grad()
    def scaled_factors(self, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
        logs = ACTIVATIONS[self.activation].log_derivative(self._z(step, hs))
        return [Scaled(logs, self.kernel[step])]

    def top(self, hs: list[Tensor]) -> Tensor:
        return hs[-1]

    def relative_slope(self, z: Tensor) -> Tensor:
        phi = ACTIVATIONS[self.activation]
        return phi.derivative(z) / phi.steepest

    def biases(self) -> list[Tensor]:
        return [self.input.bias, self.bias]

    def entries(self, x: Tensor) -> Iterator[tuple[nn.Linear, Tensor]]:
        yield self.input, x.flatten(1)

    def critical(
        self,
        q_star: float | None,
        sigma_w: float | None,
        normalise_input: bool,
        weights: Weights,
    ) -> Point:
        return critical_point.layers(self.activation, q_star, sigma_w, normalise_input)

    def predicted(self, at: Point, weights: Weights, x: Tensor) -> Prediction:
        return prediction.layers(self.activation, at.sigma_w, at.sigma_b, self.depth, weights)

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        yield self, "kernel"

    def _z(self, step: int, hs: list[Tensor]) -> Tensor:
        return nn.functional.linear(hs[step], self.kernel[step], self.bias[step])
