"""Whether the content of a file has the structure of a checkpoint: every type that training relies on."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

REQUIRED = {"state_dict", "global_step", "loops", "isogain"}


def first_mistake(checkpoint: Any) -> str | None:
    """The first thing in `checkpoint` that no training run saves, in words; None where it is sound."""
    return next(_mistakes(checkpoint), None)


def _mistakes(checkpoint: Mapping[str, Any]) -> Iterator[str]:
    if not _is_count(checkpoint["global_step"]):
        yield f"global_step is no number of steps, it is {_kind(checkpoint['global_step'])}"
    weights = checkpoint["state_dict"]
    if not _is_dict(weights, Tensor):
        yield "state_dict is no dict of tensors by name"
        return
    loops = checkpoint["loops"]
    if not isinstance(loops, dict) or "fit_loop" not in loops:
        yield "loops has no fit_loop"
    else:
        yield from _differences(_fit_loop(), loops["fit_loop"], "loops.fit_loop")
    yield from _of_isogain(checkpoint["isogain"])
    yield from _of_optimizers(checkpoint.get("optimizer_states"))
    if not _is_list(checkpoint.get("lr_schedulers"), dict):
        yield "lr_schedulers is no list of dicts"
    if not _is_dict(checkpoint.get("callbacks"), dict):
        yield "callbacks is no dict of dicts by name"
        return
    for name, state in checkpoint.get("callbacks", {}).items():
        if not _is_count(state.get("measured_at", 0), at_least=-1):
            yield f"callbacks.{name}.measured_at is no number of steps"
    if not isinstance(checkpoint.get("pytorch-lightning_version"), str):
        yield "it names no version of Lightning"


def _of_isogain(state: Any) -> Iterator[str]:
    kinds = {"tally": Tensor, "metrics": dict, "optim": str, "reg": str, "rng": Tensor}
    if not isinstance(state, dict):
        yield f"isogain is no dict, it is {_kind(state)}"
        return
    for name, kind in (kinds | {"cuda_rng": list}).items():
        if not isinstance(state.get(name), kind):
            yield f"isogain.{name} is {_kind(state.get(name))}, and has to be {kind.__name__}"
            return
    if (
        not state["tally"].is_floating_point()
        or not state["tally"].numel() % 4 == 0 < state["tally"].numel()
    ):
        yield "isogain.tally is not four sums a process"
    if not _is_dict(state["metrics"], int | float | str | None):
        yield "isogain.metrics holds more than numbers"
    now = torch.get_rng_state()
    if (state["rng"].shape, state["rng"].dtype) != (now.shape, now.dtype):
        yield "isogain.rng is no state of the random numbers"
    if not _is_list(state["cuda_rng"], Tensor):
        yield "isogain.cuda_rng is no list of tensors"
    yield from _of_record(state.get("record", {}))


def _of_record(extent: Any) -> Iterator[str]:
    """The extent of each file of the record has to be a count and a last step; that of spectra.npz, one by name."""
    sound = _is_dict(extent, dict)
    if sound:
        rows, events = extent.get("metrics.csv", {}), extent.get("spectra.npz", {})
        sound = _is_dict(events, dict) and all(
            not size or (size.keys() == {count, "last"} and _is_dict(size, int))
            for count, size in [("rows", rows), *(("events", event) for event in events.values())]
        )
    if not sound:
        yield "isogain.record does not say how many rows and events there are"


def _of_optimizers(states: Any) -> Iterator[str]:
    if not _is_list(states, dict) or len(states) != 1:
        yield "optimizer_states is no list of one optimiser's"
        return
    (optimizer,) = states
    groups, state = optimizer.get("param_groups"), optimizer.get("state")
    if not _is_list(groups, dict) or not all(_is_list(g.get("params"), int) for g in groups):
        yield "optimizer_states.param_groups is no list of groups of parameters"
        return
    numbers = [number for group in groups for number in group["params"]]
    if sorted(numbers) != list(range(len(numbers))):
        yield "optimizer_states.param_groups does not count the parameters"
    if not all(isinstance(group.get("lr"), float | int | Tensor) for group in groups):
        yield "optimizer_states.param_groups has a group without lr"
    if not isinstance(state, dict) or not all(_is_dict(entry, object) for entry in state.values()):
        yield "optimizer_states.state is no dict of dicts"
        return
    if set(state) - set(numbers):
        yield "optimizer_states.state is of parameters that no group has"


def stray_moments(checkpoint: Mapping[str, Any]) -> str | None:
    """The first parameter whose moments, the optimiser's state, fit no weight, in words; None where all fit."""
    shapes = {tuple(w.shape) for w in checkpoint["state_dict"].values()}
    for number, entry in checkpoint["optimizer_states"][0]["state"].items():
        if not _fits(entry, shapes):
            return f"optimizer_states.state of parameter {number} fits no weight"
    return None


def _fits(entry: Mapping[str, Any], shapes: set[tuple[int, ...]]) -> bool:
    """Whether all moments can be those of one parameter: a number, of its shape, or a number a matrix of it."""
    moments = [tuple(v.shape) for v in entry.values() if isinstance(v, Tensor) and v.numel() != 1]
    whole = [shape for shape in moments if shape in shapes]
    reduced = {(*shape[:-2], 1, 1) for shape in whole}
    others = all(isinstance(v, Tensor | int | float | None) for v in entry.values())
    return (
        others
        and all(shape in whole or shape in reduced for shape in moments)
        and len(set(whole)) <= 1
    )


def _differences(pattern: Any, value: Any, name: str) -> Iterator[str]:
    """A line for each key of `pattern` that `value` lacks, or that has another type there."""
    if isinstance(pattern, dict):
        if not isinstance(value, dict):
            yield f"{name} is no dict, it is {_kind(value)}"
            return
        for key, child in pattern.items():
            if key not in value:
                yield f"{name}.{key} is missing"
            else:
                yield from _differences(child, value[key], f"{name}.{key}")
    elif isinstance(pattern, bool) and not isinstance(value, bool):
        yield f"{name} is {_kind(value)}, and has to be true or false"
    elif not isinstance(pattern, bool) and not _is_count(value):
        yield f"{name} is no count, it is {_kind(value)}"


@cache
def _fit_loop() -> dict[str, Any]:
    """The counts of a loop that has not begun. Breaks when Lightning's loop needs an attribute of its trainer here."""
    from pytorch_lightning.loops import _FitLoop

    return _FitLoop(SimpleNamespace()).state_dict()


def _is_count(value: Any, at_least: int = 0) -> bool:
    return type(value) is int and at_least <= value < 2**53


def _is_dict(value: Any, kind: Any) -> bool:
    """Whether it is a dict whose keys are texts and whose values are of a kind."""
    return isinstance(value, dict) and all(
        isinstance(k, str) and (kind is object or isinstance(v, kind)) for k, v in value.items()
    )


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"of type {type(value).__name__}"
