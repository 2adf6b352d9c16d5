"""LSTM whose recurrent gates are one (L, 4, N, N) kernel: each gate its own square matrix."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from isogain.activations import sigmoid_derivative, tanh_derivative
from isogain.init import gaussian_
from isogain.models.base import Affine, Network
from isogain.models.factors import Scaled, once
from isogain.models.lstm_slopes import LogSlopes, Slopes
from isogain.theory import critical_point, prediction
from isogain.theory.critical_point import Point
from isogain.theory.prediction import Prediction
from isogain.theory.spectrum import Weights

GATES = "ifgo"  # input, forget, cell candidate, output: torch's order


class LSTM(Network):
    """c_t = σ(f)c_{t−1} + σ(i)tanh(g), h_t = σ(o)tanh(c_t), gates = U x_t + W h_{t−1} + b; logits
    from the top h_T.

    The state is [h, c] of every layer, (B, depth·2·hidden), and starts at 0. `forget_bias` is the
    initial bias of f. Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000.
    """

    sequential = True

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
        self.input = nn.ModuleList(
            nn.Linear(hidden if layer else n_in, 4 * hidden) for layer in range(depth)
        )
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

    @torch.no_grad()
    def pull_(self, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        """∂(h, c)_{t+1}/∂c_t is diagonal in either block: half a dense factor's products."""
        layers = self._deltas_(rows, step, hs, x)
        parts = rows.chunk(self.depth, -1)
        for part, w, slopes in zip(parts, self.recurrent, layers, strict=True):
            by_h, by_c = part.chunk(2, -1)
            by_h.copy_(part @ slopes.times(w))
            by_c.mul_(slopes.f.unsqueeze(-2))
        return rows

    @torch.no_grad()
    def push(self, v: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        parts, found = v.chunk(2 * self.depth, -1), []
        for layer, given in enumerate(self._arguments(step, hs, x)):
            h, c = parts[2 * layer : 2 * layer + 2]
            z = h @ self.recurrent[layer].flatten(0, 1).mT
            if layer:
                z = z + found[-2] @ self.input[layer].weight.mT
            found += Slopes.of(*given).push(z.chunk(4, -1), c)
        return torch.cat(found, -1)

    @torch.no_grad()
    def scaled_factors(self, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
        found, n, size = [], self.hidden, hs[0].shape[-1]
        for layer, given in enumerate(self._arguments(step, hs, x)):
            u = self._input_gates(layer) if layer else None
            at = 2 * n * layer
            found += LogSlopes.of(*given).factors(self.recurrent[layer], u, at, size)
        return found

    @torch.no_grad()
    def scaled_input_factors(self, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
        _, (s, _), *upper = self.scaled_factors(step, hs, x)
        first = LogSlopes.of(*next(self._arguments(step, hs, x)))
        return [Scaled(s, first.into(self._input_gates(0), hs[0].shape[-1])), *upper]

    @torch.no_grad()
    def pull_input(self, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        rows = rows.clone()
        slopes = self._deltas_(rows, step, hs, x)[0]
        return rows.chunk(self.depth, -1)[0] @ slopes.times(self._input_gates(0))

    def top(self, hs: list[Tensor]) -> Tensor:
        return hs[-1][..., -2 * self.hidden : -self.hidden]

    def relative_slope(self, z: Tensor) -> Tensor:
        i, f, g, o = z.unflatten(1, (-1, 4)).unbind(2)
        i, f, o = (4 * sigmoid_derivative(s) for s in (i, f, o))
        return torch.stack([i, f, tanh_derivative(g), o], 2).flatten(1, 2)

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

    def critical(
        self,
        q_star: float | None,
        sigma_w: float | None,
        normalise_input: bool,
        weights: Weights,
    ) -> Point:
        return critical_point.gates(self.forget_bias, q_star, sigma_w, normalise_input, weights)

    def predicted(self, at: Point, weights: Weights, x: Tensor) -> Prediction:
        if self.depth > 1:
            return Prediction({})
        drive = self.drive(x)
        return prediction.gates(at.sigma_w, self.forget_bias, drive, x.shape[1], weights)

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        yield self, "recurrent"

    def labels(self, name: str, w: Tensor) -> list[str]:
        return [f"{name}/{layer:03d}/{gate}" for layer in range(self.depth) for gate in GATES]

    def _arguments(
        self, step: int, hs: list[Tensor], x: Tensor
    ) -> Iterator[tuple[tuple[Tensor, ...], Tensor, Tensor]]:
        """The gates' z on the way to h_{t+1}, four of (B, N), c_t and c_{t+1}, layer by layer."""
        before, after = (hs[t].chunk(2 * self.depth, -1) for t in (step, step + 1))
        for layer in range(self.depth):
            h, c = before[2 * layer : 2 * layer + 2]
            signal = after[2 * layer - 2] if layer else x[:, step]
            z = self.input[layer](signal) + h @ self.recurrent[layer].flatten(0, 1).mT
            yield z.chunk(4, -1), c, after[2 * layer + 1]

    def _input_gates(self, layer: int) -> Tensor:
        """The input's weights, a matrix a gate: (4, N, D)."""
        return self.input[layer].weight.unflatten(0, (4, self.hidden))

    def _deltas_(self, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> "list[Slopes]":
        """R <- R ∂h_{t+1}/∂(o's term, c) of every layer, (B, m, 2N) each, from the top down; the layers' slopes."""
        parts = rows.chunk(self.depth, -1)
        given = partial(self._arguments, step, hs, x)
        slopes = once(hs, step, lambda: [Slopes.of(*layer) for layer in given()])
        found = [layer.to(rows) for layer in slopes]
        for layer in reversed(range(self.depth)):
            to_h, to_c = parts[layer].chunk(2, -1)
            to_c.addcmul_(to_h, found[layer].c.unsqueeze(-2))
            if layer:
                below = parts[layer - 1].chunk(2, -1)[0]
                below.add_(parts[layer] @ found[layer].times(self._input_gates(layer)))
        return found


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h_t and c_t."""
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c
