"""One run, or one point of a sweep, as Hydra calls it: what `train.py` does with a composed config."""

import logging
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from isogain.config.errors import Interrupted, Preempted, refuse
from isogain.config.objective import objective_of
from isogain.launch import hydra_options, resolvers  # noqa: F401 - registers them
from isogain.launch.command_line import exit_code
from isogain.launch.failure_record import record_failure
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
    of a sweep raises what went wrong, so that Hydra goes on with the next; a single run logs it and exits.
    """
    hydra = HydraConfig.get()
    folder = RunFolder(Path(hydra.runtime.output_dir))
    in_a_sweep = hydra.mode == RunMode.MULTIRUN
    mistakes = [] if in_a_sweep or rank() > 0 else list(hydra_options.refusals(config))
    _complete_(config, folder)
    with Warnings(folder.attempts) as warnings:
        try:
            refuse(mistakes)
            summary = _summary(config, hydra, folder, warnings)
        except Exception as error:
            record_failure(folder, error, in_a_sweep, config.resume)
            if in_a_sweep:
                raise
            sys.exit(exit_code(error))
        except (KeyboardInterrupt, Preempted) as end:
            stop = _end(folder, end, hydra.sweep.dir if in_a_sweep else config.out)
            if stop is end:
                raise  # with its cause
            raise stop from None
        if in_a_sweep and warnings.unanswered_end():
            raise Interrupted(f"interrupted between two runs; {ways_on(hydra.sweep.dir)}", 143)
    return summary.get(objective_of(OmegaConf.to_container(config, resolve=True)), float("nan"))


def _complete_(config: DictConfig, folder: RunFolder) -> None:
    """Set the folder, and whether the run goes on in it: where it was asked to, and where SLURM requeued its job."""
    requeued = in_a_batch_job() and folder.attempts.of_this_job()
    with open_dict(config):
        config.out = str(folder.path)
        # rank zero alone claims the folder
        config.resume = config.get("resume", False) or requeued or rank() > 0


def _summary(
    config: DictConfig, hydra: Any, folder: RunFolder, warnings: Warnings
) -> dict[str, Any]:
    """The summary of a run that is over already, else of the run that is done now."""
    if hydra.mode == RunMode.RUN and hydra.sweeper.get("params"):
        log.info("this is one run of a config that has a sweep in it: -m (first) runs them all")
    earlier = outcome_already(folder.path, config) if config.resume else None
    return _trained(config, hydra, folder, warnings) if earlier is None else earlier


def _trained(
    config: DictConfig, hydra: Any, folder: RunFolder, warnings: Warnings
) -> dict[str, Any]:
    """Build, check, claim the folder and train: the summary of the run that `config` describes."""
    # before the imports: matplotlib logs its fonts when it is loaded for the first time
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
    built["callbacks"] |= {"preemption": SaveOnWarning(warnings)}
    return run(**built)


def _end(folder: RunFolder, end: KeyboardInterrupt | Preempted, out: str) -> BaseException:
    """What to raise after an interruption, which is on record, also where it came before training began."""
    if rank() > 0:
        return SystemExit(0)  # rank zero reports it; Lightning kills it where another fails before
    if isinstance(end, Preempted) and end.requeued:
        return end
    code = getattr(end, "code", 130)
    if not folder.claimed:
        folder.discard()
        return Interrupted("interrupted before the run began", code)
    reason = str(end) if isinstance(end, Interrupted) else f"interrupted; {ways_on(folder.path)}"
    if not (folder.path / "summary.json").exists():  # run() wrote a fuller one
        folder.end({"status": "interrupted", "error": reason})
    return Interrupted(reason.replace(ways_on(folder.path), ways_on(out)), code)
