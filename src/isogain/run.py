"""One run: seed, build, fit, test, and the record of what came out."""

import logging
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from isogain import report
from isogain.batch_limits import refusals
from isogain.data.task import Task
from isogain.errors import ConfigError, Divergence, Interrupted, Preempted, refuse
from isogain.learner import Learner
from isogain.lightning_trainer import lightning_trainer
from isogain.models.base import Network
from isogain.optim import Optim
from isogain.record import checkpoints, provenance
from isogain.record.logger import RunRecord
from isogain.record.run_folder import RunFolder, ways_on
from isogain.reg.base import Regularizer

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
    device = fitter.strategy.root_device
    learner = _learner(fitter, data, model, init, reg, optim)
    refuse(refusals(data.known_batches(), trainer.keywords))
    start = _start(folder, record, ckpt, resume)
    log.info(report.start_table(learner, data, device, init, {"seed": seed, "folder": out}))
    outcome, error = _outcome(fitter, learner, data, start)
    summary = outcome | _numbers(fitter, learner) | _circumstances(device, seed, started)
    try:
        record.flush()
        if fitter.is_global_zero and summary["status"] != "preempted":
            folder.end(summary)
    except OSError as full:
        error = error or full
    _close(fitter, summary)
    if error is not None:
        raise error
    log.info(report.end_table(summary, folder.path))
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
    net = model(**data.sizes())
    learner = Learner(net, init, reg, optim, data.loss, data.hits, data.baseline, data.embedding)
    if hasattr(init, "finish_"):  # it sets more than kernels
        init.finish_(net, data.probe(PROBE)[0])
    return learner


def _start(folder: RunFolder, record: RunRecord, ckpt: str | None, resume: bool) -> Path | None:
    """The checkpoint to go on from; a resumed record forgets what came after it."""
    found = checkpoints.newest_good(folder.path / "checkpoints") if resume else None
    if found is None:
        record.rewind(-1)
        return Path(ckpt) if ckpt else None
    path, checkpoint = found
    record.rewind(checkpoint["global_step"])
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
        told = _told(fitter, end)
        return {"status": "interrupted", "error": told}, end.__cause__ or Interrupted(
            told, end.code
        )
    except (
        KeyboardInterrupt,
        SystemExit,
    ):  # Lightning turns Ctrl-C into SystemExit and ignores further ones
        signal.signal(signal.SIGINT, signal.default_int_handler)
        told = _told(fitter)
        return {"status": "interrupted", "error": told}, Interrupted(told)
    except Exception as error:
        error = _explained(error)
        return {"status": "failed", "error": f"{type(error).__name__}: {error}"}, error


def _explained(error: Exception) -> Exception:
    """A line in place of what Lightning raises where an option does not fit the run, or a callback lacks a metric or a
    package.
    """
    line = " ".join(str(error).split())
    kinds = MisconfigurationException | ModuleNotFoundError
    misfit = isinstance(error, kinds) or line.startswith("Early stopping conditioned")
    return ConfigError(f"trainer: {line}") if misfit else error


def _told(fitter: pl.Trainer, end: Preempted | None = None) -> str:
    """Where a run was interrupted, why, and how to go on."""
    by = f" by {end.signum.name}" if end else ""
    refused = f" ({end.__cause__})" if end and end.__cause__ else ""
    step, folder = fitter.global_step, fitter.default_root_dir
    return f"interrupted at step {step}{by}{refused}; {ways_on(folder)}"


def _numbers(fitter: pl.Trainer, learner: Learner) -> dict[str, Any]:
    epochs = fitter.fit_loop.epoch_progress.current.processed
    known = {name: value for name, value in learner.metrics.items() if value is not None}
    return {**known, "steps": fitter.global_step, "epochs": epochs}


def _circumstances(device: torch.device, seed: int, started: float) -> dict[str, Any]:
    return {
        "seconds": time.perf_counter() - started,
        "seed": seed,
        "device": report.device_name(device),
        "versions": provenance.versions(),
        "git": provenance.git_commit(),
    }


def _close(fitter: pl.Trainer, summary: Mapping[str, Any]) -> None:
    """Finish every logger's run, so that the next one in this process gets its own."""
    for logger in fitter.loggers:
        if hasattr(logger, "close"):
            logger.close(summary)
