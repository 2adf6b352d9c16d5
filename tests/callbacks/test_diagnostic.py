"""When a diagnostic measures, and that measuring changes nothing."""

import logging
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from runs import metrics
from toys import Toy, fitted, learner

from isogain.callbacks.base import Diagnostic
from isogain.callbacks.checkpointing import Checkpoints
from isogain.callbacks.curvature import FisherCurvature
from isogain.callbacks.factors import FactorSpectrum
from isogain.callbacks.gradients import GradientNorms, SignalGradients
from isogain.callbacks.jacobian import JacobianSpectrum
from isogain.callbacks.signals import SignalStatistics
from isogain.callbacks.weights import OrthogonalityGap, WeightSpectrum
from isogain.diagnostics.jacobian import jacobian_spectra
from isogain.optim import SGD
from isogain.training.learner import Learner


class Steps(Diagnostic):
    """Notes the steps at which it measures, and may fail at them."""

    def __init__(self, every: int, error: Exception | None = None) -> None:
        super().__init__(every)
        self.steps, self.error = [], error

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        self.steps.append(trainer.global_step)
        if self.error:
            raise self.error


class Draws(Diagnostic):
    """Takes random numbers, as a Monte Carlo estimate does."""

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        torch.randn(10)


class Exact(Diagnostic):
    """Measures a Jacobian that takes graded decompositions, on all cores."""

    def measure(self, trainer: pl.Trainer, learner: Learner) -> None:
        assert jacobian_spectra(learner.net, torch.randn(3, 400, 3)).exact.all()


@pytest.mark.parametrize(
    ("every", "expected"),
    [(1, list(range(11))), (2, [0, 2, 4, 6, 8, 10]), (4, [0, 4, 8, 10]), (99, [0, 10])],
)
@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_a_diagnostic_measures_before_the_first_update_every_k_steps_and_at_the_end(
    tmp_path, every, expected, accumulate
):
    steps = Steps(every)
    options = {"max_steps": 10, "max_epochs": -1, "accumulate_grad_batches": accumulate}
    fitted(tmp_path, [steps], Toy(24, 4), **options)
    assert steps.steps == expected


def test_a_resumed_run_measures_no_step_twice_and_none_before_it(tmp_path):
    first, second = Steps(2), Steps(2)
    fitted(tmp_path, [first, Checkpoints()], Toy(20, 4), max_epochs=1)
    ckpt = tmp_path / "checkpoints" / "last.ckpt"
    fitted(tmp_path, [second, Checkpoints()], Toy(20, 4), ckpt=ckpt, max_epochs=2)
    assert (first.steps, second.steps) == ([0, 2, 4, 5], [6, 8, 10])


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("2 steps", [0, 2, 4, 6, 8, 9]),
        ("1 epoch", [0, 3, 6, 9]),
        ("2 epochs", [0, 6, 9]),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_may_be_in_steps_or_in_epochs(tmp_path, every, expected, accumulate):
    steps = Steps(every)
    options = {"max_epochs": 3, "accumulate_grad_batches": accumulate}
    fitted(tmp_path, [steps], Toy(12 * accumulate, 4), **options)
    assert steps.steps == expected


@pytest.mark.parametrize("every", ["often", "1.5", "epoch", "2 weeks", ""])
def test_every_in_other_words_is_refused_in_one_line(every):
    told = f'every must be a number of steps or "<number> epochs", got {every}'
    with pytest.raises(ValueError, match=f"^{told}$"):
        Steps(every)


@pytest.mark.parametrize("every", [0, -1])
@pytest.mark.parametrize(
    "callback",
    [
        Steps,
        OrthogonalityGap,
        WeightSpectrum,
        GradientNorms,
        SignalGradients,
        JacobianSpectrum,
        FactorSpectrum,
    ],
)
def test_every_must_be_positive(callback, every):
    with pytest.raises(ValueError, match=f"^every must be a finite number >= 1, got {every}$"):
        callback(every)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.linalg.LinAlgError("did not converge\nsecond line"), "did not converge"),
        (torch.OutOfMemoryError("CUDA out of memory"), "CUDA out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "DefaultCPUAllocator: can't"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_what_cannot_be_computed_is_said_once_and_recorded_and_training_goes_on(
    tmp_path, caplog, error, reason
):
    steps = Steps(1, error)
    with caplog.at_level(logging.WARNING, "isogain"):
        model = fitted(tmp_path, [steps], Toy(20, 4), max_epochs=1)
    assert steps.steps == [0, 1, 2, 3, 4, 5] and model.metrics["failed/Steps"] == 0
    said = [record.getMessage() for record in caplog.records if record.name.startswith("isogain")]
    assert len(said) == 1 and said[0].startswith(f"Steps at step 0: {reason}")


def test_without_at_start_nothing_is_measured_before_the_first_update(tmp_path):
    steps = Steps(2)
    steps.at_start = False
    fitted(tmp_path, [steps], Toy(20, 4), max_epochs=1)
    assert steps.steps == [2, 4, 5]


def test_any_other_error_of_a_diagnostic_ends_the_run(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fitted(tmp_path, [Steps(1, ZeroDivisionError())])


def trained(out, callbacks: list[pl.Callback]) -> dict[str, Any]:
    torch.manual_seed(5)
    model = learner(optim=SGD(lr=0.3, momentum=0.9))
    fitted(out, callbacks, Toy(20, 4), model)
    return {"weights": dict(model.state_dict()), "rng": torch.get_rng_state()}


@pytest.mark.parametrize(
    "callbacks",
    [
        [OrthogonalityGap(1)],
        [WeightSpectrum(1)],
        [FactorSpectrum(1, 2)],
        [GradientNorms(1)],
        [SignalGradients(1, 2)],
        [JacobianSpectrum(1, 2)],
        [JacobianSpectrum(1, 2, largest=1)],
        pytest.param([Exact(1)], marks=pytest.mark.slow),
        [SignalStatistics(1, 4)],
        [FisherCurvature(1, 4, kinds=("exact", "mc", "empirical"))],
        [Draws(1)],
        [Steps(3)],
    ],
    ids=lambda callbacks: type(callbacks[0]).__name__,
)
def test_training_is_bitwise_the_same_with_a_diagnostic_and_without(tmp_path, callbacks):
    with_it, without = trained(tmp_path / "with", callbacks), trained(tmp_path / "without", [])
    torch.testing.assert_close(with_it, without, rtol=0, atol=0)
    assert not without["weights"]["net.recurrent"].isnan().any()


def test_gradient_norms_are_taken_once_a_step_at_the_weights_of_that_step(tmp_path):
    data, model = Toy(16, 4), learner(optim=SGD(lr=0.3, schedule="constant"))
    loss = model.loss(model.net(data.x[:8]), data.y[:8])
    norm = torch.linalg.matrix_norm(torch.autograd.grad(loss, model.net.recurrent)[0]).item()
    options = {"accumulate_grad_batches": 2, "max_epochs": 2}
    fitted(tmp_path, [GradientNorms(2)], data, model, **options)
    rows = {int(row["step"]): row["grad/recurrent/000"] for row in metrics(tmp_path)}
    assert sorted(step for step, value in rows.items() if value) == [0, 2]
    assert float(rows[0]) == pytest.approx(norm, rel=1e-5)


def test_the_worst_gap_is_the_largest_ever_measured(tmp_path):
    class Disturb(pl.Callback):
        def on_train_batch_start(self, trainer, model, *args) -> None:
            scale = {0: 1.0, 1: 3.0, 2: 1 / 3}.get(trainer.global_step, 1.0)
            with torch.no_grad():
                model.net.recurrent.mul_(scale)

    model = fitted(tmp_path, [Disturb(), OrthogonalityGap(1)], Toy(20, 4), max_epochs=1)
    gaps = [float(row["gap/max"]) for row in metrics(tmp_path) if row["gap/max"]]
    assert model.metrics["gap/worst"] == max(gaps) > 1 and model.metrics["gap/final"] == gaps[-1]
    assert gaps[-1] < 1e-5
