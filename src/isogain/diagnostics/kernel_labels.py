"""The names of a network's kernels, and of every matrix in them."""

from collections.abc import Iterator
from itertools import product

from torch import Tensor, nn

from isogain.models.base import Network

GATES: dict[type[nn.Module], str] = {  # in torch's order, stacked along the first axis of weight_hh
    **dict.fromkeys((nn.LSTM, nn.LSTMCell), "ifgo"),
    **dict.fromkeys((nn.GRU, nn.GRUCell), "rzn"),
}


def named_kernels(net: Network) -> Iterator[tuple[str, Tensor]]:
    """The kernels under names that are theirs alone: the module's path and the parameter's name."""
    paths = {module: path for path, module in net.named_modules()}
    for module, name in net.kernels():
        yield "/".join([*filter(None, paths[module].split(".")), name]), getattr(module, name)


def kernel_labels(net: Network, name: str, w: Tensor) -> list[str]:
    """One label a matrix of the kernel `w` called `name`, in row-major order of its leading axes.

    They are numbers, `kernel/003`, and the last one a gate's name where the network has gates: `recurrent/000/f`.
    """
    axes = [[f"{i:03d}" for i in range(n)] for n in w.shape[:-2]]
    if axes and len(axes[-1]) == len(net.gates):
        axes[-1] = list(net.gates)
    return ["/".join([name, *place]) for place in product(*axes)]


def gated_weights(net: nn.Module) -> dict[str, str]:
    """The recurrent weights of torch's LSTMs and GRUs in a module, as they are called there, and their gates, in order.

    >>> gated_weights(nn.Sequential(nn.GRU(2, 3)))
    {'0.weight_hh_l0': 'rzn'}
    """
    gates = {}
    for path, module in net.named_modules():
        letters = [gates_ for kind, gates_ in GATES.items() if isinstance(module, kind)]
        for name, _ in module.named_parameters(recurse=False):
            if letters and name.startswith("weight_hh"):
                gates[f"{path}.{name}".removeprefix(".")] = letters[0]
    return gates
