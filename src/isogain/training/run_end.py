"""How a run ends: its errors in the words of the user's options, and all that is written then."""

import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from isogain.config.errors import CheckpointError, ConfigError, FolderLost, Preempted, UserError
from isogain.record.logger import RunRecord
from isogain.record.run_folder import RunFolder, ways_on

log = logging.getLogger(__name__)


def explained(error: Exception, start: Path | None) -> Exception:
    """The error to raise for one that came out of training from the checkpoint `start`.

    A line in place of what Lightning raises where it cannot restore the checkpoint, where an option does not fit the
    run, or where a callback lacks a metric or a package.
    """
    if start is not None and _came_while_restoring(error) and not isinstance(error, UserError):
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        kind = type(error).__name__
        return CheckpointError(f"ckpt={start}: cannot go on from it ({kind}: {reason})")
    line = " ".join(str(error).split())
    kinds = MisconfigurationException | ModuleNotFoundError
    misfit = isinstance(error, kinds) or line.startswith("Early stopping conditioned")
    return ConfigError(f"trainer: {line}") if misfit else error


def _came_while_restoring(error: Exception) -> bool:
    return any(
        frame.f_code.co_filename.endswith("checkpoint_connector.py")
        and frame.f_code.co_name.startswith(("restore", "resume_start"))
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def interruption(fitter: pl.Trainer, end: Preempted | None = None) -> str:
    """Where a run was interrupted, why, and how to go on."""
    by = f" by {end.signum.name}" if end else ""
    refused = f" ({end.__cause__})" if end and end.__cause__ else ""
    step, folder = fitter.global_step, fitter.default_root_dir
    return f"interrupted at step {step}{by}{refused}; {ways_on(folder)}"


def write_end(
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


def close_loggers(fitter: pl.Trainer, summary: Mapping[str, Any]) -> None:
    """Finish every logger's run, so that the next one in this process gets its own."""
    for logger in fitter.loggers:
        if hasattr(logger, "close"):
            logger.close(summary)
