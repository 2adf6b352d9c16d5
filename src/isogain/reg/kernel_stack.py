"""Parameters of equal shape as one kernel (B, ..., n, k) around an optimiser's step, or a single one as it lies."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from isogain.linalg.stacks import CACHED
from isogain.reg.base import Regularizer
from isogain.reg.held_parameters import HeldParameter
from isogain.reg.optimizer_moments import Moments


class KernelStack(nn.Module):
    """What a regulariser is attached to: `kernel`, one object for good, which has the parameters' values when it acts.

    A single parameter whose view is contiguous shares its memory with the kernel; several are copied to and fro. A
    parameter without a gradient keeps its value, its state and its learned gain, whatever those beside it do.
    """

    def __init__(self, held: Sequence[HeldParameter]) -> None:
        super().__init__()
        self.held = list(held)
        with torch.no_grad():
            self.kernel = nn.Parameter(self._gathered([h.weight for h in held]))
        self._moving: list[bool] = []
        self._gains: Tensor | None = None

    def parameters_moved(self) -> list[Tensor]:
        """What the optimiser moves."""
        return [h.weight for h in self.held]

    def attach(self, reg: Regularizer) -> None:
        """Attach a regulariser, which may move the kernel to where training begins."""
        reg.attach(self, "kernel")
        self._scatter_([h.weight for h in self.held], self.kernel)

    def follow_(self) -> None:
        """Take the parameters' values, at their precision and on their device."""
        weights = [h.weight for h in self.held]
        first, kernel = weights[0], self.kernel.data
        if len(weights) > 1 and (first.dtype, first.device) == (kernel.dtype, kernel.device):
            torch.stack([h.view(w) for h, w in zip(self.held, weights, strict=True)], out=kernel)
        else:
            self.kernel.data = self._gathered([w.detach() for w in weights])

    def before_step(self, reg: Regularizer) -> None:
        """The regulariser's moment before a step, on all that have a gradient."""
        self._moving = [h.weight.grad is not None for h in self.held]
        self._gains = self._learned_gains(reg)
        if not any(self._moving):
            return
        self.follow_()
        grads = [h.weight.grad for h in self.held]
        self.kernel.grad = self._gathered(grads)
        reg.before_step(self.kernel)
        if reg.has_penalty and not reg.adds_penalty_gradient:
            self._add_penalty_gradient_(reg)
        self._scatter_(grads, self.kernel.grad)

    def after_step(self, reg: Regularizer, optimizer: Optimizer, moments: Moments) -> None:
        """The regulariser's moment after a step, on all that had a gradient."""
        if not any(self._moving):
            return
        self.follow_()
        entries = [optimizer.state.get(h.weight, {}) for h in self.held]
        names = [name for name, kind in moments.items() if kind == "tangent"]
        names = names if reg.edits_state(self.kernel) else []
        momenta = {n: [entry.get(n) for entry in entries] for n in names}
        momenta = {
            n: tensors for n, tensors in momenta.items() if any(t is not None for t in tensors)
        }
        state = {n: self._gathered(tensors) for n, tensors in momenta.items()}
        if self._gains is not None and not all(self._moving):
            self._rest_gains_(reg, self._gains)
        reg.after_step(self.kernel, state)
        self._scatter_(
            [h.weight if m else None for h, m in zip(self.held, self._moving, strict=True)],
            self.kernel,
        )
        for name, tensors in momenta.items():
            self._scatter_(tensors, state[name])
        self.kernel.grad = None

    def matrices(self) -> Iterator[tuple[HeldParameter, Tensor, Any]]:
        """Each parameter with its matrices (..., n, k) and where in the kernel they lie."""
        for i, h in enumerate(self.held):
            yield h, h.view(h.weight.detach()), (i if len(self.held) > 1 else ...)

    def penalty(self, reg: Regularizer) -> Tensor:
        """The penalty of the parameters as they are."""
        self.follow_()
        return reg.penalty(self.kernel)

    def gain(self, reg: Regularizer, place: Any) -> float | Tensor | None:
        """The gain of the parameter there."""
        gain = reg.gain_of(self.kernel)
        return gain.detach()[place] if isinstance(gain, Tensor) else gain

    def _learned_gains(self, reg: Regularizer) -> Tensor | None:
        gain = reg.gain_of(self.kernel) if reg.scales() else None
        if not isinstance(gain, nn.Parameter):
            return None
        if not any(self._moving):
            gain.grad = None
        return gain.detach().clone()

    def _rest_gains_(self, reg: Regularizer, gains: Tensor) -> None:
        """Gains of parameters without a gradient <- what they were."""
        rest = [i for i, moving in enumerate(self._moving) if not moving]
        cast(Tensor, reg.gain_of(self.kernel))[rest] = gains[rest]

    def _add_penalty_gradient_(self, reg: Regularizer) -> None:
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(reg.penalty(self.kernel), self.kernel)
        cast(Tensor, self.kernel.grad).add_(slope)

    def _gathered(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """The matrices of what belongs to each parameter, zeros where there is none; many in a new stack."""
        views = [None if t is None else h.view(t) for h, t in zip(self.held, tensors, strict=True)]
        if len(views) == 1:
            return cast(Tensor, views[0]).contiguous()
        like = next(v for v in views if v is not None)
        return torch.stack([torch.zeros_like(like) if v is None else v for v in views])

    def _scatter_(self, tensors: Sequence[Tensor | None], stack: Tensor | None) -> None:
        """What belongs to each parameter <- its matrices in the stack."""
        rows = [stack] if len(self.held) == 1 else cast(Tensor, stack).unbind()
        for h, t, row in zip(self.held, tensors, rows, strict=True):
            if t is not None:
                h.view.write_(t, cast(Tensor, row))


def kernel_stacks(held: Iterable[HeldParameter]) -> list[KernelStack]:
    """Parameters of one shape, precision and device in one stack, on a CPU as many as its cache holds.

    Copies of those are cheap, and larger batches no faster; a GPU wants large batches.
    """

    def kind(h: HeldParameter) -> tuple[str, str, tuple[int, ...]]:
        return str(h.weight.device), str(h.weight.dtype), h.view.result

    stacks = []
    for (_, _, shape), same in groupby(sorted(held, key=kind), key=kind):
        alike = list(same)
        many = (
            max(1, CACHED // math.prod(shape))
            if alike[0].weight.device.type == "cpu"
            else len(alike)
        )
        stacks += [KernelStack(alike[i : i + many]) for i in range(0, len(alike), many)]
    return stacks
