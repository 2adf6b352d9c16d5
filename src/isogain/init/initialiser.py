"""What an initialiser is to the rest: a name, a gain and a call; and how a plain function becomes one."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor

from isogain.theory.critical_point import Point

if TYPE_CHECKING:
    from isogain.models.base import Network


@runtime_checkable
class Initialiser(Protocol):
    """Fills kernels (..., n, k) in place, each matrix with singular values or entries in proportion to `gain`.

    `ensemble` is the law of the matrices, "orthogonal" and "gaussian" being those that theory knows; `options` are
    what it was built with.
    """

    name: str
    gain: float
    ensemble: str
    options: Mapping[str, Any]

    def __call__(self, w: Tensor) -> Tensor:
        """w, filled."""


@runtime_checkable
class NetworkInitialiser(Initialiser, Protocol):
    """One that sets more of a network than its kernels."""

    def point(self, net: "Network") -> Point:
        """Where mean-field theory has `net` once it is initialised; raises ValueError where it cannot be."""

    def finish_(self, net: "Network", x: Tensor) -> None:
        """Sets what is no kernel, on the inputs x; the kernels are set."""


OF_NETWORK = ("name", "gain", "ensemble", "options", "point", "finish_")


class FunctionInitialiser:
    """A function (w, gain=1.0, ...) -> w, or a `partial` of one, under the function's name.

    >>> from isogain.init import orthogonal_
    >>> init = FunctionInitialiser(partial(orthogonal_, gain=1.5))
    >>> init.name, init.gain
    ('orthogonal', 1.5)
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        whole = function if isinstance(function, partial) else partial(function)
        named = getattr(whole.func, "__name__", type(whole.func).__name__)
        self.name = self.ensemble = named.rstrip("_")
        self.options = dict(whole.keywords)
        self.gain: float = self.options.get("gain", 1.0)

    def __call__(self, w: Tensor) -> Tensor:
        return self.function(w)


def as_initialiser(init: Callable[[Tensor], Tensor]) -> Initialiser:
    """`init` itself where it has all that an initialiser has, else as a `FunctionInitialiser`.

    Raises TypeError where it sets a whole network and lacks something of what that takes.

    >>> from isogain.init import gaussian_
    >>> as_initialiser(gaussian_).ensemble
    'gaussian'
    """
    if hasattr(init, "finish_") or hasattr(init, "point"):
        missing = [name for name in OF_NETWORK if not hasattr(init, name)]
        if missing:
            raise TypeError(f"{type(init).__name__} sets a whole network and lacks {missing}")
    return init if isinstance(init, Initialiser) else FunctionInitialiser(init)
