"""Whether the factors of a trace multiply: every path from a state to a later one leads through all states between.

Axes: B examples.
"""

import torch
from torch import Tensor

from isogain.models.traced import Trace


def check_factors(trace: Trace) -> None:
    """Raise ValueError, with both names, where a state depends on an earlier one past those between, not on the one
    before it, or on another example's.

    Seen by a random probe that is zero for the first example, carried back to all states before.
    """
    draw = torch.Generator().manual_seed(0)
    for step in range(1, len(trace.states)):
        ends = [end for end in trace.states[step].ends if end.requires_grad]
        by_state = _carried(trace, step, ends, draw) if ends else [[]]
        name, before = trace.names[step], trace.names[step - 1]
        *earlier, own = by_state
        if not own:
            raise ValueError(
                f"the output of {name!r} does not depend on that of {before!r}: nothing leads from one to the other in "
                "the forward pass, or it is cut by detach, no_grad or a rounding"
            )
        for other, grads in zip(trace.names, earlier, strict=False):
            if any(g.isfinite().all() and g.any() for g in grads):
                raise ValueError(
                    f"the output of {name!r} depends on that of {other!r} past {before!r}, so that factors do not "
                    f"multiply: leave out what lies between, or take the end-to-end Jacobian, of the first and the "
                    f"last module alone (after LSTMCell and the like, state='all')"
                )
        if any(len(_example(g, trace)) > 1 and _first(g, trace).any() for g in own):
            raise ValueError(
                f"the output of {name!r} for one example depends on that of {before!r} for another, so that "
                "there is no Jacobian of one example: batch statistics in eval mode, or another axis (axis=...)"
            )


def _carried(
    trace: Trace, step: int, ends: list[Tensor], draw: torch.Generator
) -> list[list[Tensor]]:
    """What a probe of h_l gives at h_0, …, h_{l−1}: the gradients of those tensors that it reaches."""
    probes = [torch.randn(e.shape, generator=draw, dtype=torch.float64).to(e) for e in ends]
    for probe in probes:
        if _example(probe, trace).shape[0] > 1:
            _first(probe, trace).zero_()
    leaves = [leaf for state in trace.states[:step] for leaf in state.leaves]
    grads = iter(torch.autograd.grad(ends, leaves, probes, retain_graph=True, allow_unused=True))
    by_state = [[next(grads) for _ in state.leaves] for state in trace.states[:step]]
    return [[g for g in own if g is not None] for own in by_state]


def _example(t: Tensor, trace: Trace) -> Tensor:
    return t.movedim(trace.axis, 0)


def _first(t: Tensor, trace: Trace) -> Tensor:
    return _example(t, trace)[0]
