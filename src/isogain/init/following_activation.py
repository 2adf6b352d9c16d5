"""Which activation a kernel's pre-activations go through, as far as a network's structure says it.

Read are the order of `nn.Sequential`, the options of `nn.RNN` and `nn.RNNCell`, and
`nn.TransformerEncoderLayer.activation` after linear1; what a `forward` of one's own does is not.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from isogain.theory.gaussian import Phi

NAMES: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Tanh: "tanh"}
FUNCTIONS = {functional.relu: "relu", torch.relu: "relu", torch.tanh: "tanh"}
PASSED = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout)  # pre-activations stay what they are
AFFINE = (nn.Linear, nn.modules.conv._ConvNd)


class Unread(Exception):
    """Why the activation after a kernel cannot be read."""


def following_activation(net: nn.Module, module: nn.Module, name: str) -> Phi:
    """The name of the activation after `module.name`, "linear" where another affine layer or the end of `net` is next.

    Raises Unread where the structure does not say it.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.Tanh(), nn.Linear(3, 1))
    >>> following_activation(net, net[0], "weight"), following_activation(net, net[3], "weight")
    ('tanh', 'linear')
    """
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return _of_recurrence(module, name)
    if not isinstance(module, AFFINE):
        raise Unread(f"{type(module).__name__} is no affine layer")
    if module is net:
        return "linear"
    for parent in net.modules():
        if isinstance(parent, nn.TransformerEncoderLayer) and parent.linear1 is module:
            return _named(parent.activation)
    return _after(net, module)


def _of_recurrence(module: nn.Module, name: str) -> str:
    if name.startswith("weight_ih"):
        raise Unread("it brings the input, of which theory knows the size alone")
    if isinstance(module, nn.RNN | nn.RNNCell):
        return str(module.nonlinearity)
    raise Unread(f"the gates of {type(module).__name__} have no one activation")


def _named(what: object) -> str:
    """The name of a module or function; raises Unread where theory knows it under none."""
    if isinstance(what, nn.Hardtanh) and (what.min_val, what.max_val) == (-1, 1):
        return "hardtanh"
    name = NAMES.get(type(what)) if isinstance(what, nn.Module) else FUNCTIONS.get(what)  # type: ignore[call-overload]
    if name is None:
        kind = getattr(what, "__name__", type(what).__name__)
        raise Unread(f"{kind} is none of the activations that isogain has a name for")
    return name


def _after(net: nn.Module, module: nn.Module) -> str:
    """What follows a module in the order of the sequences that it lies in."""
    follower = next(_followers(net, module), None)
    if follower is None or isinstance(follower, AFFINE):
        return "linear"
    return _named(follower)


def _followers(net: nn.Module, module: nn.Module) -> Iterator[nn.Module]:
    """The modules that run after `module`, nearest first, without those that pass a signal on as it is."""
    parent, at = _parent(net, module)
    if type(parent).forward is not nn.Sequential.forward:
        raise Unread(f"the forward of {type(parent).__name__} says what follows, not its structure")
    for later in list(parent.children())[at + 1 :]:
        yield from _first(later)
    if parent is not net:
        yield from _followers(net, parent)


def _first(module: nn.Module) -> Iterator[nn.Module]:
    """The modules of a sequence one by one, and any other as it is."""
    if type(module).forward is nn.Sequential.forward:
        for inner in module.children():
            yield from _first(inner)
    elif not isinstance(module, PASSED):
        yield module


def _parent(net: nn.Module, module: nn.Module) -> tuple[nn.Module, int]:
    """The module that holds it, and its place there; raises Unread where it lies in several."""
    holders = [
        (parent, at)
        for parent in net.modules()
        for at, child in enumerate(parent._modules.values())
        if child is module
    ]
    if len(holders) != 1:
        raise Unread(f"its module is in {len(holders)} places")
    return holders[0]
