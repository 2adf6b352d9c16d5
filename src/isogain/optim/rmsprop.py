"""RMSprop."""

import torch

from isogain.config.ranges import between
from isogain.models.base import Network
from isogain.optim.base import Optim, Schedule
from isogain.reg.base import Regularizer


class RMSprop(Optim):
    """RMSprop; `alpha` in [0, 1) averages the squared gradient, `momentum` in [0, 1) is off at 0.

    >>> from isogain.models import MLP
    >>> from isogain.reg import Regularizer
    >>> optimizer = RMSprop(lr=0.1, kernel_lr=0.01)(MLP(3, 2), Regularizer())
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.1, 0.01]
    """

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
