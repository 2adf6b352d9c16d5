"""What the command-line tools have in common: their help, and errors of one line each."""

import argparse
import errno
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from isogain.config.errors import UserError
from isogain.config.terminal import printable, tolerate_

EXIT = "exit code: 0, or 1 with a line that says what is wrong"


def parser(name: str, main: Callable, epilog: str = EXIT) -> argparse.ArgumentParser:
    """The command line of `python -m isogain.NAME`, described by the docstring of its `main`."""
    paragraphs = (main.__doc__ or "").split("\n\n")
    return argparse.ArgumentParser(
        prog=f"python -m isogain.{name}",
        description="\n\n".join(textwrap.fill(" ".join(p.split()), 100) for p in paragraphs),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_folder(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add the argument for the runs that a tool reads: `options.folder`, or with `several` `options.folders`."""
    meaning = "a sweep's folder, a run's, or one above them"
    if several:
        parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help=meaning)
    else:
        parser.add_argument("folder", type=Path, metavar="FOLDER", help=meaning)


def report_error(line: str, code: int = 1) -> int:
    """Print on stderr, in one line, what is wrong; returns the exit code."""
    with suppress(OSError):  # a closed stderr: the exit code is left
        print(f"error: {printable(' '.join(line.split()))}", file=sys.stderr, flush=True)
    return code


def exit_code(call: Callable[[], object], extra: str = "results") -> int:
    """0 after `call`, or 1 and a line on stderr where it raises what a user can correct.

    `extra`: the optional dependencies that it needs.
    """
    tolerate_()
    try:
        call()
        sys.stdout.flush()
    except ImportError as error:
        return report_error(f"{error.name} is missing: pip install -e '.[{extra}]'")
    except KeyError as error:
        return report_error(str(error.args[0]))
    except OSError as error:
        if error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC):
            raise  # of standard output: isogain.config.streams ends the program
        return report_error(f"{error.filename}: {error.strerror}" if error.strerror else str(error))
    except (UserError, ValueError, OverflowError) as error:
        return report_error(str(error))
    return 0
