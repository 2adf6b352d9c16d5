"""Lightning's Trainer as a run builds it: which of its options act, and which are refused because they would not."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.plugins.environments import SLURMEnvironment

from isogain.optim import Optim
from isogain.record.checkpoints import WholeFileIO

# what a run does as the option says; a test shows it of each
ACTS = frozenset(
    (
        *("accelerator", "devices", "num_nodes", "strategy", "precision", "sync_batchnorm"),
        *("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time"),
        *("limit_train_batches", "limit_val_batches", "limit_test_batches"),
        *("check_val_every_n_epoch", "val_check_interval", "log_every_n_steps"),
        *("accumulate_grad_batches", "gradient_clip_algorithm", "inference_mode"),
        *("deterministic", "benchmark", "detect_anomaly", "profiler", "enable_model_summary"),
    )
)
SHORT = "use trainer.max_steps=1 trainer.limit_val_batches=1 trainer.limit_test_batches=1"
# what a run sets itself, or cannot do, and what to say instead
REFUSED = {
    "gradient_clip_val": "is optim.grad_clip",
    "default_root_dir": "is out=FOLDER",
    "logger": "is the group logger: logger=csv or logger=wandb",
    "callbacks": "is the group callbacks: +callbacks.NAME={_target_: ...} adds one",
    "enable_checkpointing": "is callbacks.checkpoints: null leaves it out",
    "enable_progress_bar": "is callbacks.progress: null leaves it out",
    "plugins": "are chosen by trainer.precision, trainer.strategy and cluster",
    "num_sanity_val_steps": "must be 0: what it measures would come before the first row of metrics.csv",
    "fast_dev_run": f"leaves no record: {SHORT}",
    "barebones": "leaves no record: use callbacks=minimal logger=csv",
    "overfit_batches": "needs a DataLoader, and tasks make their batches themselves: trainer.limit_train_batches "
    "shortens an epoch",
    "use_distributed_sampler": "needs a DataLoader, and a task shares out its examples itself",
    "reload_dataloaders_every_n_epochs": "needs a DataLoader, and a task has other batches in every epoch anyway",
    "limit_predict_batches": "has no effect: a run trains, validates and tests",
    "enable_autolog_hparams": "has no effect: config.yaml has every option, and so has W&B",
    "model_registry": "has no effect: checkpoints stay in the run's folder",
}
HARMLESS = {"num_sanity_val_steps": 0}  # may be given: it is what a run does anyway


def lightning_trainer(
    trainer: partial,
    callbacks: Mapping[str, pl.Callback | None],
    optim: Optim,
    out: str,
    loggers: Sequence[Any] = (),
    **others: Any,
) -> pl.Trainer:
    """The Trainer that the options of `trainer` describe, with `others` in their place; a callback that is None is
    left out.
    """
    chosen = [callback for callback in callbacks.values() if callback is not None]
    ours = {
        "logger": list(loggers) or False,
        "callbacks": chosen,
        "plugins": [WholeFileIO(), *_cluster()],
        "gradient_clip_val": optim.grad_clip,
        "default_root_dir": out,
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in chosen),
        "enable_model_summary": trainer.keywords.get("enable_model_summary", False),
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in chosen),
        "num_sanity_val_steps": 0,
    }
    return trainer(**ours | others)


def refusals(options: Mapping[str, Any], optim: Optim) -> Iterator[str]:
    """A line for each of the Trainer's options that a run would leave without effect."""
    for name, value in options.items():
        if name not in ACTS and not (name in HARMLESS and value == HARMLESS[name]):
            yield f"trainer.{name}: {REFUSED.get(name, 'is not known to act on a run')}"
    if options.get("gradient_clip_algorithm") and optim.grad_clip is None:
        yield "trainer.gradient_clip_algorithm: has no effect without optim.grad_clip"


def _cluster() -> list[SLURMEnvironment]:
    """In a job of SLURM its environment, without Lightning's own requeue, which would compete with submitit's."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
