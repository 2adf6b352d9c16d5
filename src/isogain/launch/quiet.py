"""What Lightning and torch say to users who can do nothing about it, left out."""

import logging
import warnings

from isogain.record.rank import rank

UNHELPFUL = (
    ".*LeafSpec.*",
    "The number of training batches",  # metrics are logged at the end of every epoch too
    # cuDNN copies our stacked weights into one block at every call: small beside the recurrence
    "RNN module weights are not part of single contiguous",
    "The `srun` command is available on your system but is not used",  # by a run that needs no job
    ".*sync_dist=True",  # the learner has summed over the processes already
)


def quieten() -> None:
    """Leave out what Lightning and torch say to users who can do nothing about it, and what rank zero says too."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module="pytorch_lightning")
    for message in UNHELPFUL:
        warnings.filterwarnings("ignore", message=message)
    if rank() > 0:
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
