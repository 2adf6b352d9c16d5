"""Adam, with one second moment an entry or one a matrix."""

from typing import Any

import torch
from torch import Tensor

from isogain.config.ranges import between
from isogain.models.base import Network
from isogain.optim.base import Optim, Schedule, unscaled_before_step
from isogain.reg.base import Regularizer
from isogain.reg.optimizer_moments import ADAM


class Adam(Optim):
    """Adam (Kingma and Ba 2015); beta1, beta2 in [0, 1).

    >>> from isogain.models import MLP
    >>> from isogain.reg import Regularizer
    >>> optimizer = Adam(lr=0.1, kernel_lr=0.01)(MLP(3, 2), Regularizer())
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.1, 0.01]
    """

    second_moment_per_matrix = True

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        kernel_lr: float | None = None,
        gain_lr: float | None = None,
        grad_clip: float | None = None,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__(lr, kernel_lr, gain_lr, grad_clip, schedule)
        self.betas = between("beta1", beta1, 0, 1), between("beta2", beta2, 0, 1)

    def __call__(self, net: Network, reg: Regularizer) -> torch.optim.Adam:
        return MatrixAdam(self.groups(net, reg), betas=self.betas, fused=True)


class MatrixAdam(torch.optim.Adam):
    """torch's Adam; in groups with `per_matrix`, one second moment a matrix, that of its mean squared gradient entry.

    Such a step is a multiple of the first moment, so it stays in a tangent space that holds it.
    Bécigneul and Ganea 2019, equation 6.

    The first step of a matrix is lr times its gradient over the root mean square of that.

    >>> w = torch.zeros(1, 2, requires_grad=True)
    >>> w.grad = torch.tensor([[1.0, 7.0]])
    >>> MatrixAdam([{"params": [w], "per_matrix": True}], lr=0.5).step()
    >>> w.detach().round(decimals=4)
    tensor([[-0.1000, -0.7000]])
    """

    moments = ADAM
    second_moment_per_matrix = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        unscaled_before_step(self)  # torch's fused kernel would, ours does not

    def __setstate__(self, state: dict) -> None:
        """Torch makes every step count a float32 tensor, in which our powers of beta would be others."""
        super().__setstate__(state)
        for group in self.param_groups:
            for p in group["params"] if group.get("per_matrix") else ():
                if p in self.state:
                    self.state[p]["step"] = int(self.state[p]["step"])

    def _init_group(self, group: dict, *lists: list) -> bool:
        """Fill torch's lists of what a group updates, or update it here and leave them empty."""
        if not group.get("per_matrix"):
            return super()._init_group(group, *lists)
        for p in group["params"]:
            if p.grad is not None:
                self._step_per_matrix(p, group)
        return False

    def _step_per_matrix(self, p: Tensor, group: dict) -> None:
        state, (beta1, beta2) = self.state[p], group["betas"]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(p)
            state["exp_avg_sq"] = p.new_zeros((*p.shape[:-2], 1, 1))
        state["step"] += 1
        state["exp_avg"].lerp_(p.grad, 1 - beta1)
        square = torch.linalg.matrix_norm(p.grad, keepdim=True).square() / (
            p.shape[-2] * p.shape[-1]
        )
        state["exp_avg_sq"].lerp_(square, 1 - beta2)
        first = 1 - beta1 ** state["step"]
        second = (state["exp_avg_sq"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        p.addcmul_(state["exp_avg"], group["lr"] / first / second, value=-1)

    def _accelerator_graph_capture_health_check(self) -> None:
        """Nothing where there is no GPU: torch asks for a driver at every step, 0.3 ms."""
        if any(p.is_cuda for group in self.param_groups for p in group["params"][:1]):
            super()._accelerator_graph_capture_health_check()
