"""Singular values and orthogonality gap of the weights of any module, by patterns of their names.

Axes: a weight is a matrix (n, k), or by a view or blocks a stack of them, (..., n, k).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from isogain.config.nearest import nearest
from isogain.diagnostics.kernel_labels import gated_weights
from isogain.diagnostics.weights import shapes_of
from isogain.linalg import orthogonality_gap
from isogain.linalg.per_core import singular_values

View = Callable[[Tensor], Tensor]
Blocks = int | str
Patterns = str | Sequence[str]


@torch.no_grad()
def weight_spectra(
    net: nn.Module, match: Patterns = "*", view: View | None = None, blocks: Blocks | None = None
) -> dict[str, Tensor]:
    """Singular values of every weight that `match` names, in float64; name -> (matrices, min(n, k)), descending.

    `match` is a pattern such as "*.fc*.weight" of names with dots, or several; those of the result have "/" for them; a
    parametrised weight is what its parametrisation makes of it. Vectors are left out. `view` maps a parameter to
    (..., n, k): lambda w: w.flatten(1) a convolution. `blocks` splits the first axis into so many matrices, or one a
    letter ("qkv"); weight_hh of nn.LSTM and nn.GRU is split by itself. Raises ValueError where no matrix matches, where
    a parameter of three axes or more has no view, and where blocks do not divide the first axis.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    >>> _ = nn.init.eye_(net[0].weight)
    >>> weight_spectra(net, "0.*")
    {'0/weight': tensor([[1., 1.]], dtype=torch.float64)}
    """
    return {
        name: singular_values(w.double().reshape(-1, *w.shape[-2:]))
        for name, _, w in _matrices(net, match, view, blocks)
    }


@torch.no_grad()
def weight_gaps(
    net: nn.Module,
    gain: float | Mapping[str, float] = 1.0,
    match: Patterns = "*",
    view: View | None = None,
    blocks: Blocks | None = None,
) -> dict[str, float]:
    """`linalg.orthogonality_gap` of every matrix that `weight_spectra` measures, in float64; label -> gap.

    `gain` is one for all, or one a weight by its name with dots. A label is the weight's name, and in a stack the
    matrix's numbers or gate: `rnn/weight_hh_l0/f`. Raises ValueError where a weight has no gain.

    >>> net = nn.Sequential(nn.Linear(2, 2))
    >>> _ = net[0].weight.data.copy_(2 * torch.eye(2))
    >>> weight_gaps(net, 2.0), round(weight_gaps(net)["0/weight"], 6)  # 2² − 1
    ({'0/weight': 0.0}, 3.0)
    """
    gaps: dict[str, float] = {}
    for name, letters, w in _matrices(net, match, view, blocks):
        values = orthogonality_gap(w.double(), _gain_of(name, gain))
        gaps |= zip(_labels(name, letters, w), values.flatten().tolist(), strict=True)
    return gaps


@torch.no_grad()
def weight_shapes(
    net: nn.Module,
    gain: float | Mapping[str, float] = 1.0,
    match: str = "*",
    view: View | None = None,
    blocks: Blocks | None = None,
    spectra: Mapping[str, Tensor] | None = None,
) -> dict[str, dict[str, float]]:
    """`kernel_shapes` of every matrix that `weight_gaps` measures, by its labels: `distance` and `effective_rank`.

    The `spectra` are those of `weight_spectra`, if they are known.

    >>> net = nn.Sequential(nn.Linear(2, 2))
    >>> _ = net[0].weight.data.copy_(2 * torch.eye(2))
    >>> weight_shapes(net, 2.0)["0/weight"]["distance"]
    0.0
    """
    spectra = weight_spectra(net, match, view, blocks) if spectra is None else spectra
    shapes: dict[str, dict[str, float]] = {}
    for name, letters, w in _matrices(net, match, view, blocks):
        labels, g = _labels(name, letters, w), _gain_of(name, gain)
        shapes |= shapes_of(spectra[name], g, labels)
    return shapes


def _gain_of(name: str, gain: float | Mapping[str, float]) -> float:
    if not isinstance(gain, Mapping):
        return gain
    if (key := name.replace("/", ".")) not in gain:
        raise ValueError(f"gain has no entry for {key}: {nearest(key, gain)}")
    return gain[key]


def _matrices(
    net: nn.Module, match: Patterns, view: View | None, blocks: Blocks | None
) -> Iterator[tuple[str, str, Tensor]]:
    """Name, the letters of its blocks, and (..., n, k) of every weight that matches."""
    named = {name: w for name, w in _weights(net) if w.ndim > 1}
    names = _named(net, list(named), [match] if isinstance(match, str) else match)
    gates = gated_weights(net)
    for name in names:
        w = named[name]
        split = (gates.get(name) if view is None else None) if blocks is None else blocks
        if view is None and w.ndim > 2:
            raise ValueError(
                f"{name} has the shape {tuple(w.shape)}: pass view=lambda w: w.flatten(1) for a convolution as a "
                "matrix (O, I·k·k), view=lambda w: w for a stack of matrices"
            )
        w = w if view is None else view(w)
        if w.ndim < 2:
            raise ValueError(f"the view of {name} has the shape {tuple(w.shape)}: no matrix")
        yield (
            name.replace(".", "/"),
            split if isinstance(split, str) else "",
            _split(name, w, split),
        )


def _weights(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter once, a parametrised one by its value."""
    seen: set[int] = set()
    for path, module in net.named_modules():
        if isinstance(module, ParametrizationList):
            continue
        values = [(n, p) for n, p in module.named_parameters(recurse=False)]
        if is_parametrized(module):
            parametrised = module.parametrizations
            values += [(n, getattr(module, n)) for n in parametrised]
        for name, w in values:
            if id(w) not in seen:
                seen.add(id(w))
                yield f"{path}.{name}".removeprefix("."), w


def _split(name: str, w: Tensor, blocks: Blocks | None) -> Tensor:
    """(..., c·n, k) -> (..., c, n, k) in c blocks."""
    if blocks is None:
        return w
    count = len(blocks) if isinstance(blocks, str) else blocks
    if count < 1 or w.shape[-2] % count:
        raise ValueError(f"{name} has {w.shape[-2]} rows, which are not {count} blocks")
    return w.unflatten(-2, (count, -1))


def _labels(name: str, letters: str, w: Tensor) -> list[str]:
    """One a matrix, in row-major order of the leading axes."""
    axes = [[f"{i:03d}" for i in range(n)] for n in w.shape[:-2]]
    if axes and letters:
        axes[-1] = list(letters)
    return ["/".join([name, *place]) for place in product(*axes)]


def _named(net: nn.Module, names: list[str], patterns: Sequence[str]) -> list[str]:
    """The names that any pattern takes, in the order of the module; each pattern has to take one."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(
                f"match='{pattern}' names no matrix of {type(net).__name__}: {nearest(pattern, names)}"
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
