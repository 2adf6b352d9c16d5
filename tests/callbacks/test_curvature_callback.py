"""What the callbacks of curvature and signals log is what the diagnostics give on the probe batch."""

import numpy as np
import pytest
import torch
from runs import metrics
from torch.nn.functional import cross_entropy, mse_loss
from toys import FROZEN, Toy, fitted, learner

from isogain.callbacks.curvature import FisherCurvature
from isogain.callbacks.signals import SignalStatistics
from isogain.config.errors import ConfigError
from isogain.data.mnist import hits
from isogain.diagnostics.bound import fisher_bound
from isogain.diagnostics.fisher import curvature, fisher_eigenvalues, ntk_spectrum
from isogain.diagnostics.signals import signals
from isogain.init import orthogonal_
from isogain.models.mlp import MLP
from isogain.optim import SGD
from isogain.reg.base import Regularizer
from isogain.training.learner import Learner


def test_every_kind_of_curvature_is_logged_under_its_name(tmp_path):
    data, model, kinds = Toy(), learner(), ("exact", "mc", "empirical")
    fitted(tmp_path, [FisherCurvature(2, 8, 5, kinds)], data, model, max_epochs=1)
    x, y, row = data.x[:8], data.y[:8], metrics(tmp_path)[0]
    with np.load(tmp_path / "spectra.npz") as arrays:
        for kind in kinds:
            found = curvature(model.net, x, y, 5, kind, generator=torch.Generator().manual_seed(0))
            logged = arrays[f"fisher_{kind}/eigenvalues"]
            np.testing.assert_allclose(logged, np.stack([found.eigenvalues] * 3), rtol=1e-9)
            expected = {"lambda_max": found.eigenvalues[0].item(), "trace": found.trace}
            expected |= {"rank": found.rank, "condition": found.condition}
            for name, value in expected.items():
                assert float(row[f"fisher_{kind}/{name}"]) == pytest.approx(value, rel=1e-6)
        kernel = ntk_spectrum(model.net, x).numpy()
        np.testing.assert_allclose(arrays["ntk/eigenvalues"][0], kernel, rtol=1e-9, atol=1e-12)
    exact = fisher_eigenvalues(model.net, x, y).item()
    assert model.metrics["fisher_exact/lambda_max"] == pytest.approx(exact, rel=1e-5)
    assert not any(name.startswith("bound/") for name in row)


def test_a_feed_forward_network_has_the_bound_beside_what_is_measured(tmp_path):
    net = MLP(3, 4, 5, hidden=6, depth=3)
    model = Learner(net, orthogonal_, Regularizer(), FROZEN, cross_entropy, hits)
    data = Toy()
    fitted(tmp_path, [FisherCurvature(9, 8)], data, model, max_epochs=1)
    row, found = metrics(tmp_path)[0], fisher_bound(net, data.x[:8])
    terms = ("measured", "bound", "sure", "diagonal", "partner", "hessian", "inputs")
    for name in terms:
        assert float(row[f"bound/{name}"]) == pytest.approx(getattr(found, name), rel=1e-9)
    parts = sum(float(row[f"bound/{k}"]) for k in ("diagonal", "partner", "biases", "weights"))
    assert parts == pytest.approx(found.bound, rel=1e-9)
    assert float(row["fisher_exact/lambda_max"]) == pytest.approx(found.measured, rel=1e-6)


def test_the_statistics_of_the_signal_are_of_the_probe_batch(tmp_path):
    data, model = Toy(), learner()
    fitted(tmp_path, [SignalStatistics(2, 8)], data, model, max_epochs=1)
    found, row = signals(model.net, data.x[:8]), metrics(tmp_path)[0]
    with np.load(tmp_path / "spectra.npz") as arrays:
        np.testing.assert_allclose(arrays["signal/q"][0], found.q.numpy(), rtol=1e-9)
        assert arrays["signal/q/axes"].tolist() == ["event", "place", "matrix"]
    assert float(row["signal/q"]) == pytest.approx(found.q.mean().item(), rel=1e-9)
    assert float(row["signal/linear"]) == pytest.approx(found.linear.mean().item(), rel=1e-9)


@pytest.mark.parametrize("callback", [FisherCurvature, SignalStatistics])
def test_examples_must_be_enough(callback):
    with pytest.raises(ValueError, match="^examples must be a finite number >= "):
        callback(examples=0)


def test_a_loss_that_has_no_fisher_here_is_refused_before_training(tmp_path):
    model = learner()
    model.loss = lambda logits, y: cross_entropy(logits, y) ** 2
    with pytest.raises(ConfigError, match="^callbacks.curvature: no Fisher of the loss of Toy"):
        fitted(tmp_path, [FisherCurvature(2, 8)], model=model)
    assert model.global_step == 0


def test_of_a_mean_squared_error_it_is_the_fisher_of_half_the_squared_error(tmp_path):
    data, model = Toy(), learner()
    data.y, model.loss, model.hits = torch.randn(20, 4), mse_loss, None
    fitted(tmp_path, [FisherCurvature(2, 8, ntk=False)], data, model, max_epochs=1)
    expected = fisher_eigenvalues(model.net, data.x[:8], data.y[:8], loss="squared").item()
    assert model.metrics["fisher_exact/lambda_max"] == pytest.approx(expected, rel=1e-5)


def test_the_summary_keeps_the_largest_eigenvalues_from_before_the_first_update(tmp_path):
    model = learner(optim=SGD(lr=1.0, schedule="constant"))
    fitted(tmp_path, [FisherCurvature(2, 8)], Toy(), model, max_epochs=1)
    for name in ("fisher_exact", "ntk"):
        start, *_, end = (float(row[f"{name}/lambda_max"]) for row in metrics(tmp_path))
        assert model.metrics[f"{name}/at_start/lambda_max"] == pytest.approx(start, rel=1e-9)
        assert model.metrics[f"{name}/lambda_max"] == pytest.approx(end, rel=1e-9)
        assert start != end
