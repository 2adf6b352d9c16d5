"""Rows s with Σ s sᵀ = H, the curvature of a built-in loss by the outputs of a network, and products with H.

Axes: B examples, C outputs, D all outputs of an example, R rows an example; `exact`, `mc` and so on as in `fisher`.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

Kind = Literal["exact", "ggn", "mc", "empirical"]
Loss = Literal["cross_entropy", "squared"]


def output_rows(
    z: Tensor, y: Tensor, kind: Kind, loss: Loss, generator: torch.Generator | None
) -> Tensor:
    """Rows s with Σ s sᵀ = H_b, for outputs z (B, C) or (B, ..., C), in float64; (R, B, D).

    >>> rows = output_rows(torch.zeros(1, 2), torch.tensor([0]), "empirical", "cross_entropy", None)
    >>> rows  # p − e_y
    tensor([[[-0.5000,  0.5000]]], dtype=torch.float64)
    """
    z = z.double()
    if kind == "mc":
        y = _drawn(z, loss, generator)
    if kind in ("exact", "ggn"):
        return (
            _per_step(softmax_factor, z) if loss == "cross_entropy" else every_output(z.flatten(1))
        )
    if loss == "cross_entropy":
        return (z.softmax(-1) - one_hot(y, z.shape[-1])).flatten(1)[None]
    return (z - y).flatten(1)[None]


def check_targets(z: Tensor, y: Tensor, kind: Kind, loss: Loss) -> None:
    """Raise ValueError unless y are targets of the outputs z (B, ..., C), where the kind looks at them.

    >>> check_targets(torch.zeros(2, 3), torch.tensor([0, 3]), "empirical", "cross_entropy")
    Traceback (most recent call last):
    ValueError: y must be classes from 0 to 2, got 0 to 3; a loss function can leave targets out
    """
    if loss not in ("cross_entropy", "squared"):
        raise ValueError(
            f"loss must be 'cross_entropy', 'squared' or a function of outputs and targets, got {loss!r}"
        )
    if kind not in ("exact", "ggn", "mc", "empirical"):
        raise ValueError(f"kind must be 'exact', 'ggn', 'mc' or 'empirical', got {kind!r}")
    if kind != "empirical":
        return
    shape = z.shape[:-1] if loss == "cross_entropy" else z.shape
    if y.shape != shape:
        raise ValueError(f"y must have the shape {tuple(shape)} for {loss}, got {tuple(y.shape)}")
    if loss == "cross_entropy" and (y.min() < 0 or y.max() >= z.shape[-1]):
        raise ValueError(
            f"y must be classes from 0 to {z.shape[-1] - 1}, got {y.min()} to {y.max()}; "
            "a loss function can leave targets out"
        )


def output_hessian(z: Tensor, loss: Loss) -> Callable[[Tensor], Tensor]:
    """v ↦ Hv for the exact H of outputs z, without its rows; (B, ..., C) -> (B, ..., C).

    >>> output_hessian(torch.zeros(1, 2), "cross_entropy")(torch.tensor([[1.0, 0.0]]))
    tensor([[ 0.2500, -0.2500]])
    """
    if loss == "squared":
        return lambda v: v
    p = z.softmax(-1)
    return lambda v: p * v - p * (p * v).sum(-1, keepdim=True)


def softmax_factor(logits: Tensor) -> Tensor:
    """C − 1 rows s with Σ s sᵀ = diag(p) − ppᵀ, p = softmax(logits): (B, C) -> (C − 1, B, C).

    s = √p ⊙ q with q an orthonormal basis of the complement of √p, from the Householder reflection of √p to −e_C.
    """
    u = (logits.log_softmax(-1) / 2).exp()
    unit = torch.eye(u.shape[1], dtype=u.dtype, device=u.device)
    basis = unit[:-1, None] - u[:, :-1].mT[..., None] * (u + unit[-1]) / (1 + u[:, -1:])
    return u * basis


def every_output(logits: Tensor) -> Tensor:
    """The unit vectors as rows, H = I; (C, B, C)."""
    unit = torch.eye(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    return unit[:, None].expand(-1, len(logits), -1)


def _per_step(factor: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Rows of each step, 0 at the others: z (B, C) -> (R, B, C), (B, ..., C) of T steps -> (T·R, B, T·C)."""
    if z.ndim == 2:
        return factor(z)
    rows = torch.stack([factor(step) for step in z.flatten(1, -2).unbind(1)])  # (T, R, B, C)
    unit = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    return torch.einsum("trbc,tu->trbuc", rows, unit).flatten(0, 1).flatten(2)


def _drawn(logits: Tensor, loss: Loss, generator: torch.Generator | None) -> Tensor:
    """Targets drawn from the prediction: a class, or the outputs plus unit Gaussian noise."""
    if generator is None:
        raise ValueError("kind='mc' draws targets: it needs a generator")
    logits, device = logits.to(generator.device), logits.device
    if loss == "cross_entropy":
        p = logits.softmax(-1)
        drawn = torch.multinomial(p.flatten(0, -2), 1, generator=generator)
        return drawn.view(p.shape[:-1]).to(device)
    noise = torch.randn(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device)
    return (logits + noise).to(device)
