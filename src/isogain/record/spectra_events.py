"""The reader of `spectra.npz`: array by array, and of a large array only the events that are wanted.

numpy's own reader loads whole arrays; ours are stored as they are, so that an event is a piece of the file.
"""

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from isogain.record.bounded import MIB, Damaged, opened

NAME = "spectra.npz"
MEMBERS = 20_000
SMALL = 16 * MIB  # bytes of an array that is read as a whole, its checksum checked
EVENT = 512 * MIB  # bytes of an event, of which one at a time is read
DEPTH = 8  # axes
HEADER = 4096  # bytes of a member's header: dtype, order and shape
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError),
    *(SyntaxError, ArithmeticError, MemoryError, TypeError, struct.error),
)  # the errors of zipfile, zlib and numpy over damaged bytes
LOCAL = 30  # bytes of a member's record in the archive, before its name


class Spectra:
    """The arrays of one file. Every method raises Damaged for values that no run writes: objects, other sizes."""

    def __init__(self, path: Path, file: BinaryIO, archive: zipfile.ZipFile) -> None:
        self.path, self._file, self._archive = path, file, archive
        self._layouts: dict[str, _Layout] = {}
        self._members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}

    @property
    def names(self) -> list[str]:
        """The names of the arrays that have events, each with its steps."""
        return [name for name in self._members if f"{name}/step" in self._members]

    def __contains__(self, name: str) -> bool:
        return name in self._members and f"{name}/step" in self._members

    def axes(self, name: str) -> list[str]:
        """The names of an array's axes; none where they were not written."""
        if f"{name}/axes" not in self._members:
            return []
        axes = self._whole(f"{name}/axes", "U")
        return [str(axis) for axis in axes.ravel()[:DEPTH]]

    def edges(self, name: str) -> np.ndarray | None:
        """The bin edges of the histogram of an array's values, rising; None where it has none."""
        if f"{name}/edges" not in self._members:
            return None
        edges = self._whole(f"{name}/edges", "f")
        if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise Damaged(self.path, f"the edges of {name[:60]} are none")
        return edges

    def steps(self, name: str) -> np.ndarray:
        """The step of every event: (events,)."""
        steps = self._whole(f"{name}/step", "iuf")
        if steps.ndim != 1 or not len(steps) or not np.isfinite(steps).all():
            raise Damaged(self.path, f"the steps of {name[:60]} are none")
        if (np.diff(steps) < 0).any() or (abs(steps) >= 2**53).any():
            raise Damaged(self.path, f"the steps of {name[:60]} are in no order")
        return steps.astype(np.int64)

    def check(self, name: str) -> None:
        """Raise Damaged unless an array has numbers, and as many events as steps."""
        layout = self._layout(name, "iufb")
        if not layout.shape or layout.shape[0] != len(self.steps(name)):
            raise Damaged(self.path, f"{name[:60]} has not an event a step")
        if self.event_size(name) > EVENT:
            raise Damaged(self.path, f"an event of {name[:60]} is larger than {EVENT // MIB} MiB")

    def events(self, name: str, at: Sequence[int] | np.ndarray) -> np.ndarray:
        """The values of the events `at` these places: (len(at), ...)."""
        self.check(name)
        layout = self._layout(name, "iufb")
        if layout.size <= SMALL:
            return self._whole(name, "iufb")[np.asarray(at, dtype=int)]
        if layout.begin is None:
            raise Damaged(self.path, f"{name[:60]} is stored in a way that no run writes")
        each = layout.size // layout.shape[0]
        rows = [self._slice(layout.begin + int(k) * each, each, layout.dtype) for k in at]
        return np.stack(rows).reshape(len(rows), *layout.shape[1:])

    def event_size(self, name: str) -> int:
        """Bytes of one event of an array."""
        layout = self._layout(name, "iufb")
        return layout.size // max(layout.shape[:1] or (1,))

    def event_shape(self, name: str) -> tuple[int, ...]:
        """The shape of one event."""
        return self._layout(name, "iufb").shape[1:]

    def _slice(self, begin: int, size: int, dtype: np.dtype) -> np.ndarray:
        self._file.seek(begin)
        return np.frombuffer(self._file.read(size), dtype)

    def _whole(self, name: str, kinds: str) -> np.ndarray:
        layout = self._layout(name, kinds)
        if layout.size > SMALL:
            raise Damaged(self.path, f"{name[:60]} is larger than any of its kind")
        data = self._archive.read(self._members[name])  # and its checksum is right
        values = np.frombuffer(data[len(data) - layout.size :], layout.dtype)
        return values.reshape(layout.shape, order="F" if layout.fortran else "C")

    def _layout(self, name: str, kinds: str) -> "_Layout":
        if name not in self._layouts:
            self._layouts[name] = self._read_layout(name, kinds)
        return self._layouts[name]

    def _read_layout(self, name: str, kinds: str) -> "_Layout":
        member = self._members[name]
        with self._archive.open(member) as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(file, max_header_size=HEADER)
            at = file.tell()
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in kinds or dtype.names is not None or len(shape) > DEPTH:
            raise Damaged(
                self.path, f"{name[:60]} is {dtype.str}{list(shape)}, which no run writes"
            )
        if member.file_size - at != size:
            raise Damaged(self.path, f"{name[:60]} is not of its size")
        plain = member.compress_type == zipfile.ZIP_STORED and not fortran
        begin = self._data_of(member) + at if plain else None
        return _Layout(shape, dtype, fortran, size, begin)

    def _data_of(self, member: zipfile.ZipInfo) -> int:
        """Where the bytes of a stored member begin."""
        self._file.seek(member.header_offset)
        local = self._file.read(LOCAL)
        name, extra = (int.from_bytes(local[i : i + 2], "little") for i in (26, 28))
        return member.header_offset + LOCAL + name + extra


class _Layout(NamedTuple):
    """`begin`: the byte of the file at which the values are, one event after the other; None where they are not."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    size: int
    begin: int | None


@contextmanager
def opened_spectra(folder: Path) -> Iterator[Spectra]:
    """The arrays in a run folder; raises FileNotFoundError where there are none, Damaged in the block as well."""
    path = folder / NAME
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if len(archive.infolist()) > MEMBERS:
                    raise Damaged(path, f"holds more than {MEMBERS:,} arrays")
                yield Spectra(path, file, archive)
        except Damaged:
            raise
        except DAMAGE as error:
            no_zip = isinstance(error, zipfile.BadZipFile) and not zipfile.is_zipfile(path)
            reason = "no arrays in it" if no_zip else str(error) or type(error).__name__
            raise Damaged(path, f"damaged ({reason})") from None


def spread(length: int, most: int) -> np.ndarray:
    """At most `most` indices below `length`, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int))
