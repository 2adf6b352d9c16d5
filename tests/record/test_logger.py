"""One call logs an event everywhere: to the run's folder and to any logger of Lightning's."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from isogain.record.logger import RunRecord, Spectrum, record

EDGES = np.linspace(0, 1, 5)


class Plain:
    """A logger that knows scalars only, as Lightning's own do."""

    def __init__(self) -> None:
        self.seen = []

    def log_metrics(self, metrics: dict, step: int) -> None:
        self.seen.append((dict(metrics), step))


def trainer(*loggers, step: int = 5, epoch: int = 1) -> SimpleNamespace:
    return SimpleNamespace(loggers=loggers, global_step=step, current_epoch=epoch)


def rows(folder) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_event_goes_to_every_logger_under_the_steps_done_and_the_epoch(tmp_path):
    folder, plain = RunRecord(tmp_path), Plain()
    record(trainer(folder, plain), {"a": 0.5}, {"s": Spectrum(np.arange(3.0), EDGES)})
    folder.flush()
    assert rows(tmp_path) == [{"step": "5", "epoch": "1", "a": "0.5"}]
    assert plain.seen == [({"epoch": 1, "a": 0.5}, 5)]
    with np.load(tmp_path / "spectra.npz") as arrays:
        assert arrays["s"].tolist() == [[0, 1, 2]] and arrays["s/step"].tolist() == [5]


def test_nothing_is_said_to_no_logger():
    record(trainer(), {"a": 1.0})


def test_what_lightning_logs_shares_the_row_of_its_step(tmp_path):
    folder = RunRecord(tmp_path)
    record(trainer(folder), {"a": 1.0})
    folder.log_metrics({"lr": np.float32(0.5)}, np.int64(5))
    folder.finalize("success")
    assert rows(tmp_path) == [{"step": "5", "epoch": "1", "a": "1.0", "lr": "0.5"}]


def test_hyperparameters_are_left_to_the_config(tmp_path):
    RunRecord(tmp_path).log_hyperparams({"a": 1})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", [0, 5, 9])
def test_rewind_forgets_later_rows_and_spectra_alike(tmp_path, step):
    folder = RunRecord(tmp_path)
    for at in (0, 5, 9):
        record(trainer(folder, step=at), {"a": 1.0}, {"s": Spectrum(np.ones(2), EDGES)})
    folder.flush()
    again = RunRecord(tmp_path)
    again.rewind(step)
    again.flush()
    steps = [int(row["step"]) for row in rows(tmp_path)]
    with np.load(tmp_path / "spectra.npz") as arrays:
        assert arrays["s/step"].tolist() == steps == [s for s in (0, 5, 9) if s <= step]
