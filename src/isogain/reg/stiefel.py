"""Riemannian descent on the scaled Stiefel manifold {W : WᵀW = g²I}."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from isogain.linalg import newton_schulz, skew, tall, tangent, transposed
from isogain.linalg.newton_schulz import NewtonSchulz
from isogain.linalg.retractions import (
    cayley_frame,
    cayley_plane,
    exponential,
    polar_frame,
    polar_plane,
    qr_frame,
    qr_plane,
)
from isogain.reg.manifold import Manifold

CORRECTED = 32  # steps between two corrections of rounding where nothing else asks for one
ROUNDING = {torch.float64: 1e-15, torch.float32: 4e-8}  # gap a step may leave beside rounding
# the gap a retraction leaves: cayley builds on V as it is, the last is no retraction before its correction
DRIFT = {"polar": 0.0, "qr": 0.0, "cayley": math.inf, "newton_schulz": math.inf}
FRAME = {"polar": polar_frame, "qr": qr_frame, "cayley": cayley_frame}
PLANE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "polar": polar_plane,
    "qr": qr_plane,
    "cayley": cayley_plane,
    "newton_schulz": torch.add,
}


class Stiefel(Manifold):
    """Descent on the orthogonal group, where W is square, in the frame of W; elsewhere in the plane around it.

    Square, V = W/g: the optimiser gets Ω = skew(VᵀG), the Riemannian gradient VΩ in the basis that
    moves with V. Its state lives in that basis, so momentum and second moments are carried by left
    translation, isometrically and at no cost, and the step D is skew whatever the optimiser does:
    SGD, momentum, Adam with either second moment and RMSprop all step along a tangent vector VD.
    Tall or wide: the optimiser gets the tangent part of G, its step is projected on the tangent
    space, and momentum is transported by projection; elementwise second moments are a heuristic
    there, as they do not know the manifold. `metric="canonical"` has the gradient G − VGᵀV, on
    square matrices twice the Euclidean one.

    Retractions of V(I + D): `newton_schulz` V(I + D + D²/2), with two terms more where the step is
    large, corrected by Newton–Schulz where the gap would pass rounding error and every 32 steps;
    `polar`; `qr`; `cayley` V(I − D/2)⁻¹(I + D/2). Edelman, Arias and Smith 1998, equations 2.4 and
    2.53; Absil, Mahony and Sepulchre 2008, sections 4.1 and 8.1; Wen and Yin 2013, equation 7.

    >>> w = torch.diag(torch.tensor([3.0, 1.0]))
    >>> with torch.no_grad():
    ...     Stiefel(gain=2.0).make_feasible_(w)
    >>> w.round(decimals=4)
    tensor([[2., 0.],
            [0., 2.]])
    """

    sets_size = True

    def __init__(
        self,
        gain: float | Literal["learned"] = 1.0,
        metric: Literal["euclidean", "canonical"] = "euclidean",
        retraction: Literal["newton_schulz", "polar", "qr", "cayley"] = "newton_schulz",
        adam: Literal["scalar", "elementwise"] = "elementwise",
    ) -> None:
        super().__init__(gain, adam)
        self.metric, self.retraction = metric, retraction
        self._newton_schulz = NewtonSchulz()

    def project_(self, w: Tensor, gain: float | Tensor) -> None:
        newton_schulz.project_(w, gain)

    def set_gradient_(self, grad: Tensor, x: Tensor, gain: Tensor) -> None:
        if x.shape[-2] == x.shape[-1]:
            product = x.mT @ grad
            torch.sub(product, transposed(product), out=grad)
            grad.mul_((0.5 if self.metric == "euclidean" else 1.0) / gain)
        else:
            v, g = tall(x) / gain, tall(grad)
            g.copy_(tangent(v, g) if self.metric == "euclidean" else g - v @ (g.mT @ v))

    def retract_(self, x: Tensor, start: Tensor, gain: Tensor) -> None:
        square = x.shape[-2] == x.shape[-1]
        drift = (self._in_frame_ if square else self._in_plane_)(x, start, gain)
        if not drift <= ROUNDING.get(x.dtype, 0.0):  # nor where it is not a number
            self._newton_schulz(x, gain)

    def _in_frame_(self, x: Tensor, start: Tensor, gain: Tensor) -> float:
        """Retract from `start`, and return the gap that this can leave beside rounding."""
        d = skew(x - start, 1 / gain)
        if self.retraction == "newton_schulz":
            q, left = exponential(d, ROUNDING.get(x.dtype) if x.is_cpu else None)
            torch.baddbmm(start, start, q, out=x)
            late = self.time.step % CORRECTED == CORRECTED - 1
            return math.inf if late or not x.is_cpu else left
        x.copy_(FRAME[self.retraction](start / gain, d) * gain)
        return DRIFT[self.retraction]

    def _in_plane_(self, x: Tensor, start: Tensor, gain: Tensor) -> float:
        v, end = tall(start) / gain, tall(x)
        step = tangent(v, end / gain - v)
        end.copy_(PLANE[self.retraction](v, step) * gain)
        return DRIFT[self.retraction]

    def edits_state(self, w: Tensor) -> bool:
        return (
            w.shape[-2] != w.shape[-1]
        )  # in the frame of a square W nothing has to be transported

    def transport_(self, momentum: Tensor, x: Tensor, gain: Tensor) -> None:
        if x.shape[-2] != x.shape[-1]:
            momentum.copy_(tangent(x / gain, momentum))

    def report(self) -> dict[str, float]:
        return {"reg/svd_fallbacks": self._newton_schulz.fallbacks.item()}
