"""A copy of any module to be measured, in eval mode and a precision of its own: the module is left alone, bitwise."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase

WRAPPERS = (nn.parallel.DistributedDataParallel, nn.DataParallel)


@contextmanager
def measured_copy(net: nn.Module, dtype: torch.dtype | None = None) -> Iterator[nn.Module]:
    """A copy in eval mode, in `dtype` or the widest of its parameters' types, float32 at least, while the body runs.

    In the body gradients are on, autocast is off, attention and recurrences take the paths that can be differentiated
    twice, and what is drawn from the global generators is put back. Raises ValueError where the module has no
    parameter with `requires_grad`, complex parameters, or a normalisation that has no running statistics.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    >>> with measured_copy(net, torch.float64) as plain:
    ...     plain.training, plain[0].weight.dtype, net.training
    (False, torch.float64, True)
    """
    net = _unwrapped(net)
    _check(net)
    recurrent = any(isinstance(module, nn.RNNBase) for module in net.modules())
    devices = sorted({p.device.index for p in net.parameters() if p.is_cuda})
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.random.fork_rng(devices))
        for kind in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if (
            recurrent
        ):  # the fused recurrences have no second derivative, and on a GPU none in eval mode
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            # not by its `flags`, which warn of Intel's GPUs
            stack.callback(setattr, torch.backends.mkldnn, "enabled", torch.backends.mkldnn.enabled)
            setattr(torch.backends.mkldnn, "enabled", False)  # noqa: B010
        fast = torch.backends.mha.get_fastpath_enabled()
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        yield _copied(net).to(dtype or _widest(net)).eval()


def _unwrapped(net: nn.Module) -> nn.Module:
    """The module inside DistributedDataParallel and torch.compile; breaks when the latter renames `_orig_mod`."""
    while isinstance(net, WRAPPERS) or "_orig_mod" in net._modules:
        net = net._modules["module" if isinstance(net, WRAPPERS) else "_orig_mod"]  # type: ignore[assignment]
    return net


def _check(net: nn.Module) -> None:
    if not any(p.requires_grad for p in net.parameters()):
        raise ValueError(
            f"{type(net).__name__} has no parameter with requires_grad, so no curvature"
        )
    for name, p in net.named_parameters():
        if p.is_complex():
            raise ValueError(f"{name} is complex: curvature is by real parameters")
    for name, module in net.named_modules():
        batch = isinstance(module, _NormBase) and "BatchNorm" in type(module).__name__
        if batch and module.running_mean is None:
            raise ValueError(
                f"{name} ({type(module).__name__}) has no running statistics: its examples depend on one another, "
                "so none has a gradient of its own; give it track_running_stats=True"
            )


def _copied(net: nn.Module) -> nn.Module:
    """A deep copy; tensors with a graph, such as the weights that torch's pruning leaves, become plain ones."""
    held = (v for module in net.modules() for v in vars(module).values() if isinstance(v, Tensor))
    return copy.deepcopy(net, {id(v): v.detach().clone() for v in held if not v.is_leaf})


def _widest(net: nn.Module) -> torch.dtype:
    floats = (p.dtype for p in net.parameters() if p.is_floating_point())
    return reduce(torch.promote_types, floats, torch.float32)
