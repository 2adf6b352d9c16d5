"""The optimiser's own side: the innermost one, the group of a parameter, and groups that a constraint changes."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

log = logging.getLogger(__name__)


def innermost(optimizer: Any) -> Optimizer:
    """The optimiser that a wrapper (Accelerate's, Lightning's) steps; raises TypeError where there is none.

    >>> from torch import nn, optim
    >>> sgd = optim.SGD([nn.Parameter(Tensor([0.0]))])
    >>> innermost(sgd) is sgd
    True
    """
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be a torch optimiser or wrap one, got {type(optimizer).__name__}"
        )
    return optimizer


def unscaled_before_step(optimizer: Optimizer) -> Optimizer:
    """The optimiser, which leaves it to a GradScaler to unscale its gradients and to skip its step, fused or not.

    Else torch's fused optimisers do both inside their step, after all that reads or edits gradients. Breaks when
    torch and Lightning stop asking for this attribute.

    >>> from torch import nn, optim
    >>> optimizer = optim.SGD([nn.Parameter(Tensor([0.0]))], lr=0.1)
    >>> unscaled_before_step(optimizer) is optimizer
    True
    """
    setattr(optimizer, "_step_supports_amp_scaling", False)  # noqa: B010 - no attribute of the class
    return optimizer


def group_of(optimizer: Optimizer, w: Tensor, name: str) -> dict[str, Any]:
    """The parameter group of w; raises ValueError where the optimiser does not move it."""
    for group in optimizer.param_groups:
        if any(p is w for p in group["params"]):
            return group
    raise ValueError(
        f"{name} {tuple(w.shape)} is not among the optimiser's parameters: it would never step"
    )


def is_scheduled(optimizer: Optimizer) -> bool:
    """Whether a learning-rate scheduler was built on it, which knows the groups that there were."""
    return any("initial_lr" in group for group in optimizer.param_groups)


def refuse_new_group(optimizer: Optimizer, reason: str) -> None:
    """Raises ValueError with the order to do it in where a scheduler knows the groups already."""
    if is_scheduled(optimizer):
        raise ValueError(
            f"{reason} takes a parameter group of its own, which the scheduler on this optimiser does not know: "
            "build the optimiser, call regularize, then build the scheduler"
        )


def add_group_(
    optimizer: Optimizer, params: Iterable[Tensor], like: Mapping[str, Any], **options: Any
) -> None:
    """Append a group with the options of another one; a learning rate that is a tensor is copied."""
    group = {k: v.clone() if isinstance(v, Tensor) else v for k, v in like.items() if k != "params"}
    optimizer.add_param_group(group | options | {"params": list(params)})


def groups_to_set(
    optimizer: Optimizer, params: Sequence[Tensor], options: Mapping[str, Any]
) -> list[tuple[dict[str, Any], list[Tensor]]]:
    """The groups of which an option has another value, each with those of `params` that are in it."""
    ours = {id(p) for p in params}
    pairs = [(g, [p for p in g["params"] if id(p) in ours]) for g in optimizer.param_groups]
    return [
        (g, mine) for g, mine in pairs if mine and any(g.get(k, 0) != v for k, v in options.items())
    ]


def set_options_(
    optimizer: Optimizer, params: Sequence[Tensor], options: Mapping[str, Any]
) -> None:
    """Give these parameters the options, in a group of their own where they share one with others."""
    for group, ours in groups_to_set(optimizer, params, options):
        changed = ", ".join(
            f"{k} {group.get(k)} -> {v}" for k, v in options.items() if group.get(k) != v
        )
        log.info("%d held parameters: %s", len(ours), changed)
        if len(ours) == len(group["params"]):
            group.update(options)
            continue
        kept = {id(p) for p in ours}
        group["params"] = [p for p in group["params"] if id(p) not in kept]
        add_group_(optimizer, ours, group, **options)


def exchange_(optimizer: Optimizer, old: Tensor, new: Sequence[Tensor]) -> None:
    """Put parameters in the place of another one, with no state."""
    group = group_of(optimizer, old, "the parameter")
    params = group["params"]
    place = next(i for i, p in enumerate(params) if p is old)
    group["params"] = [*params[:place], *new, *params[place + 1 :]]
    optimizer.state.pop(old, None)
