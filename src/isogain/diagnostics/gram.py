"""Gradients of a network's outputs example by example, through its affine maps: their inner products and norms.

Axes: B examples, C outputs, R rows an example, n × k a weight, T uses of it, P parameters. A row (r, b) is a
linear form s of the outputs of example b, and has the gradient g = Jᵀs. Of one use of W in z = Wa + b that is
δaᵀ with δ = ∂(s·outputs)/∂z, so ⟨g, g'⟩ = (δ·δ')(a·a' + 1), and nothing of the size of W is made.
"""

import copy
from collections.abc import Callable, Iterator
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from isogain.models.base import Affine, Network

BLOCK = 8  # examples at once whose gradients are formed
PASSED = 128  # examples at once in a product with J or Jᵀ
DUAL = 4096  # rows up to which their Gram matrix is formed
FORMED = 2**28  # entries of gradients up to which they are formed, where the Gram matrix needs that
Parts = list[tuple[Tensor, Tensor]]  # inputs and rows of some examples


def bare(net: Network, dtype: torch.dtype | None = None) -> Network:
    """A copy in `dtype` whose parameters are the network's own: a re-parametrised kernel is itself one."""
    if not isinstance(net, Network):
        raise TypeError(f"this is measured on a Network of isogain's own, got {type(net).__name__}")
    plain = copy.deepcopy(net)
    for own, module in list(zip(net.modules(), plain.modules(), strict=True)):
        if parametrize.is_parametrized(own):
            values = {
                name: getattr(own, name).detach().clone()
                for name in cast(nn.ModuleDict, own.parametrizations)
            }
            # by hand: torch's removal edits a class that the original shares
            del module.parametrizations
            module.__class__ = cast(type[nn.Module], type(own).__base__)
            for name, value in values.items():
                module.register_parameter(name, nn.Parameter(value))
    return plain.to(dtype=dtype).requires_grad_()


def outputs(net: Network, x: Tensor) -> tuple[Tensor, list[list[Affine]]]:
    """The logits (B, C), with `per_step` those of all time steps side by side (B, T·C), and the affine maps that
    they come of, in groups that share their weights.
    """
    first, h = net.entry(x)
    maps, states = zip(*net.steps(h, x), strict=True)
    read = [[state] for state in states] if net.per_step else [[h, *states]]
    tops = [net.top(part) for part in read]
    readings = [Affine((top,), net.output(top)) for top in tops]
    if net.sequential:
        groups = [list(uses) for uses in zip(*maps, strict=True)]
    else:
        groups = [[layer] for step in maps for layer in step]
    logits = torch.cat([use.z for use in readings], -1) if net.per_step else readings[0].z
    return logits, [[layer] for layer in first] + groups + [readings]


@torch.enable_grad()
def deltas(net: Network, x: Tensor, rows: Tensor) -> list[tuple[list[Affine], list[Tensor]]]:
    """δ = ∂(s·logits)/∂z of every use of every weight, for rows s (R, B, C); groups of T maps and T times (R, B, n)."""
    logits, groups = outputs(net, x)
    zs = [layer.z for group in groups for layer in group]
    gradients_of_z = iter(torch.autograd.grad(logits, zs, rows, is_grads_batched=True))
    return [(group, [next(gradients_of_z) for _ in group]) for group in groups]


@torch.no_grad()
def gram(net: Network, x: Tensor, rows: Tensor) -> Tensor:
    """⟨g, g'⟩ of all pairs of rows (R, B, C), summed over layers in float64; (R·B, R·B), row (r, b) at r·B + b."""
    if net.sequential:
        parts = [g.flatten(2) for g in gradients(net, x, rows)]
        return _outer(torch.cat(parts, 1).flatten(0, 1)).double()
    r, b = rows.shape[:2]
    total = rows.new_zeros(r * b, r * b, dtype=torch.float64)
    for (layer,), (delta,) in deltas(net, x, rows):
        inner = sum((_outer(a) for a in layer.inputs), torch.ones_like(rows[0, 0, 0]))
        product = _outer(delta.flatten(0, 1)).view(r, b, r, b).double()
        total.view(r, b, r, b).addcmul_(product, inner.double()[:, None])
    return total


@torch.no_grad()
def gradients(net: Network, x: Tensor, rows: Tensor) -> Iterator[Tensor]:
    """g itself, of a few examples at a time, every parameter in it; (R, examples, P)."""
    for part, forms in zip(x.split(BLOCK), rows.split(BLOCK, 1), strict=True):
        layers = [_weights(*uses).flatten(2) for uses in deltas(net, part, forms)]
        yield torch.cat(layers, -1)


@torch.no_grad()
def squared_norms(net: Network, x: Tensor, rows: Tensor) -> Tensor:
    """‖g‖² of every row (R, B, C), in float64; (R, B)."""
    parts = zip(x.split(BLOCK), rows.split(BLOCK, 1), strict=True)
    if net.sequential:
        return torch.cat([g.double().square().sum(-1) for g in gradients(net, x, rows)], 1)
    return torch.cat(
        [reduce(torch.add, (_norms(*uses) for uses in deltas(net, *part))) for part in parts], 1
    )


def product(net: Network, x: Tensor, rows: Tensor) -> Callable[[Tensor], Tensor]:
    """v ↦ Gv with the Gram matrix G of the rows (R, B, C), by passes through the network; (R·B, m) -> (R·B, m)."""
    parts = list(zip(x.split(PASSED), rows.split(PASSED, 1), strict=True))

    def apply(v: Tensor) -> Tensor:
        columns = v.to(rows).mT.unflatten(-1, rows.shape[:2])
        products = [_push(net, parts, _pull(net, parts, column)).flatten() for column in columns]
        return torch.stack(products, -1).to(v)

    return apply


@torch.enable_grad()
def _pull(net: Network, parts: Parts, v: Tensor) -> list[Tensor]:
    """Σ v g over all rows, by a backward pass; v is (R, B)."""
    weights = list(net.parameters())
    total = [torch.zeros_like(w) for w in weights]
    for (x, rows), u in zip(parts, v.split(PASSED, 1), strict=True):
        terms = torch.autograd.grad(outputs(net, x)[0], weights, (rows * u[..., None]).sum(0))
        torch._foreach_add_(total, terms)
    return total


@torch.enable_grad()
def _push(net: Network, parts: Parts, direction: list[Tensor]) -> Tensor:
    """⟨g, direction⟩ of every row, by a backward pass through the backward pass, linear in u; (R, B)."""
    products = []
    for x, rows in parts:
        logits = outputs(net, x)[0]
        u = torch.zeros_like(logits, requires_grad=True)
        pulled = torch.autograd.grad(logits, list(net.parameters()), u, create_graph=True)
        products.append((rows * torch.autograd.grad(pulled, u, direction)[0]).sum(-1))
    return torch.cat(products, 1)


def _outer(a: Tensor) -> Tensor:
    return a @ a.mT


def _weights(uses: list[Affine], delta: list[Tensor]) -> Tensor:
    """Σ_t δ(a, 1)ᵀ; (R, B, n, k + 1)."""
    a = torch.stack(
        [torch.cat([*layer.inputs, torch.ones_like(layer.z[:, :1])], -1) for layer in uses], 1
    )
    return torch.stack(delta, -1) @ a


def _norms(uses: list[Affine], delta: list[Tensor]) -> Tensor:
    """‖δ‖²(‖a‖² + 1) of the one use; (R, B)."""
    ((layer,), (d,)) = uses, delta
    inner = 1 + sum(a.double().square().sum(-1) for a in layer.inputs)
    return d.double().square().sum(-1) * inner
