"""One point of a sweep, in a process that was forked for it."""

import os
import pickle
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, run_job, setup_globals
from omegaconf import DictConfig, open_dict


def compute(
    sender: Connection,
    output: Path,
    threads: int,
    gpu: str | None,
    state: bytes,
    overrides: list[str],
    number: int,
) -> None:
    """Compute one point in this process; what it prints goes to the file `output`."""
    _redirect_output(output)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # CUDA has not been asked yet
    import torch
    from tqdm import tqdm

    from isogain.launch import job

    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaves behind
    torch.set_num_threads(threads)
    context, config, name = pickle.loads(state)
    Plugins.instance()  # the options of launchers and sweepers are part of the config
    JobRuntime.instance().set("name", name)
    setup_globals()
    point = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(point.hydra.job):
        point.hydra.job.id = point.hydra.job.num = number
    _let_others_join(point)
    try:
        returned = run_job(
            hydra_context=context,
            task_function=job,  # what train.py's main calls; that lies in __main__ and cannot be pickled
            config=point,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except KeyboardInterrupt as end:  # its record is written
        print(str(end) or "interrupted", file=sys.stderr)
        sys.exit(getattr(end, "code", 130))
    sender.send((returned.status, _value(returned)))


def _redirect_output(output: Path) -> None:
    with output.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _value(returned: JobReturn) -> object:
    """What the point came to; an error as one that can be pickled, which not every one can."""
    value = returned._return_value
    if returned.status != JobStatus.FAILED:
        return value
    traceback.print_exception(value)
    return RuntimeError(f"{type(value).__name__}: {value}")


def _let_others_join(point: DictConfig) -> None:
    """Make the processes that Lightning starts beside this one, for a run on several devices, part of this point.

    It calls `sys.argv` again with hydra.run.dir added, and that would be the whole sweep.
    """
    sweep = get_args_parser().parse_args(sys.argv[1:]).overrides
    flags = [word for word in sys.argv[1:] if word not in ("-m", "--multirun", *sweep)]
    sys.argv[1:] = [*flags, *point.hydra.overrides.task]
    point.hydra.run.dir = os.path.abspath(f"{point.hydra.sweep.dir}/{point.hydra.sweep.subdir}")
