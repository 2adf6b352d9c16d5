"""Norms of gradients: of the parameters by layer and gate, and of the signal at every layer or time step."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from isogain.diagnostics.gram import bare
from isogain.half import working_type
from isogain.models.base import Network


def gradient_norms(net: Network) -> dict[str, float]:
    """2-norm of every parameter's gradient; a kernel gives one norm a matrix (layer, gate). Without
    gradient: absent.

    One transfer from the device, however many parameters.
    """
    return _norms((labels, p.grad) for labels, p in _labelled(net))


def gradient_ratios(net: Network) -> dict[str, float]:
    """‖gradient‖/‖weight‖ for all that `gradient_norms` names; absent where the weight is zero."""
    weights = _norms((labels, p.detach()) for labels, p in _labelled(net))
    return {
        name: norm / weights[name] for name, norm in gradient_norms(net).items() if weights[name]
    }


def signal_gradient_norms(
    net: Network, x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """log ‖∂loss/∂h_l‖ for l = 0 … L, each example's own mean loss: (B, L + 1), float64.

    The vanishing and exploding profile of Pascanu, Mikolov and Bengio 2013, section 2.
    """
    precise = bare(net, torch.float64).requires_grad_(False)
    x = x.double()
    with torch.enable_grad():
        hs = precise.trajectory(precise.start(x).requires_grad_(), x)
        total = sum(loss(out, target) for out, target in _examples(precise.readout(hs), y))
        grads = torch.autograd.grad(total, hs, materialize_grads=True)
    return torch.stack([_log_norms(grad) for grad in grads], 1).cpu()


def _log_norms(rows: Tensor) -> Tensor:
    """log ‖r‖ of rows whose squares may underflow: (B, n) -> (B,)."""
    largest = rows.abs().amax(-1, keepdim=True)
    unit = rows / largest.where(largest > 0, 1)
    return unit.norm(dim=-1).log() + largest.squeeze(-1).log()


def _examples(out: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one example, so that the loss of each has the weight it has alone."""
    return zip(out.split(1), y.split(1), strict=True)


def _labelled(net: Network) -> Iterator[tuple[list[str], Tensor]]:
    """The parameters that have a gradient, and one label a matrix (kernels) or one."""
    kernels = {id(w): name for name, w in net.named_kernels()}
    for name, p in net.named_parameters():
        if p.grad is not None:
            name_ = kernels.get(id(p))
            yield (net.labels(name_, p) if name_ else [name.replace(".", "/")]), p


def _norms(labelled: Iterator[tuple[list[str], Tensor]]) -> dict[str, float]:
    labels, norms = [], []
    for names, values in labelled:
        labels += names
        rows, dtype = values.reshape(len(names), -1), working_type(values)
        norms.append(torch.linalg.vector_norm(rows, dim=1, dtype=dtype))
    return dict(zip(labels, torch.cat(norms).tolist(), strict=True)) if labels else {}
