"""A run's folder held open, to see whether it is still the one that the run began in."""

import os
import weakref
from pathlib import Path

from isogain.config.errors import FolderLost


class HeldFolder:
    """The folder at `path` as it is now, if there is one; held open, so that no other can get its inode number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            self._folder = None
        else:
            weakref.finalize(self, os.close, self._folder)

    def check(self) -> None:
        """Raise FolderLost where the folder is gone from `path`, or another one is there."""
        if self._folder is None or self._is_there():
            return
        raise FolderLost(
            f"out={self.path}: removed or replaced while the run was at work in it; nothing more is written there"
        )

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._folder))
        except OSError:
            return False
