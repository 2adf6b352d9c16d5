"""Riemannian descent on the scaled Stiefel manifold {W : WᵀW = g²I}, around any first-order optimiser."""

from torch import Tensor

from isogain.linalg import polar, tangent
from isogain.ranges import positive
from isogain.reg.base import Regularizer

MOMENTA = ("momentum_buffer", "exp_avg")  # torch's names in SGD and RMSprop, and in Adam


class Stiefel(Regularizer):
    """Step along the tangent part of the gradient, then retract to the nearest point (polar
    factor).

    The momentum is transported by projection on the new tangent space. Exact Riemannian descent for
    SGD with or without momentum; Adam and RMSprop scale entrywise, which leaves the tangent space,
    and only the retraction corrects it. Absil, Mahony and Sepulchre 2008, sections 3.6 and 4.1.
    """

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = positive("gain", gain)

    def before_step(self, w: Tensor) -> None:
        if w.grad is not None:
            w.grad.copy_(tangent(w / self.gain, w.grad))

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        point = polar(w)
        w.copy_(point * self.gain)
        for name in MOMENTA:
            if state.get(name) is not None:
                state[name].copy_(tangent(point, state[name]))
