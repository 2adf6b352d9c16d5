"""Weights & Biases as a mirror of the run folder; offline unless WANDB_MODE says otherwise."""

import logging
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from omegaconf import OmegaConf
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from isogain.config.errors import UserError
from isogain.record.atomic import replaced, set_aside
from isogain.record.bounded import Damaged, text
from isogain.record.bounded_yaml import yaml_config
from isogain.record.logger import Spectrum
from isogain.record.metrics_rows import all_rows
from isogain.record.spectra_events import Spectra, opened_spectra
from isogain.tracking import offline, wandb_errors
from isogain.tracking.heat_maps import clipped, event_counts, heat_map

log = logging.getLogger(__name__)
FLUSH = 1  # seconds until logged values are on the disk: a kill costs as many, and W&B's own choice is 15


class Mirror(WandbLogger):
    """Logs scalars and histograms in one call an event, with `trainer/global_step` in it.

    The run's id lies in `<folder>/wandb/id`, so that a resumed run continues under it. Values that an earlier attempt
    logged are not logged again, and values that it lost are read from metrics.csv, so that each step is there once.
    In a sweep, `group` is by default its folder's name. Nothing is imported from wandb or contacted before training
    starts.
    """

    def __init__(
        self,
        folder: Path,
        project: str = "isogain",
        group: str | None = None,
        name: str | None = None,
        tags: list[str] | None = None,
        job_type: str | None = None,
        mode: Literal["offline", "online", "disabled", "shared", "dryrun", "run"] = "offline",
    ) -> None:
        super().__init__(
            project=project,
            name=name or folder.name,
            group=group or sweep_of(folder),
            tags=tags,
            job_type=job_type,
            mode=mode,
        )
        self.folder = folder
        self._seen: dict[int, set[str]] = {}  # names that earlier attempts logged, by step
        self._edges: dict[str, np.ndarray] = {}  # by histogram
        self._last_step = 0
        self._wandb_init.pop("anonymous")  # Lightning's; wandb warns of it

    @staticmethod
    def refusals(options: Mapping[str, Any]) -> Iterator[str]:
        """A line for each of these options, or WANDB_ variables, that W&B would refuse; nothing is contacted."""
        yield from wandb_errors.refusals(options)

    @property
    def experiment(self) -> Any:
        if self._experiment is not None:
            return super().experiment
        import wandb

        self._seen = offline.logged(self.folder)
        try:
            self._wandb_init |= {
                "config": self._config(),
                "dir": str(self.folder),
                "id": self._stable_id(),
                "settings": wandb.Settings(
                    silent=True,
                    console="off",
                    init_timeout=30,
                    x_transaction_log_flush_interval=FLUSH,
                ),
            }
            experiment = super().experiment
        except (
            wandb.errors.Error,
            ValueError,
        ) as error:  # a ValueError is of a setting that is refused
            raise UserError(f"logger=wandb: {wandb_errors.one_line(error)}") from None
        self._log_missing()
        return experiment

    @rank_zero_only
    def log_event(
        self, scalars: Mapping[str, float], spectra: Mapping[str, Spectrum], step: int
    ) -> None:
        self.experiment  # noqa: B018 - reads what earlier attempts logged
        new = self._unseen(step, [*scalars, *spectra])
        scalars = {name: value for name, value in scalars.items() if name in new}
        binned = {n: s for n, s in spectra.items() if n in new and s.edges is not None}
        histograms = {name: _histogram(spectrum) for name, spectrum in binned.items()}
        self._edges |= {name: spectrum.edges for name, spectrum in binned.items()}
        self._last_step = step
        if scalars or histograms:
            super().log_metrics({**scalars, **histograms}, step)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log the metrics, without those that an earlier attempt logged at that step."""
        self.experiment  # noqa: B018 - reads what earlier attempts logged
        new = list(metrics) if step is None else self._unseen(step, metrics)
        if new:
            super().log_metrics({name: metrics[name] for name in new}, step)

    def _log_missing(self) -> None:
        """Log the values of metrics.csv and spectra.npz that no earlier attempt left at W&B: it was killed before."""
        for known in all_rows(self.folder / "metrics.csv"):
            self._log_unseen(int(known.pop("step")), known)
        try:
            with opened_spectra(self.folder) as arrays:
                for name in arrays.names:
                    self._log_missing_histograms(name, arrays)
        except FileNotFoundError:
            pass
        except Damaged as error:
            log.warning("histograms of earlier attempts may be missing at W&B: %s", error)

    def _log_missing_histograms(self, name: str, arrays: Spectra) -> None:
        edges = arrays.edges(name)
        if edges is None:  # it has none, or is of a version that did not keep them
            return
        self._edges[name] = edges
        for event, step in enumerate(arrays.steps(name).tolist()):
            if self._unseen(step, [name]):
                values = Spectrum(arrays.events(name, [event])[0], edges)
                self._log_unseen(step, {name: _histogram(values)})

    def _log_unseen(self, step: int, known: Mapping[str, Any]) -> None:
        if new := self._unseen(step, known):
            super().log_metrics({name: known[name] for name in new}, step)
            self._seen.setdefault(step, set()).update(new)

    def _unseen(self, step: int, names: Iterable[str]) -> list[str]:
        """Those of `names` that no earlier attempt logged at `step`; the epoch alone is no news."""
        seen = self._seen.get(step, set())
        new = [name for name in names if name not in seen]
        return [] if new == ["epoch"] else new

    def close(self, summary: Mapping[str, Any]) -> None:
        """Mirror the summary and end the W&B run; without it the next run in this process would go on in this one."""
        if self._experiment is not None:
            self._log_heat_maps()
            self._experiment.summary.update(dict(summary))
            self._experiment.finish(exit_code=int(summary["status"] == "failed"))

    def _log_heat_maps(self) -> None:
        """One image a histogram: an event of spectra.npz a column, large values on top; of a resumed run too."""
        import wandb

        if find_spec("PIL") is None:  # wandb needs it for images and does not bring it
            log.warning("no heat maps of the spectra at W&B: install pillow")
            return
        images = {
            f"{name}/heat_map": wandb.Image(heat_map(counts))
            for name, counts in event_counts(self.folder, self._edges).items()
        }
        if images:
            self._experiment.log(images | {"trainer/global_step": self._last_step})

    def _config(self) -> dict[str, Any]:
        """The run's config, and under `choices` the name that was chosen in each group, by which W&B can group runs."""
        config, choices = (_yaml(self.folder / name) for name in ("config.yaml", "choices.yaml"))
        return config | ({"choices": choices} if choices else {})

    def _stable_id(self) -> str:
        path = self.folder / "wandb" / "id"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            stored = text(path)
            if re.fullmatch(r"[\w-]{1,64}", stored, re.ASCII):
                return stored
            raise Damaged(path, "no id of a run")
        except Damaged as error:
            log.warning("%s: %s; set aside as %s", path, error.reason, set_aside(path).name)
        except FileNotFoundError:
            pass
        names = [fragment.name.rpartition("-")[2] for fragment in offline.of_run(self.folder)]
        own = (
            names[-1] if names else uuid.uuid4().hex[:12]
        )  # the run continues under the name it had
        with replaced(path) as part:
            part.write_text(own)
        return own


def _histogram(spectrum: Spectrum) -> Any:
    import wandb

    return wandb.Histogram(np_histogram=np.histogram(clipped(spectrum), spectrum.edges))


def _yaml(path: Path) -> dict[str, Any]:
    return OmegaConf.to_container(yaml_config(path)) if path.exists() else {}


def sweep_of(folder: Path) -> str | None:
    """Name of the sweep that a run folder belongs to; None where it is a run of its own."""
    parent = folder.absolute().parent
    marks = ("sweep.json", "multirun.yaml")
    return parent.name if any((parent / mark).exists() for mark in marks) else None
