"""The scalars of a Jacobian's spectrum against numpy, on spectra that are known."""

import numpy as np
import pytest
import torch
from runs import metrics
from toys import Toy, fitted, learner

from isogain.callbacks import jacobian
from isogain.callbacks.jacobian import (
    AT_START,
    EDGES,
    QUANTILES,
    JacobianSpectrum,
    spread,
    statistics,
)
from isogain.diagnostics.jacobian import jacobian_spectra, jacobian_spectrum
from isogain.diagnostics.plain_product import ROUNDING
from isogain.optim import SGD

KNOWN = np.array([[8.0, 2.0, 0.5], [4.0, 4.0, 1.0]])


def test_statistics_of_a_known_spectrum():
    found = statistics(np.log(KNOWN))
    expected = {f"q{round(100 * q):02d}": np.quantile(KNOWN, q) for q in QUANTILES}
    expected |= {"mean_square": 101.25 / 6, "log_max": np.log(8), "log_min": np.log(0.5)}
    expected["variance"] = np.var([64, 4, 0.25, 16, 16, 1])
    expected |= {"condition": 8.0, "log_condition": np.log(8), "resolved": 1.0}
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_condition_is_the_median_over_examples_of_the_ratio():
    ratios = np.array([2.0, 3.0, 1000.0])
    spectra = np.stack([ratios, np.ones(3)], axis=1)
    assert statistics(np.log(spectra))["condition"] == pytest.approx(3, rel=1e-12)


def test_at_isometry_every_statistic_says_so():
    found = statistics(np.zeros((3, 5)))
    ones = {"q05", "q25", "q50", "q75", "q95", "mean_square", "condition", "resolved"}
    zeros = {"log_max", "log_min", "log_condition", "variance"}
    assert found == dict.fromkeys(ones, 1.0) | dict.fromkeys(zeros, 0.0)


@pytest.mark.filterwarnings("error")
def test_what_float64_cannot_hold_keeps_its_logarithms():
    found = statistics(np.array([[900.0, 0.0, -2000.0]]))
    assert (found["log_max"], found["log_min"], found["log_condition"]) == (900, -2000, 2900)
    assert {"condition", "mean_square", "variance"} & found.keys() == set()


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
    limit = ROUNDING / (6**0.5 * torch.finfo(torch.float32).eps)
    rows = [row for row in metrics(tmp_path) if row["jacobian/log_max"]]
    assert [int(row["step"]) for row in rows] == [0, 2, 3]
    for row in rows:
        logged = {k.removeprefix("jacobian/"): v for k, v in row.items() if k[:9] == "jacobian/"}
        expected = statistics(logs) | {"exact": 0.0, "limit": limit}
        assert {k: float(v) for k, v in logged.items()} == pytest.approx(expected, rel=1e-12)
    with np.load(tmp_path / "spectra.npz") as arrays:
        np.testing.assert_allclose(arrays["jacobian/spectrum"][0], np.exp(logs), rtol=1e-12)
    assert model.metrics["jacobian/log_max"] == pytest.approx(logs.max())


def test_the_first_measurement_stays_in_the_metrics(tmp_path):
    data, model = Toy(), learner(optim=SGD(lr=1.0, schedule="constant"))
    at_start = statistics(jacobian_spectrum(model.net, data.x[:3]).numpy())
    fitted(tmp_path, [JacobianSpectrum(2, 3)], data, model, max_epochs=1)
    kept = {name: model.metrics[f"jacobian/at_start/{name}"] for name in AT_START}
    assert kept == pytest.approx({name: at_start[name] for name in AT_START}, rel=1e-5)
    assert kept["mean_square"] != pytest.approx(model.metrics["jacobian/mean_square"], rel=1e-3)


def test_a_network_that_is_not_finite_is_no_reason_to_stop(tmp_path, caplog):
    model = learner()
    with torch.no_grad():
        model.net.recurrent.fill_(torch.nan)
    callback = JacobianSpectrum(1, 2)
    callback._measure_once(_Standing(Toy()), model)
    callback._measure_once(_Standing(Toy(), step=1), model)
    assert len(caplog.records) == 1 and "JacobianSpectrum at step 0: " in caplog.text


@pytest.mark.parametrize("largest", [2048, 1])
def test_an_example_that_cannot_be_resolved_is_named_and_left_out(
    tmp_path, caplog, monkeypatch, largest
):
    spectra, extremes = jacobian.jacobian_spectra, jacobian.jacobian_extremes

    def without_the_second(found):
        found[1] = torch.nan
        return found

    def of_spectra(*given):
        found = spectra(*given)
        return found._replace(logs=without_the_second(found.logs))

    monkeypatch.setattr(jacobian, "jacobian_spectra", of_spectra)
    monkeypatch.setattr(jacobian, "jacobian_extremes", lambda *x: without_the_second(extremes(*x)))
    data, model = Toy(), learner()
    fitted(tmp_path, [JacobianSpectrum(2, 3, largest=largest)], data, model, max_epochs=1)
    logs = jacobian_spectrum(model.net, data.x[:3])[[0, 2]]
    row = metrics(tmp_path)[-1]
    assert float(row["jacobian/log_max"]) == pytest.approx(logs.max().item(), abs=1e-5)
    assert float(row["jacobian/log_min"]) == pytest.approx(logs.min().item(), abs=1e-5)
    assert float(row["jacobian/unresolved"]) == model.metrics["jacobian/unresolved"] == 1 / 3
    assert caplog.text.count("of example 1 depend on more than the 31st digit") == 1


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


def test_the_arrays_are_of_every_start_and_their_axes_have_names(tmp_path):
    data, model = Toy(), learner()
    fitted(tmp_path, [JacobianSpectrum(2, 3, spans=2)], data, model, max_epochs=1)
    with np.load(tmp_path / "spectra.npz") as arrays:
        starts = arrays["jacobian/starts"][0].tolist()
        logs = jacobian_spectra(model.net, data.x[:3], starts).logs.numpy()
        np.testing.assert_allclose(arrays["jacobian/by_start"][0], logs, rtol=1e-12)
        np.testing.assert_allclose(arrays["jacobian/log_spectrum"][0], logs[:, 0], rtol=1e-12)
        assert arrays["jacobian/exact"].shape == (3, 3, len(starts))
        axes = ["event", "example", "start", "value"]
        assert arrays["jacobian/by_start/axes"].tolist() == axes
        assert arrays["jacobian/log_spectrum/axes"].tolist() == ["event", "example", "value"]
    assert starts == [0, 3, 4]


@pytest.mark.parametrize(("spans", "length"), [(0, 5), (1, 1), (1, 5), (3, 2), (8, 784), (9, 200)])
def test_starts_are_spread_over_the_length_from_the_input_on(spans, length):
    starts = spread(spans, length)
    assert starts[0] == 0 and starts == sorted(set(starts)) and len(starts) <= spans + 1
    assert all(0 <= start < length for start in starts)
    if spans > 1 and length > 1:
        assert starts[-1] == length - 1


def test_a_state_too_large_for_its_matrix_has_its_extremes_and_says_so(tmp_path):
    data, model = Toy(), learner()
    fitted(tmp_path, [JacobianSpectrum(2, 3, largest=5)], data, model, max_epochs=1)
    row = metrics(tmp_path)[0]
    logs = jacobian_spectrum(model.net, data.x[:3])  # as many Lanczos steps as units: exact
    assert float(row["jacobian/matrix_free"]) == model.metrics["jacobian/matrix_free"] == 1
    assert float(row["jacobian/log_max"]) == pytest.approx(logs[:, 0].max().item(), abs=1e-5)
    assert float(row["jacobian/log_min"]) == pytest.approx(logs[:, -1].min().item(), abs=1e-3)
    assert "jacobian/q50" not in row and not (tmp_path / "spectra.npz").exists()
