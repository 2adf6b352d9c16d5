"""Which parameters of a network are kernels to be filled: by the type of their module, or by a pattern of names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from isogain.config.nearest import nearest
from isogain.reg.kernel_views import Blocks, Function, KernelView, gates_of, kernel_view

Patterns = str | Sequence[str]
Place = tuple[nn.Module, str]  # a module, and its name of the parameter
OWN = (  # what is filled without a pattern: the kernels of these modules
    *((nn.Linear, "weight"), (_ConvNd, "weight"), (nn.MultiheadAttention, "in_proj_weight")),
    *((nn.RNNBase, "weight_hh_l*"), (nn.RNNCellBase, "weight_hh")),
)


@dataclass(frozen=True, eq=False)
class MatchedKernel:
    """A parameter, or what a parametrisation computes, under its name; every (module, name) that shares it."""

    name: str
    places: tuple[Place, ...]
    view: KernelView

    @property
    def weight(self) -> Tensor:
        module, name = self.places[0]
        return getattr(module, name)

    @property
    def is_parametrized(self) -> bool:
        return is_parametrized(*self.places[0])


def matched_kernels(
    net: nn.Module, match: Patterns | None, view: Function | None, blocks: Blocks | None
) -> list[MatchedKernel]:
    """The kernels of `net` in the order of its modules, a shared parameter once.

    With `match` every parameter of two axes or more whose name a pattern takes; "*.weight" takes that of `net` itself
    too. Raises ValueError for a pattern that takes nothing, and what `kernel_view` raises.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.GRU(3, 4))
    >>> [(kernel.name, kernel.view.result) for kernel in matched_kernels(net, None, None, None)]
    [('0.weight', (3, 2)), ('2.weight_hh_l0', (3, 4, 4))]
    """
    named = places_by_name(net)
    names = _by_type(named) if match is None else _by_pattern(net, named, match)
    shared: dict[int, list[str]] = {}
    for name in names:
        shared.setdefault(_identity(*named[name]), []).append(name)
    return [_matched(named, alike, view, blocks) for alike in shared.values()]


def places_by_name(net: nn.Module) -> dict[str, Place]:
    """(module, attribute) of every parameter by its full name, a shared one under each; of what is parametrised, by the
    name of the weight.

    >>> sorted(places_by_name(nn.Linear(2, 2)))
    ['bias', 'weight']
    """
    places: dict[str, Place] = {}
    for path, module in net.named_modules(remove_duplicate=False):
        if ".parametrizations." in f".{path}.":
            continue
        own = [name for name, p in module._parameters.items() if p is not None]
        own += list(getattr(module, "parametrizations", {})) if is_parametrized(module) else []
        places |= {f"{path}.{name}".lstrip("."): (module, name) for name in own}
    return places


def _identity(module: nn.Module, name: str) -> int:
    """The same number for places that share a parameter."""
    return hash((id(module), name)) if is_parametrized(module, name) else id(getattr(module, name))


def _by_type(named: dict[str, Place]) -> list[str]:
    names = [
        name
        for name, (module, own) in named.items()
        if any(isinstance(module, kind) and fnmatchcase(own, pattern) for kind, pattern in OWN)
    ]
    if not names:
        kinds = "no nn.Linear, convolution, recurrence or attention"
        raise ValueError(f"there is {kinds} in the network: pass match=, a pattern of names")
    return names


def _by_pattern(net: nn.Module, named: dict[str, Place], match: Patterns) -> list[str]:
    taken: list[str] = []
    for pattern in [match] if isinstance(match, str) else match:
        hits = [name for name in named if takes(pattern, name)]
        if not hits:
            where = f"no parameter of {type(net).__name__}"
            raise ValueError(f"match={pattern!r} takes {where}: {nearest(pattern, named)}")
        taken += hits
    matrices = [name for name in dict.fromkeys(taken) if getattr(*named[name]).dim() > 1]
    if not matrices:
        raise ValueError(f"match={match!r} takes vectors alone: {', '.join(taken)}")
    return matrices


def takes(pattern: str, name: str) -> bool:
    """Whether a pattern takes the name; a "*." at its start may be empty.

    >>> takes("*.weight", "weight"), takes("*.weight", "0.weight"), takes("fc*", "0.weight")
    (True, True, False)
    """
    return fnmatchcase(name, pattern) or fnmatchcase(f".{name}", pattern)


def _matched(
    named: dict[str, Place], alike: list[str], view: Function | None, blocks: Blocks | None
) -> MatchedKernel:
    name, places = alike[0], tuple(named[name] for name in alike)
    module, own = places[0]
    w = getattr(module, own)
    _check_kind(w, name)
    gates = gates_of(module, own)
    return MatchedKernel(name, places, kernel_view(w, name, view, blocks, gates))


def _check_kind(w: Tensor, name: str) -> None:
    """Raises TypeError for what has no whole real matrix in this process."""
    if is_lazy(w):
        raise TypeError(f"{name} has no shape yet: run a batch through the lazy module first")
    if hasattr(w, "device_mesh"):
        raise TypeError(f"{name} is sharded (DTensor): initialise it before it is distributed")
    if not w.is_floating_point():
        raise TypeError(f"{name} must be real floating-point, got {w.dtype}")


def unwrapped(net: nn.Module) -> nn.Module:
    """The network inside torch.compile and DistributedDataParallel.

    >>> net = nn.Linear(2, 2)
    >>> unwrapped(nn.ModuleDict({"_orig_mod": net})) is net
    True
    """
    for inside in _wrapped(net):
        return unwrapped(inside)
    return net


def _wrapped(net: nn.Module) -> Iterator[nn.Module]:
    compiled = net._modules.get("_orig_mod")
    if compiled is not None:
        yield compiled
    elif isinstance(net, nn.parallel.DistributedDataParallel):
        yield net.module
