"""Standard output and error that may be closed, full, cut off or ASCII, without an effect on what the program does."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

NAMES = ("stdout", "stderr")


class Forgiving:
    """A stream that leads nowhere from its first failed write on, instead of raising an error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: it was closed
            silence(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def forgiving() -> Iterator[None]:
    """Within, text that cannot be written to standard output or error is dropped: log.txt has it."""
    open_()
    before = [getattr(sys, name) for name in NAMES]
    for name, stream in zip(NAMES, before, strict=True):
        setattr(sys, name, Forgiving(stream))
    try:
        yield
    finally:
        for name, stream in zip(NAMES, before, strict=True):
            getattr(sys, name).flush()
            setattr(sys, name, stream)


def exit_code(main: Callable[[], int], cut: int = 0) -> int:
    """The exit code of a program, once all of its output is written.

    `cut` where the reader of its output, such as `head`, has closed it; 1, with a line on stderr, where a disk is full.
    """
    open_()
    try:
        try:
            code = main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
        return cut
    except OSError as error:
        if error.filename is not None:
            raise
        silence(sys.stdout)
        code = 1
        with suppress(OSError):
            print(f"error: standard output: {error.strerror or error}", file=sys.stderr, flush=True)
    if _is_lost(sys.stderr):
        silence(sys.stderr)
    return code


def open_() -> None:
    """Open closed standard streams to nowhere, and make all of them write ? for characters that an encoding lacks.

    Else the next file that is opened would become standard error, and receive what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number, name in enumerate(NAMES, 1):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", errors="replace", closefd=False))
        with suppress(AttributeError, ValueError):  # an object of the caller's
            getattr(sys, name).reconfigure(errors="replace")


def silence(stream: TextIO) -> None:
    """Make a stream lead nowhere from now on; text that it still holds is dropped too."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _is_lost(stream: TextIO) -> bool:
    try:
        stream.flush()
    except (OSError, ValueError):
        return True
    return False
