"""The arguments of a module's call, an example each, of which slices and lists are taken as they are of a tensor.

Axes: B examples, n_l the numbers of state h_l.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map  # breaks when torch moves them: test_along

from isogain.models.traced import Trace

Index = slice | list[int] | Tensor


class Examples:
    """Arguments `args` and `kwargs` of a call, whose tensors all have B examples along `axis`.

    `record` runs the module on them in a precision. `states` are h_0, …, h_L (B, n_l) of the trajectory that is
    measured, in float64: traces of other precisions and of fewer examples start their steps from these.
    """

    def __init__(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        axis: int,
        record: Callable[["Examples", torch.dtype], Trace],
    ) -> None:
        self.args, self.kwargs, self.axis, self.record = args, kwargs, axis, record
        self.count = _count(tree_flatten((args, dict(kwargs)))[0], axis)
        self.states: list[Tensor] = []
        self._traces: dict[torch.dtype, Trace] = {}
        self._alone: dict[int, Examples] = {}  # graphs of one example each: those of a batch, once

    def __len__(self) -> int:
        return self.count

    @property
    def widths(self) -> list[int]:
        """[n_0, …, n_L]."""
        return [h.shape[-1] for h in self.states]

    def trace(self, dtype: torch.dtype) -> Trace:
        """The module's pass over these examples, run once a precision."""
        if dtype not in self._traces:
            self._traces[dtype] = self.record(self, dtype)
        return self._traces[dtype]

    def __getitem__(self, index: Index) -> "Examples":
        if not isinstance(index, slice):
            return self._taken(index)
        at = range(self.count)[index]
        if len(at) != 1:
            return self._taken(list(at))
        if at[0] not in self._alone:
            self._alone[at[0]] = self._taken(list(at))
        return self._alone[at[0]]

    def _taken(self, index: list[int] | Tensor) -> "Examples":
        def take(value: Any) -> Any:
            if not isinstance(value, Tensor) or not value.dim():
                return value
            return value.index_select(self.axis, torch.as_tensor(index, device=value.device))

        taken = Examples(
            tree_map(take, self.args), tree_map(take, dict(self.kwargs)), self.axis, self.record
        )
        taken.states = [h[index] for h in self.states]
        return taken


def _count(values: list[Any], axis: int) -> int:
    """B, on which all tensors agree; of a number of no axes nothing is asked."""
    shapes = [tuple(v.shape) for v in values if isinstance(v, Tensor) and v.dim()]
    if not shapes:
        raise ValueError("x holds no tensor with an axis of examples")
    sizes = {shape[axis] if -len(shape) <= axis < len(shape) else None for shape in shapes}
    if len(sizes) > 1 or None in sizes:
        raise ValueError(
            f"the tensors of x have shapes {', '.join(map(str, shapes))}, which disagree about the number of examples "
            f"along axis {axis}: give along what all examples share as shared={{name: tensor}}"
        )
    return sizes.pop() or 0
