"""The metric that a run is judged by, and whether more or less of it is better: for all that picks a best run."""

from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import Any, Literal

MORE = ("acc", "acc_best", "examples_per_second")  # the better, the larger
LESS = ("loss", "loss_best", "seconds", "steps", "final", "worst", "bpc", "perplexity")


def better(metric: str) -> int:
    """1 where larger is better, −1 where less is, 0 where the name is not known."""
    name = metric.rpartition("/")[2]
    return (name in MORE) - (name in LESS or metric.startswith("steps_to/"))


def known_sign(metric: str) -> int:
    """1 or −1 as `better` has it; raises ValueError where it is 0."""
    if sign := better(metric):
        return sign
    raise ValueError(f"{metric}: whether more or less of it is better is not known")


def direction(metric: str) -> Literal["maximize", "minimize"] | None:
    """The direction in Optuna's words; None where `better` is 0."""
    words: dict[int, Literal["maximize", "minimize"]] = {1: "maximize", -1: "minimize"}
    return words.get(better(metric))


def default_objective(has_accuracy: bool) -> str:
    """The key of summary.json that says how well a network did on a task."""
    return "val/acc_best" if has_accuracy else "val/loss"


def objective_of(config: Mapping[str, Any]) -> str:
    """The key of summary.json that the run of a config is judged by: its `objective`, else that of its task."""
    if objective := config.get("objective"):
        return str(objective)
    task = resolve_name(config["data"]["_target_"])
    return default_objective(getattr(task, "hits", None) is not None)


def wrong_modes(callbacks: Mapping[str, Any]) -> Iterator[str]:
    """A line for every callback whose `mode` (Lightning's default: min) would keep the worst value of `monitor` as the
    best.
    """
    for name, node in callbacks.items():
        monitor = node.get("monitor") if isinstance(node, Mapping) else None
        known = better(monitor) if isinstance(monitor, str) else 0
        mode = {1: "max", -1: "min"}.get(known)
        if mode and node.get("mode", "min") in {"min", "max"} - {mode}:
            side = "larger" if known > 0 else "smaller"
            yield f"callbacks.{name}.mode: a {side} {monitor} is better: use {mode}"
