"""One run, or one point of a sweep, as Hydra calls it: what `train.py` does with a composed config."""

import contextlib
import logging
import sys
import traceback
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from isogain.config.errors import AnotherRun, Interrupted, Preempted, UserError, refuse
from isogain.config.objective import objective_of
from isogain.launch import hydra_options, resolvers  # noqa: F401 - registers them
from isogain.launch.command_line import exit_code
from isogain.launch.quiet import quieten
from isogain.record.continuation import outcome_already
from isogain.record.rank import rank
from isogain.record.run_folder import RunFolder, ways_on
from isogain.record.sweep_json import in_one_process
from isogain.training.allocator import keep_freed_memory
from isogain.training.preemption import Warnings, in_a_batch_job

log = logging.getLogger(__name__)


def job(config: DictConfig) -> float:
    """Run what `config` describes in the folder that Hydra chose; returns the objective, NaN where
    the run has none.

    A run that SLURM has requeued goes on where it was, and one that has come to its end is not repeated. A point
    of a sweep raises what went wrong, so that Hydra goes on with the next; a single run tells it and exits.
    """
    hydra = HydraConfig.get()
    folder = RunFolder(Path(hydra.runtime.output_dir))
    in_a_sweep = hydra.mode == RunMode.MULTIRUN
    mistakes = [] if in_a_sweep or rank() > 0 else list(hydra_options.refusals(config))
    requeued = in_a_batch_job() and folder.attempts.of_this_job()
    with open_dict(config):
        config.out = str(folder.path)
        # rank zero alone claims the folder
        config.resume = config.get("resume", False) or requeued or rank() > 0
    with Warnings(folder.attempts) as noted:
        try:
            refuse(mistakes)
            if not in_a_sweep and hydra.sweeper.get("params"):
                log.info(
                    "this is one run of a config that has a sweep in it: -m (first) runs them all"
                )
            summary = outcome_already(folder.path, config) if config.resume else None
            if summary is None:
                summary = _ran(config, hydra, folder, noted)
        except Exception as error:
            _put_on_record(folder, error, in_a_sweep, config.resume)
            if in_a_sweep:
                raise
            sys.exit(exit_code(error))
        except (KeyboardInterrupt, Preempted) as end:
            if rank() > 0:
                sys.exit(0)  # rank zero tells it; Lightning kills it where another fails before
            if isinstance(end, Preempted) and end.requeued:
                raise
            raise _interrupted(folder, end, hydra.sweep.dir if in_a_sweep else config.out) from None
        if in_a_sweep and noted.unanswered_end():
            raise Interrupted(f"interrupted between two runs; {ways_on(hydra.sweep.dir)}", 143)
    return summary.get(objective_of(OmegaConf.to_container(config, resolve=True)), float("nan"))


def _ran(config: DictConfig, hydra: Any, folder: RunFolder, noted: Warnings) -> dict[str, Any]:
    """The summary of the run that `config` describes."""
    # before the imports: it tells of its fonts when it is loaded for the first time
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from isogain.callbacks.save_on_signal import SaveOnWarning
    from isogain.config.check import parts, resolved
    from isogain.launch import idle_options
    from isogain.training.preflight import rehearse
    from isogain.training.run import run

    quieten()  # after them: Lightning sets its logger's level when it is loaded
    keep_freed_memory()
    built = parts(config)
    step = rehearse(**built, shared=hydra.mode == RunMode.MULTIRUN and in_one_process(hydra))
    if hydra.mode == RunMode.RUN and not (config.resume and step):
        # a sweep looks at all its points together; what was begun goes on as it was
        refuse(idle_options.refusals(resolved(config), hydra.overrides.task, built["data"]))
    if rank() == 0:
        folder.claim(config, hydra.overrides.task, config.resume, hydra.runtime.choices, step)
    built["callbacks"] |= {"preemption": SaveOnWarning(noted)}
    return run(**built)


def _interrupted(folder: RunFolder, end: BaseException, out: str) -> Interrupted:
    """What to raise after an interruption, on record also where it came before training began."""
    code = getattr(end, "code", 130)
    if not folder.claimed:
        folder.discard()
        return Interrupted("interrupted before the run began", code)
    told = str(end) if isinstance(end, Interrupted) else f"interrupted; {ways_on(folder.path)}"
    if not (folder.path / "summary.json").exists():  # run() wrote a fuller one
        folder.end({"status": "interrupted", "error": told})
    return Interrupted(told.replace(ways_on(folder.path), ways_on(out)), code)


def _put_on_record(folder: RunFolder, error: Exception, in_a_sweep: bool, resume: bool) -> None:
    """A failed run says so in its folder; one that never began leaves none, unless it is a sweep's."""
    foreign = not folder.claimed and (
        isinstance(error, AnotherRun)
        or folder.attempts.at_work()
        or (not resume and (folder.path / "config.yaml").exists())
    )
    if foreign or not (folder.claimed or in_a_sweep or rank()):
        folder.discard()
        return
    with contextlib.suppress(OSError):  # a full disk, say: the first error is the one to tell
        user = isinstance(error, UserError)
        folder.note(f"error: {error}\n" if user else traceback.format_exc())
        if rank() == 0 and not (folder.path / "summary.json").exists():  # run() wrote a fuller one
            folder.end({"status": "failed", "error": f"{type(error).__name__}: {error}"})
