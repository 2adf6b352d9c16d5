"""Options held against the signatures of what they are meant for; a mistake is one line that names its path."""

import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object

from isogain.config.nearest import nearest


def mistakes(node: Any, path: str = "") -> Iterator[str]:
    """One line for every key or value of a resolved config that does not fit the signature it is meant for."""
    if isinstance(node, list):
        node = {str(i): value for i, value in enumerate(node)}
    if not isinstance(node, Mapping):
        return
    if not isinstance(node.get("_target_", ""), str):
        yield f"{joined(path, '_target_')}={_plain(node['_target_'])}: must be text, the path of a class or a function"
        return
    if "_target_" in node:
        try:
            target = get_object(node["_target_"])
        except Exception as error:  # whatever importing a user's module raises
            yield f"{joined(path, '_target_')}={node['_target_']}: {str(error.__cause__ or error).splitlines()[0]}"
        else:
            yield from _misfits(target, node, path)
    for key, child in node.items():
        yield from mistakes(child, joined(path, key))


def _misfits(target: Any, options: Mapping[str, Any], path: str) -> Iterator[str]:
    try:
        accepted = inspect.signature(target).parameters
    except TypeError:
        yield f"{joined(path, '_target_')}={options['_target_']}: cannot be called"
        return
    except ValueError:  # written in C, without a signature
        return
    hints = type_hints(target)
    later = options.get("_partial_")  # what is required comes when it is called
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for key, value in options.items():
        if key.startswith("_") or (key not in accepted and open_ended):
            continue
        if key not in accepted:
            names = [n for n in accepted if not (later and n in _required(accepted))]
            yield f"{joined(path, key)}: {target.__name__} has no such option; {nearest(key, names)}"
        else:
            yield from _of_wrong_type(value, hints.get(key, Any), joined(path, key))
    if not later and "_args_" not in options:
        for name in _required(accepted) - options.keys():
            yield f"{joined(path, name)}: is missing, and {target.__name__} needs it"


def _required(accepted: Mapping[str, inspect.Parameter]) -> set[str]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n for n, p in accepted.items() if p.kind in named and p.default is p.empty}


def _of_wrong_type(value: Any, hint: Any, path: str) -> Iterator[str]:
    """A line where the value is not of the type `hint`; of a mapping, a line for each such item."""
    if get_origin(hint) in (dict, Mapping) and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _of_wrong_type(item, get_args(hint)[1], joined(path, str(key)))
    elif isinstance(value, Mapping) and value and "_target_" not in value and _of_parts(hint):
        without = f"{path}=null" if "." in path else f"~{path}"
        way = f"; {without} leaves them out" if type(None) in get_args(hint) else ""
        yield f"{path}={_plain(value)}: options without a _target_, of a part that was not chosen{way}"
    elif not _fits(value, hint):
        yield f"{path}={_plain(value)}: must be {_words(hint)}"


def _of_parts(hint: Any) -> bool:
    """Whether a value of the type `hint` is built from a `_target_`, or is null."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return all(
        option is type(None)
        or get_origin(option) is Callable
        or (inspect.isclass(option) and option not in (int, float, bool, str, list, dict))
        for option in options
    )


def type_hints(target: Callable) -> dict[str, Any]:
    """The types that it declares for its options; none where they cannot be read."""
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # third-party hints may name things imported only for type checkers
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether `value` is of the type `hint`; True for a part that is still to be built, and for exotic hints."""
    if get_origin(hint) is Literal:
        return not isinstance(value, Mapping | list) and value in get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if get_origin(hint) in (list, tuple, Sequence):
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    if get_origin(hint) in (dict, Mapping):
        return isinstance(value, Mapping)
    if get_origin(hint) is Callable:
        return isinstance(value, Mapping) and ("_target_" in value or not value)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    if hint is Any or not inspect.isclass(hint) or get_origin(hint) is not None:
        return True
    return isinstance(value, hint) or (isinstance(value, Mapping) and "_target_" in value)


def _words(hint: Any) -> str:
    """A type hint in plain words."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_words(option) for option in get_args(hint))
    if get_origin(hint) is Callable:
        return "a part with a _target_"
    if get_origin(hint) in (dict, Mapping):
        return "keys with values"
    if get_origin(hint) in (list, tuple, Sequence):
        return f"a list, each {_words(get_args(hint)[0])}"
    names = {
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        str: "text",
        type(None): "null",
    }
    return names.get(hint) or (
        hint.__name__ if inspect.isclass(hint) else str(hint).replace("typing.", "")
    )


def _plain(value: Any) -> str:
    """A value as it is spelled on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "nan" if isinstance(value, float) and math.isnan(value) else str(value)


def joined(path: str, key: str) -> str:
    """The path of `key` below `path`."""
    return f"{path}.{key}".strip(".")
