"""A user's options: their ranges, the check of a composed config, and errors that are one clear line."""

from isogain.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "check": ["parts", "resolved"],
        "errors": [
            "AnotherRun",
            "CheckpointError",
            "ConfigError",
            "DataError",
            "Divergence",
            "UserError",
        ],
        "moved": ["current_name"],
        "objective": ["better", "default_objective"],
        "ranges": ["at_least", "between", "positive"],
    },
)
