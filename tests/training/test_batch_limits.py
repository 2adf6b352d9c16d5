"""What Lightning would refuse after the training, or leave undone, is known from the number of batches."""

from itertools import product

import pytest
from cases import covering
from pytorch_lightning.trainer.connectors.data_connector import _parse_num_batches
from pytorch_lightning.trainer.states import RunningStage
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from runs import composed

from isogain.config.check import parts
from isogain.training.batch_limits import limited, refusals

STAGES = {
    "train": RunningStage.TRAINING,
    "val": RunningStage.VALIDATING,
    "test": RunningStage.TESTING,
}
LIMITS = (0.001, 0.01, 0.09, 0.1, 0.34, 0.5, 0.99, 1.0, 1, 2, 7, 1000)
DATA = ("mnist", "seqmnist", "noisy_padded", "copy data.T=5", "adding data.T=5", "teacher")


def told(batches: int, **options) -> list[str]:
    return list(refusals(dict.fromkeys(STAGES, batches), options))


@pytest.mark.parametrize("part", STAGES)
def test_a_limit_is_refused_exactly_where_lightning_refuses_it(part):
    for batches, limit in product(range(1, 14), LIMITS):
        try:
            expected = _parse_num_batches(STAGES[part], batches, limit)
        except MisconfigurationException:
            expected = 0
        assert limited(batches, limit) == expected
        assert bool(told(batches, **{f"limit_{part}_batches": limit})) == (expected == 0)


@pytest.mark.parametrize("batches", [1, 2, 3, 6, 7, 11, 375, 1234])
def test_the_limit_that_a_refusal_names_is_not_refused(batches):
    (line,) = told(batches, limit_test_batches=0.1 / batches)
    least = float(line.partition("at least ")[2].partition(",")[0])
    assert told(batches, limit_test_batches=least) == []


@pytest.mark.parametrize("limit", [0, 0.0])
def test_nothing_to_validate_or_test_is_a_choice_and_nothing_to_train_is_not(limit):
    assert told(6, limit_val_batches=limit, limit_test_batches=limit) == []
    assert told(6, limit_train_batches=limit) == [
        "trainer.limit_train_batches must not be 0: nothing to train"
    ]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"val_check_interval": 7}, "trainer.val_check_interval=7: an epoch has 6 batches; "),
        ({"accumulate_grad_batches": 7}, "trainer.accumulate_grad_batches=7: an epoch has 6 batches"),
        ({"min_epochs": 2, "max_steps": 11}, "trainer.min_epochs=2: 12 steps, more than trainer.max"),
        ({"min_steps": 13, "max_epochs": 2}, "trainer.min_steps=13: more than trainer.max_epochs=2"),
    ],
)  # fmt: skip
def test_what_lies_beyond_an_epoch_or_the_end_is_refused(options, line):
    (found,) = told(6, **options)
    assert found.startswith(line)
    within = {
        name: value - 1 if name.startswith(("val", "acc")) else value
        for name, value in options.items()
    }
    if within != options:
        assert told(6, **within) == []


def test_batches_counted_over_all_epochs_may_be_more_than_an_epoch_has():
    assert told(6, val_check_interval=7, check_val_every_n_epoch=None) == []


@pytest.mark.usefixtures("mnist_read_once")
@pytest.mark.parametrize(("data", "ranks"), covering(DATA, [1, 3]))
def test_a_task_knows_before_it_is_read_how_many_batches_its_smallest_share_has(data, ranks):
    overrides = [f"data={data.split(' ')[0]}", *data.split(" ")[1:]]
    known = parts(composed(*overrides, "out=run"))["data"].known_batches(ranks)
    shares = []
    for rank in range(ranks):
        task = parts(composed(*overrides, "out=run"))["data"]
        task.load()
        task.share(rank, ranks)
        shares.append(task.known_batches())
    assert known == {part: min(share[part] for share in shares) for part in STAGES}
