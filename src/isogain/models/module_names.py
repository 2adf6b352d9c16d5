"""Submodules by name, pattern or identity, in the order in which they are asked for."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from isogain.config.nearest import nearest

WILD = set("*?[")


def named(net: nn.Module, wanted: Iterable[str | nn.Module]) -> list[tuple[str, nn.Module]]:
    """(name, module) of all that is wanted; a pattern gives its modules in the order of their definition.

    A * stays between two dots: "blocks.*" are the blocks, not what they are made of. Raises ValueError for what is
    not there, and for a module twice.

    >>> [name for name, _ in named(nn.Sequential(nn.Tanh(), nn.ReLU()), "*")]
    ['0', '1']
    """
    modules = {name: module for name, module in net.named_modules() if name}
    names: list[str] = []
    for one in [wanted] if isinstance(wanted, str) else wanted:
        names += _names(net, modules, one)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"module {twice[0]!r} is named twice")
    return [(name, modules[name]) for name in names]


def _names(net: nn.Module, modules: dict[str, nn.Module], one: str | nn.Module) -> list[str]:
    if isinstance(one, nn.Module):
        own = [name for name, module in modules.items() if module is one]
        if not own:
            raise ValueError(
                f"a {type(one).__name__} that was given is no submodule of {type(net).__name__}"
            )
        return own
    if not isinstance(one, str):
        raise TypeError(f"a name or a module is wanted, got {type(one).__name__}")
    own = [name for name in modules if _matches(name, one)] if WILD & set(one) else [one]
    if not own or own[0] not in modules:
        raise ValueError(f"{type(net).__name__} has no module {one!r}: {nearest(one, modules)}")
    return own


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
