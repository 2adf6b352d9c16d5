"""What diagnostics are typed against: a signal h_0 → … → h_L, whichever module carries it.

Axes: B examples, n_l the numbers of state h_l.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from isogain.models.examples import Examples

Batch = (
    Tensor | Examples
)  # what a trajectory's steps take: both have a length, slices and lists of examples


class Trajectory(Protocol):
    """States of a forward pass, whose Jacobians multiply: a `Network`, and what `along` makes of any module.

    The derivatives of a step are functions of `diagnostics.step`, which dispatch on the trajectory's type.

    >>> import torch
    >>> from isogain.models import MLP
    >>> path: Trajectory = MLP(3, 2, hidden=8, depth=2)
    >>> [h.shape for h in path.states(torch.zeros(1, 3))]
    [torch.Size([1, 8]), torch.Size([1, 8]), torch.Size([1, 8])]
    """

    def parameters(self) -> Iterator[nn.Parameter]:
        """Whose precision is that of the measurement."""

    def states(self, x: Any) -> list[Tensor]:
        """[h_0, …, h_L], (B, n_l) each."""
