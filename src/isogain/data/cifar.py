"""CIFAR-10 from the Python version of its files, read by an unpickler that builds nothing but arrays."""

import io
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isogain.config.errors import DataError
from isogain.data.images import Sequences
from isogain.data.source import content, downloaded

FOLDER = "cifar-10-batches-py"
MD5 = {  # as torchvision publishes them
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
REMEDY = f"put the folder {FOLDER} of cifar-10-python.tar.gz there, or set data.root"


class CIFAR10(Sequences):
    """CIFAR-10, rows 32 × 96 by default: 45 000 / 5 000 / 10 000 examples, the split of He et al. 2016.

    `root` holds cifar-10-batches-py, as torchvision leaves it (None: `data`). Krizhevsky 2009.
    """

    shape, validation = (32, 32, 3), 5_000
    split_sizes = {"train": 45_000, "val": 5_000, "test": 10_000}

    def read(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        paths = {name: self.root / FOLDER / name for name in MD5}
        if not all(path.exists() for path in paths.values()):
            downloaded(self.root, self.fetch)
        *train, test = (batch(path, MD5[name]) for name, path in paths.items())
        return *(torch.cat(parts) for parts in zip(*train, strict=True)), *test

    @staticmethod
    def fetch(datasets: ModuleType, root: Path) -> None:
        """Download by torchvision."""
        datasets.CIFAR10(root, download=True)


def batch(path: Path, md5: str) -> tuple[Tensor, Tensor]:
    """Images (N, 32, 32, 3) and labels (N,) of one file, whose rows are the red, green and blue planes."""
    try:
        arrays = Arrays(io.BytesIO(content(path, md5, REMEDY)), encoding="bytes").load()
        images, labels = arrays[b"data"], np.asarray(arrays[b"labels"], np.uint8)
        planes = images.reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no batch of CIFAR-10 of N × 3072 bytes ({error})") from None
    return torch.from_numpy(np.ascontiguousarray(planes)), torch.from_numpy(labels)


class Arrays(pickle.Unpickler):
    """Unpickles plain values and NumPy arrays, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}:
            return super().find_class(module, name)
        if module.endswith("core.multiarray") and name == "_reconstruct":
            return np.ndarray.__reduce__(np.empty(0))[0]
        raise pickle.UnpicklingError(f"{module}.{name} is no array")
