"""What an optimiser's state holds: which entries are tangent vectors, to be transported, and which second moments.

An optimiser declares them as `moments`, a dictionary from the names of its state's entries; for torch's own there
is one table by class.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, NAdam, Optimizer, RMSprop

Kind = Literal["tangent", "second"]
Moments = Mapping[str, Kind]  # by the names in an optimiser's state; other entries are no moments

NADAM: Moments = {"exp_avg": "tangent", "exp_avg_sq": "second"}
ADAM: Moments = {**NADAM, "max_exp_avg_sq": "second"}
BY_CLASS: dict[type[Optimizer], Moments] = {
    SGD: {"momentum_buffer": "tangent"},
    Adam: ADAM,
    torch.optim.AdamW: ADAM,  # in older versions of torch no subclass of Adam
    NAdam: NADAM,
    RMSprop: {"momentum_buffer": "tangent", "grad_avg": "tangent", "square_avg": "second"},
    Adagrad: {"sum": "second"},
}
if hasattr(torch.optim, "Muon"):  # since torch 2.9
    BY_CLASS[torch.optim.Muon] = {"momentum_buffer": "tangent"}


def moments_of(optimizer: Optimizer, moments: Moments | None = None) -> Moments:
    """The moments of an optimiser: those given, those that it declares, or those that its class has in the table.

    Raises ValueError where none of these knows it.

    >>> w = torch.zeros(2, 2, requires_grad=True)
    >>> moments_of(torch.optim.SGD([w], lr=0.1))
    {'momentum_buffer': 'tangent'}
    >>> moments_of(torch.optim.Rprop([w]), {"prev": "tangent"})
    {'prev': 'tangent'}
    """
    if moments is None:
        moments = getattr(optimizer, "moments", None)
    if moments is not None:
        return _checked(moments)
    for parent in type(optimizer).__mro__:
        if parent in BY_CLASS:
            return BY_CLASS[parent]
    raise ValueError(
        f"{type(optimizer).__name__} does not declare what its state holds, which has to stay on the manifold: "
        'give moments={name: "tangent" or "second"}'
    )


def _checked(moments: Moments) -> Moments:
    for name, kind in moments.items():
        if kind not in ("tangent", "second"):
            raise ValueError(f'moments[{name!r}] must be "tangent" or "second", got {kind!r}')
    return moments


def tangent_vectors(state: Mapping[str, Any], moments: Moments) -> list[Tensor]:
    """The entries of a parameter's optimiser state that are tangent vectors, as far as they are there already.

    >>> tangent_vectors({"step": 1, "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}, ADAM)
    [tensor([1., 1.])]
    """
    names = [name for name, kind in moments.items() if kind == "tangent"]
    return [state[name] for name in names if state.get(name) is not None]
