"""The command line of `train.py`: Hydra's main called, and every error brought back to a line and an exit code."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import omegaconf
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from isogain.config.errors import UserError, refuse
from isogain.launch.hydra_errors import malformed, one_line

HYDRA, OMEGACONF, PYTHON = (
    os.path.dirname(module.__file__) + os.sep for module in (hydra, omegaconf, os)
)


def main(hydra_main: Callable[[], Any], conf: Path) -> None:
    """Call Hydra's main; exit code 1 after an error, 130 after Ctrl-C and 143 after SIGTERM.

    `conf` is the folder of the groups. HYDRA_FULL_ERROR=1 shows Hydra's own tracebacks instead of a line a mistake.
    """
    if "HYDRA_FULL_ERROR" in os.environ:
        return hydra_main()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors on instead of printing them
    try:
        refuse(malformed(conf))
        return hydra_main()
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        sys.exit(getattr(error, "code", 130))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(exit_code(UserError(one_line(error))))
    except Exception as error:
        foreign = not isinstance(error, OSError | UserError) and _is_hydra_s(error)
        sys.exit(exit_code(UserError(_of_hydra(error)) if foreign else error))


def _is_hydra_s(error: BaseException) -> bool:
    """Whether an error was raised where Hydra had not handed anything on: by an option of its own."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    called = next((i for i, name in enumerate(files) if name.startswith(HYDRA)), len(files))
    return called < len(files) and all(map(_is_library, files[called:]))


def _is_library(file: str) -> bool:
    """Whether a file is one of Hydra, OmegaConf or Python itself."""
    of_python = file.startswith((PYTHON, "<frozen")) and "-packages" not in file
    return of_python or file.startswith((HYDRA, OMEGACONF))


def _of_hydra(error: BaseException) -> str:
    """Such an error and what it came from, in one line."""
    parts = [one_line(each) for each in (error, error.__cause__) if each is not None]
    if not str(error):  # an assertion
        parts.insert(0, f"Hydra: {traceback.extract_tb(error.__traceback__)[-1].line}")
    return ": ".join(dict.fromkeys(parts))


def exit_code(error: Exception) -> int:
    """Say on stderr what went wrong: a line a mistake where the user can put it right, else the traceback."""
    if isinstance(error, OSError) and error.strerror:
        error = UserError(f"{error.filename or 'the run folder'}: {error.strerror}")
    if isinstance(error, UserError):
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    else:
        traceback.print_exception(error)
    return 1
