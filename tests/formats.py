"""Small files in the original formats of the data sets."""

import struct

from torch import Tensor

UINT8 = 8  # the type byte of the IDX format


def idx_bytes(tensor: Tensor) -> bytes:
    """An IDX file of uint8."""
    head = struct.pack(">HBB", 0, UINT8, tensor.ndim)
    return head + struct.pack(f">{tensor.ndim}I", *tensor.shape) + bytes(tensor.flatten().tolist())
