"""The bound that Sokół and Park set on the largest eigenvalue of the Fisher by the Jacobians' singular values.

Axes: B examples, C outputs, layers α = 1 … g of weights W^α and biases b^α, of which g is the output layer:
h^α = W^α x^{α−1} + b^α, x^α = φ(h^α), J_α = ∂h^g/∂h^α. E is the mean over the batch.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from isogain.diagnostics.fisher import curvature
from isogain.diagnostics.gram import bare, deltas, outputs
from isogain.diagnostics.output_rows import Loss, every_output, softmax_factor
from isogain.models.base import Network


@dataclass(frozen=True)
class FisherBound:
    """λ_max ≤ `bound` = diagonal + partner + Σ biases + Σ weights, a row of blocks, beside the `measured` λ_max.

    `row` is the block row that the theorem takes, b¹ if ‖Ex⁰‖ ≤ 1 and W¹ else. What the terms are made of:
    `jacobians` E σ_max(J_α), (g,); `hessian` E λ_max(H_g); `inputs` ‖Ex⁰‖; `signals` √N |E φ(h^α)|, (g − 1,).
    `sure` is a bound that needs no assumption.

    >>> from isogain.models import MLP
    >>> net, x = MLP(2, 3, hidden=4), torch.ones(2, 2)
    >>> b = fisher_bound(net, x)
    >>> total = b.diagonal + b.partner + b.biases.sum().item() + b.weights.sum().item()
    >>> abs(b.bound / total - 1) < 1e-9
    True
    """

    measured: float
    bound: float
    sure: float
    row: Literal["b", "W"]
    diagonal: float
    partner: float
    biases: Tensor
    weights: Tensor
    jacobians: Tensor
    hessian: float
    inputs: float
    signals: Tensor


def fisher_bound(net: Network, x: Tensor, loss: Loss = "cross_entropy") -> FisherBound:
    """The bound on λ_max of the exact Fisher on the inputs x, every term of it, and λ_max; in float64.

    With H = E λ_max(H_g), s_α = E σ_max(J_α), m = ‖Ex⁰‖ and f_β = √N |E φ(h^{β−1})| the blocks have norms

        row b¹:  b¹  H E σ_max(J_1)²              W¹  m H E σ_max(J_1)²    b^β    s_1 H s_β    W^β    f_β s_1 H s_β
        row W¹:  W¹  ‖E x⁰x⁰ᵀ‖ H E σ_max(J_1)²    b¹  m H E σ_max(J_1)²    b^β  m s_1 H s_β    W^β  m f_β s_1 H s_β

    at most, where signals and Jacobians are independent and s_1 is the largest: on average over wide random
    networks, not for each (input biases of nn.Linear break it). Sokół and Park 2020, lemma 1 and the theorem after it;
    ‖E x⁰x⁰ᵀ‖ is the lemma's, the theorem's text drops it. For every network, by the triangle inequality,
    λ_max ≤ E λ_max(H_g) Σ_α (1 + ‖x^{α−1}‖²) σ_max(J_α)².

    >>> from isogain.models import MLP
    >>> net, x = MLP(2, 3, hidden=4), torch.ones(2, 2)
    >>> bound = fisher_bound(net, x)
    >>> bound.measured <= bound.sure
    True
    """
    if net.sequential:
        raise ValueError("the bound is for feed-forward networks: shared weights have other blocks")
    net, x = bare(net, torch.float64), x.double()
    (a0, *others), s, h, measured = _parts(net, x, loss)
    jacobians, hessian, inputs = s.mean(1), h.mean(), torch.linalg.vector_norm(a0.mean(0))
    signals = torch.stack([a.shape[1] ** 0.5 * a.mean().abs() for a in others])
    row: Literal["b", "W"] = "b" if inputs <= 1 else "W"
    own, cross = hessian * s[0].square().mean(), jacobians[0] * hessian * jacobians[1:]
    second = torch.linalg.matrix_norm(a0, 2).square() / len(x)
    diagonal, biases = (own, cross) if row == "b" else (second * own, inputs * cross)
    partner, weights = inputs * own, signals * biases
    squares = torch.stack([a.square().sum(1) for a in (a0, *others)])
    return FisherBound(
        measured=measured,
        bound=(diagonal + partner + biases.sum() + weights.sum()).item(),
        sure=(h * ((1 + squares) * s.square()).sum(0)).mean().item(),
        row=row,
        diagonal=diagonal.item(),
        partner=partner.item(),
        biases=biases,
        weights=weights,
        jacobians=jacobians,
        hessian=hessian.item(),
        inputs=inputs.item(),
        signals=signals,
    )


def _parts(net: Network, x: Tensor, loss: Loss) -> tuple[list[Tensor], Tensor, Tensor, float]:
    """x^{α−1} of every layer, (B, k) each, σ_max(J_α), (g, B), λ_max(H_g), (B,), and λ_max of the Fisher."""
    logits = outputs(net, x)[0].detach()
    unit = every_output(logits)
    factor = softmax_factor(logits) if loss == "cross_entropy" else unit
    layers = deltas(net, x, unit)
    signals = [layer.inputs[0].detach() for (layer,), _ in layers]
    s = torch.stack([_largest(delta) for _, (delta,) in layers])
    measured = curvature(net, x, logits, loss=loss).eigenvalues.item()
    return signals, s, _largest(factor).square(), measured


def _largest(rows: Tensor) -> Tensor:
    """The largest singular value of every example's matrix of rows; (R, B, n) -> (B,)."""
    a = rows.transpose(0, 1)
    size = a.abs().amax((1, 2), keepdim=True)
    a = a / size.where(size > 0, 1)  # squares of small ones are below the range
    return torch.linalg.eigvalsh(a @ a.mT)[:, -1].clamp_min(0).sqrt() * size.flatten()
