"""What every network offers to initialisers, regularisers and diagnostics.

Axes: B batch, T time steps, D features a step, N hidden units, L layers.
"""

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor, nn

from isogain.ranges import at_least


class Network(nn.Module):
    """A signal h_0 → h_1 → … → h_L, read out at the end, or with `per_step` (recurrent ones) after every time step.

    `length` is T: an MLP sees the steps side by side, a recurrent network one by one (and works at
    any other T too). `sequential` networks need a time axis, (B, T, D).
    """

    sequential: bool = False

    def __init__(
        self, n_in: int, n_out: int, length: int, hidden: int, depth: int, per_step: bool = False
    ) -> None:
        super().__init__()
        self.n_in, self.n_out, self.length, self.per_step = n_in, n_out, length, per_step
        self.hidden = int(at_least("hidden", hidden, 1))
        self.depth = int(at_least("depth", depth, 1))

    def start(self, x: Tensor) -> Tensor:
        """h_0, the state that the trajectory begins with; (B, state size)."""
        raise NotImplementedError

    def trajectory(self, h: Tensor, x: Tensor) -> list[Tensor]:
        """[h_0, …, h_L] from h = h_0: the plain definition, which diagnostics differentiate."""
        raise NotImplementedError

    def top(self, hs: list[Tensor]) -> Tensor:
        """The part of a trajectory that the output layer reads; (B, N)."""
        raise NotImplementedError

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
        raise NotImplementedError

    def named_kernels(self) -> Iterator[tuple[str, Tensor]]:
        """The kernels under names that are theirs alone: the module's path and the parameter's name."""
        paths = {module: path for path, module in self.named_modules()}
        for module, name in self.kernels():
            yield "/".join([*filter(None, paths[module].split(".")), name]), getattr(module, name)

    def labels(self, name: str, w: Tensor) -> list[str]:
        """One label a matrix of the kernel `w` called `name`, in row-major order of its leading axes."""
        places = product(*(range(n) for n in w.shape[:-2]))
        return ["/".join([name, *(f"{i:03d}" for i in place)]) for place in places]
