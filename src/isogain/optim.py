"""Optimisers: torch's own, with a learning rate of their own for the kernels under study.

Called with a network and its regulariser, each returns a torch optimiser of two groups, all else and the kernels,
and a third one where the regulariser learns gains. Options of all: `lr` > 0, `kernel_lr` and `gain_lr` >= 0
(None: lr), `grad_clip` > 0, the largest 2-norm of the whole gradient (None: no clipping).
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.optim.lr_scheduler import LambdaLR

from isogain.config.errors import unwritten
from isogain.config.ranges import at_least, between, positive
from isogain.models.base import Network
from isogain.reg.base import Regularizer
from isogain.reg.moments import ADAM, Moments
from isogain.schedules import FACTORS


def kernel_parameters(net: Network) -> Iterator[nn.Parameter]:
    """What an optimiser has to update to move the kernels: the kernels, or what they are parametrised by."""
    for module, name in net.kernels():
        if is_parametrized(module, name):
            yield from module.parametrizations[name].parameters()
        else:
            yield getattr(module, name)


def unscaled_before_step(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimiser, which leaves it to a GradScaler to unscale its gradients and to skip its step, fused or not.

    Else torch's fused optimisers do both inside their step, after all that reads or edits gradients. Breaks when
    torch and Lightning stop asking for this attribute.
    """
    optimizer._step_supports_amp_scaling = False
    return optimizer


Schedule = Literal["constant", "linear", "cosine"]


class Optim:
    """Learning rates, clipping and the two parameter groups.

    A subclass says in `second_moment_per_matrix` whether its optimiser keeps one second moment a matrix in groups
    with `per_matrix`, and in `moments` what the state of an optimiser holds that is not in `reg.moments`.
    """

    second_moment_per_matrix: bool = False
    moments: Moments | None = None

    def __init__(
        self,
        lr: float,
        kernel_lr: float | None,
        gain_lr: float | None,
        grad_clip: float | None,
        schedule: Schedule,
    ) -> None:
        self.lr = positive("lr", lr)
        self.kernel_lr = lr if kernel_lr is None else at_least("kernel_lr", kernel_lr, 0)
        self.gain_lr = lr if gain_lr is None else at_least("gain_lr", gain_lr, 0)
        self.grad_clip = None if grad_clip is None else positive("grad_clip", grad_clip)
        self.schedule = schedule

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in vars(self).items())})"

    def groups(self, net: Network, reg: Regularizer) -> list[dict]:
        """Everything but the kernels at `lr`, then the kernels at `kernel_lr`, then learned gains at `gain_lr`."""
        kernels = list(kernel_parameters(net))
        ours = {id(p) for p in kernels}
        others = [p for p in net.parameters() if id(p) not in ours]
        groups = [{"params": others, "lr": self.lr}, {"params": kernels, "lr": self.kernel_lr}]
        if self.second_moment_per_matrix:
            groups[1]["per_matrix"] = reg.adam == "scalar"
        gains = {"params": reg.scales(), "lr": self.gain_lr}
        return [*groups, gains] if gains["params"] else groups

    def scheduler(self, optimizer: torch.optim.Optimizer, steps: float) -> LambdaLR | None:
        """The schedule over `steps` optimiser steps, to be stepped after each; None for constant rates."""
        if self.schedule == "constant":
            return None
        factor = FACTORS[self.schedule]
        return LambdaLR(optimizer, lambda step: factor(min(step / steps, 1.0)))

    def __call__(self, net: Network, reg: Regularizer) -> torch.optim.Optimizer:
        raise unwritten(self, "__call__")


class SGD(Optim):
    """Stochastic gradient descent with heavy-ball momentum in [0, 1)."""

    def __init__(
        self,
        lr: float = 0.1,
        momentum: float = 0.0,
        kernel_lr: float | None = None,
        gain_lr: float | None = None,
        grad_clip: float | None = None,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__(lr, kernel_lr, gain_lr, grad_clip, schedule)
        self.momentum = between("momentum", momentum, 0, 1)

    def __call__(self, net: Network, reg: Regularizer) -> torch.optim.SGD:
        return torch.optim.SGD(self.groups(net, reg), momentum=self.momentum, fused=True)


class Adam(Optim):
    """Adam (Kingma and Ba 2015); beta1, beta2 in [0, 1)."""

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
    """

    moments = ADAM

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


class RMSprop(Optim):
    """RMSprop; `alpha` in [0, 1) averages the squared gradient, `momentum` in [0, 1) is off at 0."""

    def __init__(
        self,
        lr: float = 1e-3,
        alpha: float = 0.99,
        momentum: float = 0.0,
        kernel_lr: float | None = None,
        gain_lr: float | None = None,
        grad_clip: float | None = None,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__(lr, kernel_lr, gain_lr, grad_clip, schedule)
        self.alpha = between("alpha", alpha, 0, 1)
        self.momentum = between("momentum", momentum, 0, 1)

    def __call__(self, net: Network, reg: Regularizer) -> torch.optim.RMSprop:
        return torch.optim.RMSprop(self.groups(net, reg), alpha=self.alpha, momentum=self.momentum)
