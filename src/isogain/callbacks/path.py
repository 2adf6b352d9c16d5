"""The trajectory that a callback measures along: that of a network of ours, or named submodules of any other."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from isogain.callbacks.subject import Subject
from isogain.models.along import Along, along
from isogain.models.base import Network
from isogain.models.recurrent_steps import RecurrentSteps
from isogain.models.trajectory import Trajectory

SHOWN = 6  # names in an error message


class Path:
    """The options of `isogain.along` that a callback has."""

    def __init__(
        self, names: str | Sequence[str] | None, over: Literal["time"] | None, from_input: bool
    ) -> None:
        self.names = names if names is None or isinstance(names, str) else tuple(names)
        self.over: Literal["time"] | None = over
        self.from_input = from_input

    def of(self, who: Subject) -> Trajectory:
        """Raises ValueError for names that are not there, and where none are given but needed."""
        if self.names is None and self.over is None:
            if isinstance(who.net, Network):
                return who.net
            raise ValueError(_which_states(who.net))
        return along(who.called, self.names, self.over, from_input=self.from_input)


def widths(path: Trajectory, x: Any) -> list[int]:
    """n_0, …, n_L of the states."""
    if isinstance(path, Along | RecurrentSteps) or not isinstance(path, Network):
        return [h.shape[-1] for h in path.states(x)]
    length = x.shape[1] if path.sequential else path.depth
    return [path.start(x[:1]).shape[-1]] * (length + 1)


def _which_states(net: nn.Module) -> str:
    names = [name for name, _ in net.named_modules() if name]
    there = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return (
        "along: name the submodules whose outputs are the states, along=['blocks.0', 'blocks.1'] or 'blocks.*' "
        f"(there is: {there or 'none'})"
    )
