"""Options of Hydra's own that a run, or a sweep, would leave without effect."""

import os
from collections.abc import Iterator
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

OF_A_SWEEP = ("hydra.sweep.", "hydra.sweeper", "hydra/sweeper", "hydra.launcher", "hydra/launcher")
OF_A_RUN = ("hydra.run.",)
TARGET = "isogain.training.run.run"  # the root's `_target_`: what train.py runs
WITHOUT_OBJECTIVE = {None, "grid", "basic", "missing"}  # sweepers that look for no best point
IN_PROCESS = {None, "one_by_one", "basic"}  # launchers that a single run may name


def refusals(config: DictConfig, hydra: Any = None) -> Iterator[str]:
    """A line for each; `config` as it was composed, `hydra` its part of that name, by default that of this job."""
    hydra = hydra or HydraConfig.get()
    sweep = hydra.mode == RunMode.MULTIRUN
    idle, why = (
        (OF_A_RUN, "acts on a single run; a sweep's folder is out=FOLDER")
        if sweep
        else (OF_A_SWEEP, "acts on a sweep, and -m (first) makes it one")
    )
    given = list(hydra.overrides.hydra)
    yield from (f"{o}: {why}" for o in given if o.lstrip("+~").startswith(idle))
    cluster, launcher = (hydra.runtime.choices.get(g) for g in ("cluster", "hydra/launcher"))
    if not sweep and launcher not in IN_PROCESS and f"hydra/launcher={launcher}" not in given:
        yield f"cluster={cluster}: {why}; without it a run is trained here, in this process"
    if config.get("_target_") != TARGET:
        chosen = f"_target_={config._target_}" if "_target_" in config else "~_target_"
        yield f"{chosen}: is {TARGET}, for train.py runs nothing else"
    yield from _objective(config, hydra, sweep)
    yield from _folders(config, hydra, "sweep" if sweep else "run")


def _objective(config: DictConfig, hydra: Any, sweep: bool) -> Iterator[str]:
    """What a sweeper looks for the best of."""
    objective = config.get("objective")
    if isinstance(objective, str) and objective.startswith("test/"):
        yield f"objective={objective}: the test set chooses nothing: a metric of validation, val/loss say"
    elif any(o.lstrip("+").startswith("objective=") for o in hydra.overrides.task) and objective:
        if not sweep or hydra.runtime.choices.get("hydra/sweeper") in WITHOUT_OBJECTIVE:
            yield (
                f"objective={objective}: acts on a sweep that looks for the best point, and none does here: "
                "-m hydra/sweeper=optuna"
            )


def _folders(config: DictConfig, hydra: Any, mode: str) -> Iterator[str]:
    """Of one run, or one sweep, there is one folder."""
    out, chosen = config.get("out"), str(hydra[mode].dir)
    if out not in (None, "") and _absolute(str(out), hydra) != _absolute(chosen, hydra):
        yield f"out={out}: is another folder than hydra.{mode}.dir={chosen}; leave one of them out"
    elif out in (None, "") and config.get("resume") and not _is_given(hydra, f"hydra.{mode}.dir="):
        yield "resume=true: which run? out=FOLDER says it"


def _absolute(folder: str, hydra: Any) -> str:
    return os.path.abspath(os.path.join(hydra.runtime.cwd, os.path.expanduser(folder)))


def _is_given(hydra: Any, override: str) -> bool:
    return any(given.startswith(override) for given in hydra.overrides.hydra)
