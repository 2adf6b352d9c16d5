"""Soft orthogonality: a penalty on the distance of the Gram matrix from its target."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from isogain.linalg import gram_error
from isogain.ranges import at_least, positive
from isogain.reg.base import Regularizer


class Penalty(Regularizer):
    """strength · ‖WᵀW/g² − I‖²_F on the smaller Gram matrix, summed over the matrices of a kernel.

    `reduction="mean"` divides by the m² entries of each Gram matrix. g = 1 is soft orthogonality, g
    = the initialiser's gain the gain-adjusted form. Bansal, Chen and Wang 2018, equation 1; Hlav
    2019, equation 11.
    """

    def __init__(
        self, strength: float = 1e-3, gain: float = 1.0, reduction: Literal["sum", "mean"] = "sum"
    ) -> None:
        super().__init__()
        self.strength = at_least("strength", strength, 0)
        self.gain = positive("gain", gain)
        self.reduction = reduction

    def penalty(self, w: Tensor) -> Tensor:
        entries = min(w.shape[-2:]) ** 2 if self.reduction == "mean" else 1
        return self.strength / entries * SquaredGramError.apply(w, self.gain)


class SquaredGramError(torch.autograd.Function):
    """‖WᵀW/g² − I‖²_F of a stack; its gradient 4/g² W(WᵀW/g² − I) costs one product more, autograd's two."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, gain: float) -> Tensor:
        error = gram_error(w, gain)
        ctx.save_for_backward(w, error)
        ctx.gain = gain
        return error.square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        w, error = ctx.saved_tensors
        product = w @ error if w.shape[-2] >= w.shape[-1] else error @ w
        return product.mul_(4 / ctx.gain**2 * grad), None
