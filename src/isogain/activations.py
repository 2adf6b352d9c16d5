"""Activations by name: function, derivative, and what a hand-written backward pass needs of them.

Models, fast backward passes and theory read the same table. `modrelu` alone has a parameter (a bias
a unit), which its function and derivative take as second argument.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import hardtanh, hardtanh_


@dataclass(frozen=True)
class Activation:
    """φ(z) as `function`, the same in place as `function_`, φ'(z) as `derivative`, φ'(φ⁻¹(h)) as
    `slope`, max φ' as `steepest`.

    `slope` lets a backward pass keep the outputs alone. At a kink all agree with autograd: the
    derivative there is 0.
    """

    function: Callable[..., Tensor]
    function_: Callable[..., Tensor]
    derivative: Callable[..., Tensor]
    slope: Callable[[Tensor], Tensor]
    steepest: float = 1.0


def modrelu(z: Tensor, bias: Tensor) -> Tensor:
    """sign(z)·relu(|z| + b), the real modReLU. Arjovsky, Shah and Bengio 2016, equation 8."""
    return z.sign() * (z.abs() + bias).relu()


def _modrelu_derivative(z: Tensor, bias: Tensor) -> Tensor:
    return ((z.abs() + bias > 0) & (z != 0)).to(z.dtype)


def _tanh_slope(h: Tensor) -> Tensor:
    return torch.addcmul(h.new_ones(()), h, h, value=-1)  # one pass over memory


def _erf_slope(h: Tensor) -> Tensor:
    return 2 / math.sqrt(math.pi) * torch.erfinv(h).square_().neg_().exp_()


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda z: z, lambda z: z, torch.ones_like, torch.ones_like),
    "tanh": Activation(torch.tanh, torch.tanh_, lambda z: 1 - z.tanh().square(), _tanh_slope),
    "relu": Activation(
        torch.relu, torch.relu_, lambda z: (z > 0).to(z.dtype), lambda h: (h > 0).to(h.dtype)
    ),
    "hardtanh": Activation(
        hardtanh,
        hardtanh_,
        lambda z: (z.abs() < 1).to(z.dtype),
        lambda h: (h.abs() < 1).to(h.dtype),
    ),
    "erf": Activation(
        torch.erf,
        Tensor.erf_,
        lambda z: 2 / math.sqrt(math.pi) * (-z.square()).exp(),
        _erf_slope,
        2 / math.sqrt(math.pi),
    ),
    "modrelu": Activation(
        modrelu,
        lambda z, bias: z.copy_(modrelu(z, bias)),
        _modrelu_derivative,
        lambda h: (h != 0).to(h.dtype),
    ),
}
