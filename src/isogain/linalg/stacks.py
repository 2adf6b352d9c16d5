"""Stacks of matrices, (..., n, k): views of them, a few at a time, their products and the solution of their systems."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from isogain.linalg.half import HALF, at_least_single, working_type

CACHED = 2**20  # entries, 4 MB in float32: a piece of a stack that a CPU's cache holds
BANDS = 4  # in which a CPU computes half of a symmetric product
WORTH = 2**27  # multiplications from which on that takes less time


def pieces(*stacks: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Views (matrices, n, k) of contiguous stacks of as many matrices, a few at a time on a CPU, all at once elsewhere.

    Work that goes over a piece several times stays in a CPU's cache; a GPU wants large batches. Of a stack in half
    precision the pieces are copies in float32, which are rounded back when the next one is asked for.

    >>> [tuple(piece.shape) for (piece,) in pieces(torch.zeros(2, 3, 4, 5))]
    [(6, 4, 5)]
    """
    parts = _views(*stacks)
    return _rounded_back(parts) if any(stack.dtype in HALF for stack in stacks) else parts


def _rounded_back(parts: Iterator[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    for part in parts:
        copies = tuple(map(at_least_single, part))
        yield copies
        for view, copy in zip(part, copies, strict=True):
            if copy is not view:
                view.copy_(copy)


def _views(*stacks: Tensor) -> Iterator[tuple[Tensor, ...]]:
    flat = [stack.view(-1, *stack.shape[-2:]) for stack in stacks]
    few = max(1, CACHED // flat[0].shape[1:].numel()) if flat[0].is_cpu else len(flat[0])
    if few >= max(map(len, flat)):
        return iter([tuple(flat)])
    return zip(*(stack.split(few) for stack in flat), strict=True)


def per_matrix(value: float | Tensor, w: Tensor) -> Tensor:
    """A number or (..., 1, 1), copied out to one entry a matrix of w (..., n, k); (..., 1, 1), at least float32.

    >>> per_matrix(2.0, torch.zeros(3, 4, 4)).flatten()
    tensor([2., 2., 2.])
    """
    out = w.new_empty(*w.shape[:-2], 1, 1, dtype=working_type(w))
    return out.copy_(value) if isinstance(value, Tensor) else out.fill_(value)


def tall(w: Tensor) -> Tensor:
    """W, or its transpose if it is wide; a view.

    >>> tall(torch.zeros(2, 3)).shape
    torch.Size([3, 2])
    """
    return w if w.shape[-2] >= w.shape[-1] else w.mT


def transposed(a: Tensor) -> Tensor:
    """Aᵀ; on a CPU that of a copy with longer rows, where the columns of A would share a few places of its cache.

    Rows of 512 float32: a third of the time.

    >>> transposed(torch.tensor([[1, 2], [3, 4]]))
    tensor([[1, 3],
            [2, 4]])
    """
    rows = a.shape[-1]
    if not a.is_cpu or rows % 512:
        return a.mT
    return a.new_empty(*a.shape[:-1], rows + 16)[..., :rows].copy_(a).mT


def symmetric_product(a: Tensor, b: Tensor) -> Tensor:
    """AB of which it is known that it is symmetric: (..., m, n), (..., n, m) -> (..., m, m).

    On a CPU large ones in bands of rows from the diagonal on, the rest mirrored: 5/8 of the
    operations, 0.75 to 0.9 of the time.

    >>> a = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    >>> symmetric_product(a, a.mT)
    tensor([[5., 2.],
            [2., 1.]])
    """
    m = a.shape[-2]
    if not a.is_cpu or a.numel() * m < WORTH:
        return a @ b
    out = a.new_empty(*a.shape[:-1], m)
    for start, end in pairwise(m * i // BANDS for i in range(BANDS + 1)):
        band = a[..., start:end, :] @ b[..., start:]
        out[..., start:end, start:] = band
        out[..., end:, start:end] = band[..., end - start :].mT
    return out


def solve(a: Tensor, b: Tensor) -> Tensor:
    """A⁻¹B, (..., n, n) and (..., n, k) -> (..., n, k), a matrix at a time on a CPU.

    A batch of LU decompositions is wrong there, at n >= 150, once `torch.set_num_threads` was called with more than 1:
    pytorch/pytorch issues 141358 and 142815, in torch 2.14 still. It takes the same time.

    >>> solve(2 * torch.eye(2), torch.tensor([[2.0], [4.0]]))
    tensor([[1.],
            [2.]])
    """
    if a.dtype in HALF:
        return solve(a.float(), b.float()).to(a.dtype)
    if a.dim() == 2 or not a.is_cpu:
        return torch.linalg.solve(a, b)
    return torch.stack([solve(x, y) for x, y in zip(a, b, strict=True)])
