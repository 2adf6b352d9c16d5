"""What training takes from a checkpoint, and what begins afresh where the regulariser is another one."""

import logging
from typing import Any

import torch
from torch import Tensor

from isogain.errors import CheckpointError
from isogain.models.base import Network
from isogain.optim import kernel_parameters
from isogain.record.checkpoints import first_difference
from isogain.reg.base import Regularizer

log = logging.getLogger(__name__)


def fit_to_(checkpoint: dict[str, Any], state: dict[str, Tensor], reg: Regularizer) -> None:
    """Put the regulariser's own entries of `state` into the checkpoint where it lacks them.

    Raises CheckpointError unless its network and its number of parameter groups are those of `state` and `reg`.
    """
    saved = checkpoint["state_dict"]
    nets = [{k: v for k, v in s.items() if k.startswith("net.")} for s in (saved, state)]
    if difference := first_difference(*nets):
        raise CheckpointError(f"the checkpoint does not fit model and reg: {difference}")
    groups = checkpoint["optimizer_states"][0]["param_groups"]
    if len(groups) != 2 + bool(reg.scales()):
        raise CheckpointError("the checkpoint does not fit reg: only one of the two learns gains")
    for name in {name for name in saved | state if name.startswith("reg.")}:
        if name not in state:
            del saved[name]
        elif name not in saved or saved[name].shape != state[name].shape:
            saved[name] = state[name]


def coordinates(reg: Regularizer) -> str:
    """What the optimiser's state of the kernels depends on: it means nothing under other ones."""
    return f"{type(reg).__name__}, gain {getattr(reg, 'gain', None)}, adam {reg.adam}"


@torch.no_grad()
def begin_kernels_afresh_(
    optimizer: torch.optim.Optimizer, fresh: torch.optim.Optimizer, net: Network, reg: Regularizer
) -> None:
    """Bring the kernels to where `reg` may begin, and forget what the optimiser knows of them."""
    for group, new in zip(optimizer.param_groups, fresh.param_groups, strict=True):
        group["per_matrix"] = new.get("per_matrix", False)
    for w in kernel_parameters(net):
        reg.settle_(w)
        optimizer.state.pop(w, None)
    log.info(
        "the checkpoint is of another reg: kernels settled, their optimiser state begins afresh"
    )
