"""From the command line to a run, and from every error back to one line. Heavy imports wait until a run starts."""

import contextlib
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isogain import config as _config  # noqa: F401 - registers its resolver
from isogain.allocator import keep_freed_memory
from isogain.errors import AnotherRun, Interrupted, Preempted, UserError, resolver_said
from isogain.names import nearest
from isogain.preemption import Warnings, in_a_batch_job
from isogain.record.continuation import outcome_already
from isogain.record.objective import objective_of
from isogain.record.rank import rank
from isogain.record.run_folder import RunFolder, fresh_folder, ways_on
from isogain.record.sweep_json import in_one_process

log = logging.getLogger(__name__)
CLASH = "Only one of --"  # Hydra's word on its flags that exclude each other
UNHELPFUL = (
    ".*LeafSpec.*",
    "The number of training batches",  # metrics are logged at the end of every epoch too
    # cuDNN copies our stacked weights into one block at every call: small beside the recurrence
    "RNN module weights are not part of single contiguous",
    "The `srun` command is available on your system but is not used",  # by a run that needs no job
    ".*sync_dist=True",  # the learner has summed over the processes already
)
OmegaConf.register_new_resolver(
    "folder", lambda out: out or fresh_folder(), use_cache=True, replace=True
)


def job(config: DictConfig) -> float:
    """Run what `config` describes in the folder that Hydra chose; returns the objective, NaN where
    the run has none.

    A run that SLURM has requeued goes on where it was, and one that has come to its end is not repeated. A point
    of a sweep raises what went wrong, so that Hydra goes on with the next; a single run tells it and exits.
    """
    hydra = HydraConfig.get()
    folder = RunFolder(Path(hydra.runtime.output_dir))
    in_a_sweep = hydra.mode == RunMode.MULTIRUN
    config.out = str(folder.path)
    requeued = in_a_batch_job() and folder.attempts.of_this_job()
    config.resume = config.resume or requeued or rank() > 0  # rank zero alone claims the folder
    with Warnings(folder.attempts) as noted:
        try:
            summary = outcome_already(folder.path, config) if config.resume else None
            if summary is None:
                summary = _ran(config, hydra, folder, noted)
        except Exception as error:
            _put_on_record(folder, error, in_a_sweep, config.resume)
            if in_a_sweep:
                raise
            sys.exit(_told(error))
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
    from isogain.callbacks.preemption import SaveOnWarning
    from isogain.config import parts
    from isogain.rehearsal import rehearse
    from isogain.run import run

    quieten()  # after them: Lightning sets its logger's level when it is loaded
    keep_freed_memory()
    built = parts(config)
    step = rehearse(**built, shared=hydra.mode == RunMode.MULTIRUN and in_one_process(hydra))
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


def main(hydra_main: Callable[[], Any], conf: Path) -> None:
    """Call Hydra's main; exit code 1 after an error, 130 after Ctrl-C and 143 after SIGTERM.

    HYDRA_FULL_ERROR=1 shows Hydra's own tracebacks instead of a line a mistake.
    """
    if "HYDRA_FULL_ERROR" in os.environ:
        return hydra_main()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on instead of printing them
    try:
        return hydra_main()
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        sys.exit(getattr(error, "code", 130))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_told(UserError(one_line(error, conf))))
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(CLASH):
            error = UserError(str(error))
        sys.exit(_told(error))


def quieten() -> None:
    """Leave out what Lightning and torch say to users who can do nothing about it, and what rank zero says too."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module="pytorch_lightning")
    for message in UNHELPFUL:
        warnings.filterwarnings("ignore", message=message)
    if rank() > 0:
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")


def _told(error: Exception) -> int:
    """Say on stderr what went wrong: a line a mistake where the user can put it right, else the traceback."""
    if isinstance(error, OSError) and error.strerror:
        error = UserError(f"{error.filename or 'the run folder'}: {error.strerror}")
    if isinstance(error, UserError):
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    else:
        traceback.print_exception(error)
    return 1


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


def one_line(error: Exception, conf: Path) -> str:
    """What is wrong with the overrides, in one line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return f"{group}={option}: no such option; {nearest(option, error.options or [])}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: {str(error).strip().splitlines()[0]}"
    if said := resolver_said(error):
        return said
    if str(error).startswith("Error merging override"):
        return f"{error}: {str(error.__cause__).splitlines()[0]}"
    key = re.search(r"Could not override '([^']+)'", str(error))
    if not key:
        return str(error).strip().splitlines()[0]
    parent, _, name = key[1].removeprefix("+").rpartition(".")
    hint = nearest(name, _keys_of(parent, conf))
    if parent == "trainer" and hint.startswith("there is"):
        hint += f"; +{key[1]} passes on another option of Lightning's Trainer"
    return f"{key[1]}: no such key; {hint}"


def _keys_of(parent: str, conf: Path) -> list[str]:
    """The keys below `parent` in the config that the command line's groups compose."""
    GlobalHydra.instance().clear()
    groups = [
        a
        for a in sys.argv[1:]
        if re.fullmatch(r"[\w/]+=[\w/]+", a) and (conf / a.split("=")[0]).is_dir()
    ]
    with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
        node = (
            OmegaConf.select(compose("train", groups), parent)
            if parent
            else compose("train", groups)
        )
    return [str(key) for key in node if not str(key).startswith("_")] if node else []
