"""Hydra's and OmegaConf's errors, in one line each that a user can act on."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig

from isogain.config import shell
from isogain.config.errors import resolver_message
from isogain.config.nearest import nearest

KEY = r"[\w./@+~-]+"
LAUNCHERS = "cluster=local and cluster=slurm have some"
OPTIONAL = ("cluster", "experiment")  # groups of the root that leave no key of theirs
SWEEP = "is a sweep, and -m (first) runs one"


def one_line(error: BaseException) -> str:
    """What is wrong with the overrides, or with a config that they chose."""
    message = str(error).strip() or type(error).__name__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_such_config(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override, message)
    if reason := resolver_message(error):
        return reason
    if message.startswith("Error merging override"):
        return f"{message}: {str(error.__cause__).splitlines()[0]}"
    if missing := _no_such_key(error):
        return missing
    if match := re.match(r"Ambiguous value for argument '(.*)'", message):
        return _ambiguous(match[1])
    if match := re.match(r"Sweep parameters '(.*)' require", message):
        return f"{match[1]}: {SWEEP}"
    return "; ".join(line.strip().rstrip(".") for line in message.splitlines()[:2])


def malformed(conf: Path) -> Iterator[str]:
    """A line for each override of the command line that Hydra would answer with a traceback.

    `conf` is the folder of the groups.
    """
    parser, given = OverridesParser.create(), get_args_parser().parse_args()
    if given.package and not given.cfg:
        yield f"--package {given.package}: acts with --cfg only"
    for text in given.overrides:
        try:
            override = parser.parse_override(text)
        except HydraException:  # Hydra's own line is good enough
            continue
        except ValueError:  # Python's, of an integer of more than 4 300 digits
            yield f"{text[:40]}...: a number of {len(text)} characters"
            continue
        key = override.get_key_element().lstrip("+~")
        if not key:
            yield f"{text}: begins with no key: an override is key=value"
            continue
        if (conf / key).is_dir() or "/" in key:
            yield from _no_name(override, text)


def _no_name(override: Override, text: str) -> Iterator[str]:
    """A group's choice is the name of a file, or a list of them."""
    if override.is_delete():
        return
    if override.is_choice_sweep():
        sound = not {"null", "true", "false"} & set(override.sweep_string_iterator())
    else:
        value = override.value()
        if value == {}:
            yield f"{text}: changes nothing, for a dict is merged into the group"
            return
        sound = isinstance(value, str | list | dict)
    if not sound:
        group = override.get_key_element().lstrip("+~")
        yield f"{text}: must be the name of an option; ~{group} leaves the group out"


def _no_such_config(error: MissingConfigException) -> str:
    wanted = error.missing_cfg_file
    group = re.search(r"Available options in '([^']*)'", str(error))
    if not group and "/" not in wanted:
        return f"--config-name={wanted}: no such config; the one that is there is train"
    group = group[1] if group else wanted.rpartition("/")[0]
    option = wanted.removeprefix(f"{group}/")
    place = re.match(r"In '([^']*)'", str(error))
    where = f" (in {place[1]})" if place and place[1] not in ("train", "hydra/config") else ""
    return f"{group}={option}: no such option{where}; {nearest(option, error.options or [])}"


def _unreadable(text: str, message: str) -> str:
    """What Hydra's grammar does not take; named as text, where quotes would help."""
    key, equals, value = text.partition("=")
    if not equals:
        return f"{text}: is no override: key=value"
    if value == "~" or value.startswith("~/"):
        home = value.replace("~", "$HOME", 1)
        return f'{text}: the shell has left ~ as it is: "{key}={home}"'
    closed = value[:1] in ("'", '"') and value.count(value[0]) > 1
    if value and re.fullmatch(KEY, key) and not (closed or value[0] in "[{" or _is_call(value)):
        return f"{text}: if that is text, quote it: {shell.override(key, value)}"
    lines = [line for line in message.splitlines() if not line.startswith("Error parsing override")]
    return f"{text}: {lines[0]}"


def _is_call(value: str) -> bool:
    return bool(re.match(r"[a-z]+\(.*\)$|.*\$\{", value))


def _ambiguous(text: str) -> str:
    key, _, values = text.partition("=")
    return f"{text}: {SWEEP}; a list is {shell.word(f'{key}=[{values}]')}, text is {shell.override(key, values)}"


def _no_such_key(error: BaseException) -> str | None:
    """A key that is not there, and the nearest of those beside which it was looked for."""
    cause = error.__cause__
    parent = getattr(cause, "parent_node", None)
    if not str(error).startswith("Could not override") or not isinstance(parent, DictConfig):
        return None
    full, name = str(cause.full_key), str(cause.key)
    names = [str(key) for key in parent if not str(key).startswith("_")]
    if full == name:
        names += [*OPTIONAL]
    above = full.rpartition(".")[0]
    if not names:
        more = f"; {LAUNCHERS}" if above == "hydra.launcher" else ""
        return f"{full}: no such key; {_chosen(above)} has no options{more}"
    hint = nearest(name, names)
    if above == "trainer" and hint.startswith("there is"):
        hint += f"; +{full} passes on another option of Lightning's Trainer"
    return f"{full}: no such key; {hint}"


def _chosen(group: str) -> str:
    """A group with its choice, as far as the command line says it."""
    choices = [a for a in sys.argv[1:] if re.fullmatch(rf"\+?{re.escape(group)}=[\w/]+", a)]
    return choices[-1] if choices else group
