"""The four moments at which a regulariser may act; a kernel w is a parameter (..., n, k)."""

import inspect
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from isogain.reg.optimizer_moments import Moments


@dataclass(frozen=True)
class Time:
    """How far training is: optimiser steps and epochs behind it, and the fraction of it that is over, in [0, 1).

    >>> Time(step=10).fraction
    0.0
    """

    step: int = 0
    epoch: float = 0.0
    fraction: float = 0.0


class Regularizer(nn.Module):
    """Does nothing at any of the four moments: `reg=none`. Subclasses override only what they need.

    `time` is set before every training step. `adam` is the second moment that it asks for the kernels: one a matrix
    or one an entry, where the optimiser can keep either (`second_moment_per_matrix`). `adds_penalty_gradient` says
    that `before_step` adds the gradient of `penalty`, in closed form: then the loss is differentiated without it.

    >>> Regularizer().penalty(torch.eye(2)), Regularizer().has_penalty
    (tensor(0.), False)
    """

    sets_size: bool = (
        False  # whether a kernel begins at a size that `gain` has, whatever it was before
    )
    reparametrizes: bool = False  # whether `attach` exchanges the parameter for others
    time = Time()
    adam: Literal["scalar", "elementwise"] = "elementwise"
    adds_penalty_gradient: bool = False

    def __init__(self) -> None:  # torch's takes any option, and raises what is no line
        super().__init__()

    def attach(self, module: nn.Module, name: str) -> None:
        """Once, after initialisation and before the optimiser exists: may re-parametrise `module.name`."""
        with torch.no_grad():
            self.make_feasible_(getattr(module, name))

    @property
    def holds(self) -> bool:
        """Whether it fixes what weight decay would change: then the kernel has none."""
        return self.sets_size or self.reparametrizes

    def reads_of_time(self) -> set[str]:
        """What of `time` it needs beside the step: "epoch", "fraction"."""
        return set()

    def bind(self, optimizer: torch.optim.Optimizer, moments: Moments | None = None) -> None:
        """Once, when the optimiser exists: ask what its state holds, as far as `after_step` edits that.

        `moments` answers for an optimiser that does not declare it. Raises ValueError where nobody does.
        """

    def make_feasible_(self, w: Tensor) -> None:
        """Brings w (as in `before_step`) to where training may begin: at the start, and from a checkpoint of another
        regulariser; no gradient is recorded.
        """

    def penalty(self, w: Tensor) -> Tensor:
        """What the kernel w (..., n, k) adds to the loss at this time, a scalar that autograd can differentiate."""
        return w.new_zeros(())

    @property
    def has_penalty(self) -> bool:
        """Whether there is a `penalty`, to be logged as train/penalty; a constraint alone has none."""
        return getattr(self.penalty, "__func__", None) is not Regularizer.penalty

    def measured_penalty(self, w: Tensor) -> Tensor:
        """`penalty` of an attached kernel, to be logged where `before_step` adds its gradient: the value, or a bound of
        it that costs no more than a step does. No gradient is recorded, and nothing changes.
        """
        return self.penalty(w)

    def before_step(self, w: Tensor) -> None:
        """Edits `w.grad`, the true gradient, which carries no loss scale, after the backward pass and before clipping;
        no gradient is recorded. Not called at a step that a scaler skips.

        w is what the optimiser moves: the kernel, or a parameter that `attach` made of it.
        """

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        """Edits `w` (as in `before_step`) and its optimiser state after every step; no gradient is recorded."""

    def edits_state(self, w: Tensor) -> bool:
        """Whether `after_step` may edit the optimiser's state of a kernel like w: if not, it is not gathered."""
        return True

    def scales(self) -> list[nn.Parameter]:
        """Gains that the optimiser trains, in a parameter group of their own."""
        return []

    def gain_of(self, w: Tensor) -> float | Tensor | None:
        """The g that the kernel w is held to, (..., 1, 1) where each matrix has its own; None: it has no target."""
        return getattr(self, "gain", None)

    def options(self) -> dict[str, Any]:
        """The constructor's arguments, as far as they are attributes."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def report(self) -> dict[str, float]:
        """What a run tells of the regulariser beside the gap: metrics by name."""
        return {}


def parametrization(module: nn.Module, name: str) -> ParametrizationList:
    """What the parameter `name` of a module is computed by; raises KeyError where it is a plain one."""
    return cast(ParametrizationList, cast(nn.ModuleDict, module.parametrizations)[name])


NOT_ATTACHED = (
    "the regulariser is attached to other kernels: a copy of it belongs to copies of them"
)


def place_of(w: Tensor, kernels: list[tuple[nn.Module, str]]) -> int:
    """The index of w among the attached kernels, (module, name) each; raises ValueError where it is none of them."""
    for i, (module, name) in enumerate(kernels):
        if getattr(module, name) is w:
            return i
    raise ValueError(NOT_ATTACHED)
