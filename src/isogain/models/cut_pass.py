"""The forward pass that makes a trace: hooks hand on a fresh leaf in place of each named module's output."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from isogain.models.examples import Examples
from isogain.models.module_states import cast, measured
from isogain.models.traced import State, Trace, split

INPUT = "input"  # the place of h_0 where it is what the module is called with
Taken = Literal["first", "all"]
_ONE_AT_A_TIME = (
    threading.RLock()
)  # while a pass lasts, the module holds weights that are not its own


class CutPass:
    """One call of `net`, in which `places` (name, module) give the states; of a module None it is the input."""

    def __init__(
        self,
        net: nn.Module,
        places: Sequence[tuple[str, nn.Module | None]],
        taken: Taken,
        x: Examples,
    ) -> None:
        self.net, self.places, self.taken, self.x = net, places, taken, x
        self.states: dict[str, State] = {}
        self.order: list[str] = []

    def run(self, weights: dict[str, Tensor], shared: dict[str, Any], dtype: torch.dtype) -> Trace:
        args, kwargs = tree_map(
            lambda v: cast(v, dtype), (self.x.args, {**self.x.kwargs, **shared})
        )
        with ExitStack() as stack:
            stack.enter_context(_ONE_AT_A_TIME)
            stack.enter_context(measured(self.net, dtype))
            for name, module in self.places:
                if module is None:
                    args, kwargs = self._cut(name, (args, kwargs))
                else:
                    stack.enter_context(_hook(module, self, name))
            output = _called(self.net, weights, args, kwargs)
        names = [name for name, _ in self.places]
        self._check_calls(names, dtype)
        return Trace(names, [self.states[name] for name in names], output, self.x.axis)

    def _cut(self, name: str, output: Any) -> Any:
        """The output with leaves in place of its floating tensors, or of the first one."""
        self.order.append(name)
        values, form = tree_flatten(output)
        at = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.is_floating_point()]
        at = at if self.taken == "all" and name != INPUT else at[:1]
        if not at:
            raise TypeError(
                f"the output of {name!r} holds no real floating tensor, got {_kind(output)}"
            )
        ends = [values[i] for i in at]
        self._check_shapes(name, ends)
        leaves = [value.detach().clone().requires_grad_() for value in self._starts(name, ends)]
        self.states[name] = State(ends, leaves)
        for i, leaf in zip(at, leaves, strict=True):
            values[i] = leaf.clone()  # what follows may write into it
        return tree_unflatten(values, form)

    def _starts(self, name: str, ends: list[Tensor]) -> list[Tensor]:
        """The values that the next step starts from: those of the trajectory that is measured."""
        step = [place for place, _ in self.places].index(name)
        if step >= len(self.x.states):
            return ends
        return [
            part.to(end)
            for part, end in zip(split(self.x.states[step], ends, self.x.axis), ends, strict=True)
        ]

    def _check_shapes(self, name: str, ends: list[Tensor]) -> None:
        for end in ends:
            axis, count = self.x.axis, len(self.x)
            if not -end.dim() <= axis < end.dim() or end.shape[axis] != count:
                raise ValueError(
                    f"the output of {name!r} has shape {tuple(end.shape)}: axis {axis} must be that of the {count} "
                    "examples of x (along(..., axis=1) where it is the second)"
                )

    def _check_calls(self, names: list[str], dtype: torch.dtype) -> None:
        for name in names:
            if (calls := self.order.count(name)) != 1:
                raise ValueError(
                    f"module {name!r} is called {calls} times in a forward pass: a state is the output of a module "
                    "that is called once" + (" through its __call__" if not calls else "")
                )
        if self.order != names:
            raise ValueError(f"names are in the order of the forward pass: {', '.join(self.order)}")
        for name in names:
            for end in self.states[name].ends:
                if end.dtype != dtype:
                    raise ValueError(
                        f"the output of {name!r} is in {end.dtype} although weights and inputs are in {dtype}: the "
                        "module casts inside, where a measurement in float64 needs that of its arguments"
                    )


class _hook:
    """A hook of a module, for as long as the block lasts."""

    def __init__(self, module: nn.Module, cuts: CutPass, name: str) -> None:
        self.module, self.cuts, self.name = module, cuts, name

    def __enter__(self) -> None:
        self.handle = self.module.register_forward_hook(
            lambda module, args, output: self.cuts._cut(self.name, output)
        )

    def __exit__(self, *error: object) -> None:
        self.handle.remove()


def _called(
    net: nn.Module, weights: dict[str, Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        return functional_call(net, weights, args, kwargs)
    except RuntimeError as error:
        if "dtype" not in str(error) and "same type" not in str(error):
            raise
        raise ValueError(
            f"{type(net).__name__} was run in float64 and in float32 and met a tensor that stayed as it was: make it "
            f"a buffer (register_buffer) or an argument ({str(error).splitlines()[0]})"
        ) from error


def _kind(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of {output.dtype}"
    return type(output).__name__
