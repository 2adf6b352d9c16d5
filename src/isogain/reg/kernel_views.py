"""A parameter as matrices: views (..., n, k) of its entries, and what is written back through them."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

Function = Callable[[Tensor], Tensor]
Blocks = int | Literal["qkv"]

GATES: dict[type[nn.Module], int] = {  # stacked along the first axis of weight_ih and weight_hh
    **{nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1},
    **{nn.LSTMCell: 4, nn.GRUCell: 3, nn.RNNCell: 1},
}


class KernelView:
    """The matrices (..., n, k) that a function makes of a parameter of a given shape, or of its gradient.

    Where the function returns a view of the memory, so does this; where it copies, `write_` puts each entry back to
    where it came from. Raises ValueError where the function does more than rearrange entries, or a part of them.

    >>> rows = KernelView(lambda w: w.flatten(1), (2, 3, 1, 1))
    >>> w = torch.zeros(2, 3, 1, 1)
    >>> rows.write_(w, torch.ones(2, 3))
    >>> rows(w).shape, w.sum()
    (torch.Size([2, 3]), tensor(6.))
    """

    def __init__(self, function: Function, shape: tuple[int, ...], name: str = "w") -> None:
        self.function, self.shape = function, tuple(shape)
        self.result = tuple(places(function, self.shape, name).shape)

    def __call__(self, t: Tensor) -> Tensor:
        return self.function(t)

    def places(self) -> Tensor:
        """Where in the flattened parameter each entry of its matrices lies; int64 (..., n, k)."""
        return places(self.function, self.shape, "w")

    def write_(self, t: Tensor, matrices: Tensor) -> None:
        """t <- the tensor of which these are the matrices; entries that the view leaves out stay."""
        view = self.function(t)
        if not shares_memory(view, t):
            index = self.places().to(t.device)
            flat = t.flatten().index_put((index.flatten(),), matrices.flatten())
            t.copy_(flat.view(t.shape))
        elif view.data_ptr() != matrices.data_ptr():
            view.copy_(matrices)


def shares_memory(a: Tensor, b: Tensor) -> bool:
    """Whether both are views of one memory."""
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def places(function: Function, shape: tuple[int, ...], name: str) -> Tensor:
    """Where in the flattened parameter each entry of its matrices lies; int64 (..., n, k).

    Raises ValueError where an entry of the matrices is not one of the parameter's, or one is there twice.
    """
    numbers = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64).view(shape)
    own = torch.Generator().manual_seed(0)  # a check that leaves the global generator as it was
    seen = _applied(function, numbers, name)
    drawn = torch.rand(shape, dtype=torch.float64, generator=own)
    index = seen.long() - 1
    exact = bool(
        (index + 1 == seen).all() and (index >= 0).all() and (index < len(drawn.view(-1))).all()
    )
    if not exact or index.unique().numel() < index.numel():
        raise ValueError(
            f"view must rearrange entries of {name} {shape}, each used once at most; it computes others"
        )
    if not torch.equal(_applied(function, drawn, name), drawn.view(-1)[index]):
        raise ValueError(f"view must rearrange entries of {name} {shape}; it changes their values")
    return index


def _applied(function: Function, probe: Tensor, name: str) -> Tensor:
    try:
        result: Any = function(probe)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"view fails on {name} {tuple(probe.shape)}: {reason}") from None
    if not isinstance(result, Tensor) or result.dim() < 2 or not result.numel():
        what = (
            f"shape {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
        )
        raise ValueError(f"view must return matrices (..., n, k) of {name}, got {what}")
    return result


def whole(w: Tensor) -> Tensor:
    """The parameter itself."""
    return w


def split_rows(w: Tensor, blocks: int) -> Tensor:
    """(blocks · n, k) -> (blocks, n, k)."""
    return w.unflatten(0, (blocks, -1))


def kernel_view(
    w: Tensor,
    name: str,
    view: Function | None = None,
    blocks: Blocks | None = None,
    default_blocks: int = 1,
    is_stack: bool = False,
) -> KernelView:
    """The view that a user asks for, or that the parameter has by itself.

    `default_blocks` is the number of gates that its module stacks; with `is_stack` leading axes are batch axes by
    the module's own word. Raises ValueError for vectors, and for (O, I, k, k) unless it is clear which matrices.
    """
    if view is not None and blocks is not None:
        raise ValueError("view and blocks are two ways to give the same: pass one of them")
    if view is not None:
        return KernelView(view, w.shape, name)
    if w.dim() < 2:
        raise ValueError(f"{name} {tuple(w.shape)} has no matrix: a kernel has two axes at least")
    if w.dim() > 2 and not is_stack:
        raise ValueError(_which_matrices(w, name))
    count = default_blocks if blocks is None else _checked(blocks, w, name)
    return KernelView(whole if count == 1 else partial(split_rows, blocks=count), w.shape, name)


def _which_matrices(w: Tensor, name: str) -> str:
    shape, (n, k) = tuple(w.shape), w.shape[-2:]
    return (
        f"{name} {shape} is a convolution's, or a stack of {n} x {k} matrices: pass "
        f"view=lambda w: w.flatten(1) for one matrix {shape[0]} x {w[0].numel()}, or view=lambda w: w for the stack"
    )


def _checked(blocks: Blocks, w: Tensor, name: str) -> int:
    count = 3 if blocks == "qkv" else blocks
    if not isinstance(count, int) or count < 1:
        raise ValueError(f'blocks must be a number of stacked matrices or "qkv", got {blocks!r}')
    if w.shape[0] % count:
        raise ValueError(f"blocks must divide the {w.shape[0]} rows of {name}, got {blocks}")
    return count


def gates_of(module: nn.Module | None, attribute: str) -> int:
    """How many matrices a module of torch's stacks along the first axis of its parameter of this name.

    >>> gates_of(nn.GRU(2, 4), "weight_hh_l0"), gates_of(nn.Linear(2, 4), "weight")
    (3, 1)
    """
    if isinstance(module, nn.MultiheadAttention) and attribute == "in_proj_weight":
        return 3
    if attribute.startswith(("weight_ih", "weight_hh")):
        return next((count for kind, count in GATES.items() if isinstance(module, kind)), 1)
    return 1
