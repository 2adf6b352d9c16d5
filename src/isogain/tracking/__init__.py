"""Mirrors of the record on Weights & Biases, live or offline."""

from isogain.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "dashboard": ["workspace"],
        "wandb_logger": ["Mirror"],
    },
)
