"""An initialiser on a part of a tensor's structure: its row blocks, or the matrices (..., n, k) of a view of it."""

from collections.abc import Callable

import torch
from torch import Tensor

from isogain.reg.kernel_views import Blocks, Function, KernelView, kernel_view


def fill_view_(
    w: Tensor, fill: Callable[[Tensor], Tensor], view: Function | None, blocks: Blocks | None
) -> Tensor:
    """w, the matrices of `view` or `blocks` filled in place; a view that copies is written back.

    Raises ValueError where both are given, where w is no matrix to be split, and where the view computes anything.

    >>> fill_view_(torch.zeros(2, 2), lambda m: m.copy_(torch.arange(2.0).view(2, 1, 1)), None, 2)
    tensor([[0., 0.],
            [1., 1.]])
    """
    if blocks is not None and w.dim() > 2:
        raise ValueError(f"blocks splits the rows of a matrix (n, k), got a stack {tuple(w.shape)}")
    fill_matrices_(w, fill, kernel_view(w, "w", view, blocks, is_stack=True))
    return w


@torch.no_grad()
def fill_matrices_(w: Tensor, fill: Callable[[Tensor], Tensor], matrices_of: KernelView) -> None:
    """The matrices of w, filled in place; entries that the view leaves out stay.

    >>> w = torch.zeros(2, 3)
    >>> fill_matrices_(w, lambda m: m.fill_(1.0), KernelView(lambda w: w[:, :2], (2, 3)))
    >>> w
    tensor([[1., 1., 0.],
            [1., 1., 0.]])
    """
    matrices = matrices_of(w)
    fill(matrices)
    matrices_of.write_(w, matrices)
