"""Penalties that pull a kernel towards g times orthogonal; their gradient is added after the backward pass.

E = WᵀW/g² − I on the smaller Gram side, m × m; zero iff W is g times orthogonal.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from isogain.config.errors import unwritten
from isogain.config.ranges import at_least, between, positive
from isogain.linalg import gram_error, pieces, tall
from isogain.linalg.half import at_least_single
from isogain.reg.base import Regularizer
from isogain.schedules import FACTORS

LARGEST = 1e31  # strength; a float32 overflows at 3e38


class Penalty(Regularizer):
    """strength · Σ norm(E) over the matrices of a kernel; a subclass says which norm.

    `reduction="mean"` divides by the m² entries of E. `schedule` lowers the strength over the
    training from the epoch `onset` on, before which it is 0, or over the `epochs` from there, after
    which it is 0 again (None: to the end); `step` is Bansal's. The gradient is added in place to that
    of the loss, in closed form where a subclass has one for its norm. It acts at every `every`-th step
    with `every` times its size; `penalty` itself, with the strength at this time, knows no `every`.

    >>> class Size(Penalty):
    ...     def norm(self, x):
    ...         return x.square().sum((-2, -1))
    >>> Size(strength=0.5).penalty(2 * torch.eye(3))
    tensor(6.)
    """

    adds_penalty_gradient = True

    def __init_subclass__(cls, **options: Any) -> None:
        """A closed form belongs to the norm that it was written for: a subclass with another norm begins without."""
        super().__init_subclass__(**options)
        if "norm" in vars(cls) and "add_gradient_" not in vars(cls):
            setattr(cls, "add_gradient_", Penalty.add_gradient_)  # noqa: B010 - for a type a method is final

    def __init__(
        self,
        strength: float = 1e-3,
        gain: float = 1.0,
        reduction: Literal["sum", "mean"] = "sum",
        schedule: Literal["constant", "step", "linear", "cosine"] = "constant",
        epochs: float | None = None,
        onset: float = 0,
        every: int = 1,
    ) -> None:
        super().__init__()
        self.strength = between("strength", at_least("strength", strength, 0), 0, LARGEST)
        self.gain = positive("gain", gain)
        self.reduction, self.schedule = reduction, schedule
        self.epochs = None if epochs is None else positive("epochs", epochs)
        self.onset = at_least("onset", onset, 0)
        self.every = int(at_least("every", every, 1))

    def norm(self, x: Tensor) -> Tensor:
        """The penalty of each matrix of x (matrices, n, k), n >= k, before strength and reduction; (matrices,)."""
        raise unwritten(self, "norm")

    def add_gradient_(self, grad: Tensor, x: Tensor, factor: float) -> None:
        """grad += factor · ∂norm/∂x; by autograd where a subclass does not say how."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.norm(x).sum(), x)
        grad.add_(slope, alpha=factor)

    def penalty(self, w: Tensor) -> Tensor:
        x = at_least_single(w).reshape(-1, *w.shape[-2:])
        return self._factor(w) * self.norm(self._oriented(x)).sum()

    def measured_penalty(self, w: Tensor) -> Tensor:
        if not (factor := self._factor(w)):
            return w.new_zeros(())  # also where the norm overflows
        norms = [self.norm(self._oriented(x)).sum() for (x,) in pieces(w)]
        return factor * torch.stack(norms).sum()

    def before_step(self, w: Tensor) -> None:
        factor = self.every * self._factor(w)
        if w.grad is not None and factor and self.time.step % self.every == 0:
            self._add_gradients_(w, w.grad, factor)

    def edits_state(self, w: Tensor) -> bool:
        return False

    def reads_of_time(self) -> set[str]:
        epochs = {"epoch"} if self.epochs or self.onset else set()
        constant = self.schedule == "constant" or self.epochs
        return epochs if constant else epochs | {"fraction"}

    def strength_now(self) -> float:
        """The strength at this time."""
        t = self._over()
        return self.strength * FACTORS[self.schedule](t) if 0 <= t < 1 else 0.0

    def report(self) -> dict[str, float]:
        return {"reg/strength": self.strength_now()}

    def _over(self) -> float:
        """The fraction that is over of the time in which it acts; negative before that."""
        since, now = self.time.epoch - self.onset, self.time.fraction
        if self.epochs or since < 0:
            return since / (self.epochs or 1)
        return now * since / (self.time.epoch - now * self.onset) if self.onset else now

    def _add_gradients_(self, w: Tensor, grad: Tensor, factor: float) -> None:
        """grad += factor · ∂penalty/∂w."""
        for x, part in pieces(w, grad):
            self.add_gradient_(self._oriented(part), self._oriented(x), factor)

    def _oriented(self, x: Tensor) -> Tensor:
        """x as `norm` takes it; a view."""
        return tall(x)

    def _factor(self, w: Tensor) -> float:
        return self.strength_now() / (self._entries(w) if self.reduction == "mean" else 1)

    def _entries(self, w: Tensor) -> int:
        return min(w.shape[-2:]) ** 2


class Soft(Penalty):
    """‖E‖²_F: at g = 1 soft orthogonality, at the initialiser's gain the gain-adjusted penalty.

    ∂/∂W = 4/g² W E. Bansal, Chen and Wang 2018, equation 1; Hlav 2019, equation 11.

    >>> round(Soft(strength=0.1).penalty(2 * torch.eye(3)).item(), 4)
    2.7
    """

    def norm(self, x: Tensor) -> Tensor:
        return gram_error(x, self.gain).square().sum((-2, -1))

    def add_gradient_(self, grad: Tensor, x: Tensor, factor: float) -> None:
        grad.baddbmm_(x, gram_error(x, self.gain), alpha=4 * factor / self.gain**2)


class DoubleSoft(Soft):
    """‖WᵀW/g² − I‖²_F + ‖WWᵀ/g² − I‖²_F = 2‖E‖²_F + |n − k|.

    So its gradient is exactly twice that of `Soft`: another strength, not another method. Bansal,
    Chen and Wang 2018, equation 2.

    >>> round(DoubleSoft(strength=0.1).penalty(2 * torch.eye(3)).item(), 4)
    5.4
    """

    def norm(self, x: Tensor) -> Tensor:
        return 2 * super().norm(x) + (x.shape[-2] - x.shape[-1])

    def add_gradient_(self, grad: Tensor, x: Tensor, factor: float) -> None:
        super().add_gradient_(grad, x, 2 * factor)
