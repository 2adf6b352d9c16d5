"""A regulariser under its contract: how it is built, and where its target lies.

A kernel is (..., n, k), in float64.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real

import torch
from torch import Tensor

from isogain import optim
from isogain.init import orthogonal_
from isogain.optim import kernel_parameters
from isogain.optim.base import Optim
from isogain.reg.base import Regularizer
from isogain.testing.single_kernel import Kernel, randn

Shape = tuple[int, ...]
SHAPES: tuple[Shape, ...] = ((6, 6), (8, 5), (5, 8), (4, 6, 6), (2, 4, 5, 5))  # gates, layers
GAIN = 1.2  # where the regulariser has no number of its own
Draw = Callable[[Shape], Tensor]


def three_optimizers() -> dict[str, Optim]:
    """Those whose states differ in kind: momentum, second moments, both."""
    return {
        "SGD": optim.SGD(lr=0.05, momentum=0.9),
        "Adam": optim.Adam(lr=0.01),
        "RMSprop": optim.RMSprop(lr=0.001, momentum=0.9),  # its first step is tenfold
    }


@dataclass(frozen=True)
class RegularizerCase:
    """What the laws ask: a fresh regulariser, a draw at its target, one where its penalty is least.

    `target` and `least` draw a kernel of a shape in float64; None: g times orthogonal. `smooth`: whether the
    penalty's slope vanishes there.
    """

    build: Callable[[], Regularizer]
    target: Draw | None = None
    least: Draw | None = None
    smooth: bool = True
    optimizers: dict[str, Optim] = field(default_factory=three_optimizers)

    @property
    def gain(self) -> float:
        gain = getattr(self.build(), "gain", GAIN)
        return float(gain) if isinstance(gain, Real) else GAIN

    def orthogonal(self, shape: Shape) -> Tensor:
        """g times Haar-distributed."""
        return orthogonal_(randn(*shape), gain=self.gain)

    def at_target(self, shape: Shape) -> Tensor:
        """A kernel that the regulariser is to leave where it is."""
        return (self.target or self.orthogonal)(shape)

    def at_least_penalty(self, shape: Shape) -> Tensor:
        """A kernel where its penalty is least."""
        return (self.least or self.at_target)(shape)

    def attached(self, w: Tensor) -> tuple[Regularizer, Kernel, list[Tensor]]:
        """A regulariser, the kernel w that it was attached to, and what an optimiser moves."""
        reg, kernel = self.build(), Kernel(w)
        reg.attach(kernel, "w")
        return reg, kernel, list(kernel_parameters(kernel))

    def attached_at(self, w: Tensor) -> tuple[Regularizer, Tensor]:
        """A regulariser, and its kernel at w wherever it would begin with it."""
        reg, kernel, _ = self.attached(w)
        with torch.no_grad():
            return reg, kernel.w.copy_(w)

    def without_strength(self) -> "RegularizerCase | None":
        """The same with strength=0; None where that is no option."""
        reg = self.build()
        options = reg.options()
        if "strength" not in options:
            return None
        twin = type(reg)(**(options | {"strength": 0.0}))
        return RegularizerCase(as_builder(twin), self.target, self.least, self.smooth)


def as_builder(
    reg: Regularizer | Callable[[], Regularizer],
) -> Callable[[], Regularizer]:
    """A class, partial or function as it is; an instance, which belongs to the kernels that it is attached to, as what
    copies it.

    >>> reg = Regularizer()
    >>> as_builder(Regularizer) is Regularizer, as_builder(reg)() is reg
    (True, False)
    """
    if isinstance(reg, Regularizer):
        return lambda: copy.deepcopy(reg)
    return reg
