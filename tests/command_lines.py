"""`python train.py ARGUMENTS` in this process: composed, checked and put on record as ever; nothing is trained."""

import contextlib
import functools
import io
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from runs import CONF

import isogain.training.run
from isogain import launch


class Said(NamedTuple):
    """What a command line came to."""

    code: int
    out: str
    err: str


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def train(config: Any) -> float:
    """What train.py has."""
    return launch.job(config)


def said(folder: Path, *arguments: str) -> Said:
    """Exit code and output of the command line in `folder`; what leaves `main` as an exception is a traceback."""
    with pytest.MonkeyPatch.context() as patch, _streams() as (out, err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", [str(CONF.parent / "train.py"), *arguments])
        patch.delenv("HYDRA_FULL_ERROR", raising=False)
        untrained = functools.wraps(isogain.training.run.run)(
            lambda **parts: {"status": "finished"}
        )
        patch.setattr("isogain.training.run.run", untrained)
        try:
            launch.main(train, CONF)
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = -1
        finally:
            GlobalHydra.instance().clear()
            HydraConfig.instance().cfg = None
            os.environ.pop("HYDRA_FULL_ERROR", None)
    return Said(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _streams() -> Any:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err
