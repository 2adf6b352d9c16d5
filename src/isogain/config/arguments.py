"""What the command-line tools have in common: how their help reads, and errors told in a line each."""

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
    """The command line of `python -m isogain.NAME`, described by what its `main` says of itself."""
    paragraphs = (main.__doc__ or "").split("\n\n")
    return argparse.ArgumentParser(
        prog=f"python -m isogain.{name}",
        description="\n\n".join(textwrap.fill(" ".join(p.split()), 100) for p in paragraphs),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_folder(told: argparse.ArgumentParser, several: bool = False) -> None:
    """The runs that a tool reads: `options.folder`, or with `several` `options.folders`."""
    what = "a sweep's folder, a run's, or one above them"
    if several:
        told.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help=what)
    else:
        told.add_argument("folder", type=Path, metavar="FOLDER", help=what)


def told(line: str, code: int = 1) -> int:
    """Say on stderr, in one line, what is wrong; the exit code."""
    with suppress(OSError):  # nobody reads it: the code is what is left
        print(f"error: {printable(' '.join(line.split()))}", file=sys.stderr, flush=True)
    return code


def exit_code(call: Callable[[], object], extra: str = "results") -> int:
    """0 after `call`, or 1 and a line where it raises what a user can put right; `extra` is what it needs installed."""
    tolerate_()
    try:
        call()
        sys.stdout.flush()
    except ImportError as error:
        return told(f"{error.name} is missing: pip install -e '.[{extra}]'")
    except KeyError as error:
        return told(str(error.args[0]))
    except OSError as error:
        if error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC):
            raise  # of standard output: isogain.config.streams ends the program
        return told(f"{error.filename}: {error.strerror}" if error.strerror else str(error))
    except (UserError, ValueError, OverflowError) as error:
        return told(str(error))
    return 0
