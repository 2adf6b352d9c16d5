"""LSTM whose recurrent gates are one (L, 4, N, N) kernel: each gate its own square matrix."""

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from isogain.init import gaussian_
from isogain.models.base import Affine, Network
from isogain.theory.network import GatesTheory, mean_field


class LSTM(Network):
    """c_t = σ(f)c_{t−1} + σ(i)tanh(g), h_t = σ(o)tanh(c_t), gates = U x_t + W h_{t−1} + b; logits
    from the top h_T.

    The state is [h, c] of every layer, (B, depth·2·hidden), and starts at 0. `forget_bias` is the
    initial bias of f. Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000.

    >>> net = LSTM(n_in=3, n_out=2, hidden=8)
    >>> net(torch.zeros(5, 7, 3)).shape
    torch.Size([5, 2])
    """

    sequential = True
    gates = "ifgo"  # input, forget, cell candidate, output: torch's order

    def __init__(
        self,
        n_in: int,
        n_out: int,
        length: int = 1,
        hidden: int = 128,
        depth: int = 1,
        forget_bias: float = 1.0,
        per_step: bool = False,
    ) -> None:
        super().__init__(n_in, n_out, length, hidden, depth, per_step)
        self.forget_bias = forget_bias
        layers = [nn.Linear(hidden if layer else n_in, 4 * hidden) for layer in range(depth)]
        self.input = cast(Sequence[nn.Linear], nn.ModuleList(layers))
        for linear in self.input:
            nn.init.zeros_(linear.bias)
            nn.init.constant_(linear.bias[hidden : 2 * hidden], forget_bias)
        self.recurrent = nn.Parameter(gaussian_(torch.empty(depth, 4, hidden, hidden)))
        self.output = nn.Linear(hidden, n_out)

    def entry(self, x: Tensor) -> tuple[list[Affine], Tensor]:
        return [], x.new_zeros(len(x), self.depth * 2 * self.hidden)

    def steps(self, h: Tensor, x: Tensor) -> Iterator[tuple[list[Affine], Tensor]]:
        kernels = self.recurrent.flatten(1, 2).unbind()
        for signal in x.unbind(1):
            maps, states = [], []
            for layer, state in enumerate(h.chunk(self.depth, -1)):
                before, c = state.chunk(2, -1)
                gates = self.input[layer](signal) + before @ kernels[layer].mT
                maps.append(Affine((signal, before), gates))
                signal, c = _cell(gates, c)
                states += [signal, c]
            h = torch.cat(states, -1)
            yield maps, h

    def top(self, hs: list[Tensor]) -> Tensor:
        return hs[-1][..., -2 * self.hidden : -self.hidden]

    def forward(self, x: Tensor) -> Tensor:
        """By torch's fused kernel (oneDNN on a CPU, cuDNN on a GPU), which takes a second bias: zero.

        Under bf16 autocast a CPU without bf16 instructions computes it in float32: oneDNN has no other.
        """
        if x.is_cpu and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            with torch.autocast("cpu", enabled=False):
                return self.output(self._fused(x))
        return self.output(self._fused(x))

    def _fused(self, x: Tensor) -> Tensor:
        """h_T of the top layer (B, N), or every h_t (B, T, N) with `per_step`."""
        zero = x.new_zeros(4 * self.hidden)
        weights = [
            tensor
            for linear, w in zip(self.input, self.recurrent, strict=True)
            for tensor in (linear.weight, w.flatten(0, 1), linear.bias, zero)
        ]
        h0 = x.new_zeros(self.depth, len(x), self.hidden)
        grads = torch.is_grad_enabled()
        states = (h0, h0)
        h, *_ = torch._VF.lstm(
            x.transpose(0, 1), states, weights, True, self.depth, 0.0, grads, False, False
        )
        return h.transpose(0, 1) if self.per_step else h[-1]

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        yield self, "recurrent"


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h_t and c_t."""
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


@mean_field.register
def _(net: LSTM) -> GatesTheory:
    return GatesTheory(net.forget_bias, net.depth)
