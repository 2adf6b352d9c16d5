"""`hydra/sweeper=optuna`: Optuna proposes the points, one batch after the other, and remembers them in a file.

Optuna's own plugin for Hydra 1.3 needs Optuna 2, stops at a NaN and starts a resumed study in the folders of the first
trials again; this one asks and tells a current Optuna, trial n in folder n.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)
Direction = Literal["maximize", "minimize"]


class Tuned(Sweeper):
    """Up to `n_trials` trials in all, `n_jobs` at a time, earlier ones in `storage` counted.

    `params`: key -> choice(...), range(...), interval(...) or tag(log, interval(...)), as on the command line. The
    sampler is TPE after `n_startup` random trials; trial n draws from `seed` and n, so that a study that was cut off
    goes on as if it had not been, with the trials that were cut off first. What failed or diverged is a failed trial,
    and the study goes on. `direction` follows from the objective (None), and may not contradict it.
    """

    def __init__(
        self,
        direction: Direction | None = None,
        n_trials: int = 20,
        n_jobs: int = 1,
        n_startup: int = 10,
        seed: int = 0,
        storage: str | None = None,
        params: DictConfig | None = None,
        **others: Any,
    ) -> None:
        self.direction, self.storage, self.params = direction, storage, params or {}
        self.n_trials, self.n_jobs = n_trials, n_jobs
        self.n_startup, self.seed = n_startup, seed

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Raises UserError where Optuna is not installed, and where an option is out of range."""
        from isogain.config.errors import UserError, refuse
        from isogain.launch import hydra_options

        try:
            import optuna  # noqa: F401 - the extra `sweep`
        except ImportError:
            raise UserError(
                "hydra/sweeper=optuna: Optuna is not installed: pip install -e '.[sweep]'"
            ) from None
        refuse([*self._out_of_range(), *hydra_options.refusals(config, config.hydra)])
        self.hydra_context, self.config = hydra_context, config
        self.folder = Path(config.hydra.sweep.dir)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def _out_of_range(self) -> Iterator[str]:
        for name, least in (("n_trials", 1), ("n_jobs", 1), ("n_startup", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                yield f"hydra.sweeper.{name} must be a whole number >= {least}, got {value}"
        if self.direction not in (None, *get_args(Direction)):
            yield f"hydra.sweeper.direction={self.direction}: must be one of {', '.join(get_args(Direction))}"

    def sweep(self, arguments: list[str]) -> float:
        """The best value; raises UserError where no trial has any."""
        from isogain.config.errors import UserError, refuse
        from isogain.launch import optuna_study
        from isogain.launch.grid_check import composing

        overrides = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        parsed = OverridesParser.create().parse_overrides(overrides)
        latest = {o.get_key_element(): o for o in parsed}  # the command line's, where both have one
        space = {
            k: optuna_study.distribution(o) for k, o in latest.items() if o.is_sweep_override()
        }
        fixed = [o.input_line for k, o in latest.items() if k not in space]
        compose = composing(self.hydra_context.config_loader, self.config)
        self.objective = optuna_study.objective(space, fixed, compose)
        direction = optuna_study.direction(self.objective, self.direction)
        where = self.storage or str(self.folder / "study.db")
        if not (self.folder / "sweep.json").exists():  # what was begun goes on as it was
            refuse(optuna_study.idle(space, fixed, compose))
        optuna_study.check_folder(self.folder, where, fixed, self.objective, compose)
        self.folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, self.folder / "multirun.yaml")
        study = optuna_study.opened(where, direction)
        log.info("study in %s: %d of %d trials are there", where, len(study.trials), self.n_trials)
        self._take_up(study, space, fixed)
        while (left := self.n_trials - len(study.trials)) > 0:
            try:
                trials = [
                    optuna_study.proposed_trial(
                        study, space, self.seed, self.n_startup, self.n_jobs > 1
                    )
                    for _ in range(min(left, self.n_jobs))
                ]
            except ValueError as error:  # Optuna's, of choices that were others in earlier trials
                raise UserError(f"hydra.sweeper.params: {error}") from None
            self._run(study, trials, fixed)
        return self._best(study)

    def _take_up(self, study: Any, space: dict[str, Any], fixed: Sequence[str]) -> None:
        """Run the trials that were cut off; one that was while it was asked for is a failed one."""
        from isogain.launch import optuna_study

        for trial in filter(optuna_study.is_cut_off, study.trials):
            if trial.params.keys() == space.keys():
                self._run(study, [trial], fixed)
            else:
                optuna_study.tell(study, trial, None)

    def _run(self, study: Any, trials: Sequence[Any], fixed: Sequence[str]) -> None:
        """Launch trials with neighbouring numbers, and tell the study what their summaries say."""
        from isogain.launch import optuna_study

        jobs = [self._overrides(trial, fixed) for trial in trials]
        self._enlist(trials, jobs)
        failure = None
        try:
            self.launcher.launch(jobs, initial_job_idx=trials[0].number)
        except Exception as error:  # a launcher's, of one job of many
            failure = error
        summaries = [_summary(self.folder / str(trial.number)) for trial in trials]
        if failure and not any(summaries):
            raise failure
        for trial, summary in zip(trials, summaries, strict=True):
            value = self._value(summary)
            optuna_study.tell(study, trial, value)
            why = summary.get("error") or f"its summary has no {self.objective}"
            log.info("trial %d: %s", trial.number, why if value is None else f"{value:.6g}")

    def _overrides(self, trial: Any, fixed: Sequence[str]) -> list[str]:
        from isogain.launch import optuna_study

        proposed = optuna_study.overrides(trial)
        begun = (self.folder / str(trial.number)).exists()
        kept = [o for o in fixed if not (begun and o.startswith("resume="))]
        return [*kept, *proposed, *(["resume=true"] if begun else [])]

    def _value(self, summary: dict[str, Any]) -> float | None:
        """The objective of a finished run; None of any other."""
        value = summary.get(self.objective)
        whole = summary.get("status") == "finished" and isinstance(value, int | float)
        return float(value) if whole and math.isfinite(value) else None

    def _enlist(self, trials: Sequence[Any], jobs: Sequence[Sequence[str]]) -> None:
        """Put trials among the points of sweep.json, before they begin."""
        from isogain.record.sweep_json import Point, enlist

        launcher = str(self.config.hydra.launcher.get("_target_")).lower()
        pairs = zip(trials, jobs, strict=True)
        points = [Point(str(trial.number), tuple(job)) for trial, job in pairs]
        enlist(self.folder, points, "slurm" if "slurm" in launcher else "local", sweeper="optuna")

    def _best(self, study: Any) -> float:
        """Write best.yaml, the best trial so far as overrides, and tell it."""
        from isogain.config import shell
        from isogain.config.errors import UserError
        from isogain.launch import optuna_study

        try:
            best = study.best_trial
        except ValueError:
            status = shell.command("python", "-m", "isogain.status", self.folder)
            raise UserError(f"{self._nothing(study)}: {status}") from None
        overrides = optuna_study.overrides(best)
        best_trial = {"folder": str(best.number), "value": best.value, "overrides": overrides}
        OmegaConf.save(OmegaConf.create(best_trial), self.folder / "best.yaml")
        log.info(
            "best of %d: trial %d, %.6g: %s",
            len(study.trials),
            best.number,
            best.value,
            " ".join(overrides),
        )
        return best.value

    def _nothing(self, study: Any) -> str:
        """Why no trial has a value."""
        statuses = [_summary(self.folder / str(t.number)).get("status") for t in study.trials]
        finished = statuses.count("finished")
        if not finished:
            return "no trial finished"
        return f"no trial has {self.objective}, though {finished} of {len(statuses)} finished"


def _summary(folder: Path) -> dict[str, Any]:
    """What summary.json holds; {} where it is not there or cannot be read."""
    from isogain.record.bounded import Damaged
    from isogain.record.summary_json import read_summary

    try:
        return read_summary(folder)
    except (FileNotFoundError, Damaged):
        return {}
