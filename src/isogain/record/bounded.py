"""Bounded reading: whatever lies in a run folder, reading it ends soon, and memory is bounded by the kind of file."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LIMITS = {  # bytes of a file, by the end of its name
    ".yaml": MIB,
    ".json": 32 * MIB,
    ".jsonl": 16 * MIB,
    ".csv": 4 * GIB,  # never read as a whole
    ".npz": 64 * GIB,  # likewise
    ".ckpt": 64 * GIB,
    ".wandb": 64 * GIB,
    ".txt": 64 * GIB,  # only its end is read
}
OTHERS = MIB


class Damaged(ValueError):
    """A file that is there and cannot be read: `path`, and the `reason` in one line."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = Path(path), " ".join(reason.split())[:200]
        super().__init__(f"{self.path.name}: {self.reason}")


@contextmanager
def opened(path: Path, within: Path | None = None) -> Iterator[BinaryIO]:
    """The regular file at `path` for reading, no larger than LIMITS say; a FIFO, device or folder is refused.

    A link is followed if it stays `within` a folder, by default the file's own. Raises FileNotFoundError where there is
    no file; Damaged otherwise, for an error of the system inside the block too.
    """
    try:
        with os.fdopen(_descriptor(path, within), "rb") as file:
            _check(path, os.fstat(file.fileno()))
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(2, "no such file", str(path)) from None
    except OSError as error:
        raise Damaged(path, f"cannot be read ({error.strerror or error})") from None


def content(path: Path, within: Path | None = None) -> bytes:
    """All of a file; raises what opened() does."""
    with opened(path, within) as file:
        limit = limit_of(path)
        # to read LIMIT bytes would set them aside; it may have grown since its size was looked at
        data = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
    if len(data) > limit:
        raise Damaged(path, _too_large(limit))
    return data


def text(path: Path, within: Path | None = None) -> str:
    """All of a file of UTF-8; raises what opened() does."""
    try:
        return content(path, within).decode()
    except UnicodeDecodeError as error:
        raise Damaged(path, f"no UTF-8 at byte {error.start}") from None


def tail(path: Path, size: int) -> bytes:
    """The last `size` bytes of a file, or fewer; raises what opened() does."""
    with opened(path) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read(size)


def limit_of(path: Path) -> int:
    """How many bytes a file of this name may have."""
    return LIMITS.get(os.path.splitext(path)[1], OTHERS)


def _descriptor(path: Path, within: Path | None) -> int:
    """The file at `path`, open for reading, without waiting for the other end of a FIFO.

    The file that was checked is the one that is read, whatever happens to links meanwhile.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY
    try:
        return os.open(path, flags)
    except OSError:
        if not os.path.islink(path):
            raise
    target = Path(os.path.realpath(path))
    root = Path(os.path.realpath(within or os.path.dirname(path)))
    if root not in target.parents:
        raise Damaged(path, "a link that leads out of the folder")
    return os.open(target, flags)


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Damaged(path, "not a regular file")
    if status.st_size > limit_of(path):
        raise Damaged(path, _too_large(limit_of(path)))


def _too_large(limit: int) -> str:
    return f"larger than {limit // MIB:,} MiB, which none of its kind is"
