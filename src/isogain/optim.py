"""Optimisers: torch's own, with a learning rate of their own for the kernels under study.

Called with a network, each returns a torch optimiser of two groups: the kernels, and all else.
Options of all: `lr` > 0, `kernel_lr` >= 0 (None: lr), `grad_clip` > 0, the largest 2-norm of the
whole gradient (None: no clipping).
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.optim.lr_scheduler import LambdaLR

from isogain.models.base import Network
from isogain.ranges import at_least, between, positive


def kernel_parameters(net: Network) -> Iterator[nn.Parameter]:
    """What an optimiser has to update to move the kernels: the kernels, or what they are parametrised by."""
    for module, name in net.kernels():
        if is_parametrized(module, name):
            yield from module.parametrizations[name].parameters()
        else:
            yield getattr(module, name)


Schedule = Literal["constant", "linear", "cosine"]
FACTORS: dict[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,
    "linear": lambda t: 1 - t,
    "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
}


class Optim:
    """Learning rates, clipping and the two parameter groups."""

    def __init__(
        self, lr: float, kernel_lr: float | None, grad_clip: float | None, schedule: Schedule
    ) -> None:
        self.lr = positive("lr", lr)
        self.kernel_lr = lr if kernel_lr is None else at_least("kernel_lr", kernel_lr, 0)
        self.grad_clip = None if grad_clip is None else positive("grad_clip", grad_clip)
        self.schedule = schedule

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in vars(self).items())})"

    def groups(self, net: Network) -> list[dict]:
        """Everything but the kernels at `lr`, then the kernels at `kernel_lr`."""
        kernels = list(kernel_parameters(net))
        ours = {id(p) for p in kernels}
        others = [p for p in net.parameters() if id(p) not in ours]
        return [{"params": others, "lr": self.lr}, {"params": kernels, "lr": self.kernel_lr}]

    def scheduler(self, optimizer: torch.optim.Optimizer, steps: float) -> LambdaLR | None:
        """The schedule over `steps` optimiser steps, to be stepped after each; None for constant rates."""
        if self.schedule == "constant":
            return None
        factor = FACTORS[self.schedule]
        return LambdaLR(optimizer, lambda step: factor(min(step / steps, 1.0)))

    def __call__(self, net: Network) -> torch.optim.Optimizer:
        raise NotImplementedError


class SGD(Optim):
    """Stochastic gradient descent with heavy-ball momentum in [0, 1)."""

    def __init__(
        self,
        lr: float = 0.1,
        momentum: float = 0.0,
        kernel_lr: float | None = None,
        grad_clip: float | None = None,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__(lr, kernel_lr, grad_clip, schedule)
        self.momentum = between("momentum", momentum, 0, 1)

    def __call__(self, net: Network) -> torch.optim.SGD:
        return torch.optim.SGD(self.groups(net), momentum=self.momentum, fused=True)


class Adam(Optim):
    """Adam (Kingma and Ba 2015); beta1, beta2 in [0, 1)."""

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        kernel_lr: float | None = None,
        grad_clip: float | None = None,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__(lr, kernel_lr, grad_clip, schedule)
        self.betas = between("beta1", beta1, 0, 1), between("beta2", beta2, 0, 1)

    def __call__(self, net: Network) -> torch.optim.Adam:
        return QuickAdam(self.groups(net), betas=self.betas, fused=True)


class QuickAdam(torch.optim.Adam):
    """torch's Adam without a check at every step that asks for a driver: 0.3 ms where there is no GPU."""

    def _accelerator_graph_capture_health_check(self) -> None:
        if self.param_groups[0]["params"][0].is_cuda:
            super()._accelerator_graph_capture_health_check()


class RMSprop(Optim):
    """RMSprop; `alpha` in [0, 1) averages the squared gradient, `momentum` in [0, 1) is off at 0."""

    def __init__(
        self,
        lr: float = 1e-3,
        alpha: float = 0.99,
        momentum: float = 0.0,
        kernel_lr: float | None = None,
        grad_clip: float | None = None,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__(lr, kernel_lr, grad_clip, schedule)
        self.alpha = between("alpha", alpha, 0, 1)
        self.momentum = between("momentum", momentum, 0, 1)

    def __call__(self, net: Network) -> torch.optim.RMSprop:
        return torch.optim.RMSprop(self.groups(net), alpha=self.alpha, momentum=self.momentum)
