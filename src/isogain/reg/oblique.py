"""Riemannian descent on the scaled oblique manifold: every row of W has norm g."""

from typing import Literal

import torch
from torch import Tensor

from isogain.config.ranges import at_least
from isogain.linalg import gram_error, tall
from isogain.linalg.half import at_least_single
from isogain.reg.manifold import Manifold


class Oblique(Manifold):
    """Descent with rows of norm g: spheres, one a row, so only ‖W‖_F is fixed and not the singular values.

    The gradient loses its part along each row, momentum likewise, the retraction normalises. With
    `strength` the penalty strength · ‖WᵀW/g² − I‖²_F (smaller Gram side, summed over matrices) is
    added to the loss. A tall matrix whose rows have norm g is not g times orthogonal. Absil and
    Gallivan 2006; with the penalty: Sokół and Park 2018, section 3.1.

    >>> w = torch.tensor([[0.6, 0.8], [0.0, 2.0]])
    >>> with torch.no_grad():
    ...     Oblique(gain=5.0).make_feasible_(w)
    >>> w.round(decimals=4)
    tensor([[3., 4.],
            [0., 5.]])
    """

    sets_size = True

    def __init__(
        self,
        gain: float | Literal["learned"] = 1.0,
        strength: float = 0.0,
        adam: Literal["scalar", "elementwise"] = "elementwise",
    ) -> None:
        super().__init__(gain, adam)
        self.strength = at_least("strength", strength, 0)

    adds_penalty_gradient = True  # its tangent part

    @property
    def has_penalty(self) -> bool:
        return self.strength > 0

    def penalty(self, w: Tensor) -> Tensor:
        error = gram_error(at_least_single(w), self.gain_of(w))
        return self.strength * error.square().sum()

    def project_(self, w: Tensor, gain: float | Tensor) -> None:
        w.copy_(unit_rows(w) * gain)

    def size(self, w: Tensor) -> Tensor:
        """The root mean square norm of the rows."""
        return torch.linalg.matrix_norm(w, keepdim=True) / w.shape[-2] ** 0.5

    def set_gradient_(self, grad: Tensor, x: Tensor, gain: Tensor) -> None:
        if self.strength:
            end, error = tall(x), gram_error(x, gain)
            tall(grad).add_((end @ error).mul_(4 * self.strength / gain**2))
        self.transport_(grad, x, gain)

    def retract_(self, x: Tensor, start: Tensor, gain: Tensor) -> None:
        x.copy_(unit_rows(x) * gain)

    def transport_(self, momentum: Tensor, x: Tensor, gain: Tensor) -> None:
        along = (momentum * x).sum(-1, keepdim=True).div_(gain**2)
        momentum.addcmul_(along, x, value=-1)


def unit_rows(w: Tensor) -> Tensor:
    """Each row divided by its norm; a row of zeros, to which all unit rows are equally near, becomes constant."""
    norms = torch.linalg.vector_norm(w, dim=-1, keepdim=True)
    return torch.where(norms == 0, w.shape[-1] ** -0.5, w / norms)
