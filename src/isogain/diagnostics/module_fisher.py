"""Curvature of any module and any loss on a batch, by the Gram matrix of gradients or matrix-free.

Axes: B examples, C outputs, D all outputs of an example, R rows an example, P parameters with `requires_grad`. F = JᵀHJ
as in `fisher`, over the outputs of all rows of an example, or with the Hessian H of a loss that is a function.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from isogain.config.ranges import between
from isogain.diagnostics import gram as limits
from isogain.diagnostics.lanczos import largest_eigenvalues
from isogain.diagnostics.layer_gram import layer_gram
from isogain.diagnostics.linearised import Linearised
from isogain.diagnostics.loss_hessian import LossFunction, LossHessian
from isogain.diagnostics.module_arguments import in_precision
from isogain.diagnostics.output_rows import (
    Kind,
    Loss,
    check_targets,
    every_output,
    output_hessian,
    output_rows,
)


class Eigenvalues(NamedTuple):
    """The largest of F, descending, in float64: all that can differ from 0 by "dual", k by "lanczos"."""

    values: Tensor
    trace: float | None
    method: Literal["dual", "lanczos"]


class OutputCurvature:
    """H on the outputs of a batch, as signed rows where they are few enough and as products.

    `count` is how many rows B·R it has. Raises ValueError for a loss function with a kind that needs a distribution.
    """

    def __init__(
        self,
        z: Tensor,
        y: Tensor,
        kind: Kind,
        loss: Loss | LossFunction,
        generator: torch.Generator | None,
    ) -> None:
        self.z, self.y, self.kind, self.loss, self.generator = z, y, kind, loss, generator
        one_row = kind in ("mc", "empirical")
        least = 1 if loss == "cross_entropy" else 0
        self.count = len(z) if one_row else z[..., least:].numel()
        self.function = None
        if callable(loss):
            if kind not in ("ggn", "empirical"):
                raise ValueError(
                    f"a loss function has no distribution of targets, which kind='{kind}' needs: pass kind='ggn' or "
                    "'empirical', or loss='cross_entropy' or 'squared'"
                )
            self.function = LossHessian(loss, z, in_precision(y, z.dtype))  # type: ignore[arg-type]
        else:
            check_targets(z, y, kind, loss)

    def rows(self) -> tuple[Tensor, Tensor | None]:
        """Rows (R, B, D) in the outputs' precision, and signs (R, B) where some may be negative."""
        if self.function is None:
            rows = output_rows(self.z, self.y, self.kind, self.loss, self.generator)  # type: ignore[arg-type]
            return (rows / len(self.z) ** 0.5).to(self.z), None
        if self.kind == "empirical":
            return self.function.gradient_rows(), None
        return self.function.signed_rows()

    def product(self, v: Tensor) -> Tensor:
        """Hv of the exact H; (B, ..., C) -> (B, ..., C)."""
        if self.function is not None:
            return self.function.product(v)
        return output_hessian(self.z, self.loss)(v) / len(v)  # type: ignore[arg-type]


def module_eigenvalues(
    model: Linearised, h: OutputCurvature, k: int, with_trace: bool
) -> Eigenvalues:
    """Of F = JᵀHJ: dual where the rows' Gram matrix is small enough, else k by Lanczos on rows or on parameters.

    Without `with_trace`, or with more than `DUAL` rows, Lanczos gives no trace.
    """
    between("k", k, 1, model.size + 1)
    one_row = h.kind in ("mc", "empirical")
    few = h.count <= limits.DUAL
    held = h.count * h.z[0].numel() <= limits.FORMED
    rows, signs = h.rows() if few or one_row or (h.function is None and held) else (None, None)
    gram = gradient_gram(model, rows) if few and rows is not None else None
    if gram is not None:
        values = _signed_eigenvalues(gram, signs)
        return Eigenvalues(values, values.sum().item(), "dual")
    if rows is not None and signs is None:
        values = _by_rows(model, rows, min(k, h.count))
    else:
        values = _by_parameters(model, h.product, k)
    trace = _trace(model, rows, signs) if with_trace and few and rows is not None else None
    return Eigenvalues(values, trace, "lanczos")


def module_kernel(model: Linearised) -> Tensor:
    """Θ = JJᵀ of all outputs, (B·D, B·D); raises ValueError where the gradients would fill the memory."""
    rows = every_output(model.z.flatten(1))
    gram = gradient_gram(model, rows)
    if gram is None:
        size = rows.shape[0] * rows.shape[1] * model.size * rows.element_size() / 2**30
        raise ValueError(
            f"the tangent kernel needs the gradients of {rows.shape[0] * rows.shape[1]} outputs by {model.size} "
            f"parameters, {size:.1f} GiB: take fewer examples, or fisher_eigenvalues(loss='squared'), matrix-free"
        )
    return gram


def gradient_gram(model: Linearised, rows: Tensor) -> Tensor | None:
    """⟨g, g'⟩ of all pairs of rows (R, B, D), layer by layer or of formed gradients, if these are small enough."""
    n = rows.shape[0] * rows.shape[1]
    gram = layer_gram(model, rows)
    if gram is None and n * model.size <= limits.FORMED:
        g = torch.stack(list(model.gradients(rows)), 1).flatten(0, 1)
        gram = (g @ g.mT).double()
    return gram


def _signed_eigenvalues(gram: Tensor, signs: Tensor | None) -> Tensor:
    """Of GᵀΣG from the Gram matrix GGᵀ and the signs Σ, descending: those of √(GGᵀ) Σ √(GGᵀ)."""
    if signs is not None and (signs < 0).any():
        values, vectors = torch.linalg.eigh(gram)
        root = vectors * values.clamp_min(0).sqrt()
        gram = root.mT @ (signs.flatten().to(root)[:, None] * root)
    return torch.linalg.eigvalsh(gram).flip(0)


def _by_rows(model: Linearised, rows: Tensor, k: int) -> Tensor:
    """Eigenvalues of the rows' Gram matrix."""

    def apply(u: Tensor) -> Tensor:
        forms = torch.einsum("rbd,rb->bd", rows, u.to(rows).view(rows.shape[:2]))
        z_v = model.push(model.pull(forms.view_as(model.z)))
        return torch.einsum("rbd,bd->rb", rows, z_v.flatten(1)).flatten()

    return _lanczos(apply, rows.flatten(0, 1), k)


def _by_parameters(model: Linearised, product: Callable[[Tensor], Tensor], k: int) -> Tensor:
    """Eigenvalues of F itself."""

    def apply(v: Tensor) -> Tensor:
        return model.pull(product(model.push(v.to(model.z))))

    return _lanczos(apply, model.z.new_empty(model.size, 1), k)


def _lanczos(apply: Callable[[Tensor], Tensor], like: Tensor, k: int) -> Tensor:
    single = like.dtype != torch.float64
    tolerance = {"tolerance": torch.finfo(like.dtype).eps ** 0.75} if single else {}

    def columns(v: Tensor) -> Tensor:
        return torch.stack([apply(column) for column in v.unbind(1)], 1).to(v)

    return largest_eigenvalues(columns, like, k, **tolerance)


def _trace(model: Linearised, rows: Tensor, signs: Tensor | None) -> float:
    norms = torch.stack([g.double().square().sum(-1) for g in model.gradients(rows)], 1)
    return (norms if signs is None else norms * signs).sum().item()


def largest(values: Tensor, k: int, size: int) -> Tensor:
    """The k largest of F's P = `size` eigenvalues, from those of a Gram matrix: what these lack is 0.

    >>> largest(torch.tensor([2.0, -1.0]), 2, 3)
    tensor([2., 0.])
    """
    if len(values) > size:  # the others are 0 in exact arithmetic
        values = values[values.abs().topk(size).indices]
    values = pad(values, (0, size - len(values))) if len(values) < k or values[-1] < 0 else values
    return values.sort(descending=True).values[:k]
