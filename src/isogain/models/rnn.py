"""Vanilla recurrent network; stacked layers share no weights and form one (L, N, N) kernel."""

from collections.abc import Iterator, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from isogain.activations import ACTIVATIONS
from isogain.init import gaussian_
from isogain.models.base import Affine, Network
from isogain.models.recurrence import Recurrence
from isogain.theory.network import RecurrenceTheory, mean_field


class RNN(Network):
    """h_t = φ(U x_t + W h_{t−1} + b), layer upon layer; logits from the top layer's h_T. h_0 = 0.

    The state is the concatenation of all layers' h, (B, depth·hidden). `modrelu` learns a bias a
    unit, from U(±0.01). `input_init` draws U (N, D): `uniform` ±1/√N as torch's RNN, `kaiming` from
    N(0, 2/D), which one-hot inputs need: an orthogonal W only carries the size that U gives them.
    Elman 1990; modReLU and `kaiming` as in Lezcano-Casado and Martínez-Rubio 2019.

    >>> net = RNN(n_in=3, n_out=2, hidden=8)
    >>> net(torch.zeros(5, 7, 3)).shape
    torch.Size([5, 2])
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
        input_init: Literal["uniform", "kaiming"] = "uniform",
        per_step: bool = False,
    ) -> None:
        super().__init__(n_in, n_out, length, hidden, depth, per_step)
        self.activation = activation
        layers = [nn.Linear(hidden if layer else n_in, hidden) for layer in range(depth)]
        self.input = cast(Sequence[nn.Linear], nn.ModuleList(layers))
        bound = hidden**-0.5
        for linear in self.input:
            if input_init == "kaiming":
                nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            else:
                nn.init.uniform_(linear.weight, -bound, bound)
            nn.init.zeros_(linear.bias)
        self.recurrent = nn.Parameter(gaussian_(torch.empty(depth, hidden, hidden)))
        self.beta = (
            nn.Parameter(torch.empty(depth, hidden).uniform_(-0.01, 0.01))
            if activation == "modrelu"
            else None
        )
        self.output = nn.Linear(hidden, n_out)

    def entry(self, x: Tensor) -> tuple[list[Affine], Tensor]:
        return [], x.new_zeros(len(x), self.depth * self.hidden)

    def steps(self, h: Tensor, x: Tensor) -> Iterator[tuple[list[Affine], Tensor]]:
        phi, kernels = ACTIVATIONS[self.activation].function, self.recurrent.unbind()
        for signal in x.unbind(1):
            maps, states = [], []
            for layer, before in enumerate(h.chunk(self.depth, -1)):
                z = self.input[layer](signal) + before @ kernels[layer].mT
                beta = [] if self.beta is None else [self.beta[layer].expand_as(z)]
                maps += [Affine((signal, before), z), *(Affine((), b) for b in beta)]
                signal = phi(z, *beta)
                states.append(signal)
            h = torch.cat(states, -1)
            yield maps, h

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


@mean_field.register
def _(net: RNN) -> RecurrenceTheory:
    return RecurrenceTheory(net.activation, net.depth)
