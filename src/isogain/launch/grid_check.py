"""Every point of a grid checked before the first one begins: its config, and its parts taken together.

What a run pays at its start is paid once for many points: Hydra composes each choice of groups once, and a part
whose options are those of an earlier point is not built again.
"""

import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from isogain.config.errors import ConfigError, UserError

log = logging.getLogger(__name__)
QUIET = 2.0  # seconds between two words about how far it is
Compose = Callable[[list[str]], DictConfig]  # the config that some overrides make


def refusals(
    points: Sequence[Sequence[str]],
    compose: Compose,
    groups: set[str],
    here: bool,
    shared: bool = False,
    begun: bool = False,
) -> Iterator[tuple[int, Exception]]:
    """(number, error) of every point that could not run; nothing is read or written.

    `groups` are the keys that choose a file of the config. `here`: the points run on this machine, so that what it
    has, memory and devices, counts too. `shared`: all in one process. `begun`: an earlier call accepted the options.
    """
    from isogain.config.check import parts, resolved  # torch and Lightning wait for a grid to check
    from isogain.launch import idle_options, quieten
    from isogain.training.preflight import rehearse

    quieten()
    composed, known, reported = Composed(compose, groups), {}, time.monotonic()
    idle = idle_options.OfPoints()
    for number, overrides in enumerate(points):
        try:
            config = composed(overrides)
            config.out, config.resume = "checked", False  # a point has its folder later
            built = parts(config, known)
            rehearse(**built, here=here, shared=shared)
            idle.add(number, resolved(config), overrides, built["data"])
        except (UserError, HydraException, OmegaConfBaseException) as error:
            yield number, error
        if time.monotonic() - reported > QUIET:
            reported = time.monotonic()
            log.info("checking the points: %d of %d", number + 1, len(points))
    if not begun:
        yield from ((number, ConfigError(line)) for number, line in idle.refusals())


def composing(loader: Any, config: DictConfig) -> "Composed":
    """What composes the points of the sweep that `config`, with Hydra's own part, describes."""
    groups = set(config.hydra.runtime.choices)
    return Composed(lambda chosen: loader.load_sweep_config(config, chosen), groups)


class Composed:
    """What Hydra composes from a point's overrides; files are read once for every choice of groups."""

    def __init__(self, compose: Compose, groups: set[str]) -> None:
        self.compose, self.groups = compose, groups
        self.of_groups = cache(lambda chosen: _without_hydra(compose(list(chosen))))

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        parsed = [parse(override) for override in overrides]
        # a key may be set and then deleted: the order is Hydra's
        values = [] if any(p.is_delete() for p in parsed) else list(filter(self._is_value, parsed))
        chosen = tuple(p.input_line for p in parsed if p not in values)
        config = copy.deepcopy(self.of_groups(chosen))
        for value in values:
            _set(config, value)
        return config

    def _is_value(self, override: Override) -> bool:
        """Whether it sets the value of a key that is there: what adds, deletes or chooses a file is Hydra's own."""
        key = override.get_key_element()
        return key[0] not in "+~" and key not in self.groups and not override.is_hydra_override()


@cache
def parse(override: str) -> Override:
    """One override as Hydra reads it; a grid has few that differ."""
    return OverridesParser.create().parse_override(override)


def _without_hydra(config: DictConfig) -> DictConfig:
    with open_dict(config):
        config.pop("hydra")
    return config


def _set(config: DictConfig, override: Override) -> None:
    key = override.key_or_group
    try:
        OmegaConf.update(config, key, override.value(), merge=True)
    except (ConfigAttributeError, ConfigKeyError) as error:
        raise ConfigCompositionException(f"Could not override '{key}'.") from error
