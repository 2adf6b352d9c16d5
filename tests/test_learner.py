"""Training as Lightning sees it: the order of a step, and what the metrics mean."""

import pytest
import pytorch_lightning as pl
import torch
from runs import metrics
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from toys import FROZEN, Toy, fitted, learner

from isogain.errors import Divergence
from isogain.learner import Learner
from isogain.optim import SGD
from isogain.reg.base import Regularizer


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
