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
from isogain.errors import UserError, resolver_said
from isogain.folder import RunFolder, fresh_folder
from isogain.names import nearest

OmegaConf.register_new_resolver(
    "folder", lambda out: out or fresh_folder(), use_cache=True, replace=True
)


def job(config: DictConfig) -> float:
    """Run what `config` describes in the folder that Hydra chose; returns the objective, NaN where
    the run has none.

    A point of a sweep raises what went wrong, so that Hydra goes on with the next; a single run
    tells it and exits.
    """
    hydra = HydraConfig.get()
    folder = RunFolder(Path(hydra.runtime.output_dir))
    config.out = str(folder.path)
    try:
        from isogain.config import parts
        from isogain.rehearsal import rehearse
        from isogain.run import run

        quieten()
        built = parts(config)
        rehearse(**built)
        folder.claim(config, hydra.overrides.task, config.resume, hydra.runtime.choices)
        objective = config.objective or built["data"].objective
        return run(**built).get(objective, float("nan"))
    except Exception as error:
        in_a_sweep = hydra.mode == RunMode.MULTIRUN
        _put_on_record(folder, error, in_a_sweep)
        if in_a_sweep:
            raise
        sys.exit(_told(error))


def main(hydra_main: Callable[[], Any], conf: Path) -> None:
    """Call Hydra's main; exit code 1 after an error and 130 after Ctrl-C.

    HYDRA_FULL_ERROR=1 shows Hydra's own tracebacks instead of a line a mistake.
    """
    if "HYDRA_FULL_ERROR" in os.environ:
        return hydra_main()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on instead of printing them
    try:
        return hydra_main()
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        sys.exit(130)
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_told(UserError(_one_line(error, conf))))
    except Exception as error:
        sys.exit(_told(error))


def quieten() -> None:
    """Leave out what Lightning and torch say to users who can do nothing about it."""
    for name in ("pytorch_lightning", "lightning_fabric", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    # metrics are logged at the end of every epoch too
    warnings.filterwarnings("ignore", message="The number of training batches")
    # cuDNN copies our stacked weights into one block at every call: small beside the recurrence
    warnings.filterwarnings(
        "ignore", message="RNN module weights are not part of single contiguous"
    )


def _told(error: Exception) -> int:
    """Say on stderr what went wrong: a line a mistake where the user can put it right, else the traceback."""
    if isinstance(error, OSError) and error.strerror:
        error = UserError(f"{error.filename or 'the run folder'}: {error.strerror}")
    if isinstance(error, UserError):
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    else:
        traceback.print_exception(error)
    return 1


def _put_on_record(folder: RunFolder, error: Exception, in_a_sweep: bool) -> None:
    """A failed run says so in its folder; one that never began leaves none, unless it is a sweep's."""
    if not folder.claimed and not in_a_sweep:
        folder.discard()
        return
    with contextlib.suppress(OSError):  # a full disk, say: the first error is the one to tell
        if not isinstance(error, UserError):
            folder.note(traceback.format_exc())
        if not (folder.path / "summary.json").exists():  # run() wrote a fuller one, or another run
            folder.write_summary({"status": "failed", "error": f"{type(error).__name__}: {error}"})


def _one_line(error: Exception, conf: Path) -> str:
    """What is wrong with the overrides, in one line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return f"{group}={option}: no such option; {nearest(option, error.options or [])}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: {str(error).strip().splitlines()[0]}"
    if said := resolver_said(error):
        return said
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
