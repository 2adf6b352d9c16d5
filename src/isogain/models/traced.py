"""One forward pass of a module, its graph cut at every state: each step of the trajectory is a graph of its own.

Axes: B examples, m rows, n_l the numbers of state h_l, which is the tensors of one module's output, flattened.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

ENTRIES = (
    2**22
)  # of rows carried back at once: all that lies inside of a step is held as many times


class State(NamedTuple):
    """A state's tensors as one step ends with them (`ends`), and as the next one starts (`leaves`)."""

    ends: list[Tensor]
    leaves: list[Tensor]


class Trace:
    """States h_0, …, h_L with a graph from every leaf to the next end, and the module's `output`.

    Backward passes need the graphs alone, neither the module nor its weights.
    """

    def __init__(self, names: Sequence[str], states: list[State], output: Any, axis: int) -> None:
        self.names, self.states, self.output, self.axis = names, states, output, axis
        self._transposed: dict[int, tuple[list[Tensor], list[Tensor]]] = {}

    def flat(self) -> list[Tensor]:
        """[h_0, …, h_L], (B, n_l) each, as values."""
        return [joined([t.detach() for t in state.leaves], self.axis) for state in self.states]

    def pull(self, rows: Tensor, step: int) -> Tensor:
        """R ∂h_{l+1}/∂h_l at l = `step`: (B, m, n_{l+1}) -> (B, m, n_l)."""
        few = max(1, ENTRIES // max(rows[:, 0].numel(), 1))
        parts = [self._pulled(part, step) for part in rows.split(few, 1)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def push(self, v: Tensor, step: int) -> Tensor:
        """∂h_{l+1}/∂h_l v at l = `step`: (B, n_l) -> (B, n_{l+1}), by a backward pass through a backward pass."""
        us, pulled = self._linear(step)
        columns = split(v, self.states[step].leaves, self.axis)
        pairs = [(g, c) for g, c in zip(pulled, columns, strict=True) if g.requires_grad]
        if not pairs:
            return v.new_zeros(len(v), sum(u[0].numel() for u in us))
        ends, columns_ = zip(*pairs, strict=True)
        pushed = torch.autograd.grad(
            ends, us, columns_, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return joined(pushed, self.axis)

    def _pulled(self, rows: Tensor, step: int) -> Tensor:
        ends, leaves = self.states[step + 1].ends, self.states[step].leaves
        grads = split(rows.transpose(0, 1), ends, self.axis)
        try:
            pulled = _gradients(ends, leaves, grads, batched=True)
        except RuntimeError as error:
            if not any(word in str(error) for word in ("vmap", "Batching rule")):
                raise
            alone = [
                _gradients(ends, leaves, [g[i] for g in grads], batched=False)
                for i in range(rows.shape[1])
            ]
            pulled = [torch.stack(column) for column in zip(*alone, strict=True)]
        return joined(pulled, self.axis, 1).transpose(0, 1)

    def _linear(self, step: int) -> tuple[list[Tensor], list[Tensor]]:
        """u and Jᵀu, whose graph is linear in u."""
        if step not in self._transposed:
            us = [torch.zeros_like(end, requires_grad=True) for end in self.states[step + 1].ends]
            with torch.enable_grad():
                pulled = _gradients(
                    self.states[step + 1].ends, self.states[step].leaves, us, linear=True
                )
            self._transposed[step] = us, pulled
        return self._transposed[step]


def joined(tensors: Sequence[Tensor], axis: int, lead: int = 0) -> Tensor:
    """Tensors with `lead` axes and then B examples along `axis` of the rest, side by side; (..., B, n)."""
    flat = [t.movedim(lead + axis if axis >= 0 else axis, lead) for t in tensors]
    flat = [t.reshape(*t.shape[: lead + 1], -1) for t in flat]
    return flat[0] if len(flat) == 1 else torch.cat(flat, -1)


def split(rows: Tensor, tensors: Sequence[Tensor], axis: int) -> list[Tensor]:
    """The inverse: rows (..., B, n) as parts of the shapes of `tensors`, with the leading axes in front."""
    lead, shapes = rows.dim() - 2, [t.movedim(axis, 0).shape for t in tensors]
    parts = rows.split([shape[1:].numel() for shape in shapes], -1)
    return [
        part.reshape(*rows.shape[:lead], *shape).movedim(lead, lead + axis if axis >= 0 else axis)
        for part, shape in zip(parts, shapes, strict=True)
    ]


def _gradients(
    ends: list[Tensor],
    leaves: list[Tensor],
    grads: list[Tensor],
    batched: bool = False,
    linear: bool = False,
) -> list[Tensor]:
    """Σ gradsᵀ ∂ends/∂leaves, zeros where nothing leads from a leaf to an end; the graph is kept."""
    pairs = [(end, g) for end, g in zip(ends, grads, strict=True) if end.requires_grad]
    pulled: Sequence[Tensor | None] = [None] * len(leaves)
    if pairs:
        ends_, grads_ = zip(*pairs, strict=True)
        pulled = torch.autograd.grad(
            ends_,
            leaves,
            [g.to(e) for e, g in pairs] if not linear else grads_,
            retain_graph=True,
            create_graph=linear,
            allow_unused=True,
            is_grads_batched=batched,
        )
    lead = grads[0].shape[:1] if batched else ()
    return [
        leaf.new_zeros(*lead, *leaf.shape) if g is None else g
        for g, leaf in zip(pulled, leaves, strict=True)
    ]
