"""The command line of `train.py`: Hydra's main called, and every error brought back to a line and an exit code."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from isogain.errors import UserError
from isogain.launch.hydra_errors import one_line

CLASH = "Only one of --"  # Hydra's word on its flags that exclude each other


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
        sys.exit(exit_code(UserError(one_line(error, conf))))
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(CLASH):
            error = UserError(str(error))
        sys.exit(exit_code(error))


def exit_code(error: Exception) -> int:
    """Say on stderr what went wrong: a line a mistake where the user can put it right, else the traceback."""
    if isinstance(error, OSError) and error.strerror:
        error = UserError(f"{error.filename or 'the run folder'}: {error.strerror}")
    if isinstance(error, UserError):
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    else:
        traceback.print_exception(error)
    return 1
