"""Where the values of an array lie in an npz archive, so that an event is read as a piece of the file."""

import math
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from isogain.record.bounded import Damaged

DEPTH = 8  # axes
HEADER = 4096  # bytes of a member's header: dtype, order and shape
LOCAL = 30  # bytes of a member's record in the archive, before its name


class Layout(NamedTuple):
    """`size`: bytes of the values. `begin`: the byte of the file at which they lie, one event after the other; None
    where they are compressed or in Fortran order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    size: int
    begin: int | None


def layout(
    path: Path, file: BinaryIO, archive: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str
) -> Layout:
    """The layout of the array `member` of the archive, which is open as `file`.

    kinds: the letters of numpy's kinds of dtype that are allowed. Raises Damaged for arrays that no run writes.
    """
    name = member.filename.removesuffix(".npy")[:60]
    with archive.open(member) as stored:
        version = npy.read_magic(stored)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stored, max_header_size=HEADER)
        header = stored.tell()
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in kinds or dtype.names is not None or len(shape) > DEPTH:
        raise Damaged(path, f"{name} is {dtype.str}{list(shape)}, which no run writes")
    if member.file_size - header != size:
        raise Damaged(path, f"{name} is not of its size")
    plain = member.compress_type == zipfile.ZIP_STORED and not fortran
    begin = _data_of(file, member) + header if plain else None
    return Layout(shape, dtype, fortran, size, begin)


def _data_of(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """The byte of the file at which the data of a stored member begin."""
    file.seek(member.header_offset)
    local = file.read(LOCAL)
    name, extra = (int.from_bytes(local[i : i + 2], "little") for i in (26, 28))
    return member.header_offset + LOCAL + name + extra
