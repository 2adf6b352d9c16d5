"""One run: seed, build, fit, test, and the record of what came out."""

import logging
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from isogain.config.errors import Divergence, Interrupted, Preempted, refuse
from isogain.data.task import Task
from isogain.init.initialiser import NetworkInitialiser
from isogain.models.base import Network
from isogain.optim import Optim
from isogain.record import checkpoints, provenance
from isogain.record.elapsed import earlier_seconds
from isogain.record.logger import RunRecord, number_by_steps_done_
from isogain.record.run_folder import RunFolder
from isogain.reg.base import Regularizer
from isogain.training import summary_tables
from isogain.training.batch_limits import refusals
from isogain.training.learner import Learner
from isogain.training.lightning_trainer import lightning_trainer
from isogain.training.run_end import close_loggers, explained, interruption, write_end

log = logging.getLogger(__name__)
PROBE = 512  # validation examples on which an initialiser may scale the input's weights
Objective = Literal["val/acc_best", "val/acc", "val/loss", "train/loss", "test/acc", "test/loss"]


def run(
    *,
    seed: int,
    data: Task,
    model: Callable[..., Network],
    init: Callable[[Tensor], Tensor],
    reg: Regularizer,
    optim: Optim,
    trainer: Callable[..., pl.Trainer],
    callbacks: Mapping[str, pl.Callback | None],
    out: str,
    logger: Callable[..., Any] | None = None,
    ckpt: str | None = None,
    resume: bool = False,
    objective: Objective | None = None,
) -> dict[str, Any]:
    """Train and test one network in the folder `out`; returns what its summary.json holds.

    A callback that is None is left out. A number that is not finite stops the training and is an
    outcome, status `diverged`. Raises UserError for what the user can put right, and
    KeyboardInterrupt, with the summary written, where training is interrupted; Preempted, without a
    summary, where SLURM will go on with it.
    """
    folder, started = RunFolder(Path(out)), time.perf_counter()
    pl.seed_everything(seed, verbose=False)
    record = RunRecord(folder.path)
    loggers = [record, logger(folder=folder.path)] if logger else [record]
    fitter = lightning_trainer(trainer, callbacks, optim, out, loggers)
    number_by_steps_done_(fitter)
    # Under a limit in steps Lightning goes on with an epoch that is over, and trains none of its batches. Breaks when
    # the fit loop no longer asks this method where it restarts.
    fitter.fit_loop._iteration_based_training = lambda: False
    device = fitter.strategy.root_device
    learner = _learner(fitter, data, model, init, reg, optim)
    refuse(refusals(data.known_batches(), trainer.keywords))
    start = _start(folder, record, ckpt, resume)
    learner.resumes = start is not None and start.parent == folder.path / "checkpoints"
    earlier = earlier_seconds(folder.attempts.events(), start) if learner.resumes else 0.0
    log.info(
        summary_tables.start_table(
            learner, data, device, learner.init, {"seed": seed, "folder": out}
        )
    )
    outcome, error = _outcome(fitter, learner, data, start)
    summary = outcome | _numbers(fitter, learner) | _circumstances(device, seed, started, earlier)
    unwritten = write_end(folder, record, summary, fitter.is_global_zero)
    close_loggers(fitter, summary)
    if error := error or unwritten:
        raise error
    log.info(summary_tables.end_table(summary, folder.path))
    return summary


def _learner(
    fitter: pl.Trainer,
    data: Task,
    model: Callable[..., Network],
    init: Callable[[Tensor], Tensor],
    reg: Regularizer,
    optim: Optim,
) -> Learner:
    """The initialised network and how it learns, once the data that it depends on is there."""
    data.load(fitter.strategy.root_device)
    data.share(fitter.global_rank, fitter.world_size)
    net = fitter.precision_plugin.convert_module(
        model(**data.sizes())
    )  # before what is exact in it
    learner = Learner(net, init, reg, optim, data.loss, data.hits, data.baseline, data.embedding)
    if isinstance(learner.init, NetworkInitialiser):
        learner.init.finish_(net, data.probe(PROBE)[0])
    return learner


def _start(folder: RunFolder, record: RunRecord, ckpt: str | None, resume: bool) -> Path | None:
    """The checkpoint to go on from; a resumed record forgets what came after it."""
    newest = checkpoints.newest_good(folder.path / "checkpoints") if resume else None
    if newest is None:
        record.rewind(-1)
        return Path(ckpt) if ckpt else None
    path, checkpoint = newest
    record.rewind(checkpoint["global_step"], checkpoint["isogain"].get("record"))
    log.info("resuming from %s, step %d", path, checkpoint["global_step"])
    return path


def _outcome(
    fitter: pl.Trainer, learner: Learner, data: Task, start: Path | None
) -> tuple[dict[str, Any], BaseException | None]:
    """Train and test; the status, and the error to raise once the summary is written."""
    began = time.perf_counter()
    try:
        fitter.fit(learner, datamodule=data, ckpt_path=start, weights_only=True)
        rate = fitter.world_size * learner.examples / (time.perf_counter() - began)
        fitter.test(learner, datamodule=data, verbose=False)
        return {"status": "finished", "examples_per_second": rate or None}, None
    except Divergence as error:
        return {"status": "diverged", "error": str(error)}, None
    except Preempted as end:
        if end.requeued:
            return {"status": "preempted"}, end
        reason = interruption(fitter, end)
        return {"status": "interrupted", "error": reason}, end.__cause__ or Interrupted(
            reason, end.code
        )
    except (
        KeyboardInterrupt,
        SystemExit,
    ):  # Lightning turns Ctrl-C into SystemExit and ignores further ones
        signal.signal(signal.SIGINT, signal.default_int_handler)
        reason = interruption(fitter)
        return {"status": "interrupted", "error": reason}, Interrupted(reason)
    except Exception as error:
        error = explained(error, start)
        return {"status": "failed", "error": f"{type(error).__name__}: {error}"}, error


def _numbers(fitter: pl.Trainer, learner: Learner) -> dict[str, Any]:
    """What was measured on the final weights, and what is of the whole run; the rest is in metrics.csv, by its step."""
    current = {name: v for name, v in learner.metrics.items() if learner.is_current(name)}
    known = {name: value for name, value in current.items() if value is not None}
    return {**known, "steps": fitter.global_step, "epochs": _whole_epochs(fitter)}


def _whole_epochs(fitter: pl.Trainer) -> int:
    """Epochs that were trained to their end: Lightning also counts the one that `max_steps` ended within."""
    epochs, batches = (
        fitter.fit_loop.epoch_progress.current,
        fitter.fit_loop.epoch_loop.batch_progress.current,
    )
    ended = epochs.ready == epochs.processed
    return epochs.processed - (ended and 0 < batches.completed < fitter.num_training_batches)


def _circumstances(
    device: torch.device, seed: int, started: float, earlier: float
) -> dict[str, Any]:
    return {
        "seconds": earlier + time.perf_counter() - started,
        "seed": seed,
        "device": summary_tables.device_name(device),
        "versions": provenance.versions(),
        "git": provenance.git_commit(),
    }
