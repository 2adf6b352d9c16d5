"""A study of Optuna's in a file: trials that are asked for, told, and taken up again after a kill."""

import os
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hydra.core.override_parser.types import Override

from isogain.errors import UserError
from isogain.record import processes
from isogain.record.last_step import seconds
from isogain.terminal import first_line

STUDY = "isogain"


def opened(where: str, direction: str) -> Any:
    """The study in a file, or at a database's URL; raises UserError where it cannot be, or is one of the other
    direction.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _check_file(where)
    url = where if "://" in where else f"sqlite:///{where}"
    try:
        study = optuna.create_study(
            study_name=STUDY, storage=url, direction=direction, load_if_exists=True
        )
    except Exception as error:  # SQLAlchemy's, and Optuna's of a file that is none of its own
        reason = first_line(str(error) or type(error).__name__)
        raise UserError(f"hydra.sweeper.storage={where}: {reason}") from None
    if study.direction.name.lower() != direction:
        raise UserError(f"hydra.sweeper.direction={direction}: the study in {where} has the other")
    return study


def _check_file(where: str) -> None:
    """Raise UserError where something is that is no file: SQLite would wait for the other end of a FIFO."""
    if "://" not in where and os.path.lexists(where) and not os.path.isfile(where):
        raise UserError(f"hydra.sweeper.storage={where}: not a regular file")


def asked(study: Any, space: dict[str, Any], seed: int, startup: int, side_by_side: bool) -> Any:
    """A new trial, on record with the process that is about to run it; its draws depend on `seed` and its number."""
    from optuna.samplers import TPESampler

    number = len(study.trials)
    study.sampler = TPESampler(
        seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
        n_startup_trials=startup,
        constant_liar=side_by_side,
    )
    trial = study.ask(space)
    now = datetime.now(UTC).isoformat()
    trial.set_user_attr("by", {**processes.this_process(), "time": now})
    return trial


def tell(study: Any, trial: Any, value: float | None) -> None:
    """Give a trial its value; None: it failed."""
    from optuna.trial import TrialState

    state = TrialState.FAIL if value is None else TrialState.COMPLETE
    study.tell(trial.number, value, state=state)


def is_cut_off(trial: Any) -> bool:
    """Whether a trial has no value yet and the process that ran it, on this machine, is gone."""
    if trial.state.is_finished():
        return False
    by = trial.user_attrs.get("by")
    if not isinstance(by, dict):  # killed between asking and saying who asks
        return True
    return processes.is_alive(by, seconds(by.get("time"))) is False


def distribution(override: Override) -> Any:
    """What Optuna draws from for a sweep of values: choice, range or interval."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if override.is_interval_sweep():
        value = override.value()
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        kind = IntDistribution if whole else FloatDistribution
        return kind(value.start, value.end, log="log" in value.tags)
    if override.is_choice_sweep():
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    values = list(override.sweep_iterator())
    kind = IntDistribution if all(isinstance(v, int) for v in values) else FloatDistribution
    step = abs(values[1] - values[0]) if len(values) > 1 else 1
    return kind(min(values), max(values), step=step)
