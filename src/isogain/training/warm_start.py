"""What training leaves in a checkpoint and takes from one, and what begins afresh under another regulariser."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from isogain.config.errors import CheckpointError
from isogain.models.base import Network
from isogain.optim import kernel_parameters
from isogain.record.checkpoints import first_difference
from isogain.record.logger import RunRecord
from isogain.reg.base import Regularizer

if TYPE_CHECKING:
    from isogain.training.learner import Learner

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


def measured(state: dict[str, Any], step: int) -> tuple[dict[str, float], dict[str, int]]:
    """The metrics that a run had at its checkpoint, and at which step those of one step were measured.

    A checkpoint of before steps were kept has its validation, as far as is known, of its own `step`.
    """
    metrics = dict(state["metrics"])
    latest = [name for name in metrics if name in ("val/loss", "val/acc")]
    return metrics, dict(state.get("measured_at", dict.fromkeys(latest, step)))


def set_rates_(schedules: Sequence[LRScheduler]) -> None:
    """Give every group its rate at this step: a checkpoint has that of its own length of training."""
    for schedule in (s for s in schedules if isinstance(s, LambdaLR)):
        groups = schedule.optimizer.param_groups
        for group, rate, factor in zip(groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
            group["lr"] = rate * factor(schedule.last_epoch)


def basis_of_state(reg: Regularizer) -> str:
    """What the optimiser's state of the kernels depends on; under another regulariser it means nothing."""
    return f"{type(reg).__name__}, gain {getattr(reg, 'gain', None)}, adam {reg.adam}"


@torch.no_grad()
def begin_kernels_afresh_(
    optimizer: torch.optim.Optimizer, fresh: torch.optim.Optimizer, net: Network, reg: Regularizer
) -> None:
    """Bring the kernels to where `reg` may begin, and forget what the optimiser knows of them."""
    for group, new in zip(optimizer.param_groups, fresh.param_groups, strict=True):
        group["per_matrix"] = new.get("per_matrix", False)
    for w in kernel_parameters(net):
        reg.make_feasible_(w)
        optimizer.state.pop(w, None)
    log.info(
        "the checkpoint is of another reg: kernels settled, their optimiser state begins afresh"
    )


def state_of(learner: "Learner") -> dict[str, Any]:
    """What a checkpoint holds beside Lightning's own: sums, measurements, the generators and what the record holds."""
    records = [logger for logger in learner.trainer.loggers if isinstance(logger, RunRecord)]
    return {
        "record": records[0].extent() if records else {},
        "tally": learner.tally.of_processes(learner.trainer).cpu(),
        "metrics": dict(learner.metrics),
        "measured_at": dict(learner.measured_at),
        "skipped": learner.skipped.count,
        "optim": repr(learner.optim),
        "reg": basis_of_state(learner.reg),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_generators(state: dict[str, Any]) -> None:
    """Put the generators of CPU and GPUs where they were, those of GPUs if there are as many."""
    torch.set_rng_state(state["rng"])
    if len(state["cuda_rng"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["cuda_rng"])
