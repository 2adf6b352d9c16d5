"""The spectral norm of E = WᵀW/g² − I as a penalty."""

from typing import Literal

import torch
from torch import Tensor, nn

from isogain.config.ranges import at_least
from isogain.linalg import gram_error, tall
from isogain.linalg.half import at_least_single
from isogain.reg.base import place_of
from isogain.reg.penalty import Penalty


class SRIP(Penalty):
    """‖E‖₂, the spectral norm: the restricted isometry constant over all directions.

    ∂/∂W = 2 sign(λ)/g² W v vᵀ for the eigenvector v of the eigenvalue λ of E that is largest in
    size, by `iterations` steps of the power method from where the step before left v: matrix-vector
    products only. Not smooth at its minimum. Bansal, Chen and Wang 2018, equation 5.

    >>> round(SRIP(strength=0.1).penalty(2 * torch.eye(3)).item(), 4)
    0.3
    """

    def __init__(
        self,
        strength: float = 1e-3,
        gain: float = 1.0,
        reduction: Literal["sum", "mean"] = "sum",
        schedule: Literal["constant", "step", "linear", "cosine"] = "constant",
        epochs: float | None = None,
        onset: float = 0,
        every: int = 1,
        iterations: int = 2,
    ) -> None:
        super().__init__(strength, gain, reduction, schedule, epochs, onset, every)
        self.iterations = int(at_least("iterations", iterations, 1))
        self._kernels: list[tuple[nn.Module, str]] = []

    def attach(self, module: nn.Module, name: str) -> None:
        column = tall(getattr(module, name))[..., :1, :].mT
        # contiguous: a buffer that DDP sends alone is copied on itself
        start = torch.randn_like(column, memory_format=torch.contiguous_format)
        self.register_buffer(f"vector_{len(self._kernels)}", start)
        self._kernels.append((module, name))

    def norm(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvalsh(gram_error(x, self.gain)).abs().amax(-1)

    def measured_penalty(self, w: Tensor) -> Tensor:
        """With |vᵀEv| in place of ‖E‖₂, which it never exceeds: all eigenvalues take the time of many steps."""
        if not (factor := self._factor(w)):
            return w.new_zeros(())
        x, v = tall(at_least_single(w)), at_least_single(self._vectors(w))
        along = (v * self._error_times(x, v)).sum((-2, -1)) / v.square().sum((-2, -1))
        return factor * along.abs().sum()

    def _vectors(self, w: Tensor) -> Tensor:
        return getattr(self, f"vector_{place_of(w, self._kernels)}")

    def _add_gradients_(self, w: Tensor, grad: Tensor, factor: float) -> None:
        x, v = tall(w), self._vectors(w)
        for _ in range(self.iterations):
            product = self._error_times(x, v)
            size = torch.linalg.vector_norm(product, dim=-2, keepdim=True)
            v.copy_(torch.where(size > 0, product / size, v))
        v.div_(torch.linalg.vector_norm(v, dim=-2, keepdim=True))
        sign = (v.mT @ self._error_times(x, v)).sign()
        tall(grad).add_((x @ v * sign) @ v.mT, alpha=2 * factor / self.gain**2)

    def _error_times(self, x: Tensor, v: Tensor) -> Tensor:
        return (x.mT @ (x @ v)).div_(self.gain**2).sub_(v)
