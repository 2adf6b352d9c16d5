"""A module run in another precision, in eval mode and without fast paths, and left bitwise as it was."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy
import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

DICTS = ("_parameters", "_buffers", "_modules")  # of a module, which it may write to in its forward


def cast(value: Any, dtype: torch.dtype) -> Any:
    """A copy without gradient, in `dtype` if it is a floating tensor; what is no tensor, as it is."""
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    return value.to(dtype, copy=True) if value.is_floating_point() else value.clone()


def weights_in(net: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """Copies of parameters and buffers in `dtype`, which `torch.func.functional_call` takes."""
    own = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    return {name: cast(value, dtype) for name, value in own.items()}


@contextmanager
def measured(net: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """The module in eval mode, its plain tensors in `dtype`; afterwards, however it ends, all as before.

    What is put back: modes of each submodule (set by hand: an `eval` of its own may merge weights), attributes, and
    the states of all generators.
    """
    with _attributes_kept(net), _generators_kept(net), _plain_kernels(net):
        for module in net.modules():
            own = vars(module)
            own["training"] = False
            own.update({k: cast(v, dtype) for k, v in own.items() if isinstance(v, Tensor)})
        yield


@contextmanager
def _attributes_kept(net: nn.Module) -> Iterator[None]:
    kept = [
        (module, dict(vars(module)), {name: dict(vars(module)[name]) for name in DICTS})
        for module in net.modules()
    ]
    try:
        yield
    finally:
        for module, attributes, dicts in kept:
            vars(module).clear()
            vars(module).update(attributes)
            for name, values in dicts.items():
                vars(module)[name].clear()
                vars(module)[name].update(values)


@contextmanager
def _generators_kept(net: nn.Module) -> Iterator[None]:
    own = [v for m in net.modules() for v in vars(m).values() if isinstance(v, torch.Generator)]
    states, python, of_numpy = [g.get_state() for g in own], random.getstate(), _numpys_state()
    devices = {t.device.index for t in net.parameters() if t.is_cuda}
    try:
        with torch.random.fork_rng([d for d in devices if d is not None]):
            yield
    finally:
        for generator, state in zip(own, states, strict=True):
            generator.set_state(state)
        random.setstate(python)
        numpy.random.set_state(of_numpy)


def _numpys_state() -> Any:
    return numpy.random.get_state()


@contextmanager
def _plain_kernels(net: nn.Module) -> Iterator[None]:
    """Kernels that can be differentiated twice, and a graph that backward passes need no module for."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in net.modules())
    cuda = any(p.is_cuda for p in net.parameters())
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        for device in ("cpu", "cuda") if cuda else ("cpu",):
            stack.enter_context(torch.autocast(device, enabled=False))
        if recurrent and cuda:  # cuDNN's recurrent kernels have no second derivative
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(_without_checkpoints())
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _without_checkpoints() -> Iterator[None]:
    """Checkpointed functions are called plainly: run again by a backward pass, they would meet other weights.

    Breaks when `torch.utils.checkpoint.checkpoint` no longer calls its `_checkpoint_impl`: test_along runs both ways.
    """
    module = torch.utils.checkpoint
    own = module._checkpoint_impl
    module._checkpoint_impl = lambda function, args, kwargs, **_: function(*args, **kwargs)
    try:
        yield
    finally:
        module._checkpoint_impl = own
