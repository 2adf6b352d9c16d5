"""Noise after the rows: fresh in training, the same at every evaluation, and never in the way of the images."""

import pytest
import torch

from isogain.data.mnist import SeqMNIST
from isogain.data.padded import NoisyPadded

pytestmark = pytest.mark.usefixtures("mnist_read_once")


def loaded(kind=NoisyPadded, **options):
    data = kind(**options)
    data.load()
    return data


def first(data, name):
    return next(iter(getattr(data, f"{name}_dataloader")()))


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_an_image_is_its_rows_and_then_standard_normal_noise(name):
    (x, y), (rows, labels) = first(loaded(T=50), name), first(loaded(SeqMNIST), name)
    assert torch.equal(x[:, :28], rows) and torch.equal(y, labels)
    noise = x[:, 28:].flatten()
    assert x.shape[1:] == (78, 28) and abs(noise.mean()) < 4 / len(noise) ** 0.5
    assert abs(noise.var() - 1) < 4 * (2 / len(noise)) ** 0.5


def test_noise_is_fresh_in_training_and_the_same_at_every_evaluation():
    data = loaded(T=3)
    assert not torch.equal(first(data, "train")[0][:, 28:], first(data, "train")[0][:, 28:])
    assert torch.equal(first(data, "val")[0], first(data, "val")[0])
    assert not torch.equal(first(data, "val")[0][:, 28:], first(data, "test")[0][:, 28:])


def test_the_state_restored_gives_the_very_next_noise():
    data, other = loaded(T=3), loaded(T=3)
    batches = iter(data.train_dataloader())
    next(batches)
    other.load_state_dict(data.state_dict())
    assert torch.equal(next(batches)[0], first(other, "train")[0])


def test_the_probe_begins_with_the_rows_of_validation_and_does_not_change():
    data = loaded(T=3)
    (x, y), (rows, labels) = data.probe(8), first(loaded(SeqMNIST), "val")
    assert torch.equal(x[:, :28], rows[:8]) and torch.equal(y, labels[:8])
    assert torch.equal(x, data.probe(8)[0])


def test_an_option_out_of_range_is_refused_by_name():
    with pytest.raises(ValueError, match="^T must be .*, got 0$"):
        NoisyPadded(T=0)
