"""What rounding has done to a product Q diag(eˢ) T, to first order: a random error of every group, carried along.

Axes: r the product's rank, k <= r that after one more group.
"""

import math

import torch
from torch import Tensor


class GradedError:
    """F and G of Q (I + F) diag(eˢ) (I + G) T: F strictly lower triangular, G known by a bound of its norm.

    A further R makes R F R⁻¹ of F. What that has above the diagonal goes to G, as diag(e⁻ˢ) F diag(eˢ), where it is
    small for descending s. So nothing is asked of R, whose rows are far from orthogonal where factors are far from
    normal: growth of the s alone tells too little of those.
    """

    def __init__(self, rank: int) -> None:
        self.lower, self.upper = torch.zeros(rank, rank, dtype=torch.float64), 0.0
        self.draw = torch.Generator().manual_seed(2)  # its own: a look changes nothing

    def carry_(self, r: Tensor, loss: float, s: Tensor) -> None:
        """A group of R (k, r) and of the logarithms s (k,) after it, which has lost `loss`: R (I + E), ‖E‖ = loss."""
        k, rank = r.shape
        if not (k and math.isfinite(loss)):
            self.lower, self.upper = self.lower[:k, :k], self.upper + (loss if k else 0.0)
            return
        error = torch.randn(rank, k, generator=self.draw, dtype=torch.float64) * (loss / rank)
        carried = r @ (self.lower[:, :k] + error)
        moved = torch.linalg.solve_triangular(r[:, :k], carried, upper=True, left=False)
        self.lower = moved.tril(-1)
        self.upper += (moved.triu() * (s - s.unsqueeze(1)).exp().triu()).norm().item()

    def of(self, t: Tensor) -> float:
        """About the largest error of a logarithm of a singular value, in nats; of T (r, n) as it is now."""
        own = len(t) ** 0.5 * torch.finfo(t.dtype).eps
        return self.lower.norm().item() + (self.upper + own) * _condition(t)


def _condition(t: Tensor) -> float:
    """σ_max/σ_min, at most, of T (r, n) whose rows are of unit length."""
    if not len(t):
        return 0.0
    r = torch.linalg.qr(t.mT, mode="r").R
    unit = torch.eye(len(r), dtype=r.dtype)
    return len(t) ** 0.5 * torch.linalg.solve_triangular(r, unit, upper=True).norm().item()
