"""One run: seed, build, fit, test, and the record of what came out."""

import logging
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.environments import SLURMEnvironment
from torch import Tensor

from isogain import report
from isogain.data.task import Task
from isogain.errors import (
    CheckpointError,
    Divergence,
    FolderLost,
    Interrupted,
    Preempted,
    UserError,
)
from isogain.learner import Learner
from isogain.models.base import Network
from isogain.optim import Optim
from isogain.record import checkpoints, provenance
from isogain.record.checkpoints import WholeFileIO
from isogain.record.logger import RunRecord, number_by_steps_done_
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
    fitter = _fitter(trainer, loggers, callbacks, optim, out)
    device = fitter.strategy.root_device
    learner = _learner(fitter, data, model, init, reg, optim)
    start = _start(folder, record, ckpt, resume)
    log.info(report.start_table(learner, data, device, init, {"seed": seed, "folder": out}))
    outcome, error = _outcome(fitter, learner, data, start)
    summary = outcome | _numbers(fitter, learner) | _circumstances(device, seed, started)
    unwritten = _put_on_disk(folder, record, summary, fitter.is_global_zero)
    _close(fitter, summary)
    if error := error or unwritten:
        raise error
    log.info(report.end_table(summary, folder.path))
    return summary


def _fitter(
    trainer: Callable[..., pl.Trainer],
    loggers: list[Any],
    callbacks: Mapping[str, pl.Callback | None],
    optim: Optim,
    out: str,
) -> pl.Trainer:
    chosen = [callback for callback in callbacks.values() if callback is not None]
    fitter = trainer(
        logger=loggers,
        callbacks=chosen,
        plugins=[WholeFileIO(), *_cluster()],
        gradient_clip_val=optim.grad_clip,
        default_root_dir=out,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in chosen),
        num_sanity_val_steps=0,
    )
    number_by_steps_done_(fitter)
    return fitter


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


def _cluster() -> list[SLURMEnvironment]:
    """In a job of SLURM its environment, without Lightning's own requeue, which would compete with submitit's."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def _start(folder: RunFolder, record: RunRecord, ckpt: str | None, resume: bool) -> Path | None:
    """The checkpoint to go on from; a resumed record forgets what came after it."""
    found = checkpoints.newest_good(folder.path / "checkpoints") if resume else None
    if found is None:
        record.rewind(-1)
        return Path(ckpt) if ckpt else None
    path, checkpoint = found
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
        error = _of_checkpoint(error, start)
        return {"status": "failed", "error": f"{type(error).__name__}: {error}"}, error


def _of_checkpoint(error: Exception, start: Path | None) -> Exception:
    """A CheckpointError instead of one that came while Lightning restored the checkpoint."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    restoring = any(
        frame.f_code.co_filename.endswith("checkpoint_connector.py")
        and frame.f_code.co_name.startswith(("restore", "resume_start"))
        for frame in frames
    )
    if start is None or not restoring or isinstance(error, UserError):
        return error
    reason = (str(error).strip() or "no reason given").splitlines()[0]
    return CheckpointError(f"ckpt={start}: cannot go on from it ({type(error).__name__}: {reason})")


def _put_on_disk(
    folder: RunFolder, record: RunRecord, summary: Mapping[str, Any], leader: bool
) -> Exception | None:
    """Write the record and the summary; the first error, once all was tried."""
    steps = [record.flush]
    if leader and summary["status"] != "preempted":
        steps.append(lambda: folder.end(dict(summary)))
    errors = []
    for step in steps:
        try:
            step()
        except (OSError, FolderLost) as error:
            errors.append(error)
    if lost := record.unwritten():
        log.error("%s: lost, for it could not be written: %s", folder.path, lost)
    return next(iter(errors), None)


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
