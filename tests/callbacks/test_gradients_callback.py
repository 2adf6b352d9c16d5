"""What the gradients' callbacks log, at which weights."""

import numpy as np
import pytest
import torch
from runs import metrics
from torch.nn.functional import cross_entropy
from toys import Toy, fitted, learner

from isogain.callbacks.gradients import GradientNorms, SignalGradients
from isogain.diagnostics.gradients import signal_gradient_norms
from isogain.optim import SGD
from isogain.reg.penalty import Soft


def test_the_signals_gradients_are_of_the_probe_batch(tmp_path):
    data, model = Toy(), learner()  # frozen
    fitted(tmp_path, [SignalGradients(2, 3)], data, model, max_epochs=1)
    logs = signal_gradient_norms(model.net, data.x[:3], data.y[:3], cross_entropy).numpy()
    with np.load(tmp_path / "spectra.npz") as arrays:
        np.testing.assert_allclose(arrays["signal_grad/log"], np.stack([logs] * 3), rtol=1e-12)
        assert arrays["signal_grad/log/axes"].tolist() == ["event", "example", "place"]
    first, last = logs[:, 0].mean(), logs[:, -1].mean()
    for row in (row for row in metrics(tmp_path) if row["signal_grad/log_first"]):
        assert float(row["signal_grad/log_first"]) == pytest.approx(first, rel=1e-12)
        assert float(row["signal_grad/log_last"]) == pytest.approx(last, rel=1e-12)


def test_norms_and_ratios_are_before_the_regulariser_and_clipping(tmp_path):
    logged = []
    for name, reg, clip in (("plain", None, None), ("both", Soft(strength=10.0), 1e-3)):
        torch.manual_seed(0)
        model = learner(reg)
        with torch.no_grad():
            model.net.recurrent.mul_(2)
        fitted(tmp_path / name, [GradientNorms(1)], Toy(8, 8), model, clip=clip, max_epochs=1)
        row = metrics(tmp_path / name)[0]
        logged.append({key: value for key, value in row.items() if key.startswith("grad")})
    assert logged[0] == logged[1]
    ratio = float(logged[0]["grad/recurrent/000"]) / torch.linalg.norm(model.net.recurrent).item()
    assert float(logged[0]["grad_ratio/recurrent/000"]) == pytest.approx(ratio, rel=1e-5)


@pytest.mark.parametrize("examples", [0, -3])
def test_examples_must_be_positive(examples):
    with pytest.raises(ValueError, match=f"^examples must be a finite number >= 1, got {examples}"):
        SignalGradients(examples=examples)


def test_the_summary_has_how_far_gradients_vanish_at_the_start_and_at_the_end(tmp_path):
    model = learner(optim=SGD(lr=1.0, schedule="constant"))
    fitted(tmp_path, [SignalGradients(2, 3)], Toy(), model, max_epochs=1)
    rows = [row for row in metrics(tmp_path) if row["signal_grad/log_first"]]
    start, *_, end = (
        float(row["signal_grad/log_first"]) - float(row["signal_grad/log_last"]) for row in rows
    )
    assert model.metrics["signal_grad/at_start/log_ratio"] == pytest.approx(start, rel=1e-9)
    assert model.metrics["signal_grad/log_ratio"] == pytest.approx(end, rel=1e-9)
    assert start != end
