"""The IDX format of MNIST and its relatives, xz-compressed, checked against the published MD5."""

import hashlib
import lzma
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from isogain.errors import DataError


def idx_tensor(path: Path, md5: str) -> Tensor:
    """The uint8 tensor in an xz-compressed IDX file whose decompressed bytes have the given MD5.

    Raises DataError where the file is missing, cannot be decompressed, or is not the published one.
    """
    try:
        raw = lzma.decompress(path.read_bytes())
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; it comes with the package, reinstall it or set data.root"
        ) from None
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); replace it with a good copy") from None
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"{path}: MD5 of the decompressed file is {found}, expected {md5}; replace it with a good copy"
        )
    axes = raw[
        3
    ]  # two zero bytes, the type (8: uint8), the number of axes, then one big-endian int32 an axis
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i]) for i in range(axes)]
    return torch.frombuffer(
        bytearray(raw), dtype=torch.uint8, offset=4 + 4 * axes, count=prod(shape)
    ).view(shape)
