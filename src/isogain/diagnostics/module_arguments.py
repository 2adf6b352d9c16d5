"""The arguments of any module for a batch: a tensor, or a tuple or mapping of arguments, whose tensors are batch-first.

Axes: B examples, the first axis of every tensor; what is no tensor goes to every call as it is.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Arguments = Tensor | tuple[Any, ...] | Mapping[str, Any]


def call(net: nn.Module, x: Arguments) -> Any:
    """net(x), net(*x) of a tuple, net(**x) of a mapping.

    >>> call(nn.Flatten(), (torch.ones(2, 3, 4),)).shape
    torch.Size([2, 12])
    """
    if isinstance(x, Mapping):
        return net(**x)
    return net(*x) if isinstance(x, tuple) else net(x)


def examples(x: Arguments) -> int:
    """B, the length of every tensor in x that has an axis; raises ValueError where they differ, or there is none.

    >>> examples({"tokens": torch.ones(4, 7), "scale": 0.5})
    4
    """
    sizes = {tuple(t.shape) for t in _tensors(x) if t.ndim}
    lengths = {shape[0] for shape in sizes}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"every tensor argument needs the same number of examples on its first axis, got the shapes "
            f"{sorted(sizes)}: wrap the module in one that holds arguments that are not per example"
        )
    return lengths.pop()


def split(x: Arguments, size: int) -> Iterator[Arguments]:
    """The arguments for `size` examples at a time.

    >>> [part["tokens"].shape[0] for part in split({"tokens": torch.ones(5, 7)}, 2)]
    [2, 2, 1]
    """
    for i in range(0, examples(x), size):
        yield _mapped(partial(_slice, slice(i, i + size)), x)


def in_precision(x: Arguments, dtype: torch.dtype) -> Arguments:
    """x with its floating-point tensors in `dtype`, detached; others, such as tokens, as they are.

    >>> in_precision((torch.ones(1), torch.ones(1).long()), torch.float64)
    (tensor([1.], dtype=torch.float64), tensor([1]))
    """

    def converted(t: Tensor) -> Tensor:
        t = t.detach()
        t = t.clone() if t.is_inference() else t  # autograd may not save an inference tensor
        return t.to(dtype) if t.is_floating_point() else t

    return _mapped(converted, x)


def _slice(some: slice, t: Tensor) -> Tensor:
    return t[some] if t.ndim else t


def _mapped(f: Callable[[Tensor], Tensor], x: Any) -> Any:
    if isinstance(x, Tensor):
        return f(x)
    if isinstance(x, Mapping):
        return {key: _mapped(f, value) for key, value in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(_mapped(f, value) for value in x))
    return type(x)(_mapped(f, value) for value in x) if isinstance(x, tuple | list) else x


def _tensors(x: Any) -> Iterator[Tensor]:
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, Mapping | tuple | list):
        for value in x.values() if isinstance(x, Mapping) else x:
            yield from _tensors(value)
