"""Vanilla recurrent network; stacked layers share no weights and form one (L, N, N) kernel."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from isogain.activations import ACTIVATIONS
from isogain.init import gaussian_
from isogain.models.base import Affine, Network
from isogain.models.factors import Scaled, once, resolved
from isogain.models.recurrence import Recurrence
from isogain.theory import critical_point, prediction
from isogain.theory.critical_point import Point
from isogain.theory.prediction import Prediction
from isogain.theory.spectrum import Weights


class RNN(Network):
    """h_t = φ(U x_t + W h_{t−1} + b), layer upon layer; logits from the top layer's h_T. h_0 = 0.

    The state is the concatenation of all layers' h, (B, depth·hidden). `modrelu` learns a bias a
    unit, from U(±0.01). `input_init` draws U (N, D): `uniform` ±1/√N as torch's RNN, `kaiming` from
    N(0, 2/D), which one-hot inputs need: an orthogonal W only carries the size that U gives them.
    Elman 1990; modReLU and `kaiming` as in Lezcano-Casado and Martínez-Rubio 2019.
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
        self.input = nn.ModuleList(
            nn.Linear(hidden if layer else n_in, hidden) for layer in range(depth)
        )
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

    @torch.no_grad()
    def pull_(self, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        deltas = self._deltas(rows, step, hs, x)
        parts = rows.flatten(0, 1).chunk(self.depth, -1)
        for part, delta, w in zip(parts, deltas, self.recurrent.to(rows.dtype), strict=True):
            torch.mm(delta.flatten(0, 1), w, out=part)
        return rows

    @torch.no_grad()
    def push(self, v: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        derivative, found = ACTIVATIONS[self.activation].derivative, []
        parts = v.chunk(self.depth, -1)
        for layer, given in enumerate(self._arguments(step, hs, x)):
            z = parts[layer] @ self.recurrent[layer].mT
            if layer:
                z = z + found[-1] @ self.input[layer].weight.mT
            found.append(derivative(*given) * z)
        return torch.cat(found, -1)

    @torch.no_grad()
    def scaled_factors(self, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
        """The kernels side by side, and then a factor for every layer that adds U h of the one below."""
        phi, found = ACTIVATIONS[self.activation], []
        a = torch.block_diag(*self.recurrent)
        for layer, given in enumerate(self._arguments(step, hs, x)):
            own = slice(layer * self.hidden, (layer + 1) * self.hidden)
            if layer:
                a = torch.eye(len(a), dtype=a.dtype, device=a.device)
                a[own, own.start - self.hidden : own.start] = self.input[layer].weight
            s = torch.zeros_like(hs[step])
            s[:, own] = phi.log_derivative(*given)
            found.append(Scaled(s, a))
        return found

    @torch.no_grad()
    def scaled_input_factors(self, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
        (s, a), *upper = self.scaled_factors(step, hs, x)
        u = a.new_zeros(len(a), self.n_in)
        u[: self.hidden] = self.input[0].weight
        return [Scaled(s, u), *upper]

    @torch.no_grad()
    def pull_input(self, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
        return self._deltas(rows, step, hs, x)[0] @ self.input[0].weight.to(rows.dtype)

    def top(self, hs: list[Tensor]) -> Tensor:
        return hs[-1][..., -self.hidden :]

    def relative_slope(self, z: Tensor) -> Tensor:
        phi, beta = ACTIVATIONS[self.activation], () if self.beta is None else (self.beta,)
        return phi.derivative(z, *beta) / phi.steepest

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

    def biases(self) -> list[Tensor]:
        return [linear.bias for linear in self.input]

    def critical(
        self,
        q_star: float | None,
        sigma_w: float | None,
        normalise_input: bool,
        weights: Weights,
    ) -> Point:
        return critical_point.recurrence(self.activation, q_star, sigma_w, normalise_input)

    def predicted(self, at: Point, weights: Weights, x: Tensor) -> Prediction:
        if self.depth > 1:  # the state's Jacobian is a block matrix: no theory of it
            return Prediction({})
        entry, signals = next(self.entries(x))
        drives = nn.functional.linear(signals, entry.weight).double().square().mean((1, 2)).cpu()
        return prediction.recurrence(self.activation, at.sigma_w, at.sigma_b, drives, weights)

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        yield self, "recurrent"

    def _arguments(self, step: int, hs: list[Tensor], x: Tensor) -> Iterator[list[Tensor]]:
        """What φ is applied to on the way to h_{t+1}, layer by layer: z (B, N), and modReLU's bias."""
        before, after = (hs[t].chunk(self.depth, -1) for t in (step, step + 1))
        for layer, signal in enumerate((x[:, step], *after[:-1])):
            z = self.input[layer](signal) + before[layer] @ self.recurrent[layer].mT
            yield [z] if self.beta is None else [z, self.beta[layer]]

    def _deltas(self, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> list[Tensor]:
        """R ∂h_{t+1}/∂z_{t+1} for every layer's z; (B, m, N) each."""
        derivative = ACTIVATIONS[self.activation].derivative
        slopes = once(hs, step, lambda: [derivative(*z) for z in self._arguments(step, hs, x)])
        slopes = [resolved(slope, rows) for slope in slopes]
        deltas = list(rows.chunk(self.depth, -1))
        for layer in reversed(range(self.depth)):
            if layer + 1 < self.depth:
                u = self.input[layer + 1].weight.to(rows.dtype)
                deltas[layer] = deltas[layer] + deltas[layer + 1] @ u
            deltas[layer] = deltas[layer] * slopes[layer].unsqueeze(-2)
        return deltas

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
