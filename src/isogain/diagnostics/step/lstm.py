"""The derivatives of one time step of an `LSTM`, by formula."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from isogain.diagnostics.step.definition import (
    pull_,
    pull_input,
    push,
    scaled_factors,
    scaled_input_factors,
)
from isogain.diagnostics.step.factors import Scaled, once
from isogain.diagnostics.step.lstm_slopes import LogSlopes, Slopes
from isogain.models.lstm import LSTM


@pull_.register
@torch.no_grad()
def _pull_(net: LSTM, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
    """∂(h, c)_{t+1}/∂c_t is diagonal in either block: half a dense factor's products."""
    layers = _deltas_(net, rows, step, hs, x)
    parts = rows.chunk(net.depth, -1)
    for part, w, slopes in zip(parts, net.recurrent, layers, strict=True):
        by_h, by_c = part.chunk(2, -1)
        by_h.copy_(part @ slopes.times(w))
        by_c.mul_(slopes.f.unsqueeze(-2))
    return rows


@push.register
@torch.no_grad()
def _push(net: LSTM, v: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
    parts = v.chunk(2 * net.depth, -1)
    pushed: list[Tensor] = []
    for layer, given in enumerate(_arguments(net, step, hs, x)):
        h, c = parts[2 * layer : 2 * layer + 2]
        z = h @ net.recurrent[layer].flatten(0, 1).mT
        if layer:
            z = z + pushed[-2] @ net.input[layer].weight.mT
        pushed += Slopes.of(*given).push(z.chunk(4, -1), c)
    return torch.cat(pushed, -1)


@scaled_factors.register
@torch.no_grad()
def _scaled_factors(net: LSTM, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
    factors, n, size = [], net.hidden, hs[0].shape[-1]
    for layer, given in enumerate(_arguments(net, step, hs, x)):
        u = _input_gates(net, layer) if layer else None
        at = 2 * n * layer
        factors += LogSlopes.of(*given).factors(net.recurrent[layer], u, at, size)
    return factors


@scaled_input_factors.register
@torch.no_grad()
def _scaled_input_factors(net: LSTM, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
    _, (s, _), *upper = _scaled_factors(net, step, hs, x)
    first = LogSlopes.of(*next(_arguments(net, step, hs, x)))
    return [Scaled(s, first.into(_input_gates(net, 0), hs[0].shape[-1])), *upper]


@pull_input.register
@torch.no_grad()
def _pull_input(net: LSTM, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
    rows = rows.clone()
    slopes = _deltas_(net, rows, step, hs, x)[0]
    return rows.chunk(net.depth, -1)[0] @ slopes.times(_input_gates(net, 0))


def _arguments(
    net: LSTM, step: int, hs: list[Tensor], x: Tensor
) -> Iterator[tuple[tuple[Tensor, ...], Tensor, Tensor]]:
    """The gates' z on the way to h_{t+1}, four of (B, N), c_t and c_{t+1}, layer by layer."""
    before, after = (hs[t].chunk(2 * net.depth, -1) for t in (step, step + 1))
    for layer in range(net.depth):
        h, c = before[2 * layer : 2 * layer + 2]
        signal = after[2 * layer - 2] if layer else x[:, step]
        z = net.input[layer](signal) + h @ net.recurrent[layer].flatten(0, 1).mT
        yield z.chunk(4, -1), c, after[2 * layer + 1]


def _input_gates(net: LSTM, layer: int) -> Tensor:
    """The input's weights, a matrix a gate: (4, N, D)."""
    return net.input[layer].weight.unflatten(0, (4, net.hidden))


def _deltas_(net: LSTM, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> "list[Slopes]":
    """R <- R ∂h_{t+1}/∂(o's term, c) of every layer, (B, m, 2N) each, from the top down; the layers' slopes."""
    parts = rows.chunk(net.depth, -1)
    given = partial(_arguments, net, step, hs, x)
    slopes = once(hs, step, lambda: [Slopes.of(*layer) for layer in given()])
    cast = [layer.to(rows) for layer in slopes]
    for layer in reversed(range(net.depth)):
        to_h, to_c = parts[layer].chunk(2, -1)
        to_c.addcmul_(to_h, cast[layer].c.unsqueeze(-2))
        if layer:
            below = parts[layer - 1].chunk(2, -1)[0]
            below.add_(parts[layer] @ cast[layer].times(_input_gates(net, layer)))
    return cast
