"""Errors that reach the user as one line each, without a traceback; nothing heavy is imported here."""

import re
import signal
from collections.abc import Collection, Iterable


class UserError(Exception):
    """A mistake that the user can correct: the message says what is wrong, where, and what to do."""


class ConfigError(UserError):
    """One or more lines, each a mistake in the configuration."""


class AnotherRun(ConfigError):
    """A folder that is to be resumed holds a run, or a sweep, of another config; nothing in it was touched.

    `difference`: what differs, without the folder and what to do.
    """

    def __init__(self, message: str, difference: str = "") -> None:
        super().__init__(message)
        self.difference = difference


def refuse(lines: Iterable[str]) -> None:
    """Raise a ConfigError with these lines, where there are any."""
    if lines := list(lines):
        raise ConfigError("\n".join(lines))


def unwritten(part: object, method: str) -> NotImplementedError:
    """The error to raise in a method that every subclass has to write."""
    return NotImplementedError(f"{type(part).__name__}.{method} is not written")


def resolver_message(error: Exception) -> str:
    """The message of a ConfigError that a resolver of the config raised, "" for any other error."""
    _, _, message = str(error).partition("ConfigError raised while resolving interpolation: ")
    return message.partition("\n    full_key: ")[0]


def refusal(path: str, error: BaseException, options: Collection[str]) -> str:
    """The error that a constructor or function of the part at `path` raised, as one line.

    "gain must be positive" is about the option `path.gain`, if `gain` is one of `options`. Other messages are
    preceded by the type of the error, unless they are meant for users.
    """
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    name = re.match(r"\w+", reason)
    if isinstance(error, ValueError) and name and name[0] in options:
        return f"{path}.{reason}".lstrip(".")
    if isinstance(error, OSError) and error.strerror:
        where = ": ".join([str(part) for part in (error.filename, error.strerror) if part])
        return f"{path}: {where}"
    named = isinstance(error, UserError | ValueError) or reason == type(error).__name__
    return f"{path}: {reason if named else f'{type(error).__name__}: {reason}'}"


class DataError(UserError):
    """A data file is missing or damaged."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, or of another model."""


class FolderLost(UserError, OSError):
    """A run's folder was removed, or another one put in its place, while the run was at work in it."""


class Divergence(Exception):
    """Training met a number that is not finite: an outcome, not a mistake."""

    def __init__(self, quantity: str, value: float, step: int) -> None:
        super().__init__(f"{quantity} is {value} at step {step}")
        self.step = step


class Preempted(SystemExit):
    """A signal ended the run after a save; `requeued` where the job comes back by itself.

    Its cause, where it has one, is why submitit did not requeue it.
    """

    def __init__(self, signum: int, requeued: bool = False, code: int | str | None = None) -> None:
        super().__init__(128 + signum if code is None else code)
        self.signum, self.requeued = signal.Signals(signum), requeued


class Interrupted(KeyboardInterrupt):
    """A signal ended a run; the message says how to go on, `code` is the exit code."""

    def __init__(self, message: str, code: int = 130) -> None:
        super().__init__(message)
        self.code = code
