"""What is recorded of single steps: spectra of the factors, and how far each input reaches."""

import numpy as np
import pytest
from runs import metrics
from toys import Toy, fitted, learner

from isogain.callbacks.factors import FactorSpectrum
from isogain.diagnostics.jacobian import factor_spectra, input_norms


def test_factors_and_input_norms_are_of_the_probe_batch_at_named_places(tmp_path):
    data, model = Toy(), learner()  # frozen
    fitted(tmp_path, [FactorSpectrum(2, 3, places=2)], data, model, max_epochs=1)
    with np.load(tmp_path / "spectra.npz") as arrays:
        places = arrays["factors/places"][0].tolist()
        logs = factor_spectra(model.net, data.x[:3], places).numpy()
        norms = input_norms(model.net, data.x[:3]).numpy()
        np.testing.assert_allclose(arrays["factors/spectrum"], np.exp([logs] * 3), rtol=1e-12)
        np.testing.assert_allclose(arrays["inputs/log_norm"], [norms] * 3, rtol=1e-12)
        axes = ["event", "example", "place", "value"]
        assert arrays["factors/spectrum/axes"].tolist() == axes
        assert arrays["inputs/log_norm/axes"].tolist() == ["event", "example", "time"]
    assert places == [0, 3, 4]
    row = metrics(tmp_path)[0]
    assert float(row["factors/log_max"]) == pytest.approx(logs.max(), rel=1e-12)
    assert float(row["factors/log_volume"]) == pytest.approx(logs.mean(), rel=1e-12)
    assert float(row["inputs/log_first"]) == pytest.approx(norms[:, 0].mean(), rel=1e-12)
