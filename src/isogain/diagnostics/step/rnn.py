"""The derivatives of one time step of an `RNN`, by formula."""

from collections.abc import Iterator

import torch
from torch import Tensor

from isogain.activations import ACTIVATIONS
from isogain.diagnostics.step.definition import (
    pull_,
    pull_input,
    push,
    scaled_factors,
    scaled_input_factors,
)
from isogain.diagnostics.step.factors import Scaled, once, resolved
from isogain.models.rnn import RNN


@pull_.register
@torch.no_grad()
def _pull_(net: RNN, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
    deltas = _deltas(net, rows, step, hs, x)
    parts = rows.flatten(0, 1).chunk(net.depth, -1)
    for part, delta, w in zip(parts, deltas, net.recurrent.to(rows.dtype), strict=True):
        torch.mm(delta.flatten(0, 1), w, out=part)
    return rows


@push.register
@torch.no_grad()
def _push(net: RNN, v: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
    derivative = ACTIVATIONS[net.activation].derivative
    pushed: list[Tensor] = []
    parts = v.chunk(net.depth, -1)
    for layer, given in enumerate(_arguments(net, step, hs, x)):
        z = parts[layer] @ net.recurrent[layer].mT
        if layer:
            z = z + pushed[-1] @ net.input[layer].weight.mT
        pushed.append(derivative(*given) * z)
    return torch.cat(pushed, -1)


@scaled_factors.register
@torch.no_grad()
def _scaled_factors(net: RNN, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
    """The kernels side by side, and then a factor for every layer that adds U h of the one below."""
    phi, factors = ACTIVATIONS[net.activation], []
    a = torch.block_diag(*net.recurrent)
    for layer, given in enumerate(_arguments(net, step, hs, x)):
        own = slice(layer * net.hidden, (layer + 1) * net.hidden)
        if layer:
            a = torch.eye(len(a), dtype=a.dtype, device=a.device)
            a[own, own.start - net.hidden : own.start] = net.input[layer].weight
        s = torch.zeros_like(hs[step])
        s[:, own] = phi.log_derivative(*given)
        factors.append(Scaled(s, a))
    return factors


@scaled_input_factors.register
@torch.no_grad()
def _scaled_input_factors(net: RNN, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
    (s, _), *upper = _scaled_factors(net, step, hs, x)
    u = net.recurrent.new_zeros(net.depth * net.hidden, net.n_in)
    u[: net.hidden] = net.input[0].weight
    return [Scaled(s, u), *upper]


@pull_input.register
@torch.no_grad()
def _pull_input(net: RNN, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
    return _deltas(net, rows, step, hs, x)[0] @ net.input[0].weight.to(rows.dtype)


def _arguments(net: RNN, step: int, hs: list[Tensor], x: Tensor) -> Iterator[list[Tensor]]:
    """What φ is applied to on the way to h_{t+1}, layer by layer: z (B, N), and modReLU's bias."""
    before, after = (hs[t].chunk(net.depth, -1) for t in (step, step + 1))
    for layer, signal in enumerate((x[:, step], *after[:-1])):
        z = net.input[layer](signal) + before[layer] @ net.recurrent[layer].mT
        yield [z] if net.beta is None else [z, net.beta[layer]]


def _deltas(net: RNN, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> list[Tensor]:
    """R ∂h_{t+1}/∂z_{t+1} for every layer's z; (B, m, N) each."""
    derivative = ACTIVATIONS[net.activation].derivative
    slopes = once(hs, step, lambda: [derivative(*z) for z in _arguments(net, step, hs, x)])
    slopes = [resolved(slope, rows) for slope in slopes]
    deltas = list(rows.chunk(net.depth, -1))
    for layer in reversed(range(net.depth)):
        if layer + 1 < net.depth:
            u = net.input[layer + 1].weight.to(rows.dtype)
            deltas[layer] = deltas[layer] + deltas[layer + 1] @ u
        deltas[layer] = deltas[layer] * slopes[layer].unsqueeze(-2)
    return deltas
