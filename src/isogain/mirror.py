"""Weights & Biases as a mirror of the run folder; offline unless WANDB_MODE says otherwise."""

import logging
import uuid
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from omegaconf import OmegaConf
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from isogain.errors import UserError
from isogain.record import Spectrum

log = logging.getLogger(__name__)


class Mirror(WandbLogger):
    """Logs scalars and histograms in one call an event, with `trainer/global_step` in it.

    The run's id lies in `<folder>/wandb/id`, so that a resumed run goes on under it. Nothing is
    imported from wandb or contacted before training starts.
    """

    def __init__(
        self,
        folder: Path,
        project: str = "isogain",
        group: str | None = None,
        name: str | None = None,
        tags: list[str] | None = None,
        mode: Literal["offline", "online", "disabled", "shared", "dryrun", "run"] = "offline",
    ) -> None:
        super().__init__(
            project=project, name=name or folder.name, group=group, tags=tags, mode=mode
        )
        self.folder = folder
        self._edges: dict[str, np.ndarray] = {}  # by histogram
        self._last_step = 0
        self._wandb_init.pop("anonymous")  # Lightning's; wandb warns of it

    @property
    def experiment(self) -> Any:
        if self._experiment is not None:
            return super().experiment
        import wandb

        self._wandb_init |= {
            "config": self._config(),
            "dir": str(self.folder),
            "id": self._stable_id(),
            "settings": wandb.Settings(silent=True, console="off", init_timeout=30),
        }
        try:
            return super().experiment
        except wandb.errors.Error as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            hint = "WANDB_MODE=offline or logger=csv needs no account and no network"
            raise UserError(f"logger=wandb: {reason}; {hint}") from None

    @rank_zero_only
    def log_event(
        self, scalars: Mapping[str, float], spectra: Mapping[str, Spectrum], step: int
    ) -> None:
        import wandb

        histograms = {
            name: wandb.Histogram(np_histogram=np.histogram(clipped(s), s.edges))
            for name, s in spectra.items()
            if s.edges is not None
        }
        self._edges |= {name: spectra[name].edges for name in histograms}
        self._last_step = step
        self.log_metrics({**scalars, **histograms}, step)

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
            path.write_text(uuid.uuid4().hex[:12])
        return path.read_text()


def _yaml(path: Path) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(path)) if path.exists() else {}


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
