"""The reader of `spectra.npz`: array by array, and of a large array only the events that are wanted.

numpy's own reader loads whole arrays; ours are stored as they are, so that an event is a piece of the file.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from isogain.record.bounded import MIB, Damaged, opened
from isogain.record.npz_layout import DEPTH, Layout, layout

NAME = "spectra.npz"
MEMBERS = 20_000
SMALL = 16 * MIB  # bytes of an array that is read as a whole, its checksum checked
EVENT = 512 * MIB  # bytes of an event, of which one at a time is read
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError),
    *(SyntaxError, ArithmeticError, MemoryError, TypeError, struct.error),
)  # the errors of zipfile, zlib and numpy over damaged bytes


class Spectra:
    """The arrays of one file. Every method raises Damaged for values that no run writes: objects, other sizes."""

    def __init__(self, path: Path, file: BinaryIO, archive: zipfile.ZipFile) -> None:
        self.path, self._file, self._archive = path, file, archive
        self._layouts: dict[str, Layout] = {}
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
        shape = self._layout(name, "iufb").shape
        if not shape or shape[0] != len(self.steps(name)):
            raise Damaged(self.path, f"{name[:60]} has not an event a step")
        if self.event_size(name) > EVENT:
            raise Damaged(self.path, f"an event of {name[:60]} is larger than {EVENT // MIB} MiB")

    def events(self, name: str, at: Sequence[int] | np.ndarray) -> np.ndarray:
        """The values of the events `at` these places: (len(at), ...)."""
        self.check(name)
        place = self._layout(name, "iufb")
        if place.size <= SMALL:
            return self._whole(name, "iufb")[np.asarray(at, dtype=int)]
        if place.begin is None:
            raise Damaged(self.path, f"{name[:60]} is stored in a way that no run writes")
        each = place.size // place.shape[0]
        rows = [self._slice(place.begin + int(k) * each, each, place.dtype) for k in at]
        return np.stack(rows).reshape(len(rows), *place.shape[1:])

    def event_size(self, name: str) -> int:
        """Bytes of one event of an array."""
        place = self._layout(name, "iufb")
        return place.size // max(place.shape[:1] or (1,))

    def event_shape(self, name: str) -> tuple[int, ...]:
        """The shape of one event."""
        return self._layout(name, "iufb").shape[1:]

    def _slice(self, begin: int, size: int, dtype: np.dtype) -> np.ndarray:
        self._file.seek(begin)
        return np.frombuffer(self._file.read(size), dtype)

    def _whole(self, name: str, kinds: str) -> np.ndarray:
        place = self._layout(name, kinds)
        if place.size > SMALL:
            raise Damaged(self.path, f"{name[:60]} is larger than any of its kind")
        data = self._archive.read(self._members[name])  # and its checksum is right
        values = np.frombuffer(data[len(data) - place.size :], place.dtype)
        return values.reshape(place.shape, order="F" if place.fortran else "C")

    def _layout(self, name: str, kinds: str) -> Layout:
        if name not in self._layouts:
            member = self._members[name]
            self._layouts[name] = layout(self.path, self._file, self._archive, member, kinds)
        return self._layouts[name]


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
