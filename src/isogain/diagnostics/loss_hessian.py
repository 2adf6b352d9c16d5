"""The Hessian of any loss by a network's outputs, by double backward; a loss is a function of (outputs, targets).

Axes: B examples, C outputs, D all outputs of an example.
"""

import copy
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

LossFunction = Callable[[Tensor, Tensor], Tensor]


class LossHessian:
    """Gradient and Hessian H of loss(z, y) by the outputs z (B, ..., C), where it is a mean or a sum over examples.

    `share` is what an example's own loss counts for: 1/B of a mean, 1 of a sum. Raises ValueError for any other loss:
    H would mix examples.

    >>> loss = LossHessian(nn.MSELoss(), torch.zeros(4, 2), torch.ones(4, 2))
    >>> loss.share, loss.product(torch.ones(4, 2))[0]  # 2/(4·2)
    (0.25, tensor([0.2500, 0.2500]))
    """

    def __init__(self, loss: LossFunction, z: Tensor, y: Tensor) -> None:
        if isinstance(loss, nn.Module):
            loss = copy.deepcopy(loss).to(z.dtype)
        self.z = z.detach().clone().requires_grad_()
        value = _scalar(loss(self.z, y))
        (self.gradient,) = torch.autograd.grad(value, self.z, create_graph=True)
        self.share = self._share(loss, value.item(), y)

    @cached_property
    def matrices(self) -> Tensor:
        """H of every example, symmetric; (B, D, D)."""
        rows = [self.product(unit) for unit in self._units()]
        h = torch.stack([row.flatten(1) for row in rows], 1)
        return (h + h.mT) / 2

    def product(self, v: Tensor) -> Tensor:
        """Hv; (B, ..., C) -> (B, ..., C)."""
        if not self.gradient.requires_grad:  # a loss that is linear in the outputs
            return torch.zeros_like(v)
        (hv,) = torch.autograd.grad(
            self.gradient, self.z, v, retain_graph=True, materialize_grads=True
        )
        return hv

    def signed_rows(self) -> tuple[Tensor, Tensor]:
        """Rows s and signs σ with Σ σ s sᵀ = H, 0 where an eigenvalue of H is rounding; (D, B, D) and (D, B)."""
        values, vectors = torch.linalg.eigh(self.matrices)
        size = values.abs().amax(-1, keepdim=True)
        rounding = values.shape[-1] * torch.finfo(values.dtype).eps * size
        values = values.where(values.abs() > rounding, 0)
        return (vectors * values.abs().sqrt()[:, None]).permute(2, 0, 1), values.sign().mT

    def gradient_rows(self) -> Tensor:
        """The row of every example with Σ s sᵀ = share · Σ_b ∇ℓ_b ∇ℓ_bᵀ; (1, B, D)."""
        return (self.gradient.detach() / self.share**0.5).flatten(1)[None]

    def _share(self, loss: LossFunction, value: float, y: Tensor) -> float:
        alone = self.z.detach().requires_grad_()
        values = [
            _scalar(loss(z_b, y_b)) for z_b, y_b in zip(alone.split(1), y.split(1), strict=True)
        ]
        total = torch.stack(values).sum()
        (gradient,) = torch.autograd.grad(total, alone)
        for share in (1 / len(alone), 1.0):
            gaps = (
                self.gradient.detach() - share * gradient,
                torch.as_tensor(value - share * total.item()),
            )
            sizes = share * gradient.abs().max(), share * sum(v.abs() for v in values)
            allowed = torch.finfo(alone.dtype).eps ** 0.5
            if all(
                gap.abs().max() <= allowed * size for gap, size in zip(gaps, sizes, strict=True)
            ):
                return share
        raise ValueError(
            "the loss is neither the mean nor the sum of each example's own loss, so examples have no Hessian of "
            "their own: use reduction='sum', or divide by the number of examples"
        )

    def _units(self) -> list[Tensor]:
        """The unit vectors of an example's outputs, the same in every example; D of (B, ..., C)."""
        size = self.z[0].numel()
        unit = torch.eye(size, dtype=self.z.dtype, device=self.z.device)
        return [row.expand(len(self.z), -1).reshape(self.z.shape) for row in unit]


def _scalar(value: Tensor) -> Tensor:
    if value.numel() != 1:
        raise ValueError(
            f"the loss has shape {tuple(value.shape)}: it must be one number, the mean or sum over examples"
        )
    return value.reshape(())
