"""Check a composed config against the signatures of what it will build, then build it; mistakes are one line each."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, get_origin

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isogain.config.errors import ConfigError, refusal, resolver_message
from isogain.config.moved import with_current_names
from isogain.config.objective import wrong_modes
from isogain.config.signature_check import joined, mistakes, type_hints


def parts(config: DictConfig, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Every part that the config describes, by name: the objects that `_target_`s build, and plain values.

    A part that lies in `known` already, from an earlier call, is returned as the same object. Raises ConfigError, with
    a line a mistake, before anything is built where a key or a type is wrong, and where a constructor refuses a value.
    """
    known = {} if known is None else known
    plain = resolved(config)
    lines = [
        *_once(list(mistakes(plain)), OmegaConf.to_container(config)),
        *wrong_modes(plain.get("callbacks") or {}),
    ]
    if lines:
        raise ConfigError("\n".join(lines))
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
    refused += _of_wrong_class(built, plain.get("_target_"))
    if refused:
        raise ConfigError("\n".join(refused))
    return built


def _once(lines: list[str], raw: Mapping[str, Any]) -> list[str]:
    """The lines about values of the config `raw`, without those about a value that is interpolated from a key which has
    a line itself.
    """
    paths = [re.split("[=:]", line)[0] for line in lines]
    return [
        line
        for line, path in zip(lines, paths, strict=True)
        if not any(_raw(raw, path) == f"${{{other}}}" for other in paths)
    ]


def _raw(raw: Any, path: str) -> Any:
    """The unresolved value of the config at a path; None where there is none."""
    for key in path.split("."):
        raw = raw.get(key) if isinstance(raw, Mapping) else None
    return raw


def _of_wrong_class(built: Mapping[str, Any], target: str | None) -> list[str]:
    """A line for each part that is not of the class in the signature of `target`."""
    hints = type_hints(get_object(target)) if target else {}
    classes = {key: hint for key, hint in hints.items() if inspect.isclass(hint) and key in built}
    later = {key for key in built if get_origin(hints.get(key)) is Callable}
    return [
        f"{key}: must be {hint.__name__}, is {type(built[key]).__name__}"
        for key, hint in classes.items()
        if not isinstance(built[key], hint)
    ] + [
        f"{key}: is called later, and needs {key}._partial_=true"
        for key in sorted(later)
        if not callable(built[key])
    ]


def resolved(config: DictConfig) -> dict[str, Any]:
    """The config as plain dicts, every interpolation resolved; raises ConfigError where one cannot be."""
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        return with_current_names(plain)
    except OmegaConfBaseException as error:
        message = resolver_message(error)
        raise ConfigError(message or f"{error.full_key}: {str(error).splitlines()[0]}") from None


def _built(config: DictConfig, key: str, plain: Any) -> Any:
    try:
        return instantiate(plain, _convert_="all") if isinstance(plain, Mapping) else plain
    except InstantiationException as error:
        path = re.search(r"full_key: (\S+)", str(error))
        path = joined(key, path[1] if path else "")
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
