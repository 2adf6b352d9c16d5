"""The largest entry of E = WᵀW/g² − I as a penalty."""

import torch
from torch import Tensor

from isogain.linalg import gram_error
from isogain.reg.penalty import Penalty


class MutualCoherence(Penalty):
    """max |E_ij|, the largest inner product of two columns and deviation of a norm.

    ∂/∂W = sign(E_ij)/g² (w_j e_iᵀ + w_i e_jᵀ) at the largest entry; a subgradient where several are
    equal. Not smooth at its minimum. Bansal, Chen and Wang 2018, equation 3.

    >>> round(MutualCoherence(strength=0.1).penalty(2 * torch.eye(3)).item(), 4)
    0.3
    """

    def norm(self, x: Tensor) -> Tensor:
        return gram_error(x, self.gain).abs().amax((-2, -1))

    def add_gradient_(self, grad: Tensor, x: Tensor, factor: float) -> None:
        error = gram_error(x, self.gain).flatten(1)
        place = error.abs().argmax(-1, keepdim=True)
        sign = error.gather(-1, place).sign() * (factor / self.gain**2)
        each = torch.arange(len(x), device=x.device)
        i, j = place[:, 0] // x.shape[-1], place[:, 0] % x.shape[-1]
        grad[each, :, i] += sign * x[each, :, j]
        grad[each, :, j] += sign * x[each, :, i]
