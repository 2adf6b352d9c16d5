"""Norms of gradients: of the parameters by layer and gate, and of the signal at every layer or time step."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce, singledispatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils._pytree import tree_leaves

from isogain.diagnostics.kernel_labels import gated_weights, kernel_labels, named_kernels
from isogain.diagnostics.precision import precise
from isogain.diagnostics.pulled import pull_scaled_, rescale_
from isogain.linalg.half import working_type
from isogain.models.along import Along
from isogain.models.base import Network
from isogain.models.examples import Examples
from isogain.models.traced import joined
from isogain.models.trajectory import Batch, Trajectory


def gradient_norms(net: nn.Module) -> dict[str, float]:
    """2-norm of every parameter's gradient; a kernel gives one norm a matrix (layer, gate). Without
    gradient: absent.

    One transfer from the device, however many parameters. Of a module that is no Network a parameter has the name
    that it has there, with "/" for ".", and weight_hh of nn.LSTM and nn.GRU a norm a gate, `rnn/weight_hh_l0/f`.

    >>> from isogain.models import MLP
    >>> net = MLP(2, 3, hidden=4, depth=2)
    >>> net(torch.ones(1, 2)).sum().backward()
    >>> norms = gradient_norms(net)
    >>> sorted(norms)[-4:], round(norms["output/bias"], 4)  # √3
    (['kernel/000', 'kernel/001', 'output/bias', 'output/weight'], 1.7321)
    """
    return _norms((labels, p.grad) for labels, p in _labelled(net) if p.grad is not None)


def gradient_ratios(net: nn.Module) -> dict[str, float]:
    """‖gradient‖/‖weight‖ for all that `gradient_norms` names; absent where the weight is zero.

    >>> from isogain.models import MLP
    >>> net = MLP(2, 3, hidden=4, depth=2)
    >>> net(torch.ones(1, 2)).sum().backward()
    >>> ratio = gradient_norms(net)["output/weight"] / net.output.weight.norm().item()
    >>> abs(gradient_ratios(net)["output/weight"] / ratio - 1) < 1e-5
    True
    """
    norms = _norms(
        (labels, value)
        for names, p in _labelled(net)
        if p.grad is not None
        for labels, value in (
            ([f"gradient {name}" for name in names], p.grad),
            (names, p.detach()),
        )
    )
    weights = {name: norm for name, norm in norms.items() if not name.startswith("gradient ")}
    return {name: norms[f"gradient {name}"] / norm for name, norm in weights.items() if norm}


def signal_gradient_norms(
    net: Trajectory, x: Any, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """log ‖∂loss/∂h_l‖ for l = 0 … L, each example's own mean loss: (B, L + 1), float64.

    The vanishing and exploding profile of Pascanu, Mikolov and Bengio 2013, section 2.

    Linear layers that are 1.1 times orthogonal scale it by 1.1 each on the way back.

    >>> from isogain.init import orthogonal_
    >>> from isogain.models import MLP
    >>> net = MLP(2, 2, hidden=2, depth=4, activation="linear").double()
    >>> _ = orthogonal_(net.kernel, 1.1)
    >>> x, y, loss = torch.ones(1, 2).double(), torch.tensor([0]), torch.nn.CrossEntropyLoss()
    >>> logs = signal_gradient_norms(net, x, y, loss)
    >>> (logs[0, :-1] - logs[0, 1:]).round(decimals=4)
    tensor([0.0953, 0.0953, 0.0953, 0.0953], dtype=torch.float64)
    """
    _, net, hs, x = precise(net, x)
    direct = direct_gradients(net, hs, x, y, loss)
    with torch.no_grad():
        return torch.stack(
            _carried_log_norms(net, [d.unsqueeze(1) for d in direct], hs, x), 1
        ).cpu()


@singledispatch
@torch.enable_grad()
def direct_gradients(
    net: Trajectory,
    hs: list[Tensor],
    x: Batch,
    y: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Sequence[Tensor]:
    """What the readout takes of every state directly, ∂loss/∂h_l with all other states fixed; (B, n) each."""
    if not isinstance(net, Network):
        raise TypeError(f"a {type(net).__name__} has no readout, of which the loss is taken")
    leaves = [h.detach().requires_grad_() for h in hs]
    total = _total(net.readout(leaves), y, loss)
    return torch.autograd.grad(total, leaves, materialize_grads=True)


@direct_gradients.register
@torch.enable_grad()
def _(
    net: Along, hs: list[Tensor], x: Examples, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> Sequence[Tensor]:
    """By the module's output, or the first floating tensor of it."""
    trace = x.trace(torch.float64)
    first = next(t for t in tree_leaves(trace.output) if isinstance(t, Tensor))
    total = _total(first.movedim(x.axis, 0), y, loss)
    if not total.requires_grad:
        raise ValueError(f"the loss does not depend on any state of {', '.join(net.names)}")
    leaves = [leaf for state in trace.states for leaf in state.leaves]
    grads = iter(torch.autograd.grad(total, leaves, retain_graph=True, materialize_grads=True))
    own = [joined([next(grads) for _ in state.leaves], x.axis) for state in trace.states]
    return [pad(g, (0, h.shape[-1] - g.shape[-1])) for g, h in zip(own, hs, strict=True)]


def _total(out: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    return reduce(torch.add, (loss(o, target) for o, target in _examples(out, y)))


def _carried_log_norms(
    net: Trajectory, direct: Sequence[Tensor], hs: list[Tensor], x: Batch
) -> list[Tensor]:
    """log ‖∂loss/∂h_l‖ for l = 0 … L, (B,) each, given what the readout takes of every h_l directly, (B, 1, n)."""
    rows = direct[-1].clone()
    scale, log_norms = rescale_(rows, rows.new_zeros(len(rows), 1, 1)), []
    for step in reversed(range(-1, len(hs) - 1)):
        log_norms.append(rows.norm(dim=(1, 2)).log() + scale.flatten())
        if step >= 0:
            scale = pull_scaled_(net, rows, scale, step, hs, x)
            scale = _add_(rows, scale, direct[step])
    return log_norms[::-1]


def _add_(rows: Tensor, scale: Tensor, other: Tensor) -> Tensor:
    """eᶜ R + S as eᵈ R, for any c; returns d."""
    if not other.any():
        return scale
    empty = ~rows.any(2, keepdim=True)
    largest = other.abs().amax((1, 2), keepdim=True).log()
    top = torch.maximum(scale.masked_fill(empty, -torch.inf), largest)
    top = top.where(top > -torch.inf, 0)
    rows.mul_((scale - top).clamp_max(0).exp()).add_(other * (-top).exp())
    return rescale_(rows, top)


def _examples(out: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one example, so that the loss of each has the weight it has alone."""
    return zip(out.split(1), y.split(1), strict=True)


def _labelled(net: nn.Module) -> Iterator[tuple[list[str], Tensor]]:
    """The parameters that have a gradient, and one label a matrix (kernels) or one."""
    if not isinstance(net, Network):
        gates = gated_weights(net)
        for name, p in net.named_parameters():
            if p.grad is not None:
                place = name.replace(".", "/")
                yield [f"{place}/{gate}" for gate in gates.get(name, "")] or [place], p
        return
    kernels = {id(w): name for name, w in named_kernels(net)}
    for name, p in net.named_parameters():
        if p.grad is not None:
            name_ = kernels.get(id(p))
            yield (kernel_labels(net, name_, p) if name_ else [name.replace(".", "/")]), p


def _norms(labelled: Iterator[tuple[list[str], Tensor]]) -> dict[str, float]:
    labels: list[str] = []
    norms: list[Tensor] = []
    for names, values in labelled:
        labels += names
        values = values.coalesce().values() if values.is_sparse else values
        rows, dtype = values.reshape(len(names), -1), working_type(values)
        norm = torch.linalg.vector_norm(rows, dim=1, dtype=dtype)
        norms.append(norm.to(norms[0].device) if norms else norm)
    return dict(zip(labels, torch.cat(norms).tolist(), strict=True)) if labels else {}
