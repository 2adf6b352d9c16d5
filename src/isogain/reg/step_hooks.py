"""The two moments of a handle around an optimiser's own `step`, also where that is given a closure."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    from isogain.reg.handle import Handle


class StepHooks:
    """Calls `before_step` with this step's gradient and `after_step` when the optimiser has moved.

    Torch runs pre-hooks before a closure, so the closure is exchanged for one that ends with `before_step`. Without
    `drives` a trainer calls both, and the hooks only see that a step was taken.
    """

    def __init__(self, handle: "Handle", drives: bool) -> None:
        self.handle, self.drives = handle, drives

    def register(self, optimizer: Optimizer) -> list[RemovableHandle]:
        """On an optimiser; to be removed one by one."""
        after = optimizer.register_step_post_hook(self.after)
        return [optimizer.register_step_pre_hook(self.before), after] if self.drives else [after]

    def before(
        self, optimizer: Optimizer, args: tuple, kwargs: dict[str, Any]
    ) -> tuple[tuple, dict] | None:
        """What `step` is called with: its own arguments (the optimiser is the first), or a closure in their place."""
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if not callable(closure):
            self._act()
            return None
        seen = self._seen(closure)
        return (
            (args, kwargs | {"closure": seen})
            if "closure" in kwargs
            else ((args[0], seen, *args[2:]), kwargs)
        )

    def after(self, optimizer: Optimizer, args: tuple, kwargs: dict[str, Any]) -> None:
        """A step was taken."""
        self.handle.stepped()
        if self.drives:
            self.handle.after_step()

    def _seen(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        calls = 0

        def evaluated() -> Any:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise RuntimeError(
                    f"{type(self.handle.optimizer).__name__} evaluates its closure again within a step: it would leave "
                    "the constraint between the two, so regularize does not work with it"
                )
            with torch.enable_grad():
                loss = closure()
            self._act()
            return loss

        return evaluated

    def _act(self) -> None:
        if not self.handle.pending:
            self.handle.before_step()


def handles_on(optimizer: Optimizer) -> "list[Handle]":
    """Those at work around an optimiser; breaks when torch keeps its hooks under another name."""
    owners = [getattr(h, "__self__", None) for h in optimizer._optimizer_step_post_hooks.values()]
    return [owner.handle for owner in owners if isinstance(owner, StepHooks)]
