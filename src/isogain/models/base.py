"""What every network offers to initialisers, regularisers and diagnostics: a trajectory, and kernels on its way.

Theory of a network is in `theory.network`, the derivatives of its steps are in `diagnostics.step`.

Axes: B batch, T time steps, D features a step, N hidden units, L layers.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from isogain.config.errors import unwritten
from isogain.config.ranges import at_least


class Affine(NamedTuple):
    """One use of weights in a forward pass: z = Σ W a + b over the `inputs` a; each a is (B, k), z (B, n).

    Without inputs z is a bias alone, that of modReLU.
    """

    inputs: tuple[Tensor, ...]
    z: Tensor


class Network(nn.Module):
    """A signal h_0 → h_1 → … → h_L, read out at the end, or with `per_step` (recurrent ones) after every time step.

    `length` is T: an MLP sees the steps side by side, a recurrent network one by one (and works at
    any other T too). `sequential` networks need a time axis, (B, T, D), and share their weights over it.

    >>> Network(n_in=1, n_out=1, length=1, hidden=8, depth=0)
    Traceback (most recent call last):
    ValueError: depth must be a finite number >= 1, got 0
    """

    output: nn.Linear
    sequential: bool = False
    gates: str = ""  # their names, a letter each; a kernel's last batch axis is theirs

    def __init__(
        self, n_in: int, n_out: int, length: int, hidden: int, depth: int, per_step: bool = False
    ) -> None:
        super().__init__()
        self.n_in, self.n_out, self.length, self.per_step = n_in, n_out, length, per_step
        self.hidden = int(at_least("hidden", hidden, 1))
        self.depth = int(at_least("depth", depth, 1))

    def entry(self, x: Tensor) -> tuple[list[Affine], Tensor]:
        """The affine maps on the way to h_0, and h_0, (B, state size)."""
        raise unwritten(self, "entry")

    def steps(self, h: Tensor, x: Tensor) -> Iterator[tuple[list[Affine], Tensor]]:
        """The affine maps on the way to h_l, and h_l, for l = 1 … L from h = h_0: the network's plain definition."""
        raise unwritten(self, "steps")

    def top(self, hs: list[Tensor]) -> Tensor:
        """The part of a trajectory that the output layer reads; (B, N)."""
        raise unwritten(self, "top")

    def start(self, x: Tensor) -> Tensor:
        """h_0, the state that the trajectory begins with; (B, state size)."""
        return self.entry(x)[1]

    def trajectory(self, h: Tensor, x: Tensor) -> list[Tensor]:
        """[h_0, …, h_L] from h = h_0, which diagnostics differentiate."""
        return [h, *(state for _, state in self.steps(h, x))]

    def inputs(self, x: Tensor) -> Tensor:
        """x as steps read it, the axis of examples first: as it is, but for modules with an order of their own."""
        return x

    def states(self, x: Tensor) -> list[Tensor]:
        """[h_0, …, h_L] of x."""
        x = self.inputs(x)
        return self.trajectory(self.start(x), x)

    def readout(self, hs: list[Tensor]) -> Tensor:
        """Logits from a trajectory; (B, n_out), or (B, T, n_out) with `per_step`."""
        if self.per_step:
            return self.output(torch.stack([self.top([h]) for h in hs[1:]], 1))
        return self.output(self.top(hs))

    def forward(self, x: Tensor) -> Tensor:
        """Logits by the fastest path; equals readout(trajectory(start(x), x)) in value and gradient."""
        return self.readout(self.trajectory(self.start(x), x))

    def kernels(self) -> Iterator[tuple[nn.Module, str]]:
        """The matrices under study, as (module, parameter name); each parameter is (..., n, k)."""
        raise unwritten(self, "kernels")
