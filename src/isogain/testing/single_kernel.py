"""The least that a regulariser works in: a network of one kernel, and one step of training around it.

A kernel is (..., n, k): tall, wide or batched.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from isogain.models.base import Network
from isogain.reg.base import Regularizer


class Kernel(Network):
    """A network of which only the kernel w matters, a copy of what it is given; (..., n, k).

    >>> [name for _, name in Kernel(torch.eye(2)).kernels()]
    ['w']
    """

    def __init__(self, w: Tensor) -> None:
        super().__init__(n_in=1, n_out=1, length=1, hidden=1, depth=1)
        self.w = nn.Parameter(w.clone())

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        yield self, "w"


def train_step(
    reg: Regularizer,
    optimizer: torch.optim.Optimizer,
    w: Tensor,
    loss: Callable[[Tensor], Tensor],
    leaves: Iterable[Tensor] = (),
) -> None:
    """One optimiser step on loss(w) with the regulariser's moments around it, in the learner's order.

    `leaves` are what the optimiser moves where that is not the kernel w itself.

    >>> w = torch.ones(2, 2, requires_grad=True)
    >>> train_step(Regularizer(), torch.optim.SGD([w], lr=0.5), w, torch.sum)
    >>> w.tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    moved = list(leaves) or [w]
    reg.bind(optimizer)
    optimizer.zero_grad()
    (loss(w) if reg.adds_penalty_gradient else loss(w) + reg.penalty(w)).backward()
    with torch.no_grad():
        for leaf in moved:
            reg.before_step(leaf)
        optimizer.step()
        for leaf in moved:
            reg.after_step(leaf, optimizer.state.get(leaf, {}))


def randn(*shape: int) -> Tensor:
    """A standard normal draw in float64.

    >>> randn(2, 3).dtype
    torch.float64
    """
    return torch.randn(*shape, dtype=torch.float64)
