"""MNIST and Fashion-MNIST, flat or as sequences.

MNIST ships with the package (LeCun, Cortes, Burges; CC BY-SA 3.0).
"""

from pathlib import Path
from types import ModuleType

from torch import Tensor

from isogain.data.idx import PACKAGED, idx_tensor
from isogain.data.images import Images, Sequences
from isogain.data.source import downloaded, located
from isogain.data.task import hits

__all__ = ["MD5", "MNIST", "FashionMNIST", "SeqFashionMNIST", "SeqMNIST", "hits"]
MD5 = {  # of the decompressed files, as published
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
FASHION_MD5 = {  # of the decompressed files of Debian's package
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


class MNIST(Images):
    """Flat MNIST for the MLP: x (B, 784) in [0, 1], y (B,) in 0 … 9; 48 000 / 12 000 / 10 000
    examples.

    `split_seed` alone decides which 12 000 training images validate (a fifth, as in Hlav 2019), `seed`
    the order of training batches. `root` is a folder with the four IDX files, plain, .gz or .xz, or
    with torchvision's MNIST/raw (None: the package's own).
    """

    validation, suffix, remedy = 12_000, ".xz", PACKAGED
    split_sizes = {"train": 48_000, "val": 12_000, "test": 10_000}

    def folder(self, root: str | None) -> Path:
        return Path(root) if root else Path(__file__).parent / "mnist_idx"

    def read(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.idx(MD5, [self.root / "MNIST" / "raw", self.root])

    def idx(self, md5: dict[str, str], folders: list[Path]) -> tuple[Tensor, ...]:
        """The four tensors of the files in the first of `folders` that has them, images as (N, 28, 28, 1)."""
        missing = {name: self.root / f"{name}{self.suffix}" for name in md5}
        paths = {name: located(folders, name) or path for name, path in missing.items()}
        tensors = [idx_tensor(path, md5[name], self.remedy) for name, path in paths.items()]
        return tuple(t.unsqueeze(-1) if t.ndim == 3 else t for t in tensors)


class SeqMNIST(Sequences, MNIST):
    """MNIST as a sequence: `rows` 28 × 28, `pixels` 784 × 1, `permuted` 784 × 1 in one fixed random order."""


class FashionMNIST(MNIST):
    """Flat Fashion-MNIST: ten kinds of clothes in the format and the split of MNIST. Xiao, Rasul and Vollgraf 2017.

    `root` has the four IDX files, or torchvision's FashionMNIST/raw (None: `data`). Debian's
    package dataset-fashion-mnist is looked for after it, and then torchvision asked to download.
    """

    as_sequence, suffix = "data=seqfashion", ".gz"
    remedy = (
        "put the four IDX files of Fashion-MNIST (plain, .gz or .xz) there or in FashionMNIST/raw, "
        "set data.root, or install Debian's dataset-fashion-mnist"
    )

    def folder(self, root: str | None) -> Path:
        return Path(root or "data")

    def read(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        folders = [self.root / "FashionMNIST" / "raw", self.root, DEBIAN]
        if not all(located(folders, name) for name in FASHION_MD5):
            downloaded(self.root, self.fetch)
        return self.idx(FASHION_MD5, folders)

    @staticmethod
    def fetch(datasets: ModuleType, root: Path) -> None:
        """Download by torchvision."""
        datasets.FashionMNIST(root, download=True)


class SeqFashionMNIST(Sequences, FashionMNIST):
    """Fashion-MNIST as a sequence: rows, pixels or permuted, as SeqMNIST."""
