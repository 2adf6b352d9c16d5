"""CIFAR-10, SVHN and Fashion-MNIST from small files in the original formats, and what is made of images."""

import gzip
import hashlib
import lzma
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from formats import idx_bytes
from scipy.io import savemat

from isogain.config.errors import DataError
from isogain.data import cifar, mnist, source, svhn
from isogain.data.cifar import CIFAR10
from isogain.data.inputs import normalised, whitened
from isogain.data.mnist import FashionMNIST, SeqFashionMNIST
from isogain.data.svhn import SVHN

SPLITS = ("train", "val", "test")
HELD_OUT = 8  # examples to validate with


def drawn(n: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """n images and labels."""
    draw = np.random.default_rng(n)
    return draw.integers(256, size=(n, *shape), dtype=np.uint8), draw.integers(10, size=n)


def write_cifar(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Six pickled batches of twelve, as Python 2 wrote them; the images (N, 32, 32, 3) and labels of all."""
    images, labels = drawn(72, 32, 32, 3)
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, x, y in zip(cifar.MD5, np.split(images, 6), np.split(labels, 6), strict=True):
        planes = x.transpose(0, 3, 1, 2).reshape(12, 3072)
        content = {b"data": planes, b"labels": y.tolist(), b"batch_label": b"some"}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return images, labels


def write_svhn(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """60 digits to train on and 12 to test with; 0 is called 10."""
    images, labels = drawn(72, 32, 32, 3)
    for name, part in zip(svhn.MD5, (slice(60), slice(60, None)), strict=True):
        y = np.where(labels[part] == 0, 10, labels[part]).astype(np.uint8)[:, None]
        savemat(root / name, {"X": np.moveaxis(images[part], 0, -1), "y": y})
    return images, labels


def write_fashion(root: Path, suffix: str = ".gz", pack=gzip.compress) -> tuple:
    """60 images to train on and 12 to test with, in torchvision's folder."""
    images, labels = drawn(72, 28, 28, 1)
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    arrays = [images[:60, ..., 0], labels[:60], images[60:, ..., 0], labels[60:]]
    for name, array in zip(mnist.FASHION_MD5, arrays, strict=True):
        raw = idx_bytes(torch.from_numpy(array.astype(np.uint8)))
        (folder / f"{name}{suffix}").write_bytes(pack(raw))
    return images, labels


def sums(paths: list[Path]) -> dict[str, str]:
    """The MD5 of what is in each file, once decompressed."""
    unpack = {".gz": gzip.decompress, ".xz": lzma.decompress}
    contents = {p.name: unpack.get(p.suffix, bytes)(p.read_bytes()) for p in paths}
    return {
        name.removesuffix(".gz").removesuffix(".xz"): hashlib.md5(raw).hexdigest()
        for name, raw in contents.items()
    }


SETS = {"cifar": CIFAR10, "svhn": SVHN, "fashion": SeqFashionMNIST}
PUBLISHED = {"cifar": (cifar, "MD5"), "svhn": (svhn, "MD5"), "fashion": (mnist, "FASHION_MD5")}


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


@pytest.fixture(params=SETS)
def small(request, tmp_path, monkeypatch):
    """A set's class, the folder of its small files, which count as the published ones, and what is in them."""
    name = request.param
    images, labels = globals()[f"write_{name}"](tmp_path)
    found = sums(files(tmp_path))
    module, table = PUBLISHED[name]
    published = {key: found[key] for key in getattr(module, table)}
    monkeypatch.setattr(module, table, published)
    monkeypatch.setattr(SETS[name], "validation", HELD_OUT)
    monkeypatch.setattr(mnist, "DEBIAN", tmp_path / "no-debian")
    monkeypatch.setattr(source, "find_spec", lambda name: None)  # no torchvision
    return SETS[name], tmp_path, images, labels


def loaded(kind, root, **options):
    data = kind(root=str(root), **options)
    data.load()
    return data


def split(data, name):
    return getattr(data, f"{name}_dataloader")()


def test_what_was_written_is_read_and_stays_uint8_until_the_batch(small):
    kind, root, images, labels = small
    data = loaded(kind, root, order="flat")
    train, val, test = (split(data, name) for name in SPLITS)
    assert {b.x.dtype for b in (train, val, test)} == {torch.uint8}
    assert [len(b.y) for b in (train, val, test)] == [60 - HELD_OUT, HELD_OUT, 12]
    assert np.array_equal(test.x.numpy(), images[60:].reshape(12, -1))
    assert test.y.tolist() == labels[60:].tolist()
    known = dict(zip((x.tobytes() for x in images[:60]), labels[:60].tolist(), strict=True))
    both = zip(torch.cat([train.x, val.x]), torch.cat([train.y, val.y]).tolist(), strict=True)
    assert {x.numpy().tobytes(): y for x, y in both} == known


@pytest.mark.parametrize("order", ["flat", "rows", "pixels", "permuted"])
def test_a_batch_is_the_image_in_its_order(small, order):
    kind, root, images, _ = small
    data = loaded(kind, root, order=order)
    high, wide, channels = kind.shape
    expected = images[60:].reshape(12, high * wide, channels).astype(np.float32) / np.float32(255)
    if order == "permuted":
        expected = expected[:, np.random.RandomState(92916).permutation(high * wide)]
    x, _ = next(iter(split(data, "test")))
    shapes = {"flat": (high * wide * channels,), "rows": (high, wide * channels)}
    shape = shapes.get(order, (high * wide, channels))
    assert x.shape == (12, *shape) and data.sequential == (order != "flat")
    assert (data.length, data.n_in) == ((1, *shape) if order == "flat" else shape)
    assert np.array_equal(x.numpy().reshape(12, -1), expected.reshape(12, -1))


@pytest.mark.parametrize("inputs", ["pixels", "normalised"])
def test_every_way_of_inputs_gives_finite_numbers_of_the_right_shape(small, inputs):
    kind, root, *_ = small
    data = loaded(kind, root, order="rows", inputs=inputs)
    x, _ = next(iter(split(data, "val")))
    assert x.shape == (HELD_OUT, data.length, data.n_in) and x.isfinite().all()


def test_every_missing_file_is_named_with_where_to_put_it(small):
    kind, root, *_ = small
    for path in files(root):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(DataError) as error:
            loaded(kind, root)
        line = str(error.value)
        assert path.stem in line and "no such file; put" in line and "data.root" in line
        assert "\n" not in line
        path.write_bytes(content)


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "swapped"])
def test_a_file_that_is_not_the_published_one_is_named_with_what_was_expected(small, damage):
    kind, root, *_ = small
    *_, other, path = files(root)
    raw = path.read_bytes()
    bad = {
        "truncated": raw[: len(raw) // 2],
        "empty": b"",
        "flipped": raw[:-1] + bytes([raw[-1] ^ 1]),
        "swapped": other.read_bytes(),
    }
    path.write_bytes(bad[damage])
    with pytest.raises(DataError) as error:
        loaded(kind, root)
    line = str(error.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    assert "expected" in line or "cannot be read" in line


@pytest.mark.parametrize("content", [b"junk", pickle.dumps([1]), pickle.dumps({b"data": 3})])
def test_a_file_of_another_layout_is_named_with_the_expected_shape(tmp_path, content):
    """Were its checksum right."""
    path = tmp_path / "file"
    path.write_bytes(content)
    for read, shape in ((cifar.batch, "N × 3072"), (svhn.digits, "32 × 32 × 3 × N")):
        with pytest.raises(DataError, match=f"^{path}: no .*{shape}"):
            read(path, hashlib.md5(content).hexdigest())


class Runs:
    """Unpickled plainly, it runs a command."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_a_pickle_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({b"data": Runs()}, protocol=2)
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no array"):
        cifar.batch(path, hashlib.md5(content).hexdigest())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)]
)
@pytest.mark.parametrize("place", ["FashionMNIST/raw", ".", "debian"])
def test_fashion_is_found_in_every_place_and_packing(tmp_path, monkeypatch, suffix, pack, place):
    write_fashion(tmp_path / "made", suffix, pack)
    made = tmp_path / "made" / "FashionMNIST" / "raw"
    found = sums(files(made))
    monkeypatch.setattr(mnist, "FASHION_MD5", {name: found[name] for name in mnist.FASHION_MD5})
    monkeypatch.setattr(FashionMNIST, "validation", HELD_OUT)
    monkeypatch.setattr(mnist, "DEBIAN", tmp_path / "debian")
    root = tmp_path / "root"
    target = tmp_path / "debian" if place == "debian" else root / place
    target.parent.mkdir(parents=True, exist_ok=True)
    made.rename(target)
    assert len(split(loaded(FashionMNIST, root), "train").y) == 60 - HELD_OUT


def torchvision(monkeypatch, fetch) -> None:
    """As if torchvision were installed, and `fetch` its download."""
    names = dict.fromkeys(("CIFAR10", "SVHN", "FashionMNIST"), fetch)
    module = SimpleNamespace(datasets=SimpleNamespace(**names))
    monkeypatch.setitem(sys.modules, "torchvision", module)
    monkeypatch.setattr(source, "find_spec", lambda name: True)


def test_where_torchvision_is_installed_it_brings_what_is_missing(small, monkeypatch):
    kind, root, *_ = small
    kept = {path.relative_to(root): path.read_bytes() for path in files(root)}

    def fetch(root, **options):
        assert options.pop("download")
        for name, content in kept.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)

    torchvision(monkeypatch, fetch)
    monkeypatch.setattr(svhn, "find_spec", lambda name: True)
    data = loaded(kind, root / "new")
    assert len(split(data, "test").y) == 12
    assert {path.relative_to(root / "new") for path in files(root / "new")} == set(kept)


def test_a_download_that_breaks_off_leaves_nothing_and_says_what_to_do(small, monkeypatch):
    kind, root, *_ = small

    def fetch(root, **options):
        (root / "train_32x32.mat").write_bytes(b"half")
        raise OSError("no route to host")

    torchvision(monkeypatch, fetch)
    with pytest.raises(DataError, match="no such file; put"):
        loaded(kind, root / "new")
    assert not list((root / "new").iterdir())


def test_normalised_images_have_mean_0_and_variance_1_a_channel():
    x = torch.randint(256, (50, 6 * 3), dtype=torch.uint8) // torch.tensor([1, 2, 5] * 6)
    y = normalised(x, 3)(x).double().unflatten(1, (6, 3))
    torch.testing.assert_close(y.mean((0, 1)), torch.zeros(3).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        y.std((0, 1), correction=0), torch.ones(3).double(), rtol=0, atol=1e-6
    )


def test_whitened_images_have_unit_length_and_no_direction_of_their_own():
    axes, _ = torch.linalg.qr(torch.randn(4, 4))
    draw = torch.randn(20_000, 4) * torch.tensor([30.0, 20, 10, 10]) @ axes
    x = (draw + 128).clamp(0, 255).byte()
    y = whitened(x)(x).double()
    torch.testing.assert_close(y.norm(dim=1), torch.ones(len(x)).double(), rtol=0, atol=1e-6)
    spread = torch.linalg.eigvalsh(y.mT @ y / len(x))
    before = torch.linalg.eigvalsh(torch.cov(x.double().mT))
    assert spread[-1] / spread[0] < 1.1 < 8 < before[-1] / before[0]
