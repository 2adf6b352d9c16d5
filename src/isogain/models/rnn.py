"""Vanilla recurrent network; stacked layers share no weights and form one (L, N, N) kernel."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from isogain.activations import ACTIVATIONS
from isogain.init import gaussian_
from isogain.models.base import Network
from isogain.models.recurrence import Recurrence


class RNN(Network):
    """h_t = φ(U x_t + W h_{t−1} + b), layer upon layer; logits from the top layer's h_T. h_0 = 0.

    The state is the concatenation of all layers' h, (B, depth·hidden). `modrelu` learns a bias a
    unit, from U(±0.01). Elman 1990; modReLU as in Lezcano-Casado and Martínez-Rubio 2019.
    """

    sequential = True

    def __init__(
        self,
        n_in: int,
        n_out: int,
        length: int = 1,
        hidden: int = 128,
        depth: int = 1,
        activation: Literal["linear", "tanh", "relu", "hardtanh", "erf", "modrelu"] = "tanh",
        per_step: bool = False,
    ) -> None:
        super().__init__(n_in, n_out, length, hidden, depth, per_step)
        self.activation = activation
        self.input = nn.ModuleList(
            nn.Linear(hidden if layer else n_in, hidden) for layer in range(depth)
        )
        bound = hidden**-0.5  # as torch.nn.RNN
        for linear in self.input:
            nn.init.uniform_(linear.weight, -bound, bound)
            nn.init.zeros_(linear.bias)
        self.recurrent = nn.Parameter(gaussian_(torch.empty(depth, hidden, hidden)))
        self.beta = (
            nn.Parameter(torch.empty(depth, hidden).uniform_(-0.01, 0.01))
            if activation == "modrelu"
            else None
        )
        self.output = nn.Linear(hidden, n_out)

    def start(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.depth * self.hidden)

    def trajectory(self, h: Tensor, x: Tensor) -> list[Tensor]:
        hs = [h]
        for signal in x.unbind(1):
            states = []
            for layer, before in enumerate(hs[-1].chunk(self.depth, -1)):
                z = self.input[layer](signal) + before @ self.recurrent[layer].mT
                signal = self._phi(z, layer)
                states.append(signal)
            hs.append(torch.cat(states, -1))
        return hs

    def top(self, hs: list[Tensor]) -> Tensor:
        return hs[-1][..., -self.hidden :]

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        if x.is_cuda and self.activation in ("tanh", "relu"):
            return self._answers(self._cudnn(x))
        for layer, linear in enumerate(self.input):
            beta = None if self.beta is None else self.beta[layer]
            last = layer == self.depth - 1 and not self.per_step
            x = Recurrence.apply(
                x, linear.weight, self.recurrent[layer], linear.bias, beta, self.activation, last
            )
        return self._answers(x)

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        yield self, "recurrent"

    def _answers(self, h: Tensor) -> Tensor:
        """Logits of h_T (B, N), or of every h_t (T, B, N) with `per_step`, in order of the batch."""
        return self.output(h.transpose(0, 1) if self.per_step else h)

    def _phi(self, z: Tensor, layer: int) -> Tensor:
        beta = () if self.beta is None else (self.beta[layer],)
        return ACTIVATIONS[self.activation].function(z, *beta)

    def _cudnn(self, x: Tensor) -> Tensor:
        """What `_answers` reads of the top layer, by cuDNN's fused kernel, which takes a second bias: zero."""
        zero = x.new_zeros(self.hidden)
        weights = [
            tensor
            for linear, w in zip(self.input, self.recurrent, strict=True)
            for tensor in (linear.weight, w, linear.bias, zero)
        ]
        fused = torch._VF.rnn_tanh if self.activation == "tanh" else torch._VF.rnn_relu
        h0 = x.new_zeros(self.depth, x.shape[1], self.hidden)
        grads = torch.is_grad_enabled()
        h, _ = fused(x, h0, weights, True, self.depth, 0.0, grads, False, False)
        return h if self.per_step else h[-1]
