"""Copying, adding and the teacher against what their papers say of them."""

from math import log

import pytest
import torch
from cases import same
from torch.nn.functional import cross_entropy

from isogain.data.batches import evaluation_seed, training_seed
from isogain.data.synthetic import Adding, Copy, Teacher

DRAWN = [Copy, Adding]
SPLITS = ("train", "val", "test")


def loaded(kind, **options):
    data = kind(**options)
    data.load()
    return data


def split(data, name):
    return getattr(data, f"{name}_dataloader")()


def first(data, name="train"):
    return next(iter(split(data, name)))


def epoch(data, name="train"):
    """All of a split's x and y, as one batch."""
    xs, ys = zip(*split(data, name), strict=True)
    return torch.cat(xs), torch.cat(ys)


@pytest.mark.parametrize("T", [2, 7, 200])
@pytest.mark.parametrize("name", SPLITS)
def test_a_copy_is_ten_symbols_blanks_a_marker_and_blanks_to_repeat_them_in(T, name):
    data = loaded(Copy, T=T)
    x, y = first(data, name)
    assert x.shape == (len(y), T + 20, 10) == (len(y), data.length, data.n_in)
    assert y.shape == (len(y), T + 20) and y.dtype == torch.int64 and x.dtype == torch.float32
    assert torch.equal(x.sum(-1), torch.ones_like(x[..., 0])) and set(x.unique().tolist()) == {0, 1}
    seen = x.argmax(-1)
    assert seen[:, :10].min() == 1 and seen[:, :10].max() == 8
    assert (seen[:, T + 9] == 9).all()
    assert not seen[:, 10 : T + 9].any() and not seen[:, T + 10 :].any()
    assert not y[:, : T + 10].any() and torch.equal(y[:, T + 10 :], seen[:, :10])


def test_the_symbols_of_a_copy_are_equally_likely():
    _, y = epoch(loaded(Copy, T=2, batches=100))
    counts = y[:, -10:].flatten().bincount(minlength=9)[1:]
    n = 100 * 128 * 10
    assert ((counts - n / 8).abs() < 4 * (n / 8 * 7 / 8) ** 0.5).all()


@pytest.mark.parametrize(("T", "published"), [(1000, 0.0204), (2000, 0.0103)])
def test_the_baseline_of_a_copy_is_the_published_one(T, published):
    assert round(Copy(T=T).baseline, 4) == published


def test_the_baseline_of_a_copy_is_the_loss_of_who_knows_all_but_the_symbols():
    data = loaded(Copy, T=30)
    _, y = first(data)
    logits = torch.full((*y.shape, 9), -1e9)
    logits[:, :-10, 0], logits[:, -10:, 1:] = 0, 0
    same(data.loss(logits.double(), y).item(), data.baseline)
    assert data.baseline == pytest.approx(10 * log(8) / 50)


def test_the_loss_of_a_copy_is_a_mean_over_all_symbols_of_all_examples():
    logits, y = torch.randn(4, 7, 9), torch.randint(9, (4, 7))
    terms = [cross_entropy(logits[b, t], y[b, t]) for b in range(4) for t in range(7)]
    torch.testing.assert_close(Copy.loss(logits, y), torch.stack(terms).mean())


def test_the_accuracy_of_a_copy_is_the_share_of_the_ten_symbols_that_is_right():
    _, y = first(loaded(Copy, T=5, batch_size=3))
    logits = torch.nn.functional.one_hot(y, 9).float()
    logits[1, -3:] = torch.eye(9)[0]  # three forgotten
    logits[2, :15] = torch.eye(9)[4]  # all wrong, but for the ten
    torch.testing.assert_close(Copy.hits(logits, y), torch.tensor([1, 0.7, 1]))


@pytest.mark.parametrize("T", [2, 7, 200])
@pytest.mark.parametrize("name", SPLITS)
def test_a_sum_is_of_the_two_marked_numbers_one_in_either_half(T, name):
    data = loaded(Adding, T=T)
    x, y = first(data, name)
    numbers, marks = x.unbind(-1)
    assert x.shape == (len(y), T, 2) == (len(y), data.length, data.n_in) and y.shape == (len(y), 1)
    assert numbers.min() >= 0 and numbers.max() < 1 and set(marks.unique().tolist()) <= {0, 1}
    for half in (marks[:, : T // 2], marks[:, T // 2 :]):
        assert torch.equal(half.sum(1), torch.ones(len(y)))
    torch.testing.assert_close((numbers * marks).sum(1, keepdim=True), y)


def test_marks_fall_on_every_step():
    x, _ = epoch(loaded(Adding, T=7, batches=20))
    assert x[..., 1].sum(0).min() > 0


def test_the_baseline_of_adding_is_the_loss_of_the_answer_1():
    data = loaded(Adding, T=20, batches=200)
    _, y = epoch(data)
    error = (y - 1).square()
    assert round(data.baseline, 3) == 0.167 and Adding.hits is None
    assert abs(error.mean() - data.baseline) < 4 * error.std() / len(y) ** 0.5
    assert data.loss(torch.ones_like(y), y) == error.mean()


@pytest.mark.parametrize("kind", DRAWN)
def test_no_training_example_comes_twice_nor_in_evaluation(kind):
    data = loaded(kind, T=10, batches=40)
    seen = [epoch(data)[0], epoch(data)[0], epoch(data, "val")[0], epoch(data, "test")[0]]
    x = torch.cat(seen).flatten(1)
    assert len(x) == 2 * 40 * 128 + 2 * 1000 and len(x.unique(dim=0)) == len(x)


@pytest.mark.parametrize("kind", DRAWN)
def test_a_batch_depends_on_the_seed_and_its_number_alone(kind):
    expected = [x for x, _ in split(loaded(kind, T=10, batches=4, seed=5), "train")]
    data = loaded(kind, T=10, batches=4, seed=5)
    for i in (2, 0, 3, 1):
        torch.rand(i)
        data.load_state_dict({"drawn": i})
        assert torch.equal(first(data)[0], expected[i])


@pytest.mark.parametrize("kind", DRAWN)
def test_drawing_leaves_the_global_generator_alone(kind):
    before = torch.get_rng_state()
    epoch(loaded(kind, T=10, batches=2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", [*DRAWN, Teacher])
def test_evaluation_depends_on_the_split_seed_and_training_on_the_seed(kind):
    data = {key: loaded(kind, split_seed=key[0], seed=key[1]) for key in ((0, 0), (0, 1), (1, 0))}
    for name in ("val", "test"):
        (x, _), (same_x, _), (other_x, _) = (first(d, name) for d in data.values())
        assert torch.equal(x, same_x) and not torch.equal(x, other_x)
    assert not torch.equal(first(data[0, 0])[0], first(data[0, 1])[0])
    assert not torch.equal(first(data[0, 0], "val")[0], first(data[0, 0], "test")[0])


def test_training_and_evaluation_never_share_the_seed_of_a_generator():
    seeds, steps = (0, 1, 7, 2**32 - 1), (0, 1, 1000, 2**30)
    training = {training_seed(seed, i) for seed in seeds for i in steps}
    evaluation = {evaluation_seed(seed, part) for seed in (*seeds, 2**63 - 1) for part in (0, 1)}
    assert not training & evaluation and len(training) == 16
    assert max(training | evaluation) < 2**32


@pytest.mark.parametrize("kind", [*DRAWN, Teacher])
def test_the_probe_is_the_beginning_of_validation(kind):
    data = loaded(kind)
    x, y = first(data, "val")
    found = data.probe(8)
    assert torch.equal(found[0], x[:8]) and torch.equal(found[1], y[:8])


@pytest.mark.parametrize("depth", [1, 2, 9])
def test_the_teacher_is_linear_and_its_training_inputs_are_white(depth):
    data = loaded(Teacher, depth=depth)
    x, y = (split(data, "train").x.double(), split(data, "train").y.double())
    torch.testing.assert_close(x.mT @ x / 1024, torch.eye(64).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(x.mT @ y / 1024, data.map.mT, rtol=0, atol=1e-5)
    for name in SPLITS:
        x, y = first(data, name)
        torch.testing.assert_close(x.double() @ data.map.mT, y.double(), rtol=0, atol=1e-5)


def test_the_loss_of_the_answer_0_is_the_teachers_baseline():
    """Exactly in training, where the inputs are white."""
    data = loaded(Teacher, depth=3)
    y = split(data, "train").y
    assert data.loss(torch.zeros_like(y), y).item() == pytest.approx(data.baseline, rel=1e-5)


def test_noise_is_what_no_student_can_learn():
    data = loaded(Teacher, noise=0.5, examples=20_000)
    x, y = split(data, "val").x, split(data, "val").y
    error = (x.double() @ data.map.mT - y).square()
    assert abs(error.mean() - 0.25) < 4 * error.std() / error.numel() ** 0.5


def test_a_teachers_targets_have_a_variance_of_about_1():
    found = [loaded(Teacher, n_in=256, depth=3, split_seed=s).baseline for s in range(5)]
    assert sum(found) / 5 == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("kind", "option", "bad"),
    [
        *[(kind, "T", 1) for kind in DRAWN],
        *[(kind, "batches", 0) for kind in DRAWN],
        *[(kind, "eval_examples", 0) for kind in DRAWN],
        *[(Teacher, option, 0) for option in ("n_in", "n_out", "depth")],
        (Teacher, "noise", -1),
        (Teacher, "examples", 63),  # no white inputs of 64 features
    ],
)
def test_an_option_out_of_range_is_refused_by_name(kind, option, bad):
    with pytest.raises(ValueError, match=f"^{option} must be .*, got {bad}$"):
        kind(**{option: bad})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", DRAWN)
def test_fresh_examples_are_drawn_on_the_device_and_evaluation_is_the_cpus(kind):
    data = kind(T=10)
    data.load("cuda")
    assert all(t.is_cuda for name in SPLITS for t in first(data, name))
    assert torch.equal(first(data, "val")[0].cpu(), first(loaded(kind, T=10), "val")[0])
