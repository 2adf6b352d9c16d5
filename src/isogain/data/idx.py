"""The IDX format of MNIST and its relatives, checked against the published MD5."""

from math import prod
from pathlib import Path

import torch
from torch import Tensor

from isogain.data.source import content

PACKAGED = "it comes with the package, reinstall it or set data.root"


def idx_tensor(path: Path, md5: str, remedy: str = PACKAGED) -> Tensor:
    """The uint8 tensor in an IDX file (plain, .gz or .xz) whose decompressed bytes have the given MD5.

    Raises DataError where the file is missing, cannot be decompressed, or is not the published one.
    """
    raw = content(path, md5, remedy)
    axes = raw[
        3
    ]  # two zero bytes, the type (8: uint8), the number of axes, then one big-endian int32 an axis
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i]) for i in range(axes)]
    return torch.frombuffer(
        bytearray(raw), dtype=torch.uint8, offset=4 + 4 * axes, count=prod(shape)
    ).view(shape)
