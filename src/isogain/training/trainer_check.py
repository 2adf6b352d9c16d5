"""What the options of the Trainer ask for, held against the other parts, this machine and Lightning, without a file."""

import copy
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch.nn.modules.batchnorm import _BatchNorm

from isogain.config.errors import ConfigError, refuse
from isogain.data.task import Task
from isogain.models.base import Network
from isogain.optim import Optim
from isogain.training import batch_limits, callback_check, machine
from isogain.training.lightning_trainer import lightning_trainer, refusals
from isogain.training.stored_precision import check_stored, check_used

# what every machine can train on
ANYWHERE = {
    "accelerator": "cpu",
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "precision": "32-true",
}
COUNTS = ("log_every_n_steps", "check_val_every_n_epoch", "accumulate_grad_batches")
DDP = ("ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
STRATEGIES = ("auto", "single_device", *DDP)


def check_trainer(
    trainer: partial,
    callbacks: Mapping[str, pl.Callback | None],
    optim: Optim,
    data: Task,
    net: Network,
    here: bool,
    shared: bool,
) -> None:
    """Raise ConfigError, with a line a mistake, where a run could not do what the options of the Trainer say.

    What this machine has counts only where it is to train, `here`. A run that has to be `shared` with others in one
    process cannot have several.
    """
    options = trainer.keywords
    refuse([*refusals(options, optim), *_out_of_range(options), *_strategy(options)])
    check_stored(options.get("precision"))
    refuse(callback_check.refusals(callbacks, data, options))
    copied = partial(trainer.func, **copy.deepcopy(options))  # a strategy serves one Trainer
    try:
        built = lightning_trainer(copied, callbacks, optim, "", **({} if here else ANYWHERE))
    except (
        Exception
    ) as error:  # Lightning's, of whatever kind, and those of what it would need installed
        raise ConfigError(f"trainer: {str(error).strip().splitlines()[0]}") from None
    if not isinstance(built, pl.Trainer):
        raise ConfigError(f"trainer: must be Trainer, is {type(built).__name__}")
    if here:
        check_used(options.get("precision"), built.precision)
    processes = built.world_size if here else 1
    refuse(
        [
            *(_too_many_processes(built) if here else []),
            *batch_limits.refusals(data.known_batches(processes), options),
            *_without_effect(options, built, net),
        ]
    )
    if shared and processes > 1:
        raise ConfigError(
            f"trainer.devices: cluster=none computes all points in one process, and this one needs "
            f"{processes}: use cluster=local hydra.launcher.jobs=1, or cluster=slurm"
        )


def _out_of_range(options: Mapping[str, Any]) -> Iterator[str]:
    for name in COUNTS:
        if (count := options.get(name)) is not None and count < 1:
            yield f"trainer.{name} must be a finite number >= 1, got {count}"
    if options.get("val_check_interval") == 0:
        yield "trainer.val_check_interval must be greater than 0, got 0"
    if options.get("max_steps") == 0 or options.get("max_epochs") == 0:
        yield "trainer.max_steps and trainer.max_epochs must not be 0: nothing to train"
    if options.get("limit_train_batches") == 0:
        yield "trainer.limit_train_batches must not be 0: nothing to train"
    ends = options.get("max_steps", -1) > 0 or options.get("max_time")
    if options.get("max_epochs") is None and not ends:
        yield "trainer.max_epochs=null: what ends the training? A number does, -1 leaves it to a signal"
    for unit in ("epochs", "steps"):
        least, most = options.get(f"min_{unit}"), options.get(f"max_{unit}")
        if least is not None and least < 0:
            yield f"trainer.min_{unit} must be a finite number >= 0, got {least}"
        elif least and most is not None and 0 < most < least:
            yield f"trainer.min_{unit}={least}: more than trainer.max_{unit}={most}"


def _strategy(options: Mapping[str, Any]) -> Iterator[str]:
    """One that has whole kernels in processes which begin by themselves."""
    chosen = options.get("strategy", "auto")
    if isinstance(chosen, str):
        sound = chosen in STRATEGIES
    else:
        popen = getattr(chosen, "_start_method", "popen") in (None, "popen")
        sound = isinstance(chosen, DDPStrategy | SingleDeviceStrategy) and popen
    if not sound:
        name = chosen if isinstance(chosen, str) else type(chosen).__name__
        yield (
            f"trainer.strategy={name}: must be one of {', '.join(STRATEGIES)}: a process starts by itself and holds "
            "whole kernels"
        )


def _too_many_processes(built: pl.Trainer) -> Iterator[str]:
    """On this machine, and on others that nobody has started."""
    environment = getattr(built.strategy, "cluster_environment", None)
    alone = isinstance(environment, LightningEnvironment) and "MASTER_ADDR" not in os.environ
    if built.num_nodes > 1 and alone:
        yield (
            f"trainer.num_nodes={built.num_nodes}: nothing starts the other nodes' processes: use cluster=slurm, or "
            "torchrun"
        )
    if environment is None or environment.creates_processes_externally:
        return
    processes, cores = built.num_devices, machine.cores()
    if built.strategy.root_device.type != "cpu":
        return
    each, have = machine.memory_of_this_process(), machine.memory()
    if processes > cores or processes * each > have:
        yield (
            f"trainer.devices={processes}: {processes} processes of {each / 1e9:.1f} GB each and more, and this "
            f"machine has {cores} core{'s' * (cores > 1)} and {have / 1e9:,.0f} GB: use at most "
            f"{max(1, min(cores, have // max(each, 1)))}"
        )


def _without_effect(options: Mapping[str, Any], built: pl.Trainer, net: Network) -> Iterator[str]:
    if options.get("sync_batchnorm") and not any(isinstance(m, _BatchNorm) for m in net.modules()):
        yield "trainer.sync_batchnorm: has no effect: the model has no batch normalisation"
    if any(isinstance(c, Timer) and c._duration == 0 for c in built.callbacks):
        yield "trainer.max_time must not be 0: nothing to train"
