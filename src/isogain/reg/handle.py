"""A regulariser at work around an optimiser: what `isogain.regularize` returns."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from isogain.linalg import orthogonality_gap
from isogain.reg.base import Regularizer, Time
from isogain.reg.kernel_stack import KernelStack
from isogain.reg.optimizer_moments import Moments
from isogain.reg.parametrized_kernel import ParametrizedKernel
from isogain.reg.step_hooks import StepHooks

log = logging.getLogger(__name__)
ALMOST_OVER = 1 - 2.0**-53  # of a fraction that is in [0, 1)


@dataclass(frozen=True)
class StepClock:
    """The time of a regulariser by its own count of steps.

    >>> StepClock(steps=100, steps_per_epoch=10).time(25)
    Time(step=25, epoch=2.5, fraction=0.25)
    """

    steps: int | None = None
    steps_per_epoch: int | None = None

    def time(self, step: int) -> Time:
        """After that many steps; what is not known is 0."""
        epoch = step / self.steps_per_epoch if self.steps_per_epoch else 0.0
        fraction = min(step / self.steps, ALMOST_OVER) if self.steps else 0.0
        return Time(step, epoch, fraction)


class Handle:
    """The regulariser, the kernels that it holds, and the count of steps; `remove` ends it.

    In a plain loop the optimiser's hooks call `before_step` and `after_step`. To clip what the optimiser gets, call
    `before_step` before clipping, at every step: the hook then sees that it was called. `hooks=False` leaves both to a
    trainer; `after_step` does nothing where the step was skipped, as a GradScaler does.

    >>> from isogain.reg import Projection, regularize
    >>> layer = torch.nn.Linear(2, 2, bias=False)
    >>> handle = regularize(torch.optim.SGD(layer.parameters(), lr=0.1), layer, Projection())
    >>> handle
    Handle(Projection(gain=1.0, margin=0.0, method='newton_schulz', every=1, tolerance=None), weight: (2, 2), step 0)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        reg: Regularizer,
        kernels: Sequence[KernelStack | ParametrizedKernel],
        moments: Moments,
        clock: StepClock,
        hooks: bool,
    ) -> None:
        self.optimizer, self.reg, self.kernels = optimizer, reg, list(kernels)
        self.moments, self.clock, self.hooks = dict(moments), clock, hooks
        self.step = 0
        self.pending = False  # between the two moments
        self._has_stepped = False
        self._registered: list[RemovableHandle] = StepHooks(self, hooks).register(optimizer)

    @torch.no_grad()
    def before_step(self) -> None:
        """Edit the gradients, which carry no loss scale; raises TypeError for a sparse one."""
        self._refuse_sparse()
        self.reg.time = self.clock.time(self.step)
        with self._full_precision():
            for kernel in self.kernels:
                kernel.before_step(self.reg)
        self.pending, self._has_stepped = True, False

    @torch.no_grad()
    def after_step(self) -> None:
        """Bring the kernels and the optimiser's state to where they belong, if a step was taken since `before_step`."""
        if not (self.pending and self._has_stepped):
            return
        self.pending = False
        with self._full_precision():
            for kernel in self.kernels:
                kernel.after_step(self.reg, self.optimizer, self.moments)
        self.step += 1

    def stepped(self) -> None:
        """The optimiser took a step; raises RuntimeError where `before_step` did not see its gradient."""
        if not self.pending:
            raise RuntimeError(
                "the optimiser took a step without before_step: call handle.before_step() after the backward pass"
                if not self.hooks
                else "the optimiser took a step without evaluating its closure, so before_step saw no gradient"
            )
        self._has_stepped = True

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """The sum of the penalties of all kernels as they are now, at this time; a scalar."""
        self.reg.time = self.clock.time(self.step)
        with self._full_precision():
            values = [kernel.penalty(self.reg) for kernel in self.kernels]
        return torch.stack([value.to(values[0].device) for value in values]).sum()

    @torch.no_grad()
    def gap(self) -> dict[str, Tensor]:
        """The orthogonality gap ‖WᵀW/g² − I‖_F/√n of the matrices of each parameter, by its name; (...)."""
        gaps = {}
        for kernel in self.kernels:
            for held, w, place in kernel.matrices():
                gain = kernel.gain(self.reg, place)
                gaps[held.name] = orthogonality_gap(w, 1.0 if gain is None else gain)
        return gaps

    def remove(self) -> None:
        """End it: the kernels stay where they are, re-parametrised ones become plain parameters without state.

        The parameter groups that it made stay, with a weight decay of 0, and a learned gain, which moves no more.
        """
        while self._registered:
            self._registered.pop().remove()
        for kernel in self.kernels:
            if isinstance(kernel, ParametrizedKernel):
                kernel.detach_(self.optimizer)
        self.kernels, self.pending = [], False

    def to(self, *args: Any, **options: Any) -> "Handle":
        """Move the regulariser, as `nn.Module.to` does; the kernels follow their parameters."""
        self.reg.to(*args, **options)
        return self

    def state_dict(self) -> dict[str, Any]:
        """The count of steps, learned gains and what the regulariser remembers; weights are the network's to save."""
        return {"step": self.step, "reg": self.reg.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises RuntimeError where it is of another regulariser."""
        self.reg.load_state_dict(state["reg"])
        self.step, self.pending = int(state["step"]), False

    def __getstate__(self) -> dict[str, Any]:
        """A copy registers hooks of its own, on the copy of the optimiser, which comes without any."""
        return self.__dict__ | {"_registered": bool(self._registered)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        active = self.__dict__.pop("_registered")
        self._registered = StepHooks(self, self.hooks).register(self.optimizer) if active else []

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.reg.options().items())
        held = [
            f"{h.name}: {tuple(w.shape)}"
            for kernel in self.kernels
            for h, w, _ in kernel.matrices()
        ]
        names = ", ".join(held[:4]) + (f" and {len(held) - 4} more" if len(held) > 4 else "")
        return (
            f"Handle({type(self.reg).__name__}({options}), {names or 'removed'}, step {self.step})"
        )

    def _full_precision(self) -> ExitStack:
        """No autocast: in half precision a kernel would leave its manifold."""
        context = ExitStack()
        devices = {w.device.type for kernel in self.kernels for w in kernel.parameters_moved()[:1]}
        for device in devices:
            context.enter_context(torch.autocast(device, enabled=False))
        return context

    def _refuse_sparse(self) -> None:
        for kernel in self.kernels:
            for w in kernel.parameters_moved():
                if w.grad is not None and w.grad.layout != torch.strided:
                    raise TypeError(
                        f"a held parameter {tuple(w.shape)} has a sparse gradient: pass sparse=False to its module"
                    )
