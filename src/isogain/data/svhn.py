"""Street View House Numbers from the MATLAB files of cropped digits; SciPy, which reads them, is imported only here."""

import io
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from isogain.config.errors import DataError
from isogain.data.images import Sequences
from isogain.data.source import content, downloaded

MD5 = {  # as torchvision publishes them
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b194d9cff3",
}
REMEDY = "put train_32x32.mat and test_32x32.mat there, or set data.root"


class SVHN(Sequences):
    """Digits of house numbers, rows 32 × 96 by default: 65 932 / 7 325 / 26 032 examples.

    `root` holds the two .mat files, as torchvision leaves them (None: `data`). Netzer et al. 2011.
    """

    shape, validation = (32, 32, 3), 7_325  # a tenth
    split_sizes = {"train": 65_932, "val": 7_325, "test": 26_032}

    def read(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        paths = {name: self.root / name for name in MD5}
        if not all(path.exists() for path in paths.values()):
            downloaded(self.root, self.fetch)
        train, test = (digits(path, MD5[name]) for name, path in paths.items())
        return *train, *test

    @staticmethod
    def fetch(datasets: ModuleType, root: Path) -> None:
        """Download by torchvision."""
        for split in ("train", "test"):
            datasets.SVHN(root, split=split, download=True)


def digits(path: Path, md5: str) -> tuple[Tensor, Tensor]:
    """Images (N, 32, 32, 3) and labels (N,), of which the files call 0 ten."""
    raw = content(path, md5, REMEDY)
    if find_spec("scipy") is None:
        raise DataError(f"{path}: is read by SciPy, which is not installed: pip install scipy")
    from scipy.io import loadmat

    try:
        arrays = loadmat(io.BytesIO(raw))
        images, labels = np.moveaxis(arrays["X"], -1, 0), arrays["y"].astype(np.uint8).ravel() % 10
        images = np.ascontiguousarray(images).reshape(len(labels), 32, 32, 3)
    except Exception as error:  # whatever SciPy meets in a file that is none
        raise DataError(
            f"{path}: no file of SVHN, X 32 × 32 × 3 × N and y N × 1 ({error})"
        ) from None
    return torch.from_numpy(images), torch.from_numpy(labels)
