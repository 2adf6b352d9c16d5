"""Hydra's and OmegaConf's errors, in one line each that a user can act on."""

import re
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import OmegaConf

from isogain.errors import resolver_said
from isogain.names import nearest


def one_line(error: Exception, conf: Path) -> str:
    """What is wrong with the overrides, in one line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return f"{group}={option}: no such option; {nearest(option, error.options or [])}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: {str(error).strip().splitlines()[0]}"
    if said := resolver_said(error):
        return said
    if str(error).startswith("Error merging override"):
        return f"{error}: {str(error.__cause__).splitlines()[0]}"
    key = re.search(r"Could not override '([^']+)'", str(error))
    if not key:
        return str(error).strip().splitlines()[0]
    parent, _, name = key[1].removeprefix("+").rpartition(".")
    hint = nearest(name, _keys_of(parent, conf))
    if parent == "trainer" and hint.startswith("there is"):
        hint += f"; +{key[1]} passes on another option of Lightning's Trainer"
    return f"{key[1]}: no such key; {hint}"


def _keys_of(parent: str, conf: Path) -> list[str]:
    """The keys below `parent` in the config that the command line's groups compose."""
    GlobalHydra.instance().clear()
    groups = [
        a
        for a in sys.argv[1:]
        if re.fullmatch(r"[\w/]+=[\w/]+", a) and (conf / a.split("=")[0]).is_dir()
    ]
    with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
        node = (
            OmegaConf.select(compose("train", groups), parent)
            if parent
            else compose("train", groups)
        )
    return [str(key) for key in node if not str(key).startswith("_")] if node else []
