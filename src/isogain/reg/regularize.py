"""A regulariser around any torch optimiser, in any training loop."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from isogain.reg.base import Regularizer
from isogain.reg.handle import Handle, StepClock
from isogain.reg.held_parameters import HeldParameter, Target, held_parameters, is_wrapper
from isogain.reg.kernel_stack import KernelStack, kernel_stacks
from isogain.reg.kernel_views import Blocks, Function
from isogain.reg.optimizer_moments import Moments, moments_of
from isogain.reg.parameter_groups import (
    add_group_,
    exchange_,
    group_of,
    groups_to_set,
    innermost,
    refuse_new_group,
    set_options_,
    unscaled_before_step,
)
from isogain.reg.parametrized_kernel import ParametrizedKernel, holders
from isogain.reg.step_hooks import handles_on

log = logging.getLogger(__name__)


def regularize(
    optimizer: Any,
    target: Target,
    reg: Regularizer,
    view: Function | None = None,
    blocks: Blocks | None = None,
    match: str | Sequence[str] | None = None,
    moments: Moments | None = None,
    steps: int | None = None,
    steps_per_epoch: int | None = None,
    hooks: bool = True,
) -> Handle:
    """Let `reg` act on parameters around every step of an optimiser that is there already; returns its `Handle`.

    `target` is a parameter, a module with one clear kernel (nn.Linear: weight; nn.GRU, nn.LSTM: weight_hh_l*, each
    gate a matrix), (module, name), or a module with `match`, a pattern of its parameters' names or several. `view`
    maps a parameter to matrices (..., n, k); `blocks` splits its rows into as many matrices ("qkv": three). Parameters
    of equal shape are held as one stack. What a constraint fixes has no weight decay: its parameters move to a group
    without. `gain="learned"` adds a group; Lie and Spectral exchange the parameter, and the optimiser's state of it
    begins afresh. So the order is: optimiser, regularize, learning-rate scheduler, then checkpoints are loaded.
    `moments` declares what the state of an optimiser holds that isogain does not know (`reg.optimizer_moments`).
    `steps`, the length of training in optimiser steps, and `steps_per_epoch` give schedules their time.
    `hooks=False`: a trainer calls the handle's two moments itself.

    Raises TypeError or ValueError for what cannot be held, before anything is changed.

    >>> layer = nn.Linear(3, 3)
    >>> optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    >>> from isogain.reg import Stiefel
    >>> handle = regularize(optimizer, layer.weight, Stiefel())
    >>> layer(torch.ones(3)).sum().backward()
    >>> optimizer.step()
    >>> torch.allclose(layer.weight.mT @ layer.weight, torch.eye(3), atol=1e-5)
    True
    """
    inner = innermost(optimizer)
    held = held_parameters(target, match, view, blocks)
    _check(inner, target, held, reg)
    _check_time(reg, steps, steps_per_epoch)
    reg.bind(inner, moments)
    kernels = _attached(inner, held, reg)
    unscaled_before_step(inner)
    known = _known_moments(inner, moments)
    return Handle(inner, reg, kernels, known, StepClock(steps, steps_per_epoch), hooks)


def regularize_attached(
    optimizer: Any,
    kernels: Sequence[ParametrizedKernel],
    reg: Regularizer,
    moments: Moments | None = None,
    steps: int | None = None,
    steps_per_epoch: int | None = None,
    hooks: bool = True,
) -> Handle:
    """`regularize` of kernels that `reg` re-parametrised before there was an optimiser, which moves what it made.

    Raises ValueError where it does not, or where a scheduler knows its groups and weight decay has to go.

    >>> from isogain.reg import Lie
    >>> from isogain.reg.held_parameters import held_parameters
    >>> layer = nn.Linear(3, 3)
    >>> kernel, reg = ParametrizedKernel(held_parameters(layer)[0]), Lie()
    >>> kernel.attach(reg)
    >>> regularize_attached(torch.optim.SGD(layer.parameters(), lr=0.1), [kernel], reg).kernels == [kernel]
    True
    """
    inner = innermost(optimizer)
    _refuse_lbfgs(inner)
    _check_time(reg, steps, steps_per_epoch)
    leaves = [leaf for kernel in kernels for leaf in kernel.parameters_moved()]
    for leaf in leaves:
        group_of(inner, leaf, "a leaf of the parametrisation")
    _refuse_groups(inner, leaves, reg)
    reg.bind(inner, moments)
    set_options_(inner, leaves, _options(inner, reg))
    unscaled_before_step(inner)
    known = _known_moments(inner, moments)
    return Handle(inner, reg, kernels, known, StepClock(steps, steps_per_epoch), hooks)


def _check(
    optimizer: Optimizer, target: Target, held: list[HeldParameter], reg: Regularizer
) -> None:
    _refuse_lbfgs(optimizer)
    for h in held:
        group_of(optimizer, h.weight, h.name)
    _refuse_twice(optimizer, held, reg)
    _refuse_groups(optimizer, [h.weight for h in held], reg)
    if getattr(reg, "gain", None) == "learned":
        refuse_new_group(optimizer, "a learned gain")
        if type(optimizer).__name__ == "Muon":
            raise ValueError(
                'gain="learned" needs an optimiser that moves numbers, and Muon moves matrices alone: give a gain'
            )
    if reg.reparametrizes:
        _check_exchange(optimizer, target, held, reg)


def _refuse_lbfgs(optimizer: Optimizer) -> None:
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError(
            "LBFGS moves and evaluates several times within a step, off the constraint: take another optimiser"
        )


def _refuse_groups(optimizer: Optimizer, weights: list[Tensor], reg: Regularizer) -> None:
    """Raises ValueError where the weights need a group of their own that a scheduler would not know."""
    options = _options(optimizer, reg)
    if groups_to_set(optimizer, weights, options) and not _alone(optimizer, weights, options):
        refuse_new_group(optimizer, f"{type(reg).__name__} without weight decay")


def _refuse_twice(optimizer: Optimizer, held: list[HeldParameter], reg: Regularizer) -> None:
    """Raises ValueError for a parameter that is held already, unless both only add to its gradient."""
    for other in handles_on(optimizer):
        theirs = {id(w) for kernel in other.kernels for w in kernel.parameters_moved()}
        for h in held:
            if id(h.weight) in theirs and (reg.holds or other.reg.holds):
                name = type(other.reg).__name__
                raise ValueError(
                    f"{h.name} is held by {name} already: call remove() on that handle first"
                )
    if len({id(h.weight) for h in held}) < len(held):
        raise ValueError("two of the names are of one shared parameter: leave one out")


def _options(optimizer: Optimizer, reg: Regularizer) -> dict[str, Any]:
    """What the group of a held parameter has: no weight decay, and one second moment a matrix where `reg` asks."""
    options: dict[str, Any] = {"weight_decay": 0} if reg.holds else {}
    if getattr(optimizer, "second_moment_per_matrix", False) and reg.adam == "scalar":
        options["per_matrix"] = True
    return options


def _alone(optimizer: Optimizer, weights: list[Tensor], options: dict[str, Any]) -> bool:
    """Whether every group that changes holds these parameters and no others."""
    groups = groups_to_set(optimizer, weights, options)
    return all(len(ours) == len(group["params"]) for group, ours in groups)


def _check_exchange(
    optimizer: Optimizer, target: Target, held: list[HeldParameter], reg: Regularizer
) -> None:
    name = type(reg).__name__
    root = target[0] if isinstance(target, tuple) else target
    if isinstance(root, nn.Module) and is_wrapper(root):
        raise ValueError(
            f"{name} exchanges the parameter: call regularize before {type(root).__name__} wraps the module"
        )
    for h in held:
        if h.module is None:
            raise ValueError(
                f"{name} exchanges the parameter in its module: pass (module, name) instead of {h.name}"
            )
        if len(owners := holders(h.weight)) > 1:
            kinds = ", ".join(sorted(type(owner).__name__ for owner in owners))
            raise ValueError(
                f"{name} exchanges {h.name}, which several modules share ({kinds}): untie them first"
            )
        if type(optimizer).__name__ == "Muon" and hasattr(reg, "margin"):
            raise ValueError(
                f"{name} has a vector of singular values, and Muon moves matrices alone: take another optimiser"
            )


def _check_time(reg: Regularizer, steps: int | None, steps_per_epoch: int | None) -> None:
    for name, value in (("steps", steps), ("steps_per_epoch", steps_per_epoch)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be a number of optimiser steps >= 1, got {value}")
    reads = reg.reads_of_time()
    if "epoch" in reads and steps_per_epoch is None:
        raise ValueError(
            f"{type(reg).__name__} has epochs or an onset, which are in epochs: pass steps_per_epoch="
        )
    if "fraction" in reads and steps is None:
        raise ValueError(
            f"{type(reg).__name__} has a schedule over the whole training: pass steps=, its length in steps"
        )


def _attached(
    optimizer: Optimizer, held: list[HeldParameter], reg: Regularizer
) -> list[KernelStack] | list[ParametrizedKernel]:
    weights = [h.weight for h in held]
    if reg.holds:
        _begin_afresh_(optimizer, held)
    set_options_(optimizer, weights, _options(optimizer, reg))
    if reg.reparametrizes:
        return [_exchanged(optimizer, h, reg) for h in held]
    learned = {id(gain) for gain in reg.scales()}
    stacks = kernel_stacks(held)
    with torch.no_grad():
        for stack in stacks:
            stack.attach(reg)
    if gains := [gain for gain in reg.scales() if id(gain) not in learned]:
        like = group_of(optimizer, weights[0], held[0].name)
        add_group_(
            optimizer,
            gains,
            like,
            **{k: v for k, v in (("weight_decay", 0), ("per_matrix", False)) if k in like},
        )
    return stacks


def _begin_afresh_(optimizer: Optimizer, held: list[HeldParameter]) -> None:
    if states := [h for h in held if optimizer.state.pop(h.weight, None)]:
        log.info(
            "%d held parameters had been trained: their optimiser state begins afresh", len(states)
        )


def _exchanged(optimizer: Optimizer, held: HeldParameter, reg: Regularizer) -> ParametrizedKernel:
    kernel = ParametrizedKernel(held)
    kernel.attach(reg)
    leaves = kernel.parameters_moved()
    exchange_(optimizer, held.weight, leaves)
    log.info(
        "%s is re-parametrised by %s: the optimiser moves %d parameters in its place",
        held.name,
        type(reg).__name__,
        len(leaves),
    )
    return kernel


def _known_moments(optimizer: Optimizer, moments: Moments | None) -> Moments:
    """The optimiser's moments, none where it is unknown and `reg.bind` did not ask."""
    try:
        return moments_of(optimizer, moments)
    except ValueError:
        if moments is not None:
            raise
        return {}
