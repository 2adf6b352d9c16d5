"""What rounding has done to a product Q diag(eˢ) T, to first order: a random error of every group, carried along.

Axes: r the product's rank, k <= r that after one more group.
"""

import math

import torch
from torch import Tensor


class GradedError:
    """F and G of Q (I + F) diag(eˢ) (I + G) T: F strictly lower triangular, G known by its norm.

    A further R makes R F R⁻¹ of F. What that has from the diagonal on goes to G, as diag(e⁻ˢ) F diag(eˢ), where it is
    small for descending s. So nothing is asked of R, whose rows are far from orthogonal where factors are far from
    normal: growth of the s alone tells too little of those. The errors of groups are as independent as their rounding.
    """

    def __init__(self, rank: int) -> None:
        self.lower, self.upper = torch.zeros(rank, rank, dtype=torch.float64), 0.0
        self.draw = torch.Generator().manual_seed(2)  # its own: a look changes nothing

    def carry_(self, r: Tensor, loss: float, s: Tensor) -> None:
        """A group of R (k, r) that is R + N, ‖R⁻¹N‖ = `loss`; s (k,) are the logarithms after it."""
        k = len(r)
        if not (k and math.isfinite(loss)):
            self.lower, self.upper = self.lower[:k, :k], self.upper + (loss if k else 0.0)
            return
        square = r[:, :k]
        noise = torch.randn(k, k, generator=self.draw, dtype=torch.float64)
        noise *= loss / torch.linalg.solve_triangular(square, noise, upper=True).norm()
        carried = r @ self.lower[:, :k] + noise
        moved = torch.linalg.solve_triangular(square, carried, upper=True, left=False)
        self.lower = moved.tril(-1)
        upper = (moved.triu() * (s - s.unsqueeze(1)).exp().triu()).norm().item()
        self.upper = math.hypot(self.upper, upper)

    def size(self) -> float:
        """About the largest error of a logarithm of a singular value, in nats."""
        return self.lower.norm().item() + self.upper
