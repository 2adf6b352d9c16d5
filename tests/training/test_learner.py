"""Training as Lightning sees it: the order of a step, and what the metrics mean."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from runs import metrics
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrize import register_parametrization
from toys import FROZEN, Toy, fitted, learner

from isogain.config.errors import Divergence
from isogain.init import orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.rnn import RNN
from isogain.optim import SGD
from isogain.reg.base import Regularizer, Time
from isogain.reg.stiefel import Stiefel
from isogain.training.learner import Learner


class Spy(Regularizer):
    """Writes down its moments, and replaces every gradient by `grad`."""

    def __init__(self, said: list[str], grad: float) -> None:
        super().__init__()
        self.said, self.grad = said, grad

    def attach(self, module: nn.Module, name: str) -> None:
        self.said.append("attach")

    def penalty(self, w: Tensor) -> Tensor:
        self.said.append("penalty")
        return 0 * w.sum()

    def before_step(self, w: Tensor) -> None:
        assert not torch.is_grad_enabled()
        self.said.append("before_step")
        w.grad.fill_(self.grad)

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        assert not torch.is_grad_enabled()
        self.said.append("after_step")


class Watch(pl.Callback):
    """Writes down when callbacks see the gradient and when the optimiser steps; keeps the gradients of the kernel."""

    def __init__(self, said: list[str]) -> None:
        self.said, self.raw, self.used = said, [], []

    def on_train_start(self, trainer: pl.Trainer, model: Learner) -> None:
        def step(*args) -> None:
            self.said.append("step")
            self.used.append(model.net.recurrent.grad.clone())

        trainer.optimizers[0].register_step_post_hook(step)

    def on_before_optimizer_step(self, trainer: pl.Trainer, model: Learner, *args) -> None:
        self.said.append("callback")
        self.raw.append(model.net.recurrent.grad.clone())


def test_a_step_is_loss_and_penalty_callbacks_before_step_clipping_step_after_step(
    tmp_path, monkeypatch
):
    said: list[str] = []
    clip = Learner.configure_gradient_clipping

    def clipping(self, *args, **kwargs) -> None:
        said.append("clip")
        clip(self, *args, **kwargs)

    monkeypatch.setattr(Learner, "configure_gradient_clipping", clipping)
    watch = Watch(said)
    model = learner(Spy(said, grad=100.0))
    assert said == ["attach"]
    fitted(tmp_path, [watch], model=model, clip=0.5, max_steps=3, limit_val_batches=0)
    step = ["penalty", "callback", "before_step", "clip", "step", "after_step"]
    assert said == ["attach", *step, *step, *step]


def test_callbacks_see_the_raw_gradient_and_the_optimiser_the_edited_and_clipped_one(tmp_path):
    watch = Watch([])
    model = learner(Spy([], grad=100.0))
    data = Toy()
    loss = cross_entropy(model.net(data.x[:8]), data.y[:8])
    raw = torch.autograd.grad(loss, model.net.recurrent)[0]
    fitted(tmp_path, [watch], data, model, clip=0.5, max_steps=1, limit_val_batches=0)
    torch.testing.assert_close(watch.raw[0], raw)
    used = watch.used[0]
    assert used.unique().numel() == 1 and 0 < torch.linalg.vector_norm(used) <= 0.5001


def test_a_regulariser_acts_once_a_step_however_many_batches_make_one(tmp_path):
    said: list[str] = []
    model = learner(Spy(said, grad=0.0))
    fitted(tmp_path, data=Toy(16, 4), model=model, max_epochs=1, accumulate_grad_batches=2)
    moments = ["penalty", "penalty", "before_step", "after_step"]
    assert said == ["attach", *moments, *moments]


class Clock(Regularizer):
    """Writes down what time it is in `penalty`, once a batch, and in `before_step`, once a step."""

    def __init__(self) -> None:
        super().__init__()
        self.batches, self.steps = [], []

    def penalty(self, w: Tensor) -> Tensor:
        self.batches.append(self.time)
        return 0 * w.sum()

    def before_step(self, w: Tensor) -> None:
        self.steps.append(self.time)


def test_the_time_is_the_steps_and_epochs_behind_it_and_the_fraction_that_is_over(tmp_path):
    clock = Clock()
    assert clock.time == Time(0, 0.0, 0.0)
    fitted(tmp_path, data=Toy(20, 4), model=learner(clock), max_epochs=2)
    assert clock.batches == clock.steps == [Time(i, i / 5, i / 10) for i in range(10)]


def test_where_several_batches_make_a_step_the_time_counts_steps(tmp_path):
    clock = Clock()
    options = {"max_epochs": 2, "accumulate_grad_batches": 2}  # three steps an epoch
    fitted(tmp_path, data=Toy(20, 4), model=learner(clock), **options)
    assert clock.steps == [Time(i, i / 3, i / 6) for i in range(6)]
    assert [time.step for time in clock.batches] == [0, 0, 1, 1, 2, 3, 3, 4, 4, 5]


def test_the_fraction_is_of_the_steps_where_they_are_what_ends_the_training(tmp_path):
    clock = Clock()
    fitted(tmp_path, data=Toy(20, 4), model=learner(clock), max_epochs=-1, max_steps=8)
    assert clock.steps == [Time(i, i / 5, i / 8) for i in range(8)]


class Halves(nn.Module):
    """(A, B) -> A + B, counting how often."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        self.calls += 1
        return a + b

    def right_inverse(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return w / 4, 3 * w / 4


class Sum(Regularizer):
    """Re-parametrises kernels as sums of two parameters; keeps what its hooks are given."""

    def __init__(self) -> None:
        super().__init__()
        self.halves, self.before, self.after, self.states = Halves(), [], [], []

    def attach(self, module: nn.Module, name: str) -> None:
        register_parametrization(module, name, self.halves)

    def penalty(self, w: Tensor) -> Tensor:
        return 0 * w.sum()

    def before_step(self, w: Tensor) -> None:
        self.before.append(w)

    def after_step(self, w: Tensor, state: dict[str, Tensor]) -> None:
        self.after.append(w)
        self.states.append(dict(state))


def test_the_hooks_are_given_what_the_optimiser_moves_with_its_state(tmp_path):
    reg = Sum()
    model = learner(reg, SGD(lr=0.1, momentum=0.5))
    fitted(tmp_path, model=model, max_steps=1, limit_val_batches=0)
    moved = list(model.net.parametrizations.recurrent.parameters())
    assert len(moved) == 2 and all(isinstance(w, nn.Parameter) for w in moved)
    assert [id(w) for w in reg.before] == [id(w) for w in reg.after] == [id(w) for w in moved]
    assert [w.grad is not None for w in moved] == [True, True]
    assert all(
        torch.equal(s["momentum_buffer"], w.grad) for s, w in zip(reg.states, moved, strict=True)
    )


def test_a_kernel_that_is_computed_is_computed_once_a_step_however_often_it_is_read(tmp_path):
    reg, net = Sum(), RNN(n_in=3, n_out=4, length=5, hidden=6, depth=3)
    model = Learner(net, orthogonal_, reg, SGD(lr=0.1), cross_entropy)
    reg.halves.calls = 0
    fitted(tmp_path, model=model, max_steps=3, limit_val_batches=0)
    assert reg.halves.calls == 3


def test_a_kernel_that_is_computed_follows_the_step_before(tmp_path):
    """The sum of two halves that both take the step moves twice as far."""
    data, plain, halved = Toy(), learner(optim=SGD(lr=0.1)), learner(Sum(), SGD(lr=0.05))
    halved.net.load_state_dict(plain.net.state_dict(), strict=False)
    with torch.no_grad():
        halved.net.recurrent = plain.net.recurrent.detach()
    others = [p for n, p in plain.net.named_parameters() if n != "recurrent"]
    others += [p for n, p in halved.net.named_parameters() if "recurrent" not in n]
    for p in others:
        p.requires_grad_(False)
    for name, model in {"plain": plain, "halved": halved}.items():
        fitted(tmp_path / name, data=data, model=model, max_steps=4, limit_val_batches=0)
    torch.testing.assert_close(halved.net.recurrent, plain.net.recurrent, rtol=1e-5, atol=1e-6)


class Target(Regularizer):
    """Holds the kernels to `gain`."""

    def __init__(self, gain: float | Tensor | None) -> None:
        super().__init__()
        self.gain = gain


def initialised(reg: Regularizer, init, net=None) -> Learner:
    net = net or RNN(n_in=3, n_out=4, length=5, hidden=6)
    return Learner(net, init, reg, FROZEN, cross_entropy)


@pytest.mark.parametrize(("init_gain", "gain", "expected"), [(1.5, 2.0, 2.0), (1.5, None, 1.5)])
def test_the_gap_is_measured_at_the_gain_of_the_regulariser_else_of_the_initialiser(
    init_gain, gain, expected
):
    init = partial(orthogonal_, gain=init_gain)
    assert initialised(Target(gain), init).gains() == [expected]


def test_without_any_gain_the_gap_is_measured_at_1():
    assert initialised(Regularizer(), orthogonal_).gains() == [1.0]


def test_a_learned_gain_is_told_for_every_matrix_as_it_is_now():
    net = LSTM(n_in=3, n_out=4, length=5, hidden=6, depth=2)
    model = initialised(Stiefel("learned"), partial(orthogonal_, gain=1.5), net)
    with torch.no_grad():
        model.reg.scales()[0][1, 2] = 7.0
    expected = torch.full((2, 4, 1, 1), 1.5)
    expected[1, 2] = 7.0
    (gain,) = model.gains()
    torch.testing.assert_close(gain.detach(), expected)


def means(model: Learner, x: Tensor, y: Tensor) -> dict[str, float]:
    with torch.no_grad():
        logits = model.net(x).double()
    return {
        "loss": cross_entropy(logits, y).item(),
        "acc": (logits.argmax(-1) == y).double().mean().item(),
    }


def assert_row(out, step: int, split: str, expected: dict[str, float]) -> None:
    row = next(row for row in metrics(out) if int(row["step"]) == step)
    assert float(row[f"{split}/loss"]) == pytest.approx(expected["loss"], rel=1e-6)
    assert float(row[f"{split}/acc"]) == pytest.approx(expected["acc"], rel=1e-12)


def test_metrics_of_an_epoch_are_means_over_its_examples_not_over_its_batches(tmp_path):
    data = Toy(20, 8)  # batches of 8, 8 and 4; of 4, 4 and 3 for validation
    model = fitted(tmp_path, data=data, max_epochs=1)
    assert_row(tmp_path, 3, "train", means(model, data.x, data.y))
    assert_row(tmp_path, 3, "val", means(model, data.x[:11], data.y[:11]))
    assert model.examples == 20


def test_metrics_of_a_row_are_means_over_the_examples_since_the_row_before(tmp_path):
    data = Toy(20, 4)
    model = fitted(tmp_path, data=data, max_epochs=1, log_every_n_steps=2)
    assert_row(tmp_path, 2, "train", means(model, data.x[:8], data.y[:8]))
    assert_row(tmp_path, 4, "train", means(model, data.x[8:16], data.y[8:16]))
    assert_row(tmp_path, 5, "train", means(model, data.x[16:], data.y[16:]))


def test_metrics_of_a_row_are_of_all_batches_that_made_its_steps(tmp_path):
    data = Toy(16, 4)
    options = {"accumulate_grad_batches": 2, "log_every_n_steps": 1}
    model = fitted(tmp_path, data=data, max_epochs=1, **options)
    assert_row(tmp_path, 1, "train", means(model, data.x[:8], data.y[:8]))
    assert_row(tmp_path, 2, "train", means(model, data.x[8:], data.y[8:]))


def test_validation_leaves_the_weights_and_the_training_sums_alone(tmp_path):
    data = Toy(16, 4)
    often = {"val_check_interval": 1, "log_every_n_steps": 1000}
    model = fitted(tmp_path / "often", data=data, max_epochs=1, **often)
    assert_row(tmp_path / "often", 4, "train", means(model, data.x[12:], data.y[12:]))


def test_the_penalty_is_not_part_of_the_reported_loss(tmp_path):
    class Constant(Regularizer):
        def penalty(self, w: Tensor) -> Tensor:
            return 1000 + 0 * w.sum()

    data = Toy()
    model = fitted(tmp_path, data=data, model=learner(Constant()), max_epochs=1)
    assert_row(tmp_path, 3, "train", means(model, data.x, data.y))


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_a_penalty_that_is_not_finite_is_named_at_once(tmp_path, value):
    class Overflows(Regularizer):
        def penalty(self, w: Tensor) -> Tensor:
            return value * w.square().sum()

    with pytest.raises(Divergence, match=f"^the penalty is {value} at step 0$"):
        fitted(tmp_path, model=learner(Overflows()))


class Elsewhere(Tensor):
    """A tensor that says it is not on the CPU, and takes the path of those that are not."""

    is_cpu = property(lambda self: False)


@pytest.mark.parametrize(("bad", "step"), [(1, 0), (3, 2), (4, 3)])
def test_off_the_cpu_a_loss_that_is_not_finite_is_found_at_the_next_reading_with_its_step(
    tmp_path, bad, step
):
    calls = []

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        calls.append(1)
        factor = torch.inf if len(calls) == bad else 1.0
        return (cross_entropy(logits, y) * factor).as_subclass(Elsewhere)

    model = learner()
    model.loss = loss
    with pytest.raises(Divergence, match=rf"^train/loss is \w+ at step {step}$"):
        fitted(tmp_path, data=Toy(32, 4), model=model, log_every_n_steps=4)
    assert len(calls) == 4


def test_off_the_cpu_a_penalty_that_is_not_finite_is_found_at_the_next_reading(tmp_path):
    class Infinite(Regularizer):
        def penalty(self, w: Tensor) -> Tensor:
            return (torch.inf + 0 * w.sum()).as_subclass(Elsewhere)

    optim = SGD(lr=1e-30, kernel_lr=0, schedule="constant")
    with pytest.raises(Divergence, match="^(the penalty|train/loss) is nan at step 0$"):
        fitted(tmp_path, data=Toy(32, 4), model=learner(Infinite(), optim), log_every_n_steps=4)


def test_how_often_metrics_are_read_does_not_change_the_training(tmp_path):
    ends = []
    for every in (1, 1000):
        torch.manual_seed(1)
        model = learner(optim=SGD(lr=0.5))
        fitted(tmp_path / str(every), model=model, log_every_n_steps=every)
        ends.append(model.net.recurrent.detach().clone())
    assert torch.equal(*ends)


def test_frozen_is_frozen(tmp_path):
    """What the tests above rely on."""
    model = learner(optim=FROZEN)
    before = model.net.recurrent.detach().clone()
    fitted(tmp_path, model=model)
    assert torch.equal(model.net.recurrent, before)
