"""What Lightning and torch say to users who can do nothing about it, left out."""

import logging
import warnings
from pathlib import Path

from isogain.record.rank import rank

UNHELPFUL = (
    ".*LeafSpec.*",
    "The number of training batches",  # metrics are logged at the end of every epoch too
    # cuDNN copies our stacked weights into one block at every call: small beside the recurrence
    "RNN module weights are not part of single contiguous",
    "The `srun` command is available on your system but is not used",  # by a run that needs no job
    ".*sync_dist=True",  # the learner has summed over the processes already
)
ASKED_FOR = (
    "callbacks",
    "profilers",
    "tuner",
)  # Lightning's packages that speak only where a user chose them


def quieten() -> None:
    """Leave out what Lightning and torch say to users who can do nothing about it, and what rank zero says too."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ASKED_FOR:
        logging.getLogger(f"pytorch_lightning.{name}").setLevel(logging.INFO)
    rank_zero = logging.getLogger(
        "pytorch_lightning.utilities.rank_zero"
    )  # Lightning's own, and callbacks'
    rank_zero.setLevel(logging.INFO)
    rank_zero.addFilter(_is_asked_for)
    warnings.filterwarnings("ignore", category=FutureWarning, module="pytorch_lightning")
    for message in UNHELPFUL:
        warnings.filterwarnings("ignore", message=message)
    if rank() > 0:
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")


def _is_asked_for(record: logging.LogRecord) -> bool:
    """Whether a record of what rank zero says is a warning, or comes from a part that a user chose."""
    package = Path(record.pathname).parent.name
    return record.levelno >= logging.WARNING or package in ASKED_FOR
