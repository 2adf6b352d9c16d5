"""The four moments at which a regulariser may act; a kernel w is a parameter (..., n, k)."""

from torch import Tensor, nn


class Regularizer(nn.Module):
    """Does nothing at any of the four moments: `reg=none`. Subclasses override only what they need."""

    def attach(self, module: nn.Module, name: str) -> None:
        """Once, after initialisation and before the optimiser exists: may re-parametrise `module.name`."""

    def penalty(self, w: Tensor) -> Tensor:
        """Added to the loss; a scalar."""
        return w.new_zeros(())

    def before_step(self, w: Tensor) -> None:
        """Edits `w.grad`, after the backward pass and before clipping; no gradient is recorded."""

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        """Edits `w` and its optimiser state after every optimiser step; no gradient is recorded."""
