import numpy as np
import pytest
import torch
from cases import same

from isogain.config.errors import DataError
from isogain.data import mnist
from isogain.data.mnist import MD5, MNIST, SeqMNIST, hits
from isogain.data.source import located

LABELS = {  # examples of 0 … 9, as published
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}
SPLITS = ("train", "val", "test")
pytestmark = pytest.mark.usefixtures("mnist_read_once")


@pytest.fixture(scope="module")
def raw():
    """The four files as they are, in the order of MD5."""
    root = MNIST().root
    return [mnist.idx_tensor(root / f"{name}.xz", md5) for name, md5 in MD5.items()]


def loaded(kind=MNIST, **options):
    data = kind(**options)
    data.load()
    return data


def split(data, name):
    return getattr(data, f"{name}_dataloader")()


def rows(*images):
    """Images as a sorted list of bytes: what is in a set of examples, whatever their order."""
    return sorted(image.tobytes() for image in torch.cat(images).numpy())


def test_the_files_are_the_published_ones(raw):
    train_x, train_y, test_x, test_y = raw
    assert train_x.shape == (60000, 28, 28) and test_x.shape == (10000, 28, 28)
    assert train_y[:5].tolist() == [5, 0, 4, 1, 9]
    assert test_y[:5].tolist() == [7, 2, 1, 0, 4]
    assert train_y.bincount().tolist() == LABELS["train"]
    assert test_y.bincount().tolist() == LABELS["test"]


def test_pixels_have_the_mean_and_deviation_that_everyone_normalises_by(raw):
    counts = raw[0].flatten().bincount(minlength=256).numpy()
    value = np.arange(256) / 255
    mean = np.average(value, weights=counts)
    assert round(mean, 4) == 0.1307
    assert round(np.average((value - mean) ** 2, weights=counts) ** 0.5, 4) == 0.3081


def test_the_splits_have_48000_12000_and_10000_examples():
    data = loaded()
    assert [len(split(data, name).y) for name in SPLITS] == [48000, 12000, 10000]


@pytest.mark.parametrize("split_seed", [0, 1])
def test_training_and_validation_are_the_training_file_cut_in_two(raw, split_seed):
    data = loaded(split_seed=split_seed)
    train, val, test = (split(data, name) for name in SPLITS)
    assert rows(train.x, val.x) == rows(raw[0].flatten(1))
    assert torch.cat([train.y, val.y]).bincount().tolist() == LABELS["train"]
    assert torch.equal(test.x, raw[2].flatten(1)) and torch.equal(test.y, raw[3].long())


def test_no_image_is_in_two_splits():
    data = loaded()
    train, val, test = (set(rows(split(data, name).x)) for name in SPLITS)
    assert not train & val and not train & test and not val & test


def test_images_keep_their_labels(raw):
    known = dict(zip((image.tobytes() for image in raw[0].numpy()), raw[1].tolist(), strict=True))
    val = split(loaded(), "val")
    assert [known[image.tobytes()] for image in val.x.numpy()] == val.y.tolist()


def test_validation_is_drawn_at_random():
    """Else digits of one writer, or one class, would be held out; 12000 p(1 − p) is the variance."""
    counts = split(loaded(), "val").y.bincount()
    p = torch.tensor(LABELS["train"]) / 60000
    assert ((counts - 12000 * p).abs() < 4 * (12000 * p * (1 - p)).sqrt()).all()


@pytest.mark.parametrize("name", SPLITS)
def test_the_split_does_not_depend_on_the_seed(name):
    ours, theirs = (split(loaded(seed=seed), name) for seed in (0, 1))
    assert torch.equal(ours.x, theirs.x) and torch.equal(ours.y, theirs.y)


def test_the_split_depends_on_the_split_seed():
    ours, theirs = (split(loaded(split_seed=seed), "val") for seed in (0, 1))
    assert not torch.equal(ours.y, theirs.y)


def test_the_seed_decides_the_order_of_training_and_of_nothing_else():
    ours, again, theirs = (loaded(seed=seed) for seed in (0, 0, 1))
    for name in SPLITS:
        (_, y), (_, same_y), (_, other_y) = (
            next(iter(split(d, name))) for d in (ours, again, theirs)
        )
        assert torch.equal(y, same_y)
        assert torch.equal(y, other_y) == (name != "train")


@pytest.mark.parametrize(
    ("order", "shape"),
    [(None, (784,)), ("rows", (28, 28)), ("pixels", (784, 1)), ("permuted", (784, 1))],
)
def test_a_batch_has_its_shape_and_lies_in_0_to_1(order, shape):
    data = loaded(SeqMNIST, order=order) if order else loaded(MNIST)
    for name, size in zip(SPLITS, (128, 500, 500), strict=True):
        x, y = next(iter(split(data, name)))
        assert x.shape == (size, *shape) and y.shape == (size,)
        assert x.dtype == torch.float32 and y.dtype == torch.int64
        assert (x.min(), x.max()) == (0, 1)
        assert y.min() >= 0 and y.max() <= 9
    assert (data.length, data.n_in) == ((1, *shape) if len(shape) == 1 else shape)


@pytest.mark.parametrize("order", ["rows", "pixels", "permuted"])
def test_a_sequence_is_the_image_in_its_order(raw, order):
    image = raw[2][0].flatten().numpy() / np.float32(255)
    if order == "permuted":
        image = image[np.random.RandomState(92916).permutation(784)]
    x, _ = next(iter(loaded(SeqMNIST, order=order).test_dataloader()))
    same(x[0].flatten(), torch.from_numpy(image))


def test_the_three_orders_hold_the_same_split():
    ys = [split(loaded(SeqMNIST, order=order), "val").y for order in ("rows", "pixels", "permuted")]
    assert all(torch.equal(y, split(loaded(), "val").y) for y in ys)


def test_the_probe_is_the_beginning_of_validation_at_any_seed():
    x, y = loaded(SeqMNIST).probe(8)
    val_x, val_y = next(iter(loaded(SeqMNIST, seed=3).val_dataloader()))
    assert torch.equal(x, val_x[:8]) and torch.equal(y, val_y[:8])


def test_the_state_restored_gives_the_very_next_batch():
    data, other = loaded(), loaded()
    batches = iter(data.train_dataloader())
    for _ in range(3):
        next(batches)
    other.load_state_dict(data.state_dict())
    expected, found = next(batches), next(iter(other.train_dataloader()))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_setup_without_a_trainer_reads_to_the_cpu():
    data = MNIST()
    data.setup("fit")
    assert split(data, "train").x.device.type == "cpu"
    assert split(data, "train").x.dtype == torch.uint8


def test_a_folder_without_the_files_is_refused_by_name(tmp_path):
    with pytest.raises(
        DataError, match="train-images-idx3-ubyte: no such file; put .*t10k-labels-idx1"
    ):
        loaded(root=str(tmp_path))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", ["{0}", "{1}", "{0}/{0}", "{1}/{1}", "MNIST/raw/{1}"])
def test_files_are_found_in_root_under_the_names_that_unpacking_gives_them(tmp_path, place, suffix):
    """7-Zip writes a dot, an archive that goes round has each file in a folder of its own name."""
    for name in MD5:
        path = tmp_path / (place.format(name, name.replace("-idx", ".idx")) + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        found = located([tmp_path / "MNIST" / "raw", tmp_path], name)
        assert found == path and found.read_bytes() == name.encode()


def test_what_root_lacks_is_never_taken_from_the_package(tmp_path):
    """One damaged file among three that are missing: it is root's own that is named."""
    (tmp_path / "t10k-labels.idx1-ubyte").write_bytes(b"damaged")
    with pytest.raises(DataError, match=f"^{tmp_path}/train-images-idx3-ubyte: no such file"):
        loaded(root=str(tmp_path))


@pytest.mark.parametrize("option", ["batch_size", "eval_batch_size", "split_seed"])
@pytest.mark.parametrize("kind", [MNIST, SeqMNIST])
def test_an_option_out_of_range_is_refused_by_name(kind, option):
    with pytest.raises(ValueError, match=f"^{option} must be .*, got -1$"):
        kind(**{option: -1})


def test_a_hit_is_an_example_whose_largest_logit_is_its_label():
    logits = torch.tensor([[0.1, 0.9, 0.0], [2.0, -1.0, 1.0], [0.0, 0.0, 5.0]])
    assert hits(logits, torch.tensor([1, 2, 2])).tolist() == [True, False, True]
