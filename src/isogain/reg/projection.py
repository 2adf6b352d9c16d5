"""Hard orthogonality: after every step, the nearest matrix that is exactly g times orthogonal."""

from torch import Tensor

from isogain.linalg import polar
from isogain.ranges import positive
from isogain.reg.base import Regularizer


class Projection(Regularizer):
    """W ← g·UVᵀ, the polar factor of W, after every optimiser step. Fan and Hoffman 1955, theorem 1."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = positive("gain", gain)

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        w.copy_(polar(w).mul_(self.gain))
