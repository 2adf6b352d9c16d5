"""The command line in a process forked off one that has imported everything: an attempt takes tenths of a second."""

import multiprocessing
import os
import runpy
import sys
import time
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytorch_lightning as pl
import torch
from tqdm import tqdm

import isogain.callbacks

MODULES = (
    "training.run",
    "training.preflight",
    "tracking.wandb_logger",
    "data.synthetic",
    "models.rnn",
)
for name in [*MODULES, *(f"callbacks.{m.name}" for m in iter_modules(isogain.callbacks.__path__))]:
    import_module(f"isogain.{name}")
TRAIN = Path(__file__).parents[1] / "train.py"
PAUSE = "+callbacks.pause={_target_:forked.Pause,seconds:%s}"  # an option
tqdm.get_lock()  # one semaphore for all: a killed process does not give its own back
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["forked"])


class Pause(pl.Callback):
    """Makes every batch take at least `seconds`, on a fast machine too."""

    only_observes = True

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_start(self, *args: Any) -> None:
        time.sleep(self.seconds)


class Broken(pl.Callback):
    """Fails before training, as code that was never run does."""

    def setup(self, *args: Any, **options: Any) -> None:
        raise ZeroDivisionError("broken")


class SlowSetup(pl.Callback):
    """Takes its time before training."""

    only_observes = True

    def setup(self, *args: Any, **options: Any) -> None:
        print("setting up", flush=True)
        time.sleep(5)


def started(log: Path, *arguments: str, **environment: str) -> ForkServerProcess:
    """`python train.py ARGUMENTS` in its own process; what it says is added to `log`."""
    process = SERVER.Process(target=_attempt, args=(str(log), arguments, environment))
    process.start()
    return process


def _attempt(log: str, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    _speak_to(log, log)
    os.environ |= environment
    torch.set_num_threads(1)
    sys.argv = [str(TRAIN), *sorted(arguments, key=lambda a: a != "-m")]  # -m comes first
    runpy.run_path(str(TRAIN), run_name="__main__")


def _speak_to(out: str, err: str) -> None:
    """Add what this process writes to its two streams from now on to the files."""
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)


def python(
    cwd: Path, log: Path, *words: str, errors: Path | None = None, **environment: str
) -> ForkServerProcess:
    """`python WORDS`, a script or -m and a module, in `cwd`; its output is added to `log`, stderr to `errors`."""
    streams = (str(log), str(errors or log))
    process = SERVER.Process(target=_python, args=(str(cwd), streams, words, environment))
    process.start()
    return process


def _python(
    cwd: str, streams: tuple[str, str], words: tuple[str, ...], environment: dict[str, str]
) -> None:
    _speak_to(*streams)
    os.chdir(cwd)
    os.environ |= environment
    torch.set_num_threads(1)
    module = words[0] == "-m"
    sys.argv = list(words[module:])
    if module:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(words[0]).parent)
        runpy.run_path(words[0], run_name="__main__")
