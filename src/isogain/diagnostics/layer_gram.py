"""Inner products of gradients of a module that is made of nn.Linear and nn.Conv2d, from their inputs and deltas.

Axes: B examples, R rows an example, P parameters; of a layer G groups of n × k weights, used at T places (tokens,
pixels). The gradient of row (r, b) is g = Σ_t δ_t (a_t, 1)ᵀ with δ = ∂(s·z)/∂(layer's output), of which
⟨g, g'⟩ = (δ·δ')(a·a' + 1) where T = 1. Goodfellow 2015, section 3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from isogain.diagnostics.gram import FORMED, PASSED
from isogain.diagnostics.linearised import Linearised
from isogain.diagnostics.module_arguments import Arguments

Layer = nn.Linear | nn.Conv2d
CHUNK = 2**24  # entries of gradients at once


@dataclass
class Use:
    """What a layer saw of some examples: inputs a (b, G, k, T), deltas (R, b, G, n, T)."""

    a: Tensor
    delta: Tensor


def layers(net: nn.Module) -> list[Layer] | None:
    """The owners of all parameters with `requires_grad`, if all are nn.Linear or nn.Conv2d and none is shared.

    >>> [type(layer).__name__ for layer in layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))]
    ['Linear']
    >>> layers(nn.LayerNorm(3))
    """
    owners = [m for m in net.modules() if any(p.requires_grad for p in m.parameters(False))]
    held = [id(p) for m in owners for p in m.parameters(False)]
    plain = all(type(m) is nn.Linear or _is_plain_convolution(m) for m in owners)
    return owners if plain and len(set(held)) == len(held) else None  # type: ignore[return-value]


def layer_gram(model: Linearised, rows: Tensor) -> Tensor | None:
    """⟨g, g'⟩ of all pairs of rows (R, B, D), in float64; (R·B, R·B), row (r, b) at r·B + b.

    None where the module is not of such layers, each used once (checked against autograd on a probe of the last
    example), or where what the layers saw has more than `FORMED` entries.

    >>> model = Linearised(nn.Linear(2, 1), torch.tensor([[3.0, 4.0]]))
    >>> layer_gram(model, torch.ones(1, 1, 1))  # 3² + 4² + 1
    tensor([[26.]], dtype=torch.float64)
    """
    owners = layers(model.net)
    if owners is None or not _give_the_gradient(model, owners, rows):
        return None
    parts = [
        _uses(model, owners, part, some)
        for part, some in zip(model.parts, rows.split(PASSED, 1), strict=True)
    ]
    n = rows.shape[0] * rows.shape[1]
    total = rows.new_zeros(n, n, dtype=torch.float64)
    for pieces in zip(*parts, strict=True):
        a = torch.cat([use.a for use in pieces])
        _add_gram_(total, Use(a, torch.cat([use.delta for use in pieces], 1)))
    return total


def _give_the_gradient(model: Linearised, owners: list[Layer], rows: Tensor) -> bool:
    """Whether the deltas of a probe of the last example, and of no other, make the gradient that autograd computes."""
    part = model.parts[-1]
    z = model.outputs(part)
    draw = torch.Generator().manual_seed(0)
    probe = torch.zeros(z[:, None].shape, dtype=z.dtype, device=z.device).transpose(0, 1)
    probe[0, -1] = torch.randn(z[-1].shape, generator=draw, dtype=torch.float64).to(z)
    uses = _uses(model, owners, part, probe)
    if not uses or any(use.delta[:, :-1].any() for use in uses):
        return False
    places = sum(use.delta[0, -1].numel() for use in uses)
    if rows.shape[0] * rows.shape[1] * places > FORMED:
        return False
    made = [_parameters(layer, use) for layer, use in zip(owners, uses, strict=True)]
    weights = [w for layer in owners for w in layer.parameters(False) if w.requires_grad]
    expected = torch.autograd.grad(z, weights, probe[0], materialize_grads=True)
    pairs = list(zip((w for some in made for w in some), expected, strict=True))
    allowed = torch.finfo(z.dtype).eps ** 0.5 * max(g.abs().max() for g in expected)
    return all((a.view_as(b) - b).abs().max() <= allowed for a, b in pairs)


def _uses(model: Linearised, owners: list[Layer], part: Arguments, rows: Tensor) -> list[Use]:
    """One use a layer for rows (R, b, ...); none where a layer is used twice, never, or not example by example."""
    seen: dict[Layer, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in owners}

    def keep(layer: Layer, inputs: tuple[Tensor, ...], z: Tensor) -> Tensor:
        seen[layer] += [(a.detach(), z) for a in inputs[:1]]
        return z.clone()  # a function in place, such as ReLU, may follow

    handles = [layer.register_forward_hook(keep) for layer in owners]
    try:
        outputs = model.outputs(part)
    finally:
        for handle in handles:
            handle.remove()
    once = [(layer, *calls[0]) for layer, calls in seen.items() if len(calls) == 1]
    once = [(layer, a, z) for layer, a, z in once if _by_example(layer, a, len(outputs))]
    if len(once) < len(owners):
        return []
    zs = [z for _, _, z in once]
    deltas = [
        torch.autograd.grad(
            outputs, zs, s.view_as(outputs), retain_graph=True, materialize_grads=True
        )
        for s in rows
    ]
    stacked = [torch.stack(delta) for delta in zip(*deltas, strict=True)]
    return [Use(*_places(layer, a, d)) for (layer, a, _), d in zip(once, stacked, strict=True)]


def _by_example(layer: Layer, a: Tensor, examples: int) -> bool:
    """Whether the first axis of a layer's input is that of the examples."""
    return len(a) == examples and a.ndim > 1 and (a.ndim == 4 or isinstance(layer, nn.Linear))


def _places(layer: Layer, a: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """(b, G, k, T) with a row of ones for a bias, and (R, b, G, n, T)."""
    if isinstance(layer, nn.Linear):
        a, groups = a.flatten(1, -2).mT if a.ndim > 2 else a[..., None], 1
        delta = delta.flatten(2, -2).mT if delta.ndim > 3 else delta[..., None]
    else:
        options = (layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        a, groups = unfold(a, *options), layer.groups  # type: ignore[arg-type]
        delta = delta.flatten(3)
    a, delta = a.unflatten(1, (groups, -1)), delta.unflatten(2, (groups, -1))
    return torch.cat(_rows(layer, a), 2), delta


def _rows(layer: Layer, a: Tensor) -> list[Tensor]:
    """The inputs of the weights and of the bias, those of them that are trained."""
    inputs = [a] if layer.weight.requires_grad else []
    return inputs + ([torch.ones_like(a[:, :, :1])] if _has_bias(layer) else [])


def _has_bias(layer: Layer) -> bool:
    return layer.bias is not None and layer.bias.requires_grad


def _parameters(layer: Layer, use: Use) -> list[Tensor]:
    """The gradient of the last example by the layer's trained parameters."""
    g = use.delta[0, -1] @ use.a[-1].mT
    weight, bias = (g[..., :-1], g[..., -1]) if _has_bias(layer) else (g, None)
    return ([weight] if layer.weight.requires_grad else []) + ([] if bias is None else [bias])


def _add_gram_(total: Tensor, use: Use) -> None:
    """Add the layer's inner products to the total, by a·a' and δ·δ' or, with more places than one, by parts of g."""
    r, b, groups, n, places = use.delta.shape
    for a, delta in zip(use.a.unbind(1), use.delta.unbind(2), strict=True):
        if places == 1:
            d = delta.flatten(0, 1).flatten(1)
            product = (d @ d.mT).view(r, b, r, b).double()
            inner = a.flatten(1) @ a.flatten(1).mT
            total.view(r, b, r, b).addcmul_(product, inner.double()[:, None])
            continue
        for some in delta.split(max(1, CHUNK // (r * b * a.shape[1])), 2):
            g = (some @ a.mT).flatten(0, 1).flatten(1)
            total += (g @ g.mT).double()


def _is_plain_convolution(layer: nn.Module) -> bool:
    plain = type(layer) is nn.Conv2d and layer.padding_mode == "zeros"
    return plain and not isinstance(layer.padding, str)
