"""Standard output and error that may be closed, full, cut off or ASCII: what a program does goes on all the same."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

NAMES = ("stdout", "stderr")


class Forgiving:
    """A stream that a failed write turns into one that leads nowhere; all else is the stream's own."""

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
    """While entered, what cannot be written to standard output or error is left out: log.txt has it."""
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
    """That of a program whose output is all written: `cut` where its reader, `head` say, has enough, 1 and a line
    where a disk is full.
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
    """Open what is closed, to nowhere, and write ? for what an encoding lacks.

    Else the next file that is opened would be standard error, and get what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number, name in enumerate(NAMES, 1):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", errors="replace", closefd=False))
        with suppress(AttributeError, ValueError):  # somebody's own
            getattr(sys, name).reconfigure(errors="replace")


def silence(stream: TextIO) -> None:
    """Let a stream lead nowhere from now on, what it still holds too."""
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
