"""The rank of this process among those that train together, and a number that all of them agree on."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytorch_lightning as pl

VARIABLES = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # torchrun's, Lightning's own, srun's


def rank() -> int:
    """This process's place among those that train together, known before a trainer exists."""
    return next((int(os.environ[name]) for name in VARIABLES if name in os.environ), 0)


def agreed(trainer: "pl.Trainer", number: int) -> int:
    """The largest of the numbers that the processes call this with; each has to call it."""
    if trainer.world_size == 1:
        return number
    import torch

    local = torch.tensor(number, device=trainer.strategy.root_device)
    return int(trainer.strategy.reduce(local, reduce_op="max"))
