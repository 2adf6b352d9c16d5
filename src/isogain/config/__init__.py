"""A user's options: their ranges, the check of a composed config, and errors that are one clear line."""

from typing import TYPE_CHECKING

from isogain.lazy import lazy_names

if TYPE_CHECKING:
    from isogain.config.check import parts as parts
    from isogain.config.check import resolved as resolved
    from isogain.config.errors import AnotherRun as AnotherRun
    from isogain.config.errors import CheckpointError as CheckpointError
    from isogain.config.errors import ConfigError as ConfigError
    from isogain.config.errors import DataError as DataError
    from isogain.config.errors import Divergence as Divergence
    from isogain.config.errors import UserError as UserError
    from isogain.config.moved import current_name as current_name
    from isogain.config.objective import better as better
    from isogain.config.objective import default_objective as default_objective
    from isogain.config.ranges import at_least as at_least
    from isogain.config.ranges import between as between
    from isogain.config.ranges import positive as positive

_MODULES = {
    "check": ["parts", "resolved"],
    "errors": "AnotherRun CheckpointError ConfigError DataError Divergence UserError".split(),
    "moved": ["current_name"],
    "objective": ["better", "default_objective"],
    "ranges": ["at_least", "between", "positive"],
}
__all__ = [
    "AnotherRun",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "Divergence",
    "UserError",
    "at_least",
    "better",
    "between",
    "current_name",
    "default_objective",
    "parts",
    "positive",
    "resolved",
]
__getattr__, __dir__ = lazy_names(
    __name__, {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}
)
