"""Everything that can be wrong with the parts of a run taken together, before data is read or a file written."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor

from isogain.config.errors import CheckpointError, ConfigError, refusal, refuse
from isogain.config.ranges import between
from isogain.data.task import Task
from isogain.diagnostics.kernel_labels import named_kernels
from isogain.init.initialiser import Initialiser, NetworkInitialiser
from isogain.models.base import Network
from isogain.optim import Optim
from isogain.record import checkpoints
from isogain.reg.base import Regularizer
from isogain.reg.manifold import Manifold
from isogain.training import machine
from isogain.training.callback_check import validates
from isogain.training.trainer_check import check_trainer

T = TypeVar("T")


def rehearse(
    *,
    seed: int,
    data: Task,
    model: partial,
    init: Callable[[Tensor], Tensor],
    reg: Regularizer,
    optim: Optim,
    trainer: partial,
    callbacks: Mapping[str, pl.Callback | None],
    out: str,
    logger: partial | None = None,
    ckpt: str | None = None,
    resume: bool = False,
    objective: str | None = None,
    here: bool = True,
    shared: bool = False,
    **others: Any,
) -> int:
    """Build the network without memory, the trainer without files, and read the checkpoint; raises UserError.

    The parts are those that `run` is given. What this machine has counts only where it is to train, `here`. One that
    has to be shared with other runs cannot have several processes.
    Returns the number of steps that lie behind.
    """
    with torch.random.fork_rng(devices=[]):
        net = _built_without_memory(model, data)
        if here:
            _check_memory(net, data)
        _check_init(init, net)
    if data.hits is None and objective and "acc" in objective:
        raise ConfigError(
            f"objective={objective}: {type(data).__name__} has no accuracy: use null or val/loss"
        )
    if objective and objective.startswith("val/") and not validates(trainer.keywords):
        raise ConfigError(f"objective={objective}: this run has no validation")
    _refusals_of("", lambda: between("seed", seed, 0, 2**32), {"seed"})
    refuse(_idle(reg, optim, trainer.keywords))
    if logger and hasattr(logger.func, "refusals"):
        refuse(logger.func.refusals(logger.keywords))
    check_trainer(trainer, callbacks, optim, data, net, here, shared)
    return _steps_behind(Path(out), ckpt, resume, net, optim, trainer.keywords)


def _steps_behind(
    out: Path, ckpt: str | None, resume: bool, net: Network, optim: Optim, limits: dict[str, Any]
) -> int:
    """Of the checkpoint that training goes on from; raises CheckpointError where it cannot."""
    newest = checkpoints.newest_good(out / "checkpoints") if resume else None
    if newest:
        _check_fit(*newest, net, optim)
        _check_limits(*newest, limits, at_most=True)
        return newest[1]["global_step"]
    if ckpt:
        checkpoint = checkpoints.load(Path(ckpt))
        _check_fit(Path(ckpt), checkpoint, net, optim)
        checkpoints.check_moments(Path(ckpt), checkpoint)
        _check_limits(Path(ckpt), checkpoint, limits)
        return checkpoint["global_step"]
    return 0


def _idle(reg: Regularizer, optim: Optim, limits: dict[str, Any]) -> Iterator[str]:
    """A line for each option that the other parts leave without effect."""
    fixed = (
        getattr(reg, "gain", None) != "learned"
        if isinstance(reg, Manifold)
        else _has_no_scales(reg)
    )
    if optim.gain_lr != optim.lr and fixed:
        yield "optim.gain_lr: has no effect, for no gain is learned: reg=manifold reg.gain=learned learns them"
    onset, epochs = getattr(reg, "onset", 0), limits.get("max_epochs") or -1
    if 0 < epochs <= onset:
        yield f"reg.onset={onset}: comes after the end, trainer.max_epochs={epochs}"


def _has_no_scales(reg: Regularizer) -> bool:
    return type(reg).scales is Regularizer.scales


def _check_init(init: Callable[[Tensor], Tensor], net: Network) -> None:
    options = _options(init)
    _refusals_of("init", lambda: init(torch.empty(2, 2)), options)
    if isinstance(init, NetworkInitialiser):
        _refusals_of("init", lambda: init.point(net), options)


def _built_without_memory(model: partial, data: Task) -> Network:
    name, task = model.func.__name__.lower(), type(data).__name__
    if model.func.sequential and not data.sequential:
        raise ConfigError(
            f"model={name} reads a sequence and {task} is flat: use {data.as_sequence}"
        )
    if data.per_step and not model.func.sequential:
        raise ConfigError(
            f"model={name} answers once and {task} asks at every step: use model=rnn or model=lstm"
        )
    for name in ("n_in", "n_out", "length", "per_step"):
        if name in model.keywords:
            raise ConfigError(f"model.{name}: comes from the data and cannot be set")
    with torch.device("meta"):
        net = _refusals_of("model", lambda: model(**data.sizes()), _options(model))
    try:
        list(net.kernels())
    except NotImplementedError as error:
        raise ConfigError(f"model: {error}") from None
    return net


def _check_memory(net: Network, data: Task) -> None:
    """Raise ConfigError where the inputs and states of one training batch alone are more than the machine holds."""
    if not net.sequential:
        return
    numbers = data.batch_size * data.length * (data.n_in + net.depth * net.hidden)
    need, have = 4 * numbers, machine.memory()
    if torch.cuda.is_available():
        have = max(have, torch.cuda.get_device_properties(0).total_memory)
    if need > have:
        raise ConfigError(
            f"data: {data.batch_size} sequences of {data.length:,} steps take {need / 1e9:,.0f} GB for inputs and "
            f"states alone, and there are {have / 1e9:,.0f} GB: shorten them, or lower data.batch_size"
        )


def _refusals_of(group: str, build: Callable[[], T], options: Collection[str]) -> T:
    """What `build` returns; a ValueError or OSError becomes a line that names the option in `group`, if it is one."""
    try:
        return build()
    except (ValueError, OSError) as error:
        raise ConfigError(refusal(group, error, options)) from None


def _options(part: Callable[..., Any]) -> set[str]:
    """The options of what is yet to be called; of an initialiser that is an object, those that built it."""
    built = type(part) if isinstance(part, Initialiser) else getattr(part, "func", part)
    return {*inspect.signature(built).parameters}


def _check_fit(path: Path, checkpoint: dict[str, Any], net: Network, optim: Optim) -> None:
    """Raise CheckpointError unless weights and optimiser state are those of this network and optimiser."""
    weights = {
        name.removeprefix("net."): w
        for name, w in checkpoint["state_dict"].items()
        if name.startswith("net.")
    }
    expected = net.state_dict()
    if any(
        "parametrizations." in name for name in weights
    ):  # by a regulariser; `Learner` compares those
        weights = {name: w for name, w in weights.items() if "parametrizations." not in name}
        kernels = {name.replace("/", ".") for name, _ in named_kernels(net)}
        expected = {name: w for name, w in expected.items() if name not in kernels}
    if difference := checkpoints.first_difference(weights, expected):
        raise CheckpointError(f"ckpt={path}: does not fit the model: {difference}")
    if (saved := checkpoint["isogain"]["optim"]) != repr(optim):
        raise CheckpointError(f"ckpt={path}: was saved by {saved} and cannot go on with {optim}")


def _check_limits(
    path: Path, checkpoint: dict[str, Any], limits: dict[str, Any], at_most: bool = False
) -> None:
    """Raise CheckpointError where there is nothing left to train; `at_most`, where a limit lies behind already."""
    behind = {
        "epochs": checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"],
        "steps": checkpoint["global_step"],
    }
    for unit, done in behind.items():
        limit = limits.get(f"max_{unit}")
        if limit is not None and done >= limit + at_most > 0:
            raise CheckpointError(
                f"ckpt={path}: has {done} {unit} behind it; raise trainer.max_{unit} to train on"
            )
