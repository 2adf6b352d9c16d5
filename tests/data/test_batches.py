from itertools import islice

import pytest
import torch

from isogain.data.batches import Batches

EXAMPLES, SIZE = 23, 5


def batches(seed=7, examples=EXAMPLES, size=SIZE):
    """Example i is (i, 10 i), and is seen as i/2."""
    i = torch.arange(examples)
    return Batches(i.unsqueeze(1), 10 * i, size, view=lambda x: x / 2, seed=seed)


def orders(source, epochs):
    """The examples in the order they come, one list an epoch."""
    return [torch.cat([y for _, y in source]).div(10).int().tolist() for _ in range(epochs)]


def labels(source, count):
    """The labels of the next `count` batches, over the ends of epochs."""
    found = []
    while len(found) < count:
        found += [y.tolist() for _, y in islice(source, count - len(found))]
    return found


@pytest.mark.parametrize("size", [1, 5, 23, 100])
@pytest.mark.parametrize("seed", [None, 0, 7])
def test_every_example_comes_once_an_epoch(seed, size):
    for order in orders(batches(seed, size=size), 3):
        assert sorted(order) == list(range(EXAMPLES))


@pytest.mark.parametrize(
    ("examples", "size", "sizes"),
    [(23, 5, [5, 5, 5, 5, 3]), (20, 5, [5] * 4), (3, 5, [3]), (1, 1, [1])],
)
def test_the_last_batch_is_what_is_left(examples, size, sizes):
    source = batches(examples=examples, size=size)
    assert len(source) == len(sizes)
    assert [len(y) for _, y in source] == sizes


def test_labels_stay_with_their_examples_and_examples_are_seen_through_the_view():
    for x, y in batches():
        assert torch.equal(x.squeeze(1), y / 20)


def test_the_order_depends_on_seed_and_epoch_alone():
    expected = orders(batches(), 3)
    torch.manual_seed(99)
    source = batches()
    for epoch in range(3):
        torch.rand(epoch + 1)
        assert orders(source, 1) == [expected[epoch]]


def test_epochs_and_seeds_have_orders_of_their_own():
    found = [order for seed in (0, 1, 2) for order in orders(batches(seed), 3)]
    assert len({tuple(order) for order in found}) == 9


def test_drawing_does_not_touch_the_global_generator():
    before = torch.get_rng_state()
    orders(batches(), 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("drawn", range(12))
def test_drawn_restored_gives_the_very_next_batch(drawn):
    expected = labels(batches(), 16)
    source = batches()
    source.drawn = drawn
    assert labels(source, 4) == expected[drawn : drawn + 4]


def test_drawn_counts_what_was_handed_out():
    source, seen = batches(), []
    for _ in source:
        seen.append(source.drawn)
    assert seen == [1, 2, 3, 4, 5]


def test_an_order_that_was_drawn_can_be_gone_back_to():
    source = batches()
    first = labels(source, 12)
    source.drawn = 0
    assert labels(source, 12) == first


def test_evaluation_keeps_the_order_of_the_data():
    assert orders(batches(seed=None), 3) == [list(range(EXAMPLES))] * 3


def test_evaluation_begins_anew_after_a_broken_off_pass():
    source = batches(seed=None)
    next(iter(source))
    assert orders(source, 1) == [list(range(EXAMPLES))]
