"""The four moments at which a regulariser may act; a kernel w is a parameter (..., n, k)."""

import inspect
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Time:
    """How far training is: optimiser steps and epochs behind it, and the fraction of it that is over, in [0, 1)."""

    step: int = 0
    epoch: float = 0.0
    fraction: float = 0.0


class Regularizer(nn.Module):
    """Does nothing at any of the four moments: `reg=none`. Subclasses override only what they need.

    `time` is set before every training step.
    """

    sets_size: bool = (
        False  # whether a kernel begins at a size that `gain` has, whatever it was before
    )
    time = Time()
    adam: Literal["scalar", "elementwise"] = "elementwise"  # its second moments, for the kernels

    def __init__(self) -> None:  # torch's takes any option, and raises what is no line
        super().__init__()

    def attach(self, module: nn.Module, name: str) -> None:
        """Once, after initialisation and before the optimiser exists: may re-parametrise `module.name`."""
        with torch.no_grad():
            self.settle_(getattr(module, name))

    def settle_(self, w: Tensor) -> None:
        """Brings w (as in `before_step`) to where training may begin: at the start, and from a checkpoint of another
        regulariser; no gradient is recorded.
        """

    def penalty(self, w: Tensor) -> Tensor:
        """Added to the loss; a scalar that autograd differentiates."""
        return w.new_zeros(())

    def before_step(self, w: Tensor) -> None:
        """Edits `w.grad`, the true gradient, which carries no loss scale, after the backward pass and before clipping;
        no gradient is recorded. Not called at a step that a scaler skips.

        w is what the optimiser moves: the kernel, or a parameter that `attach` made of it.
        """

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        """Edits `w` (as in `before_step`) and its optimiser state after every step; no gradient is recorded."""

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


NOT_ATTACHED = (
    "the regulariser is attached to other kernels: a copy of it belongs to copies of them"
)


def place_of(w: Tensor, kernels: list[tuple[nn.Module, str]]) -> int:
    """The index of w among the attached kernels, (module, name) each; raises ValueError where it is none of them."""
    for i, (module, name) in enumerate(kernels):
        if getattr(module, name) is w:
            return i
    raise ValueError(NOT_ATTACHED)
