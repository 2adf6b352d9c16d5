"""Whether what a file holds has the shape of a checkpoint: every type that training takes for granted."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

REQUIRED = {"state_dict", "global_step", "loops", "isogain"}


def first_mistake(checkpoint: Any) -> str | None:
    """What is not as a training run saves it, in words; None where all is."""
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
        yield from _unlike(_fit_loop(), loops["fit_loop"], "loops.fit_loop")
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
    """What the files of the record had is a count and a last step, of spectra.npz by name."""
    sound = _is_dict(extent, dict)
    if sound:
        rows, events = extent.get("metrics.csv", {}), extent.get("spectra.npz", {})
        sound = _is_dict(events, dict) and all(
            not found or (found.keys() == {count, "last"} and _is_dict(found, int))
            for count, found in [("rows", rows), *(("events", event) for event in events.values())]
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
    """In words, a parameter whose moments, the optimiser's state, cannot be those of any weight; None where all can."""
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


def _unlike(like: Any, found: Any, name: str) -> Iterator[str]:
    """Where `found` lacks a key of `like`, or has another type in its place."""
    if isinstance(like, dict):
        if not isinstance(found, dict):
            yield f"{name} is no dict, it is {_kind(found)}"
            return
        for key, value in like.items():
            if key not in found:
                yield f"{name}.{key} is missing"
            else:
                yield from _unlike(value, found[key], f"{name}.{key}")
    elif isinstance(like, bool) and not isinstance(found, bool):
        yield f"{name} is {_kind(found)}, and has to be true or false"
    elif not isinstance(like, bool) and not _is_count(found):
        yield f"{name} is no count, it is {_kind(found)}"


@cache
def _fit_loop() -> dict[str, Any]:
    """The counts of a loop that has not begun. Breaks when Lightning's loop asks more of its trainer than to be."""
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
