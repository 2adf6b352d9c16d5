"""The landing flow: towards the scaled Stiefel manifold and down the loss at once, without a retraction."""

from typing import Literal

import torch
from torch import Tensor

from isogain.config.ranges import positive
from isogain.linalg import gram_error, newton_schulz, per_matrix, pieces, tall
from isogain.linalg.transient_dicts import ByTensor
from isogain.reg.base import Regularizer


class Landing(Regularizer):
    """Step along ½(G VᵀV − V GᵀV) + strength · W(VᵀV − I), V = W/g: never on the manifold, always near it.

    The first part keeps VᵀV to first order, the second attracts. A step that would leave the tube
    ‖VᵀV − I‖_F <= epsilon is shortened by the factor t of (1 − t)d₀ + t d₁ + t(1 − t)‖ΔV‖²_F =
    epsilon, d₀ and d₁ being the distances before and after it: a bound from above, so the tube is
    never left, whatever the optimiser. Six products. With Adam, `adam="scalar"` keeps the
    direction of the field. The kernel starts on the manifold. Ablin and Peyré 2022, equation 3 and
    section 3.2; for tall matrices Ablin, Vary, Gao and Absil 2024, equation 4.

    The field is not the gradient of the loss plus something, so there is no `penalty`.

    >>> w = torch.diag(torch.tensor([3.0, 1.0]))
    >>> with torch.no_grad():
    ...     Landing(gain=2.0).make_feasible_(w)
    >>> w.round(decimals=4)
    tensor([[2., 0.],
            [0., 2.]])
    """

    sets_size = True

    def __init__(
        self,
        gain: float = 1.0,
        strength: float = 1.0,
        epsilon: float = 0.5,
        adam: Literal["scalar", "elementwise"] = "scalar",
    ) -> None:
        super().__init__()
        self.gain = positive("gain", gain)
        self.strength = positive("strength", strength)
        self.epsilon = positive("epsilon", epsilon)
        if epsilon >= 1:
            raise ValueError(f"epsilon must be less than 1, got {epsilon}")
        self.adam = adam
        self.shortened: Tensor
        self.register_buffer("shortened", torch.zeros((), dtype=torch.int64))
        self._starts = ByTensor()  # w -> W and ‖VᵀV − I‖_F where the step began

    def edits_state(self, w: Tensor) -> bool:
        return False

    def make_feasible_(self, w: Tensor) -> None:
        newton_schulz.project_(w, self.gain)

    def before_step(self, w: Tensor) -> None:
        start, distances = self._starts.get(w, (None, None))
        if start is None or (start.dtype, start.device) != (w.dtype, w.device):
            start, distances = self._starts[w] = torch.empty_like(w), per_matrix(0.0, w)
        for x, s, distance, grad in pieces(w, start, distances, w if w.grad is None else w.grad):
            s.copy_(x)
            error = gram_error(x, self.gain)
            distance.copy_(torch.linalg.matrix_norm(error, keepdim=True))
            if w.grad is not None:
                self._set_field_(tall(grad), tall(x), error)

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        if w not in self._starts:
            return
        for x, start, distance in pieces(w, *self._starts[w]):
            t = self._fraction(x, start, distance)
            self.shortened += (t < 1).sum()
            x.copy_(torch.where(t < 1, torch.lerp(start, x, t), x))

    def report(self) -> dict[str, float]:
        return {"reg/shortened": self.shortened.item()}

    def _set_field_(self, grad: Tensor, x: Tensor, error: Tensor) -> None:
        """grad, ∂L/∂W, <- the landing field at x."""
        relative = grad + grad @ error - x @ (grad.mT @ x) / self.gain**2
        grad.copy_(relative.mul_(0.5).baddbmm_(x, error, alpha=self.strength))

    def _fraction(self, x: Tensor, start: Tensor, before: Tensor) -> Tensor:
        """The fraction of the step from `start` to x that stays in the tube, in [0, 1]; (matrices, 1, 1)."""
        after = torch.linalg.matrix_norm(gram_error(x, self.gain), keepdim=True)
        curve = torch.linalg.matrix_norm(x - start, keepdim=True).square() / self.gain**2
        slope, room = after - before + curve, (self.epsilon - before).clamp_min(0)
        root = (slope.square() - 4 * curve * room).clamp_min(0).sqrt()
        t = torch.where(after > self.epsilon, 2 * room / (slope + root), 1.0)
        return torch.where(slope.isfinite(), t, 0.0)  # too long to square: no step at all
