"""Mirrors of the record on Weights & Biases, live or offline."""

from typing import TYPE_CHECKING

from isogain.lazy import lazy_names

if TYPE_CHECKING:
    from isogain.tracking.dashboard import workspace as workspace
    from isogain.tracking.wandb_logger import Mirror as Mirror

__all__ = ["Mirror", "workspace"]
__getattr__, __dir__ = lazy_names(
    __name__,
    {"Mirror": f"{__name__}.wandb_logger", "workspace": f"{__name__}.dashboard"},
)
