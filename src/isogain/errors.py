"""Errors that are told to the user in one line each, without a traceback; nothing heavy is imported here."""

import signal


class UserError(Exception):
    """Something that the user can put right: the message says what, where and what to do."""


class ConfigError(UserError):
    """One or more lines, each a mistake in the configuration."""


def resolver_said(error: Exception) -> str:
    """The message of a ConfigError that a resolver of the config raised, "" for any other error."""
    _, _, said = str(error).partition("ConfigError raised while resolving interpolation: ")
    return said.partition("\n    full_key: ")[0]


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
    """A run that was told to end, and how to go on; `code` is the exit code."""

    def __init__(self, told: str, code: int = 130) -> None:
        super().__init__(told)
        self.code = code
