"""What a penalty is to training: differentiated once, by autograd or in closed form, and on record by its value."""

import pytest
import pytorch_lightning as pl
import torch
from runs import metrics
from torch import Tensor
from toys import Toy, fitted, learner

from isogain.config.errors import Divergence
from isogain.models.rnn import RNN
from isogain.optim import SGD
from isogain.reg.base import Regularizer
from isogain.reg.landing import Landing
from isogain.reg.lie import Lie
from isogain.reg.oblique import Oblique
from isogain.reg.penalty import Soft
from isogain.reg.spectral import Spectral
from isogain.reg.srip import SRIP
from isogain.reg.stiefel import Stiefel
from isogain.training.learner import Learner

STRENGTH, GAIN = 0.3, 0.9


class ByAutograd(Soft):
    """Soft, as somebody would write it who knows nothing of closed forms."""

    adds_penalty_gradient = False

    def before_step(self, w: Tensor) -> None:
        pass


class Counting(Soft):
    """Counts how often its value is computed."""

    def __init__(self) -> None:
        super().__init__(STRENGTH, GAIN)
        self.values = 0

    def norm(self, x: Tensor) -> Tensor:
        self.values += 1
        return super().norm(x)

    add_gradient_ = Soft.add_gradient_


class Losses(pl.Callback):
    """Keeps what is differentiated."""

    def __init__(self) -> None:
        self.totals: list[float] = []

    def on_before_backward(self, trainer: pl.Trainer, model: Learner, loss: Tensor) -> None:
        self.totals.append(loss.item())


def trained(out, reg: Regularizer, *callbacks: pl.Callback, steps: int = 5, lr=0.1, **options):
    torch.manual_seed(1)
    model = learner(reg, SGD(lr=lr, schedule="constant"))
    options = {"max_epochs": -1, "max_steps": steps, "log_every_n_steps": 1} | options
    return fitted(out, callbacks, Toy(40, 8), model, **options)


def kernel(model: Learner) -> Tensor:
    return model.net.recurrent.detach()


def column(out, name: str) -> dict[int, float]:
    return {int(row["step"]): float(row[name]) for row in metrics(out) if row.get(name)}


def test_the_closed_form_trains_as_autograd_does(tmp_path):
    free, closed, differentiated = (
        kernel(trained(tmp_path / type(reg).__name__, reg))
        for reg in (Regularizer(), Soft(STRENGTH, GAIN), ByAutograd(STRENGTH, GAIN))
    )
    torch.testing.assert_close(closed, differentiated, rtol=1e-5, atol=1e-6)
    assert (closed - free).abs().max() > 1e-2


def test_in_closed_form_what_is_differentiated_is_the_loss_of_the_task_alone(tmp_path):
    totals = []
    for reg in (Regularizer(), Soft(STRENGTH, GAIN), ByAutograd(STRENGTH, GAIN)):
        kept = Losses()
        trained(tmp_path / type(reg).__name__, reg, kept, steps=1)
        totals.append(*kept.totals)
    free, closed, differentiated = totals
    reg, net = Soft(STRENGTH, GAIN), trained(tmp_path / "start", Regularizer(), lr=1e-30).net
    assert closed == free
    assert differentiated == pytest.approx(free + reg.penalty(net.recurrent).item(), rel=1e-6)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_the_value_on_record_is_that_of_the_weights_in_every_row(tmp_path, every):
    reg = Soft(STRENGTH, GAIN)
    model = trained(tmp_path, reg, log_every_n_steps=every)
    logged = column(tmp_path, "train/penalty")
    assert sorted(logged) == sorted(column(tmp_path, "train/loss"))
    assert logged[5] == pytest.approx(reg.penalty(kernel(model)).item(), rel=1e-5)
    assert model.metrics["train/penalty"] == logged[5]


def test_by_autograd_the_value_on_record_is_what_the_last_batch_had_added_to_its_loss(tmp_path):
    kept, reg = Losses(), ByAutograd(STRENGTH, GAIN)
    trained(tmp_path, reg, kept)
    loss, penalty = (column(tmp_path, f"train/{name}") for name in ("loss", "penalty"))
    sums = [loss[step] + penalty[step] for step in range(1, 6)]
    assert kept.totals == pytest.approx(sums, rel=1e-6)


def test_the_value_is_computed_when_it_is_logged_and_at_no_other_time(tmp_path):
    reg = Counting()
    trained(tmp_path, reg, steps=12, log_every_n_steps=4, limit_val_batches=0)
    rows = len(column(tmp_path, "train/penalty"))
    assert reg.values == rows < 6


@pytest.mark.parametrize("reg", [Soft, SRIP, Oblique])
def test_how_often_the_value_is_logged_does_not_change_the_training(tmp_path, reg):
    ends = []
    for every in (1, 1000):
        model = trained(tmp_path / str(every), reg(strength=STRENGTH), log_every_n_steps=every)
        ends.append([kernel(model), *model.reg.buffers(), torch.rand(3)])
    assert all(map(torch.equal, *ends))


@pytest.mark.parametrize("reg", [Regularizer, Stiefel, Landing, Oblique, Lie, Spectral])
def test_without_a_penalty_there_is_none_on_record(tmp_path, reg):
    model = trained(tmp_path, reg())
    assert not column(tmp_path, "train/penalty") and "train/penalty" not in model.metrics


def test_the_strength_on_record_is_that_of_the_last_step(tmp_path):
    reg = Soft(STRENGTH, GAIN, schedule="linear")
    model = trained(tmp_path, reg, steps=4, lr=1e-30)
    constant = Soft(STRENGTH, GAIN).penalty(kernel(model)).item()
    expected = [constant * (1 - t) for t in (0, 0.25, 0.5, 0.75)]
    assert list(column(tmp_path, "train/penalty").values()) == pytest.approx(expected, rel=1e-5)


def test_the_penalty_is_the_sum_over_kernels(tmp_path):
    class Two(RNN):
        def kernels(self):
            return iter([(self, "recurrent"), (self.input[0], "weight")])

    net, reg = Two(n_in=3, n_out=4, length=5, hidden=6), Soft(STRENGTH, GAIN)
    model = learner(reg)
    model.net = net
    fitted(tmp_path, model=model, max_steps=1, limit_val_batches=0)
    values = [reg.penalty(w.detach()) for w in (net.recurrent, net.input[0].weight)]
    expected = sum(values).item()
    assert model.metrics["train/penalty"] == pytest.approx(expected, rel=1e-5)


def test_in_closed_form_a_penalty_that_is_not_finite_is_named_at_the_next_row(tmp_path):
    class Infinite(Soft):
        def norm(self, x: Tensor) -> Tensor:
            return super().norm(x) * torch.inf

        add_gradient_ = Soft.add_gradient_

    with pytest.raises(Divergence, match="^the penalty is inf at step 2$"):
        trained(tmp_path, Infinite(STRENGTH, GAIN), log_every_n_steps=2)
