"""Public names of a package that are imported when they are first asked for (PEP 562)."""

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, Iterable[str]], rooms: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package whose public names lie in `modules`: {module: names}.

    `rooms` are modules of it that are public names themselves.

    Modules are named as seen from the package. Importing it then loads none of them; a name keeps its object once it
    was asked for. Unknown names raise AttributeError, as they do in any module.

    >>> __getattr__, __dir__, __all__ = lazy_names("isogain", {"lazy": ["lazy_names"]})
    >>> __all__, __getattr__("lazy_names") is lazy_names
    (['lazy_names'], True)
    """
    places = {name: f"{package}.{module}" for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name in rooms:
            return import_module(f"{package}.{name}")
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(places[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places, *rooms})

    return __getattr__, __dir__, sorted([*places, *rooms])
