"""The penalty of Hlav's notebook, which is not her formula."""

from typing import Literal

from torch import Tensor

from isogain.reg.penalty import Penalty


class Notebook(Penalty):
    """mean((WWᵀ/g² − 1)²), the scalar 1 where orthogonality has I: Hlav's notebook to the letter.

    Its kernel is the transpose of ours. The minimiser is W = g·1uᵀ with ‖u‖ = 1: of rank one, so it
    opposes orthogonality; at W = g times orthogonal it is 1 − 1/n. ∂/∂W = 4/(n²g²) (WWᵀ/g² − 1) W.
    For reproducing those runs only. Hlav 2019, notebook, cell 13.

    At g times an orthogonal matrix it is 1 − 1/n.

    >>> import torch
    >>> round(Notebook().penalty(torch.eye(3)).item(), 4)
    0.6667
    """

    def __init__(
        self,
        strength: float = 1.0,
        gain: float = 1.0,
        reduction: Literal["sum", "mean"] = "mean",
        schedule: Literal["constant", "step", "linear", "cosine"] = "constant",
        epochs: float | None = None,
        onset: float = 0,
        every: int = 1,
    ) -> None:
        super().__init__(strength, gain, reduction, schedule, epochs, onset, every)

    def norm(self, x: Tensor) -> Tensor:
        return self._error(x).square().sum((-2, -1))

    def add_gradient_(self, grad: Tensor, x: Tensor, factor: float) -> None:
        grad.baddbmm_(self._error(x), x, alpha=4 * factor / self.gain**2)

    def _error(self, x: Tensor) -> Tensor:
        return (x @ x.mT).div_(self.gain**2).sub_(1)

    def _oriented(self, x: Tensor) -> Tensor:
        return x

    def _entries(self, w: Tensor) -> int:
        return w.shape[-2] ** 2
