"""A study of Optuna's in a file: trials that are proposed, evaluated, and resumed after a kill."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isogain.config.errors import AnotherRun, UserError
from isogain.config.objective import direction as better_direction
from isogain.config.objective import objective_of
from isogain.config.terminal import first_line
from isogain.config.typed_range import typed
from isogain.record import processes
from isogain.record.attempts_jsonl import seconds
from isogain.record.config_difference import Difference, in_words
from isogain.record.continuation import described
from isogain.record.identity import differences

STUDY = "isogain"
LOOKED_AT = 64  # combinations of choices in which an option may act
Compose = Callable[[Sequence[str]], DictConfig]  # the config that some overrides make


def opened(where: str, direction: str) -> Any:
    """The study in a file, or at a database's URL; raises UserError where it cannot be, or is one of the other
    direction.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _check_file(where)
    try:
        study = optuna.create_study(
            study_name=STUDY, storage=_url(where), direction=direction, load_if_exists=True
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


def proposed_trial(
    study: Any, space: dict[str, Any], seed: int, startup: int, side_by_side: bool
) -> Any:
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
    values = [Decimal(text) for text in typed(override)]
    whole = all(isinstance(v, int) for v in override.sweep_iterator())
    kind, number = (IntDistribution, int) if whole else (FloatDistribution, float)
    step = abs(values[1] - values[0]) if len(values) > 1 else 1
    return kind(number(min(values)), number(max(values)), step=number(step))


def overrides(trial: Any) -> list[str]:
    """What makes a trial, as a command line would: of a range the numbers that it names, without rounding error."""
    return [f"{name}={_typed(v, trial.distributions[name])}" for name, v in trial.params.items()]


def objective(space: dict[str, Any], fixed: Sequence[str], compose: Compose) -> str:
    """The key of summary.json that all trials are judged by; raises UserError where tasks that differ have two."""
    tasks = [f"data={task}" for task in getattr(space.get("data"), "choices", ())] or [None]
    configs = [compose([*fixed, *filter(None, [task])]) for task in tasks]
    keys = {objective_of(OmegaConf.to_container(c, resolve=True)) for c in configs}
    if len(keys) > 1:
        raise UserError(
            f"objective: the tasks are judged by {' and '.join(sorted(keys))}: say which with objective="
        )
    return keys.pop()


def idle(space: dict[str, Any], fixed: Sequence[str], compose: Compose) -> Iterator[str]:
    """A line for each option of the command line that would have no effect on any trial: each choice is looked at,
    and of a range its end. A trial reports itself what is wrong with it.
    """
    from isogain.config.check import parts, resolved
    from isogain.launch.idle_options import OfPoints

    values = [getattr(d, "choices", None) or (d.high,) for d in space.values()]
    points, known = OfPoints(), {}
    for number, chosen in enumerate(islice(product(*values), LOOKED_AT)):
        overrides = [*fixed, *(f"{key}={value}" for key, value in zip(space, chosen, strict=True))]
        with suppress(UserError, HydraException, OmegaConfBaseException):
            config = compose(overrides)
            points.add(number, resolved(config), overrides, parts(config, known)["data"])
    yield from (line for _, line in points.refusals())


def direction(metric: str, asked: str | None) -> str:
    """maximize or minimize; raises UserError where `asked` makes the worst trial the best, or nobody knows."""
    known = better_direction(metric)
    if known is None and asked is None:
        raise UserError(
            f"objective={metric}: whether more or less is better is not known: say hydra.sweeper.direction=minimize "
            "or maximize"
        )
    if known and asked and known != asked:
        side = "largest" if known == "maximize" else "smallest"
        raise UserError(
            f"hydra.sweeper.direction={asked}: the best {metric} is its {side} value: leave it out"
        )
    return known or asked


def check_folder(
    folder: Path, where: str, fixed: Sequence[str], metric: str, compose: Compose
) -> None:
    """Raise AnotherRun where the study at `where` has trials of another config, or judged by another metric.

    Their values stand, so that what may differ in a run that goes on, the length of training, may not here.
    """
    for trial in existing(where):
        there = described(folder / str(trial.number))
        if there is None:
            continue
        here = OmegaConf.to_container(compose([*overrides(trial), *fixed]), resolve=True)
        compared = differences(there, here)
        conflicts = [*compared.conflicts, *compared.limits]
        if (before := objective_of(there)) != metric:
            conflicts.append(Difference("objective", before, metric))
        if conflicts:
            raise AnotherRun(
                f"out={folder}: holds another study: trial {trial.number} has {in_words(conflicts)}; "
                "choose another out="
            )


def existing(where: str) -> list[Any]:
    """The trials of the study in a file or at a database's URL; none where there is no study yet."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if "://" not in where and not Path(where).exists():
        return []
    try:
        return optuna.load_study(study_name=STUDY, storage=_url(where)).trials
    except KeyError:  # Optuna's word for a study that is not there
        return []
    except Exception as error:  # SQLAlchemy's, of a file that is none of its own
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"hydra.sweeper.storage={where}: {reason}") from None


def _url(where: str) -> str:
    return where if "://" in where else f"sqlite:///{where}"


def _typed(value: Any, distribution: Any) -> Any:
    """A float of a range as it was typed: low + k · step in decimals."""
    step = getattr(distribution, "step", None)
    if not isinstance(value, float) or not step:
        return value
    low, step = Decimal(repr(distribution.low)), Decimal(repr(step))
    return float(low + round((Decimal(repr(value)) - low) / step) * step)
