"""Hard orthogonality: after a step, the nearest matrix whose singular values are g, or within a margin of it."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from isogain.config.ranges import at_least, between, positive
from isogain.linalg import check_finite, newton_schulz, orthonormal, polar, svd
from isogain.linalg.newton_schulz import NewtonSchulz
from isogain.reg.base import Regularizer


class Projection(Regularizer):
    """W ← the nearest matrix with all singular values in [g(1 − margin), g(1 + margin)], after every `every` steps.

    Without a margin that is g·UVᵀ, the polar factor: by `newton_schulz` (matrix products, see
    there; `tolerance` is the gap that it may leave, None: rounding error) or `svd`; `qr` takes g·Q
    of W = QR with a positive diagonal of R, which is orthogonal but not the nearest. With a margin
    the singular values are clipped, by the SVD. The kernel is projected once at the start. Fan and
    Hoffman 1955, theorem 1.

    >>> import torch
    >>> w = torch.diag(torch.tensor([3.0, 1.0]))
    >>> with torch.no_grad():
    ...     Projection(gain=2.0).make_feasible_(w)
    >>> w.round(decimals=4)
    tensor([[2., 0.],
            [0., 2.]])
    """

    sets_size = True

    def __init__(
        self,
        gain: float = 1.0,
        margin: float = 0.0,
        method: Literal["newton_schulz", "svd", "qr"] = "newton_schulz",
        every: int = 1,
        tolerance: float | None = None,
    ) -> None:
        super().__init__()
        self.gain = positive("gain", gain)
        self.margin = between("margin", margin, 0, 1)
        if margin and method == "qr":
            raise ValueError(f"method must be newton_schulz or svd with a margin, got {method}")
        if tolerance is not None and (margin or method != "newton_schulz"):
            raise ValueError(
                f"tolerance must be null where the SVD or QR projects exactly, got {tolerance}"
            )
        self.method, self.every = method, int(at_least("every", every, 1))
        self.tolerance = None if tolerance is None else positive("tolerance", tolerance)
        self._newton_schulz = NewtonSchulz(tolerance)

    def edits_state(self, w: Tensor) -> bool:
        return False

    def make_feasible_(self, w: Tensor) -> None:
        self._project_(w, newton_schulz.project_)

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        if (self.time.step + 1) % self.every == 0:
            self._project_(w, self._newton_schulz)

    def _project_(self, w: Tensor, by_products_: Callable[[Tensor, float], None]) -> None:
        if self.method == "newton_schulz" and not self.margin:
            by_products_(w, self.gain)
        else:
            w.copy_(self.nearest(w))

    def nearest(self, w: Tensor) -> Tensor:
        """Clipped singular values, or g·Q where the method is `qr`; (..., n, k) -> (..., n, k)."""
        if self.method == "qr":
            check_finite(w)
            return orthonormal(w).mul_(self.gain)
        if not self.margin:
            return polar(w).mul_(self.gain)
        low, high = self.gain * (1 - self.margin), self.gain * (1 + self.margin)
        u, s, vh = svd(w)
        return (u * s.clamp(low, high).unsqueeze(-2)) @ vh

    def report(self) -> dict[str, float]:
        return {"reg/svd_fallbacks": self._newton_schulz.fallbacks.item()}
