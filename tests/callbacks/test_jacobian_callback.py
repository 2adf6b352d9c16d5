"""The scalars of a Jacobian's spectrum against numpy, on spectra that are known."""

import numpy as np
import pytest
import torch
from runs import metrics
from toys import Toy, fitted, learner

from isogain.callbacks.jacobian import EDGES, QUANTILES, JacobianSpectrum, statistics
from isogain.diagnostics.jacobian import jacobian_spectrum

KNOWN = np.array([[8.0, 2.0, 0.5], [4.0, 4.0, 1.0]])


def test_statistics_of_a_known_spectrum():
    found = statistics(np.log(KNOWN))
    expected = {f"q{round(100 * q):02d}": np.quantile(KNOWN, q) for q in QUANTILES}
    expected |= {"mean_square": 101.25 / 6, "log_max": np.log(8), "log_min": np.log(0.5)}
    assert found == pytest.approx(expected | {"condition": 8.0, "resolved": 1.0}, rel=1e-12)


def test_the_condition_is_the_median_over_examples_of_the_ratio():
    ratios = np.array([2.0, 3.0, 1000.0])
    spectra = np.stack([ratios, np.ones(3)], axis=1)
    assert statistics(np.log(spectra))["condition"] == pytest.approx(3, rel=1e-12)


def test_at_isometry_every_statistic_says_so():
    found = statistics(np.zeros((3, 5)))
    ones = {"q05", "q25", "q50", "q75", "q95", "mean_square", "condition", "resolved"}
    assert found == dict.fromkeys(ones, 1.0) | {"log_max": 0.0, "log_min": 0.0}


def test_singular_values_that_are_not_resolved_count_as_0_and_have_no_logarithm():
    logs = np.log(KNOWN)
    logs[:, -1] = -np.inf
    s = np.array([[8.0, 2.0, 0.0], [4.0, 4.0, 0.0]])
    found = statistics(logs)
    assert found["mean_square"] == pytest.approx(np.square(s).mean())
    assert found["q05"] == pytest.approx(np.quantile(s, 0.05))
    assert found["resolved"] == pytest.approx(4 / 6)
    assert {"log_min", "condition"} & found.keys() == set()
    assert found["log_max"] == pytest.approx(np.log(8))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("examples", [1, 2])
def test_a_jacobian_of_zeros_has_the_statistics_of_zeros_and_no_warning(examples):
    logs = np.vstack([np.full((examples, 3), -np.inf), np.zeros((examples - 1, 3))])
    found = statistics(logs)
    assert found["resolved"] == pytest.approx((examples - 1) / (2 * examples - 1))
    assert all(np.isfinite(value) for value in found.values())


def test_what_is_logged_is_of_the_first_validation_examples_at_the_weights_of_the_step(tmp_path):
    data, model = Toy(), learner()  # frozen
    fitted(tmp_path, [JacobianSpectrum(2, 3)], data, model, max_epochs=1)
    logs = jacobian_spectrum(model.net, data.x[:3]).numpy()
    rows = [row for row in metrics(tmp_path) if row["jacobian/log_max"]]
    assert [int(row["step"]) for row in rows] == [0, 2, 3]
    for row in rows:
        logged = {k.removeprefix("jacobian/"): v for k, v in row.items() if k[:9] == "jacobian/"}
        expected = statistics(logs)
        assert {k: float(v) for k, v in logged.items()} == pytest.approx(expected, rel=1e-12)
    with np.load(tmp_path / "spectra.npz") as arrays:
        np.testing.assert_allclose(arrays["jacobian/spectrum"][0], np.exp(logs), rtol=1e-12)
    assert model.metrics["jacobian/log_max"] == pytest.approx(logs.max())


def test_a_network_that_is_not_finite_is_no_reason_to_stop(tmp_path, caplog):
    model = learner()
    with torch.no_grad():
        model.net.recurrent.fill_(torch.nan)
    callback = JacobianSpectrum(1, 2)
    callback._measure_once(_Standing(Toy()), model)
    callback._measure_once(_Standing(Toy(), step=1), model)
    assert len(caplog.records) == 1 and "JacobianSpectrum at step 0: " in caplog.text


class _Standing:
    """A trainer that stands still at `step`."""

    is_global_zero, loggers, current_epoch = True, (), 0

    def __init__(self, data: Toy, step: int = 0) -> None:
        self.datamodule, self.global_step = data, step


@pytest.mark.parametrize("examples", [0, -3])
def test_examples_must_be_positive(examples):
    with pytest.raises(ValueError, match=f"^examples must be a finite number >= 1, got {examples}"):
        JacobianSpectrum(examples=examples)


def test_the_histogram_has_64_bins_of_equal_ratio():
    assert len(EDGES) == 65
    np.testing.assert_allclose(EDGES[1:] / EDGES[:-1], (EDGES[-1] / EDGES[0]) ** (1 / 64))
