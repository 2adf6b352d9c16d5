"""Riemannian descent around any first-order optimiser: what all manifolds have in common."""

from typing import Literal, cast

import torch
from torch import Tensor, nn

from isogain.config.errors import unwritten
from isogain.config.ranges import positive
from isogain.linalg import per_matrix, pieces
from isogain.linalg.half import working_type
from isogain.linalg.transient_dicts import ByTensor
from isogain.reg.base import Regularizer, place_of
from isogain.reg.optimizer_moments import Moments, moments_of, tangent_vectors

SMALLEST = 1e-6  # of a learned gain: at 0 the kernel would forget its direction


class Manifold(Regularizer):
    """W = g·V with V on a manifold: the optimiser steps along a tangent vector, a retraction brings W back.

    A subclass says what the optimiser gets for the gradient, how a step ends on the manifold, and
    where momentum goes. g is a number, or learned: a scale σ >= 1e-6 a matrix, trained in a
    parameter group of its own by ∂L/∂σ = ⟨∂L/∂W, V⟩, that starts at the kernel's size. With Adam,
    `adam="scalar"` keeps one second moment a matrix. The kernel is brought on the manifold once at
    the start.

    >>> Manifold(gain=2.0, adam="scalar").gain_of(torch.eye(2))
    2.0
    """

    def __init__(
        self, gain: float | Literal["learned"], adam: Literal["scalar", "elementwise"]
    ) -> None:
        super().__init__()
        self.gain = gain if gain == "learned" else positive("gain", gain)
        self.adam = adam
        self.moments: Moments | None = None  # of the optimiser that it is bound to
        self.sigmas = nn.ParameterList()
        self._kernels: list[tuple[nn.Module, str]] = []
        self._before = ByTensor()  # w -> W and σ where the step began

    def project_(self, w: Tensor, gain: float | Tensor) -> None:
        """w (..., n, k) <- the nearest point of the manifold, wherever it is."""
        raise unwritten(self, "project_")

    def size(self, w: Tensor) -> Tensor:
        """What a learned gain begins with, here the root mean square singular value; (..., n, k) -> (..., 1, 1)."""
        return torch.linalg.matrix_norm(w, keepdim=True) / min(w.shape[-2:]) ** 0.5

    def set_gradient_(self, grad: Tensor, x: Tensor, gain: Tensor) -> None:
        """grad <- what the optimiser steps along from x = g·V; all (matrices, n, k), gain (matrices, 1, 1)."""
        raise unwritten(self, "set_gradient_")

    def retract_(self, x: Tensor, start: Tensor, gain: Tensor) -> None:
        """x, where the optimiser's step from `start` ended, <- a point of the manifold."""
        raise unwritten(self, "retract_")

    def transport_(self, momentum: Tensor, x: Tensor, gain: Tensor) -> None:
        """momentum <- a tangent vector at x."""
        raise unwritten(self, "transport_")

    @torch.no_grad()
    def attach(self, module: nn.Module, name: str) -> None:
        w = getattr(module, name)
        if self.gain == "learned":
            sigma = torch.empty_like(w[..., :1, :1], dtype=working_type(w))
            self.sigmas.append(nn.Parameter(sigma, requires_grad=False))  # no part of the graph
        self._kernels.append((module, name))
        self.make_feasible_(w)

    def bind(self, optimizer: torch.optim.Optimizer, moments: Moments | None = None) -> None:
        self.moments = moments_of(optimizer, moments)

    def make_feasible_(self, w: Tensor) -> None:
        if self.gain == "learned":
            self._sigma(w).copy_(self.size(w)).clamp_min_(SMALLEST)
        self.project_(w, self.gain_of(w))

    def before_step(self, w: Tensor) -> None:
        gains = per_matrix(self.gain_of(w), w)
        start, _ = self._before.get(w, (None, None))
        if start is None or (start.dtype, start.device) != (w.dtype, w.device):
            start = torch.empty_like(w)
        self._before[w] = start, gains
        slopes = torch.zeros_like(gains)  # ∂L/∂σ
        for x, s, gain, slope, grad in pieces(
            w, start, gains, slopes, w if w.grad is None else w.grad
        ):
            s.copy_(x)
            if w.grad is not None:
                if self.gain == "learned":
                    slope.copy_((x * grad).sum((-2, -1), keepdim=True) / gain)
                self.set_gradient_(grad, x, gain)
        if self.gain == "learned":
            sigma = self._sigma(w)
            sigma.grad = None if w.grad is None else slopes.to(sigma.dtype)

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        start, gains = self._before.get(w, (w, per_matrix(self.gain_of(w), w)))
        if self.gain == "learned":
            self._sigma(w).clamp_min_(SMALLEST)
        now = per_matrix(self.gain_of(w), w)
        for x, s, old, new, *moving in pieces(w, start, gains, now, *self._momenta(state)):
            self.retract_(x, s, old)
            if self.gain == "learned":
                x.mul_(new / old)
            for momentum in moving:
                self.transport_(momentum, x, new)

    def _momenta(self, state: dict[str, Tensor]) -> list[Tensor]:
        """What is to be transported; raises RuntimeError where no optimiser was asked for what its state holds."""
        if not state:
            return []
        if self.moments is None:
            raise RuntimeError(f"{type(self).__name__}.bind(optimizer) comes before its first step")
        return tangent_vectors(state, self.moments)

    def scales(self) -> list[nn.Parameter]:
        return list(self.sigmas)

    def gain_of(self, w: Tensor) -> float | Tensor:
        if self.gain != "learned":
            return self.gain
        return self._sigma(w)

    def _sigma(self, w: Tensor) -> nn.Parameter:
        """The learned gains of an attached kernel, one a matrix; (..., 1, 1)."""
        return cast(nn.Parameter, self.sigmas[place_of(w, self._kernels)])
