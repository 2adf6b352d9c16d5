"""Weights & Biases as a mirror of the run folder; offline unless WANDB_MODE says otherwise."""

import csv
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from omegaconf import OmegaConf
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from isogain import fragments, wandb_errors
from isogain.errors import UserError
from isogain.record.atomic import replaced
from isogain.record.logger import Spectrum

log = logging.getLogger(__name__)
FLUSH = 1  # seconds until what was logged is on the disk; W&B's own choice, 15, is what a kill would cost


class Mirror(WandbLogger):
    """Logs scalars and histograms in one call an event, with `trainer/global_step` in it.

    The run's id lies in `<folder>/wandb/id`, so that a resumed run goes on under it; what its earlier attempts logged
    is not logged again, and what they lost is made up for from metrics.csv, so that each step is there once. In a
    sweep, `group` is by default its folder's name. Nothing is imported from wandb or contacted before training starts.
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
        self._seen: dict[int, set[str]] = {}  # what earlier attempts logged, by step
        self._edges: dict[str, np.ndarray] = {}  # by histogram
        self._last_step = 0
        self._wandb_init.pop("anonymous")  # Lightning's; wandb warns of it

    @staticmethod
    def refusals(options: Mapping[str, Any]) -> Iterator[str]:
        """A line for each of these options, or WANDB_ variables, that W&B would not take; nothing is contacted."""
        yield from wandb_errors.refusals(options)

    @property
    def experiment(self) -> Any:
        if self._experiment is not None:
            return super().experiment
        import wandb

        self._seen = fragments.logged(self.folder)
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
        ) as error:  # a ValueError is what a setting does not take
            raise UserError(f"logger=wandb: {wandb_errors.one_line(error)}") from None
        self._catch_up()
        return experiment

    @rank_zero_only
    def log_event(
        self, scalars: Mapping[str, float], spectra: Mapping[str, Spectrum], step: int
    ) -> None:
        import wandb

        self.experiment  # noqa: B018 - reads what earlier attempts logged
        new = self._unseen(step, [*scalars, *spectra])
        scalars = {name: value for name, value in scalars.items() if name in new}
        spectra = {name: spectrum for name, spectrum in spectra.items() if name in new}
        histograms = {
            name: wandb.Histogram(np_histogram=np.histogram(clipped(s), s.edges))
            for name, s in spectra.items()
            if s.edges is not None
        }
        self._edges |= {name: spectra[name].edges for name in histograms}
        self._last_step = step
        if scalars or histograms:
            self.log_metrics({**scalars, **histograms}, step)

    def _catch_up(self) -> None:
        """Log those rows of metrics.csv that no earlier attempt did: they were killed before it was on the disk."""
        path = self.folder / "metrics.csv"
        rows = csv.DictReader(path.read_text().splitlines()) if path.exists() else []
        for row in rows:
            step = int(row.pop("step"))
            known = {name: float(value) for name, value in row.items() if value}
            if new := self._unseen(step, known):
                self._seen.setdefault(step, set()).update(new)
                self.log_metrics({name: known[name] for name in new}, step)

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
            for name, counts in event_counts(self.folder / "spectra.npz", self._edges).items()
        }
        if images:
            self._experiment.log(images | {"trainer/global_step": self._last_step})

    def _config(self) -> dict[str, Any]:
        """The run's config, and under `choices` the name that each group goes by: what W&B can group by."""
        config, choices = (_yaml(self.folder / name) for name in ("config.yaml", "choices.yaml"))
        return config | ({"choices": choices} if choices else {})

    def _stable_id(self) -> str:
        path = self.folder / "wandb" / "id"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with replaced(path) as part:
                part.write_text(uuid.uuid4().hex[:12])
        return path.read_text()


def _yaml(path: Path) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(path)) if path.exists() else {}


def sweep_of(folder: Path) -> str | None:
    """Name of the sweep that a run folder belongs to; None where it is a run of its own."""
    parent = folder.absolute().parent
    marks = ("sweep.json", "multirun.yaml")
    return parent.name if any((parent / mark).exists() for mark in marks) else None


def event_counts(path: Path, edges: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of each array in the file that has edges, the histogram of every event; (events, bins)."""
    if not edges or not path.exists():
        return {}
    with np.load(path) as arrays:
        return {
            name: np.array([np.histogram(clipped(Spectrum(v, e)), e)[0] for v in arrays[name]])
            for name, e in edges.items()
        }


def clipped(spectrum: Spectrum) -> np.ndarray:
    """The values, those beyond the outermost edges moved into the outermost bins."""
    return np.clip(spectrum.values, spectrum.edges[0], spectrum.edges[-1]).ravel()


def heat_map(counts: np.ndarray, pixels: int = 4) -> np.ndarray:
    """Counts (events, bins) as grey levels 0 … 255: bins·pixels rows, the last bin on top, a column an event.

    The square root of the share of the fullest bin: rare values are seen too.
    """
    shares = np.sqrt(counts / counts.max(axis=1, keepdims=True).clip(1))
    return np.kron(255 * shares.T[::-1], np.ones((pixels, pixels))).astype(np.uint8)
