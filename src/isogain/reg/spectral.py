"""Singular values within a margin of g, by the factorisation W = U diag(s) Vᵀ."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from isogain.config.ranges import between, positive
from isogain.linalg import svd
from isogain.reg.base import NOT_ATTACHED, Regularizer, parametrization
from isogain.reg.optimizer_moments import Moments
from isogain.reg.stiefel import Stiefel


class Spectral(Regularizer):
    """W = U diag(s) Vᵀ with s = g(1 + 2·margin·(sigmoid(p) − ½)), in (g(1 − margin), g(1 + margin)).

    U and V descend on the Stiefel manifold, p is free; its gradient is divided by 2·margin, so that
    its step does not depend on the margin. The optimiser moves U, p and V at the kernels' rate. An
    initial W starts with its singular values clipped to 98 % of the margin. Vorontsov et al. 2017,
    equations 5 and 6; their equation for the basis update is replaced by the exact `Stiefel`.

    >>> layer = nn.Linear(3, 3)
    >>> Spectral(margin=0.1).attach(layer, "weight")
    >>> s = torch.linalg.svdvals(layer.weight)
    >>> bool((s > 0.9).all() and (s < 1.1).all())
    True
    """

    reparametrizes = True

    def __init__(self, gain: float = 1.0, margin: float = 0.1) -> None:
        super().__init__()
        self.gain = positive("gain", gain)
        self.margin = between("margin", margin, 0, 1)
        self._bases = Stiefel()
        self._attached: list[nn.Module] = []

    @torch.no_grad()
    def attach(self, module: nn.Module, name: str) -> None:
        register_parametrization(module, name, Factors(self.gain, self.margin))
        self._attached.append(parametrization(module, name))

    def bind(self, optimizer: torch.optim.Optimizer, moments: Moments | None = None) -> None:
        self._bases.bind(optimizer, moments)

    def before_step(self, w: Tensor) -> None:
        self._bases.time = self.time
        if self._is_basis(w):
            self._bases.before_step(w)
        elif w.grad is not None and self.margin:
            w.grad.div_(2 * self.margin)

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        if self._is_basis(w):
            self._bases.after_step(w, state)

    def report(self) -> dict[str, float]:
        return self._bases.report()

    def _is_basis(self, w: Tensor) -> bool:
        """Whether w is a U or V, and not a p; raises ValueError where it is none of these."""
        for factors in self._attached:
            if w is factors.original0 or w is factors.original2:
                return True
            if w is factors.original1:
                return False
        raise ValueError(NOT_ATTACHED)


class Factors(nn.Module):
    """(U, p, V) -> U diag(s) Vᵀ; (..., n, m), (..., m), (..., k, m) -> (..., n, k) with m = min(n, k)."""

    def __init__(self, gain: float, margin: float) -> None:
        super().__init__()
        self.gain, self.margin = gain, margin

    def forward(self, u: Tensor, p: Tensor, v: Tensor) -> Tensor:
        s = self.gain * (1 + 2 * self.margin * (p.sigmoid() - 0.5))
        return (u * s.unsqueeze(-2)) @ v.mT

    def right_inverse(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, s, vh = svd(w)
        part = (s / self.gain - 1) / (2 * self.margin) + 0.5 if self.margin else 0 * s + 0.5
        p = part.clamp(0.01, 0.99).logit()
        return u.contiguous(), p, vh.mT.contiguous()
