"""Files that are whole or absent, whatever happens while they are written."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

# errors of file systems that cannot flush on demand: FUSE and network ones, for folders above all
NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within, an OSError without a file name gets that of `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; flushed to the disk and renamed to `path` when the block ends well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with naming(path):
            yield part
            sync(part)
            os.replace(part, path)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # the error of the block is the one to raise
            part.unlink(missing_ok=True)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process is in such a block with `path`; on a file system without locks, do not wait."""
    file = regular(path, os.O_RDWR | os.O_CREAT)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def append(path: Path, lines: bytes) -> None:
    """Add lines at the end of a file, down to the disk; an error leaves the file as it was.

    A line that a kill cut short is ended first.
    """
    file = regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        size = os.fstat(file).st_size
        cut = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        with naming(path):
            overwrite(file, size, b"\n" * cut + lines)
            sync_descriptor(file)
    finally:
        os.close(file)


def overwrite_end(path: Path, start: int, data: bytes) -> None:
    """Write `data` from `start` to the end of a file, as `overwrite` does with an open one."""
    file = os.open(path, os.O_RDWR)
    try:
        with naming(path):
            overwrite(file, start, data)
    finally:
        os.close(file)


def regular(path: Path, flags: int) -> int:
    """The file at `path`, open; raises OSError for a link, and without waiting for a pipe or a device."""
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def sync(path: Path) -> None:
    """Flush a file, or a folder's names, to the disk, where the file system can."""
    file = os.open(path, os.O_RDONLY)
    try:
        sync_descriptor(file)
    finally:
        os.close(file)


def sync_descriptor(file: int) -> None:
    """Flush an open file to the disk, where the file system can."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def overwrite(file: int, start: int, data: bytes) -> None:
    """Write `data` from `start` to the end of an open file; an error leaves the file as it was.

    `data` must not be shorter than what is there: a kill between two system calls would leave both.
    """
    before = os.pread(file, os.fstat(file).st_size - start, start)
    if len(data) < len(before):
        raise ValueError(f"{len(data)} bytes cannot take the place of {len(before)}")
    written = 0
    try:
        while written < len(data):  # a disk that fills up stores a part
            written += os.pwrite(file, data[written:], start + written)
    except OSError:
        with contextlib.suppress(OSError):  # the space is there: it was in use before
            os.pwrite(file, before, start)
        with contextlib.suppress(OSError):
            os.ftruncate(file, start + len(before))
        raise


def is_regular(path: Path) -> bool:
    """Whether a file lies at `path` itself: no folder, pipe or device, and no link to anything."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def set_aside(path: Path) -> Path:
    """Keep what is at `path` under a name that says it is damaged, and return that name.

    A regular file stays at `path` too, to be replaced whole by what can be saved of it; anything else is moved.
    """
    names = (path.with_name(f"{path.name}.damaged-{n}") for n in count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        if not is_regular(path):
            raise OSError
        os.link(path, aside)
    except OSError:  # no regular file, or a file system without hard links
        os.rename(path, aside)
    return aside


def remove_parts(folder: Path) -> None:
    """Remove the temporary files of processes that were killed; call it where no other is at work in `folder`."""
    for part in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
