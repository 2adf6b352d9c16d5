"""States of runs whose own files do not record how they ended; processes and SLURM are queried, which may be slow."""

import os
import threading
import time
from pathlib import Path

from isogain.analysis.status import survey

INTERVAL = 10.0  # seconds between two queries of processes and SLURM


class StateLabels:
    """State and reason of every run below `folder`, as `isogain.status` has them, renewed by a background thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels: dict[Path, tuple[str, str]] = {}
        self._queried: float | None = None
        self._querying = threading.Lock()

    def latest(self) -> dict[Path, tuple[str, str]]:
        """Path of a run -> state and reason, at most about INTERVAL seconds old; only the first call waits for them."""
        if self._queried is None:
            self._query()
        elif time.monotonic() - self._queried > INTERVAL and not self._querying.locked():
            threading.Thread(target=self._query, daemon=True).start()
        return self.labels

    def _query(self) -> None:
        with self._querying:
            sweeps = survey.find(self.folder)
            survey.judge(sweeps)
            self.labels = {
                Path(os.path.normpath(sweep.path / run.name)): (run.state, run.reason)
                for sweep in sweeps
                for run in sweep.runs
            }
            self._queried = time.monotonic()
