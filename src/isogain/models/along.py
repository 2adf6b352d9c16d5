"""Any module as a trajectory: its states are the outputs of submodules, or those of a recurrent module's time steps.

Axes: B examples, n_l the numbers of state h_l.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from isogain.models.base import Network
from isogain.models.cut_pass import INPUT, CutPass, Taken
from isogain.models.examples import Examples
from isogain.models.module_names import named
from isogain.models.module_states import weights_in
from isogain.models.state_check import check_factors
from isogain.models.traced import Trace

Names = str | nn.Module | Sequence[str | nn.Module]


class Along:
    """h_0 → … → h_L, the outputs of named submodules in a forward pass; made by `along`.

    >>> path = along(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), "*")
    >>> path.names
    ['0', '1']
    """

    def __init__(
        self,
        net: nn.Module,
        names: Names,
        from_input: bool = False,
        state: Taken = "first",
        axis: int = 0,
        shared: Mapping[str, Any] | None = None,
    ) -> None:
        self.net, self.state, self.axis, self.shared = net, state, axis, dict(shared or {})
        start: list[tuple[str, nn.Module | None]] = [(INPUT, None)] if from_input else []
        self.places = [*start, *named(net, [names] if isinstance(names, nn.Module) else names)]
        self.names = [name for name, _ in self.places]
        if len(self.places) < 2:
            raise ValueError(
                f"a trajectory needs two states or more, got {', '.join(self.names) or 'none'}: name another module, "
                "or begin with the input (from_input=True)"
            )

    def parameters(self) -> Iterator[nn.Parameter]:
        """The module's own."""
        return self.net.parameters()

    def examples(self, x: Any) -> Examples:
        """x, a tensor, a tuple of arguments or a dict of keyword arguments, with its trajectory in float64.

        Raises ValueError where factors of it would not multiply.
        """
        args, kwargs = ((), x) if isinstance(x, dict) else (x if isinstance(x, tuple) else (x,), {})
        weights: dict[torch.dtype, dict[str, Tensor]] = {}  # of this measurement: training goes on

        def record(some: Examples, dtype: torch.dtype) -> Trace:
            if dtype not in weights:
                weights[dtype] = weights_in(self.net, dtype)
            cuts = CutPass(self.net, self.places, self.state, some)
            return cuts.run(weights[dtype], self.shared, dtype)

        examples = Examples(args, kwargs, self.axis, record)
        trace = examples.trace(torch.float64)
        check_factors(trace)
        examples.states = trace.flat()
        return examples

    def states(self, x: Any) -> list[Tensor]:
        """[h_0, …, h_L], (B, n_l) each, in float64."""
        return self.examples(x).states


def along(
    net: nn.Module,
    names: Names | None = None,
    over: Literal["time"] | None = None,
    *,
    from_input: bool = False,
    state: Taken = "first",
    axis: int = 0,
    shared: Mapping[str, Any] | None = None,
) -> Along | Network:
    """Any module as a trajectory h_0 → … → h_L, on which diagnostics measure.

    h_l (B, n_l) is the output of the module `names[l]`, flattened: a name, a pattern ("blocks.*", in the order of
    definition) or the submodule itself; with `from_input` h_0 is what the net is called with. Widths may differ. Of an
    output of several tensors it is the first one, with state="all" all floating ones side by side (h and c of an
    LSTMCell). `axis` is that of the examples, and `shared` are keyword arguments that belong to all of them, such as a
    mask. What is measured takes x, a tensor, a tuple of arguments or a dict of keyword arguments.

    With over="time" an nn.RNN, nn.LSTM or nn.GRU goes a step at a time, and the state is h of all layers, or h of all
    and then c of all: see `RecurrentSteps`. A `Network` of ours without names is a trajectory itself.

    Measuring runs the module in eval mode with copies of its weights in float64, and leaves it as it was. Derivatives
    are torch's: that of a tanh is 0 from |z| = 19 on. Raises ValueError for names that are not there and, when it is
    measured, where a state depends on an earlier one past the states between.

    >>> from isogain.diagnostics import jacobian_spectrum
    >>> layers = [nn.Linear(2, 2, bias=False, dtype=torch.float64) for _ in range(4)]
    >>> _ = [nn.init.eye_(layer.weight).data.mul_(1.1) for layer in layers]
    >>> path = along(nn.Sequential(*layers), "*", from_input=True)
    >>> jacobian_spectrum(path, torch.ones(1, 2)).round(decimals=4)  # 4 log 1.1
    tensor([[0.3812, 0.3812]], dtype=torch.float64)
    """
    if over == "time":
        from isogain.models.recurrent_steps import RecurrentSteps

        if names is not None:
            raise ValueError("over='time' takes no names: the states are those of all layers")
        return RecurrentSteps(net)
    if over is not None:
        raise ValueError(f"over must be 'time' or None, got {over!r}")
    if names is None:
        if isinstance(net, Network):
            return net
        hint = ": or over='time'" if isinstance(net, nn.RNNBase) else ""
        raise ValueError(f"along needs the names of the modules whose outputs are the states{hint}")
    return Along(net, names, from_input, state, axis, shared)
