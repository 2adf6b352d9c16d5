"""A kernel that its regulariser re-parametrises, and the parameters (leaves) that the optimiser moves instead."""

import gc
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations
from torch.optim import Optimizer

from isogain.reg.base import Regularizer, parametrization
from isogain.reg.held_parameters import HeldParameter
from isogain.reg.kernel_views import KernelView, whole
from isogain.reg.optimizer_moments import Moments
from isogain.reg.parameter_groups import exchange_


class ParametrizedKernel:
    """One parameter of a module, computed from others; a view of it is a parametrisation of its own around them."""

    def __init__(self, held: HeldParameter) -> None:
        self.held, self._stepping = held, list[Tensor]()

    @property
    def module(self) -> nn.Module:
        """Where the regulariser's parametrisation is: the module, or the one of a view around it."""
        module = cast(nn.Module, self.held.module)
        return parametrization(module, self.held.attribute) if self._is_viewed else module

    @property
    def _is_viewed(self) -> bool:
        return self.held.view.function is not whole

    @property
    def _name(self) -> str:
        return "original" if self._is_viewed else self.held.attribute

    def parameters_moved(self) -> list[Tensor]:
        """What the optimiser moves."""
        return list(parametrization(self.module, self._name).parameters())

    def attach(self, reg: Regularizer) -> None:
        """Re-parametrise."""
        if self._is_viewed:
            around = Rearranged(self.held.view)
            register_parametrization(
                cast(nn.Module, self.held.module), self.held.attribute, around, unsafe=True
            )
        reg.attach(self.module, self._name)

    def detach_(self, optimizer: Optimizer) -> None:
        """Make the kernel, as it is now, a plain parameter again, in the optimiser too and with no state."""
        leaves, module = self.parameters_moved(), cast(nn.Module, self.held.module)
        w = getattr(module, self.held.attribute).detach().clone()
        remove_parametrizations(self.module, self._name)
        if self._is_viewed:
            remove_parametrizations(module, self.held.attribute)
        plain = nn.Parameter(w)
        setattr(module, self.held.attribute, plain)
        exchange_(optimizer, leaves[0], [plain])
        for leaf in leaves[1:]:
            exchange_(optimizer, leaf, [])
        self.held.weight = plain

    def before_step(self, reg: Regularizer) -> None:
        """The regulariser's moment before a step, on every leaf that has a gradient."""
        self._stepping = [leaf for leaf in self.parameters_moved() if leaf.grad is not None]
        for leaf in self._stepping:
            reg.before_step(leaf)

    def after_step(self, reg: Regularizer, optimizer: Optimizer, moments: Moments) -> None:
        """The regulariser's moment after a step, on every leaf that had a gradient."""
        for leaf in self._stepping:
            reg.after_step(leaf, optimizer.state.get(leaf, {}))

    def matrices(self) -> Iterator[tuple[HeldParameter, Tensor, Any]]:
        """The parameter with its matrices (..., n, k)."""
        w = getattr(self.held.module, self.held.attribute)
        yield self.held, self.held.view(w.detach()), ...

    def penalty(self, reg: Regularizer) -> Tensor:
        """The penalty of the kernel as it is."""
        return reg.penalty(getattr(self.module, self._name))

    def gain(self, reg: Regularizer, place: Any) -> float | Tensor | None:
        """Its gain."""
        return reg.gain_of(getattr(self.module, self._name))


class Rearranged(nn.Module):
    """Matrices (..., n, k) -> the parameter of which they are a view that keeps every entry."""

    def __init__(self, view: KernelView) -> None:
        super().__init__()
        self.view = view
        places = view.places()
        if places.numel() != torch.Size(view.shape).numel():
            raise ValueError(
                "view leaves entries out: a re-parametrised kernel has none that stay free"
            )
        self.register_buffer("order", places.flatten().argsort(), persistent=False)
        self.order: Tensor

    def forward(self, matrices: Tensor) -> Tensor:
        return matrices.flatten()[self.order].view(self.view.shape)

    def right_inverse(self, w: Tensor) -> Tensor:
        return self.view(w).contiguous().clone()


def holders(w: Tensor) -> list[nn.Module]:
    """The modules that have w for a parameter; breaks when modules keep theirs elsewhere than in `_parameters`."""
    dicts = [d for d in gc.get_referrers(w) if isinstance(d, dict)]
    owners = [
        o for d in dicts for o in _objects_of(d) if isinstance(o, nn.Module) and o._parameters is d
    ]
    return list({id(owner): owner for owner in owners}.values())


def _objects_of(d: dict) -> Iterator[Any]:
    """What refers to a dictionary, and what has an attribute dictionary that does."""
    for referrer in gc.get_referrers(d):
        yield referrer
        if isinstance(referrer, dict):
            yield from gc.get_referrers(referrer)
