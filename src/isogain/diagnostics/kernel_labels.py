"""The names of a network's kernels, and of every matrix in them."""

from collections.abc import Iterator
from itertools import product

from torch import Tensor

from isogain.models.base import Network


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
