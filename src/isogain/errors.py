"""Errors that are told to the user in one line each, without a traceback; nothing heavy is imported here."""


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


class Divergence(Exception):
    """Training met a number that is not finite: an outcome, not a mistake."""

    def __init__(self, quantity: str, value: float, step: int) -> None:
        super().__init__(f"{quantity} is {value} at step {step}")
        self.step = step
