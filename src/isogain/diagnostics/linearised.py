"""The outputs of any module on a batch, and products with their derivatives by its parameters, matrix-free.

Axes: B examples, C outputs, of which an example may have several rows, P parameters with `requires_grad`, R rows.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from isogain.diagnostics.gram import PASSED
from isogain.diagnostics.module_arguments import Arguments, call, split


class Linearised:
    """`z`, the outputs (B, ..., C) of a copy that `measured_copy` made, and J = ∂z/∂θ with θ (P,) its parameters.

    Raises TypeError where the module returns no tensor, ValueError where its outputs have no class axis, or depend on
    the other examples of a batch or on draws, torch.linalg.LinAlgError where they are not finite.

    >>> net = nn.Linear(2, 1)
    >>> model = Linearised(net, torch.tensor([[3.0, 4.0]]))
    >>> model.pull(torch.ones(1, 1))
    tensor([3., 4., 1.])
    >>> model.push(torch.ones(3))
    tensor([[8.]])
    """

    def __init__(self, net: nn.Module, x: Arguments) -> None:
        self.net, self.x = net, x
        named = {name: p for name, p in net.named_parameters() if p.requires_grad}
        self.names, self.weights = list(named), list(named.values())
        self.size = sum(p.numel() for p in self.weights)
        self.parts = list(split(x, PASSED))
        self.z = torch.cat([self.outputs(part).detach() for part in self.parts])
        self._check()

    def outputs(self, part: Arguments) -> Tensor:
        """z of some examples, with its graph."""
        z = call(self.net, part)
        if not isinstance(z, Tensor):
            raise TypeError(
                f"{type(self.net).__name__} returns {type(z).__name__}: wrap it in a module that returns the outputs "
                "alone, a tensor (B, ..., C)"
            )
        return z

    def pull(self, u: Tensor) -> Tensor:
        """Jᵀu; (B, ..., C) -> (P,)."""
        total = u.new_zeros(self.size)
        for part, forms in zip(self.parts, u.split(PASSED), strict=True):
            total += self.gradient(self.outputs(part), forms)
        return total

    def push(self, v: Tensor) -> Tensor:
        """Jv; (P,) -> (B, ..., C): forward, or by a backward pass through the backward pass, which is linear in u."""
        product = self._forward if self._has_forward else self._twice_backward
        directions = self._shaped(v)
        return torch.cat([product(part, directions) for part in self.parts])

    def gradients(self, rows: Tensor) -> Iterator[Tensor]:
        """Jᵀs of every row s of rows (R, B, ...), an example at a time; (R, P) each."""
        for part, forms in zip(split(self.x, 1), rows.unbind(1), strict=True):
            z = self.outputs(part)
            yield torch.stack([self.gradient(z, s, retain_graph=True) for s in forms])

    def gradient(self, z: Tensor, u: Tensor, **options: Any) -> Tensor:
        """∂(u·z)/∂θ; (P,)."""
        terms = torch.autograd.grad(
            z, self.weights, u.reshape(z.shape), materialize_grads=True, **options
        )
        return torch.cat([g.flatten() for g in terms])

    @cached_property
    def _has_forward(self) -> bool:
        """Whether forward differentiation is there, and transposes the backward pass, on a probe of one example."""
        part, draw = next(split(self.x, 1)), torch.Generator().manual_seed(0)
        v = torch.randn(self.size, generator=draw, dtype=torch.float64).to(self.weights[0])
        z = self.outputs(part)
        u = torch.randn(z.shape, generator=draw, dtype=torch.float64).to(z)
        try:
            z_v = self._forward(part, self._shaped(v))
        except RuntimeError:  # NotImplementedError is one
            return False
        pulled = self.gradient(z, u)
        error = (torch.sum(u * z_v) - torch.sum(pulled * v)).abs()
        return bool(error <= torch.finfo(z.dtype).eps ** 0.5 * (pulled.norm() * v.norm()))

    def _forward(self, part: Arguments, directions: list[Tensor]) -> Tensor:
        with forward_ad.dual_level():
            triples = zip(self.names, self.weights, directions, strict=True)
            duals = {name: forward_ad.make_dual(p, v) for name, p, v in triples}
            z, z_v = forward_ad.unpack_dual(self.outputs_at(duals, part))
            return torch.zeros_like(z) if z_v is None else z_v.detach()

    def outputs_at(self, weights: dict[str, Tensor], part: Arguments) -> Tensor:
        """z of some examples at other parameters."""
        if isinstance(part, dict):
            return functional_call(self.net, weights, (), part)
        return functional_call(self.net, weights, part)

    def _twice_backward(self, part: Arguments, directions: list[Tensor]) -> Tensor:
        z = self.outputs(part)
        u = torch.zeros_like(z, requires_grad=True)
        pulled = torch.autograd.grad(z, self.weights, u, create_graph=True, materialize_grads=True)
        used = [(g, v) for g, v in zip(pulled, directions, strict=True) if g.requires_grad]
        gs, vs = zip(*used, strict=True)
        return torch.autograd.grad(gs, u, vs)[0]

    def _shaped(self, v: Tensor) -> list[Tensor]:
        parts = v.split([p.numel() for p in self.weights])
        return [part.view_as(p) for part, p in zip(parts, self.weights, strict=True)]

    def _check(self) -> None:
        name, z = type(self.net).__name__, self.z
        first = self.outputs(next(split(self.x, 1)))
        if z.ndim < 2 or len(first) != 1:
            raise ValueError(
                f"{name} returns {tuple(first.shape)} for one example: outputs must be (B, C) or (B, ..., C)"
            )
        if not first.requires_grad:
            raise ValueError(f"the outputs of {name} depend on no parameter with requires_grad")
        if not z.isfinite().all():
            raise torch.linalg.LinAlgError(f"{name} has outputs that are not finite")
        if (first[0] - z[0]).abs().max() > torch.finfo(z.dtype).eps ** 0.5 * z.abs().max():
            raise ValueError(
                f"{name} gives an example other outputs alone than in a batch: statistics over the batch, draws in "
                "eval mode, or a batch that is not the first axis; curvature needs examples of their own"
            )
