"""The resolvers of the configs: importing this module registers them with OmegaConf."""

import os
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from isogain.config.errors import ConfigError
from isogain.config.signature_check import mistakes
from isogain.record.run_folder import fresh_folder


def critical_gain(model: DictConfig, *asked: Any) -> float:
    """init.gain of init=critical: σ_w of the point that q_star, sigma_w, base and normalise_input ask for."""
    from isogain.init.critical import gain  # torch waits until the number is asked for

    plain = OmegaConf.to_container(model, resolve=True)
    names = ("q_star", "sigma_w", "base", "normalise_input")
    options = dict(zip(names, asked, strict=True))
    init = {"_target_": "isogain.init.critical.Critical", "_partial_": True, **options}
    lines = [*mistakes(plain, "model"), *mistakes(init, "init")]
    if lines:
        raise ConfigError("\n".join(lines))
    return gain(instantiate(plain), **options)


def choice(group: str) -> str | None:
    """The option of a config group that this run chose; None where it was not Hydra that started it."""
    return HydraConfig.get().runtime.choices.get(group) if HydraConfig.initialized() else None


def folder_of(out: Any) -> str:
    """The folder that `out` names, a fresh one where it names none; raises ConfigError where it is no name."""
    if isinstance(out, DictConfig | ListConfig):
        raise ConfigError(f"out={out}: must be text or null")
    return os.path.expanduser(str(out)) if out not in (None, "") else fresh_folder()


OmegaConf.register_new_resolver("choice", choice, replace=True)
OmegaConf.register_new_resolver("critical_gain", critical_gain, replace=True)
OmegaConf.register_new_resolver("folder", folder_of, use_cache=True, replace=True)
