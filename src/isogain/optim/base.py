"""What the optimisers have in common: learning rates, clipping, and a parameter group for the kernels.

Called with a network and its regulariser, each returns a torch optimiser of two groups, all else and the kernels,
and a third one where the regulariser learns gains. Options of all: `lr` > 0, `kernel_lr` and `gain_lr` >= 0
(None: lr), `grad_clip` > 0, the largest 2-norm of the whole gradient (None: no clipping).
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.optim.lr_scheduler import LambdaLR

from isogain.config.errors import unwritten
from isogain.config.ranges import at_least, positive
from isogain.models.base import Network
from isogain.reg.base import Regularizer, parametrization
from isogain.reg.optimizer_moments import Moments
from isogain.reg.parameter_groups import unscaled_before_step as unscaled_before_step
from isogain.schedules import FACTORS


def kernel_parameters(net: Network) -> Iterator[nn.Parameter]:
    """What an optimiser has to update to move the kernels: the kernels, or what they are parametrised by.

    >>> from isogain.models import MLP
    >>> [tuple(w.shape) for w in kernel_parameters(MLP(3, 2, hidden=8, depth=4))]
    [(4, 8, 8)]
    """
    for module, name in net.kernels():
        if is_parametrized(module, name):
            yield from parametrization(module, name).parameters()
        else:
            yield getattr(module, name)


Schedule = Literal["constant", "linear", "cosine"]


class Optim:
    """Learning rates, clipping and the two parameter groups.

    A subclass says in `second_moment_per_matrix` whether its optimiser keeps one second moment a matrix in groups
    with `per_matrix`, and in `moments` what the state of an optimiser holds that is not in `reg.optimizer_moments`.

    >>> Optim(0.1, None, None, None, "constant")
    Optim(lr=0.1, kernel_lr=0.1, gain_lr=0.1, grad_clip=None, schedule=constant)
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
