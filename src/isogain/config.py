"""Check a composed config against the signatures of what it will build, then build it; mistakes are one line each."""

import inspect
import math
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isogain.errors import ConfigError, refusal, resolver_said
from isogain.moved import with_current_names
from isogain.names import nearest
from isogain.record.objective import wrong_modes


def critical_gain(model: DictConfig, *asked: Any) -> float:
    """init.gain of init=critical: σ_w of the point that q_star, sigma_w, base and normalise_input ask for."""
    from isogain.critical import gain  # torch waits until the number is asked for

    plain = OmegaConf.to_container(model, resolve=True)
    names = ("q_star", "sigma_w", "base", "normalise_input")
    options = dict(zip(names, asked, strict=True))
    init = {"_target_": "isogain.critical.Critical", **options}
    found = [*mistakes(plain, "model"), *mistakes(init, "init")]
    if found:
        raise ConfigError("\n".join(found))
    return gain(instantiate(plain), **options)


def choice(group: str) -> str | None:
    """The option of a config group that this run chose; None where it was not Hydra that started it."""
    return HydraConfig.get().runtime.choices.get(group) if HydraConfig.initialized() else None


OmegaConf.register_new_resolver("choice", choice, replace=True)
OmegaConf.register_new_resolver("critical_gain", critical_gain, replace=True)


def parts(config: DictConfig, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Every part that the config describes, by name: what `_target_` calls return, and plain
    values.

    Of a part that lies in `known` already, from an earlier call, the same object comes back. Raises
    ConfigError, with a line a mistake, before anything is built where a key or a type is wrong, and
    where a constructor refuses a value.
    """
    known = {} if known is None else known
    plain = resolved(config)
    found = [*mistakes(plain), *wrong_modes(plain.get("callbacks") or {})]
    if found:
        raise ConfigError("\n".join(found))
    built, refused = {}, []
    for key, value in plain.items():
        if key != "_target_":
            try:
                name = f"{key}: {value}"
                built[key] = known[name] = (
                    known[name] if name in known else _built(config, key, value)
                )
            except ConfigError as error:
                refused.append(str(error))
    if refused:
        raise ConfigError("\n".join(refused))
    return built


def resolved(config: DictConfig) -> dict[str, Any]:
    """The config as plain dicts, every interpolation resolved; raises ConfigError where one cannot be."""
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        return with_current_names(plain)
    except OmegaConfBaseException as error:
        said = resolver_said(error)
        raise ConfigError(said or f"{error.full_key}: {str(error).splitlines()[0]}") from None


def mistakes(node: Any, path: str = "") -> Iterator[str]:
    """One line for every key or value of a resolved config that does not fit the signature it is meant for."""
    if isinstance(node, list):
        node = {str(i): value for i, value in enumerate(node)}
    if not isinstance(node, Mapping):
        return
    if "_target_" in node:
        try:
            target = get_object(node["_target_"])
        except Exception as error:  # whatever importing a user's module raises
            yield f"{_join(path, '_target_')}={node['_target_']}: {str(error.__cause__ or error).splitlines()[0]}"
        else:
            yield from _misfits(target, node, path)
    for key, child in node.items():
        yield from mistakes(child, _join(path, key))


def _misfits(target: Callable, options: Mapping[str, Any], path: str) -> Iterator[str]:
    accepted = inspect.signature(target).parameters
    hints = _hints(target)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for key, value in options.items():
        if key.startswith("_") or (key not in accepted and open_ended):
            continue
        if key not in accepted:
            yield f"{_join(path, key)}: {target.__name__} has no such option; {nearest(key, list(accepted))}"
        elif not _fits(value, hints.get(key, Any)):
            yield f"{_join(path, key)}={_said(value)}: must be {_words(hints[key])}"


def _built(config: DictConfig, key: str, plain: Any) -> Any:
    try:
        return instantiate(plain, _convert_="all") if isinstance(plain, Mapping) else plain
    except InstantiationException as error:
        path = re.search(r"full_key: (\S+)", str(error))
        path = _join(key, path[1] if path else "")
        line = refusal(path, error.__cause__ or error, _options(plain, path))
        option = line.split(" ", 1)[0]
        raise ConfigError(f"{line}{_interpolation(config, option)}") from None


def _options(plain: Any, path: str) -> set[str]:
    """The options of the part at `path` of a config: those that are set, and those of its target's signature."""
    for name in path.split(".")[1:]:
        plain = plain[int(name)] if isinstance(plain, list) else plain.get(name, {})
    return {*plain, *inspect.signature(get_object(plain["_target_"])).parameters}


def _interpolation(config: DictConfig, path: str) -> str:
    """Where the value at `path` comes from, if from another key, as the end of an error message."""
    parent = OmegaConf.select(config, path.rpartition(".")[0])
    name = path.rpartition(".")[2]
    raw = OmegaConf.to_container(parent).get(name) if parent is not None else None
    return f" ({path} is {raw})" if isinstance(raw, str) and raw.startswith("${") else ""


def _hints(target: Callable) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # third-party hints may name things imported only for type checkers
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether `value` is of the type `hint`; where a part is still to be built, and of exotic hints, True."""
    if get_origin(hint) is Literal:
        return not isinstance(value, Mapping | list) and value in get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if get_origin(hint) in (list, tuple, Sequence):
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    if hint is Any or not inspect.isclass(hint) or get_origin(hint) is not None:
        return True
    return isinstance(value, hint) or (
        isinstance(value, Mapping) and hint not in (bool, str, type(None))
    )


def _words(hint: Any) -> str:
    """A type hint as a user would say it."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_words(option) for option in get_args(hint))
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


def _said(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "nan" if isinstance(value, float) and math.isnan(value) else str(value)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}".strip(".")
