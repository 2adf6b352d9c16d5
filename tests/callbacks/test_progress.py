"""What is seen while a run trains."""

import logging
import re
import sys

import pytest
from toys import Toy, fitted

from isogain.callbacks.progress import Progress


def said(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "isogain.callbacks.progress"]


@pytest.mark.parametrize("epochs", [1, 3])
def test_where_stderr_is_no_terminal_there_is_a_line_an_epoch_and_no_bar(
    tmp_path, caplog, capsys, epochs
):
    with caplog.at_level(logging.INFO, "isogain"):
        fitted(tmp_path, [Progress()], Toy(20, 4), max_epochs=epochs)
    assert [line[:8] for line in said(caplog)] == [f"epoch {n:2d}" for n in range(1, epochs + 1)]
    assert "step/s" not in capsys.readouterr().err


def test_a_line_has_the_losses_and_accuracies_of_its_epoch_and_its_time(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "isogain"):
        model = fitted(tmp_path, [Progress()], Toy(20, 4), max_epochs=1)
    (line,) = said(caplog)
    for name in ("train/loss", "train/acc", "val/loss", "val/acc"):
        assert f"{name} {model.metrics[name]:.4f}" in line
    assert re.search(r" \d+\.\d s$", line)


def test_on_a_terminal_there_is_one_bar_over_all_steps(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = Progress()
    fitted(tmp_path, [progress], Toy(20, 4), max_epochs=2, log_every_n_steps=1)
    assert (progress.bar.n, progress.bar.total, progress.bar.disable) == (10, 10, True)
    assert "/10" in capsys.readouterr().err


def test_with_several_batches_a_step_the_bar_counts_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = Progress()
    fitted(tmp_path, [progress], Toy(24, 4), max_epochs=1, accumulate_grad_batches=2)
    assert (progress.bar.n, progress.bar.total) == (3, 3)


def test_without_an_end_in_sight_the_bar_has_no_total(tmp_path, monkeypatch):
    class Ends(Progress):
        def on_train_epoch_end(self, trainer, model) -> None:
            super().on_train_epoch_end(trainer, model)
            trainer.should_stop = True

    progress = Ends()
    fitted(tmp_path, [progress], Toy(20, 4), max_epochs=-1)
    assert progress.bar.total is None
