"""Callbacks that could not do in a run what they are there for."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
from pytorch_lightning import callbacks as lightning

from isogain.data.task import Task

KNOWN = (
    "pytorch_lightning.",
    "isogain.",
)  # packages whose callbacks log no metric that another may wait for
# Lightning's own that need what a run does not have
UNFIT = {
    lightning.BatchSizeFinder: "needs a DataLoader: set data.batch_size",
    lightning.LearningRateFinder: "looks for an attribute lr: sweep optim.lr",
    lightning.BackboneFinetuning: "looks for an attribute backbone",
    lightning.ModelPruning: "re-parametrises kernels, which are the regulariser's",
    lightning.BasePredictionWriter: "writes predictions, and a run trains, validates and tests",
}


@runtime_checkable
class AwaitsMetric(Protocol):
    """A callback of ours that waits for a metric of training or validation."""

    awaited: tuple[str, str] | None  # the option that names the metric, and that metric


def refusals(callbacks: Mapping[str, Any], data: Task, options: Mapping[str, Any]) -> Iterator[str]:
    """A line for each callback that is none, that no run can use, or that waits for a metric nothing logs.

    `options` are the Trainer's.
    """
    present = {name: c for name, c in callbacks.items() if c is not None}
    foreign = {name for name, c in present.items() if not type(c).__module__.startswith(KNOWN)}
    for name, callback in present.items():
        if not isinstance(callback, pl.Callback):
            yield f"callbacks.{name}: must be a callback of Lightning's, is {type(callback).__name__}"
        elif reason := next((why for kind, why in UNFIT.items() if isinstance(callback, kind)), ""):
            yield f"callbacks.{name}: {type(callback).__name__} {reason}"
        else:
            yield from _in_vain(name, callback, data, options, sure=not foreign - {name})


def validates(options: Mapping[str, Any]) -> bool:
    """Whether a run with these options of the Trainer reaches a validation."""
    epochs, every = options.get("max_epochs"), options.get("check_val_every_n_epoch")
    never = epochs is not None and every is not None and 0 < epochs < every
    return options.get("limit_val_batches") != 0 and not never


def _in_vain(
    name: str, callback: pl.Callback, data: Task, options: Mapping[str, Any], sure: bool
) -> Iterator[str]:
    """A metric that it waits for and that is not there; of Lightning's, others may log more, unless `sure`."""
    kinds = ("loss", "acc") if data.hits is not None else ("loss",)
    val = [f"val/{kind}" for kind in kinds] if validates(options) else []
    if isinstance(callback, AwaitsMetric):
        key, waits_for = callback.awaited or ("", None)
        known, sure = [*(f"train/{kind}" for kind in kinds), *val], True
    else:
        key, waits_for, known = "monitor", getattr(callback, "monitor", None), val
    if isinstance(waits_for, str) and waits_for not in known and sure:
        there = " or ".join(known) or "none, for this run has no validation"
        yield f"callbacks.{name}.{key}={waits_for}: no such metric; there is {there}"
