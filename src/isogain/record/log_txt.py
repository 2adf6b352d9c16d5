"""The writer of `log.txt`: everything that a run logs, even where its terminal is gone."""

import logging
import os
import sys
from io import TextIOWrapper
from pathlib import Path

from isogain.record.atomic import regular


class LogFile(logging.FileHandler):
    """Adds to the file; where it cannot be opened or written, prints one line on stderr, and the run goes on.

    Hydra names this class in its configuration of logging. A link, a pipe or a device is not opened.
    """

    def __init__(self, filename: str, mode: str = "a", **options: object) -> None:
        self._is_silent = False
        super().__init__(filename, mode, encoding="utf-8", errors="replace")

    def _open(self) -> TextIOWrapper:
        try:
            file = regular(Path(self.baseFilename), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        except OSError as error:
            self._report(error)
            file = os.open(os.devnull, os.O_WRONLY)
        return os.fdopen(file, self.mode, encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Report an error of the system, such as a full disk, once; logging itself reports errors in a message."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_silent:
            self._report(error)

    def _report(self, error: OSError) -> None:
        self._is_silent = True
        reason = error.strerror or str(error)
        print(f"warning: {self.baseFilename}: {reason}: lines are missing there", file=sys.stderr)
