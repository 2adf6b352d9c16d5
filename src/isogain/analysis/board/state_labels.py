"""What has become of runs that have not said how they ended; asked of processes and SLURM, which may take a while."""

import os
import threading
import time
from pathlib import Path

from isogain.analysis.status import survey

EVERY = 10.0  # seconds between two questions to the queue


class Fates:
    """State and reason of every run below `folder` by `isogain.status`; a thread asks again every EVERY seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[Path, tuple[str, str]] = {}
        self._asked: float | None = None
        self._asking = threading.Lock()

    def latest(self) -> dict[Path, tuple[str, str]]:
        """What is known; waits only for the first answer."""
        if self._asked is None:
            self._ask()
        elif time.monotonic() - self._asked > EVERY and not self._asking.locked():
            threading.Thread(target=self._ask, daemon=True).start()
        return self.known

    def _ask(self) -> None:
        with self._asking:
            found = survey.find(self.folder)
            survey.judge(found)
            self.known = {
                Path(os.path.normpath(s.path / r.name)): (r.state, r.reason)
                for s in found
                for r in s.runs
            }
            self._asked = time.monotonic()
