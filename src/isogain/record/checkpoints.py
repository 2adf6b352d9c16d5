"""Checkpoints that are whole or absent and hold no code; a damaged one is recognised and refused."""

import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from isogain.config.errors import CheckpointError, UserError
from isogain.record.atomic import replaced
from isogain.record.checkpoint_shape import REQUIRED, first_mistake, stray_moments

log = logging.getLogger(__name__)


class WholeFileIO(TorchCheckpointIO):
    """Writes beside the target and renames; reads tensors and plain Python values only."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with replaced(Path(path)) as part:
                torch.save(checkpoint, part)
        except (
            OSError,
            RuntimeError,
        ) as error:  # a full disk is a RuntimeError of torch's zip writer
            full = shutil.disk_usage(Path(path).parent).free < 2**20
            reason = "the disk is full" if full else str(error).strip().splitlines()[0]
            raise UserError(f"{path}: cannot be written ({reason})") from None

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return load(Path(path))


def load(path: Path) -> dict[str, Any]:
    """The checkpoint at `path`, on the CPU; raises CheckpointError in one line where it cannot be read."""
    if not path.is_file():
        raise CheckpointError(f"ckpt={path}: no such file")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its unpickler and zip reader raise errors of many types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"ckpt={path}: not a readable checkpoint ({reason})") from None
    if not isinstance(checkpoint, dict) or not REQUIRED <= checkpoint.keys():
        raise CheckpointError(f"ckpt={path}: not a checkpoint of a training run")
    if mistake := first_mistake(checkpoint):
        raise CheckpointError(f"ckpt={path}: not a checkpoint of a training run ({mistake})")
    return checkpoint


def check_moments(path: Path, checkpoint: dict[str, Any]) -> None:
    """Raise CheckpointError where the optimiser's state is of other shapes than the weights."""
    if mistake := stray_moments(checkpoint):
        raise CheckpointError(f"ckpt={path}: not a checkpoint of a training run ({mistake})")


def newest_good(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The sound checkpoint in `folder` with the most steps, of equals the latest; others are logged."""
    best: tuple[Path, dict[str, Any]] | None = None
    for path in sorted(folder.glob("*.ckpt"), key=_written_at, reverse=True):
        try:
            checkpoint = load(path)
            check_moments(path, checkpoint)
        except CheckpointError as error:
            log.warning("%s; an older one is used", error)
            continue
        if best is None or checkpoint["global_step"] > best[1]["global_step"]:
            best = path, checkpoint
    return best


def _written_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # a link that leads nowhere
        return 0


def first_difference(weights: dict[str, Tensor], expected: dict[str, Tensor]) -> str | None:
    """The first parameter that one side lacks or that differs in shape, in words; None where all fit."""
    for name, tensor in expected.items():
        if name not in weights:
            return f"it has no {name}, which the model needs"
        if weights[name].shape != tensor.shape:
            return f"{name} is {tuple(weights[name].shape)} there and {tuple(tensor.shape)} in the model"
    extra = next((name for name in weights if name not in expected), None)
    return extra and f"it has {extra}, which the model lacks"
