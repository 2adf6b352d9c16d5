"""The derivatives of one layer of an `MLP`, by formula."""

import torch
from torch import Tensor, nn

from isogain.activations import ACTIVATIONS
from isogain.diagnostics.step.definition import pull_, push, scaled_factors
from isogain.diagnostics.step.factors import Scaled, once, resolved
from isogain.models.mlp import MLP


@pull_.register
@torch.no_grad()
def _pull_(net: MLP, rows: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
    derivative = ACTIVATIONS[net.activation].derivative
    slopes = once(hs, step, lambda: derivative(_z(net, step, hs)))
    delta = rows * resolved(slopes, rows).unsqueeze(-2)
    torch.mm(delta.flatten(0, 1), net.kernel[step].to(rows.dtype), out=rows.flatten(0, 1))
    return rows


@push.register
@torch.no_grad()
def _push(net: MLP, v: Tensor, step: int, hs: list[Tensor], x: Tensor) -> Tensor:
    slopes = ACTIVATIONS[net.activation].derivative(_z(net, step, hs))
    return slopes * (v @ net.kernel[step].mT)


@scaled_factors.register
@torch.no_grad()
def _scaled_factors(net: MLP, step: int, hs: list[Tensor], x: Tensor) -> list[Scaled]:
    logs = ACTIVATIONS[net.activation].log_derivative(_z(net, step, hs))
    return [Scaled(logs, net.kernel[step])]


def _z(net: MLP, step: int, hs: list[Tensor]) -> Tensor:
    return nn.functional.linear(hs[step], net.kernel[step], net.bias[step])
