"""Which parameters of a network are held, by the parameter, the module or a pattern; each with a view (..., n, k)."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from isogain.config.nearest import nearest
from isogain.reg.kernel_views import Blocks, Function, KernelView, gates_of, kernel_view

log = logging.getLogger(__name__)
Target = Tensor | nn.Module | tuple[nn.Module, str]
WRAPPERS = (
    "_orig_mod",
    "module",
)  # torch.compile's and DistributedDataParallel's name for what they wrap


@dataclass(eq=False)
class HeldParameter:
    """A parameter, its matrices, and its module where that is known."""

    name: str
    weight: Tensor
    view: KernelView
    module: nn.Module | None = None
    attribute: str = ""


@dataclass(eq=False)
class Candidate:
    """A parameter that was asked for, yet to be checked."""

    name: str
    weight: Tensor
    module: nn.Module | None = None
    attribute: str = ""
    is_stack: bool = False

    def held(self, view: Function | None, blocks: Blocks | None) -> HeldParameter:
        """Raises TypeError or ValueError where a regulariser cannot hold it."""
        check_kind(self.weight, self.name)
        gates = gates_of(self.module, self.attribute)
        matrices = kernel_view(self.weight, self.name, view, blocks, gates, self.is_stack)
        return HeldParameter(self.name, self.weight, matrices, self.module, self.attribute)


def held_parameters(
    target: Target,
    match: str | Sequence[str] | None = None,
    view: Function | None = None,
    blocks: Blocks | None = None,
) -> list[HeldParameter]:
    """What `isogain.regularize` takes for its second argument, as a list.

    >>> [(held.name, held.view.result) for held in held_parameters(nn.GRU(2, 4))]
    [('weight_hh_l0', (3, 4, 4))]
    """
    return [candidate.held(view, blocks) for candidate in _candidates(target, match)]


def _candidates(target: Any, match: str | Sequence[str] | None) -> list[Candidate]:
    if isinstance(target, nn.Module):
        target = unwrapped(target)
        return _own_kernels(target) if match is None else _matching(target, match)
    if match is not None:
        raise ValueError("match chooses among the parameters of a module: pass the module")
    if isinstance(target, Tensor):
        return [Candidate("the parameter", target)]
    module, name = _pair(target)
    return [_named(unwrapped(module), name)]


def _pair(target: Any) -> tuple[nn.Module, str]:
    if isinstance(target, tuple) and len(target) == 2:
        module, name = target
        if isinstance(module, nn.Module) and isinstance(name, str):
            return module, name
    raise TypeError(f"pass a parameter, a module or (module, name), got {type(target).__name__}")


def _named(root: nn.Module, name: str) -> Candidate:
    *path, attribute = name.split(".")
    named = dict(root.named_parameters(remove_duplicate=False))
    try:
        module = root.get_submodule(".".join(path))
    except AttributeError:
        raise ValueError(f"{type(root).__name__} has no {name}: {nearest(name, named)}") from None
    if is_parametrized(module, attribute):
        raise ValueError(
            f"{name} is parametrised already: what computes it would overwrite the constraint"
        )
    if attribute not in module._parameters:
        raise ValueError(f"{type(root).__name__} has no parameter {name}: {nearest(name, named)}")
    return Candidate(name, cast(Tensor, module._parameters[attribute]), module, attribute)


def _own_kernels(module: nn.Module) -> list[Candidate]:
    """What a module has one clear kernel of: recurrent weights, a weight, or the kernels of a network of ours."""
    own = [name for name, p in module.named_parameters(recurse=False) if p is not None]
    if recurrent := [name for name in own if name.startswith("weight_hh")]:
        return [_named(module, name) for name in recurrent]
    if "weight" in own:
        return [_named(module, "weight")]
    if callable(getattr(module, "kernels", None)):
        return list(_kernels_of_network(module))
    names = [name for name, p in module.named_parameters() if p.dim() > 1]
    hint = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    raise ValueError(
        f"{type(module).__name__} does not say which of its parameters to take: pass match=, a pattern of their names"
        f" ({hint or 'it has no matrix'})"
    )


def _kernels_of_network(net: Any) -> Iterator[Candidate]:
    names = {id(p): name for name, p in net.named_parameters()}
    for module, attribute in net.kernels():
        if is_parametrized(module, attribute):
            raise ValueError(
                f"the kernel {attribute} is parametrised already: what computes it would overwrite the constraint"
            )
        w = getattr(module, attribute)
        yield Candidate(names.get(id(w), attribute), w, module, attribute, is_stack=True)


def _matching(root: nn.Module, match: str | Sequence[str]) -> list[Candidate]:
    """Every parameter whose name a pattern takes, each once; vectors among them are named in the log.

    Raises ValueError for a pattern that takes no matrix.
    """
    named = dict(root.named_parameters())
    plain = {_plain(name): name for name in named}
    taken: dict[str, str] = {}
    for pattern in [match] if isinstance(match, str) else match:
        hits = {
            short: raw
            for short, raw in plain.items()
            if fnmatchcase(short, pattern) or fnmatchcase(raw, pattern)
        }
        if not hits:
            raise ValueError(
                f"match={pattern!r} takes no parameter of {type(root).__name__}: {nearest(pattern, plain)}"
            )
        taken |= hits
    vectors = [
        short for short, raw in taken.items() if named[raw].dim() < 2 and not is_lazy(named[raw])
    ]
    if len(vectors) == len(taken):
        raise ValueError(
            f"match={match!r} takes vectors only, which have no matrix: {', '.join(vectors)}"
        )
    if vectors:
        log.warning(
            "match=%r also takes vectors, which are left free: %s", match, ", ".join(vectors)
        )
    return [_renamed(root, raw, short) for short, raw in taken.items() if short not in vectors]


def _renamed(root: nn.Module, raw: str, short: str) -> Candidate:
    """The parameter, which the modules call `raw`, under the name without wrappers."""
    path, _, attribute = raw.rpartition(".")
    module = root.get_submodule(path)
    return Candidate(short, cast(Tensor, module._parameters[attribute]), module, attribute)


def _plain(name: str) -> str:
    """A parameter's name without what torch.compile puts into it."""
    return ".".join(part for part in name.split(".") if part != WRAPPERS[0])


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside torch.compile and DistributedDataParallel.

    >>> net = nn.Linear(2, 2)
    >>> unwrapped(torch.compile(net)) is net
    True
    """
    while is_wrapper(module):
        module = next(getattr(module, name) for name in WRAPPERS if name in module._modules)
    return module


def is_wrapper(module: nn.Module) -> bool:
    """Whether it runs another module under one of torch's names for that, and holds nothing else."""
    return (
        len(module._modules) == 1
        and not module._parameters
        and any(name in module._modules for name in WRAPPERS)
    )


def check_kind(w: Tensor, name: str) -> None:
    """Raises TypeError for what no regulariser can hold: lazy, sharded, sparse and complex parameters."""
    if is_lazy(w):
        raise TypeError(f"{name} has no shape yet: run a batch through the lazy module first")
    if hasattr(w, "device_mesh") or type(w).__name__ == "FlatParameter":
        raise TypeError(
            f"{name} is sharded (FSDP, DTensor): each process has a part of the matrix, and none its singular values"
        )
    if w.is_complex():
        raise TypeError(f"{name} is complex: the regularisers are of real matrices")
    if w.layout != torch.strided:
        raise TypeError(f"{name} is sparse ({w.layout}): its matrices cannot be rotated in place")
