"""Which callbacks only observe: training is bitwise the same with them, without them and with other options.

- ours, which lie in isogain.callbacks, but `Regularize`, unless their option `stop` lets them end the training;
- those of Lightning in the list below;
- of all others those whose class has `only_observes = True`, as every `Diagnostic` has.

All others are assumed to change training: early stopping, averaged weights, a user's own.
"""

import sys
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

OURS = "isogain.callbacks."
LIGHTNING = ("pytorch_lightning.callbacks.", "lightning.pytorch.callbacks.")
OF_LIGHTNING = {
    "DeviceStatsMonitor",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelSummary",
    "OnExceptionCheckpoint",
    "RichModelSummary",
    "RichProgressBar",
    "TQDMProgressBar",
    "ThroughputMonitor",
}


def observes(node: Any, load: bool = True) -> bool:
    """Whether the callback that a config describes only observes; one that is null, left out, does.

    A class that is neither ours nor Lightning's is imported and asked; without `load`, only if it is in memory already.
    """
    if node is None:
        return True
    target = node.get("_target_") if isinstance(node, Mapping) else None
    if not isinstance(target, str) or node.get("stop"):
        return False
    if target.startswith(OURS):
        return target.rpartition(".")[2] != "Regularize"
    if target.startswith(LIGHTNING):
        return target.rpartition(".")[2] in OF_LIGHTNING
    return (load or target.rpartition(".")[0] in sys.modules) and _declares_it(target)


def _declares_it(target: str) -> bool:
    try:
        return getattr(resolve_name(target), "only_observes", False) is True
    except Exception:  # whatever importing a user's module raises
        return False
