"""Activations by name: function, derivative, and what a hand-written backward pass needs of them.

Models, fast backward passes and theory read the same table. A derivative is computed from z and keeps
every digit: one from the output loses those that saturation rounds away, 1 − tanh(z)² all of them at
z = 19. `modrelu` alone has a parameter (a bias a unit), which its function and derivatives take as
second argument.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import hardtanh, hardtanh_, logsigmoid


@dataclass(frozen=True)
class Activation:
    """φ(z) as `function`, the same in place as `function_`, φ'(z) as `derivative`, log |φ'(z)| as
    `log_derivative`, φ'(φ⁻¹(h)) as `slope`, max φ' as `steepest`.

    `slope` lets a backward pass keep the outputs alone, as torch's own does; None where outputs do not
    hold the digits of it. At a kink all agree with autograd: the derivative there is 0.
    """

    function: Callable[..., Tensor]
    function_: Callable[..., Tensor]
    derivative: Callable[..., Tensor]
    log_derivative: Callable[..., Tensor]
    slope: Callable[[Tensor], Tensor] | None
    steepest: float = 1.0


def modrelu(z: Tensor, bias: Tensor) -> Tensor:
    """sign(z)·relu(|z| + b), the real modReLU. Arjovsky, Shah and Bengio 2016, equation 8."""
    return z.sign() * (z.abs() + bias).relu()


def tanh_derivative(z: Tensor) -> Tensor:
    """sech² z to all digits, as far as the precision's range goes."""
    return z.cosh().reciprocal().square()


def log_tanh_derivative(z: Tensor) -> Tensor:
    """log sech² z = log 4 − 2|z| − 2 log(1 + e^(−2|z|)), for z of any size."""
    z = 2 * z.abs()
    return math.log(4) - z - 2 * (-z).exp().log1p()


def sigmoid_derivative(z: Tensor) -> Tensor:
    """σ'(z) = σ(z) σ(−z) to all digits, as far as the precision's range goes."""
    return z.sigmoid() * (-z).sigmoid()


def log_sigmoid_derivative(z: Tensor) -> Tensor:
    """log σ'(z), for z of any size."""
    return logsigmoid(z) + logsigmoid(-z)


def _modrelu_derivative(z: Tensor, bias: Tensor) -> Tensor:
    return ((z.abs() + bias > 0) & (z != 0)).to(z.dtype)


def _tanh_slope(h: Tensor) -> Tensor:
    return torch.addcmul(h.new_ones(()), h, h, value=-1)  # one pass over memory


def _piecewise_linear(
    function: Callable[..., Tensor],
    function_: Callable[..., Tensor],
    derivative: Callable[..., Tensor],
    slope: Callable[[Tensor], Tensor],
) -> Activation:
    """Slopes 0 and 1 alone, whose logarithms are exact."""
    return Activation(function, function_, derivative, lambda *z: derivative(*z).log(), slope)


ACTIVATIONS: dict[str, Activation] = {
    "linear": _piecewise_linear(lambda z: z, lambda z: z, torch.ones_like, torch.ones_like),
    "tanh": Activation(torch.tanh, torch.tanh_, tanh_derivative, log_tanh_derivative, _tanh_slope),
    "relu": _piecewise_linear(
        torch.relu, torch.relu_, lambda z: (z > 0).to(z.dtype), lambda h: (h > 0).to(h.dtype)
    ),
    "hardtanh": _piecewise_linear(
        hardtanh,
        hardtanh_,
        lambda z: (z.abs() < 1).to(z.dtype),
        lambda h: (h.abs() < 1).to(h.dtype),
    ),
    "erf": Activation(
        torch.erf,
        Tensor.erf_,
        lambda z: 2 / math.sqrt(math.pi) * (-z.square()).exp(),
        lambda z: math.log(2 / math.sqrt(math.pi)) - z.square(),
        None,  # at z = 3.8 a float32 erf(z) is a rounding away from 1: φ' from it is 22 % off
        2 / math.sqrt(math.pi),
    ),
    "modrelu": _piecewise_linear(
        modrelu,
        lambda z, bias: z.copy_(modrelu(z, bias)),
        _modrelu_derivative,
        lambda h: (h != 0).to(h.dtype),
    ),
}
