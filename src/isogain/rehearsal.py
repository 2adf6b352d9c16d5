"""Everything that can be wrong with the parts of a run taken together, before data is read or a file written."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from isogain import checkpoints
from isogain.errors import CheckpointError, ConfigError
from isogain.models.base import Network


def rehearse(
    *,
    data: LightningDataModule,
    model: Any,
    init: Any,
    trainer: Any,
    ckpt: str | None = None,
    **others: Any,
) -> None:
    """Build the network without memory, the trainer without files, and read the checkpoint; raises
    UserError.

    Model, initialiser and trainer are partials, as in `run`.
    """
    if model.func.sequential and not data.sequential:
        raise ConfigError(
            f"model={model.func.__name__.lower()} reads a sequence and {type(data).__name__} is flat: use data=seqmnist"
        )
    for name in ("n_in", "n_out", "length"):
        if name in model.keywords:
            raise ConfigError(f"model.{name}: comes from the data and cannot be set")
    try:
        with torch.device("meta"):
            net = model(n_in=data.n_in, n_out=data.n_out, length=data.length)
    except ValueError as error:
        raise ConfigError(f"model.{error}") from None
    try:
        init(torch.empty(2, 2))
    except ValueError as error:
        raise ConfigError(f"init.{error}") from None
    try:
        trainer(logger=False, enable_checkpointing=False)
    except (MisconfigurationException, ValueError, RuntimeError, TypeError) as error:
        raise ConfigError(f"trainer: {str(error).strip().splitlines()[0]}") from None
    if ckpt:
        _check_fit(Path(ckpt), net, trainer.keywords)


def _check_fit(path: Path, net: Network, limits: dict[str, Any]) -> None:
    """Raise CheckpointError unless `net` can go on from the checkpoint, with something left to train."""
    checkpoint = checkpoints.load(path)
    weights = {
        name.removeprefix("net."): w
        for name, w in checkpoint["state_dict"].items()
        if name.startswith("net.")
    }
    if difference := checkpoints.first_difference(weights, net.state_dict()):
        raise CheckpointError(f"ckpt={path}: does not fit the model: {difference}")
    done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if done >= limits.get("max_epochs", 1000) > 0:
        raise CheckpointError(
            f"ckpt={path}: has {done} epochs behind it; raise trainer.max_epochs to train on"
        )
