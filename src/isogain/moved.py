"""Names that `_target_`s once had: old configs and a user's own YAMLs go on naming a class where it was."""

from collections.abc import Mapping
from typing import Any

# old -> new; of a module for all that lies in it. What moves again gets a line more, and the old lines their new end.
MOVED = {
    "isogain.arrays": "isogain.record.spectra_npz",
    "isogain.attempts": "isogain.record.attempts",
    "isogain.checkpoints": "isogain.record.checkpoints",
    "isogain.files": "isogain.record.atomic",
    "isogain.folder": "isogain.record.run_folder",
    "isogain.panels": "isogain.record.panels",
    "isogain.provenance": "isogain.record.provenance",
    "isogain.ranks": "isogain.record.rank",
    "isogain.record.RunRecord": "isogain.record.logger.RunRecord",
    "isogain.record.Spectrum": "isogain.record.logger.Spectrum",
    "isogain.reg.penalty.Penalty": "isogain.reg.penalty.Soft",
    "isogain.results.folders": "isogain.record.finding",
    "isogain.results.reading": "isogain.record.description",
    "isogain.status.alive": "isogain.record.processes",
    "isogain.status.record": "isogain.record.last_step",
    "isogain.sweep": "isogain.record.sweep_json",
    "isogain.table": "isogain.record.metrics_csv",
}


def current_name(target: str) -> str:
    """What a `_target_` is called today; a name that never moved is its own."""
    head, tail = target, ""
    while head:
        if head in MOVED:
            return MOVED[head] + tail
        head, _, name = head.rpartition(".")
        tail = f".{name}{tail}"
    return target


def with_current_names(node: Any) -> Any:
    """A config, plain dicts and lists, with every `_target_` under its present name."""
    if isinstance(node, list):
        return [with_current_names(child) for child in node]
    if not isinstance(node, Mapping):
        return node
    renamed = {key: with_current_names(child) for key, child in node.items()}
    if isinstance(target := node.get("_target_"), str):
        renamed["_target_"] = current_name(target)
    return renamed
