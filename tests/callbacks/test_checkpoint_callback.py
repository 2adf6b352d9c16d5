"""last.ckpt, the one before it, and best.ckpt."""

import pytest
import pytorch_lightning as pl
import torch
from runs import checkpoint
from toys import Toy, fitted, learner

from isogain.callbacks.checkpointing import Checkpoints
from isogain.optim import SGD


class Scores(pl.Callback):
    """Sets the validation scores of the epochs; what the data would give is overwritten."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.values = name, values

    def on_train_epoch_end(self, trainer, model) -> None:
        for name in ("val/acc", "val/loss"):
            model.metrics.pop(name, None)
        if self.values:
            model.metrics[self.name] = self.values[trainer.current_epoch]


class Stop(Exception):
    pass


class StopAt(pl.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, *args) -> None:
        if trainer.global_step == self.step:
            raise Stop


def files(out) -> set[str]:
    return {path.name for path in (out / "checkpoints").iterdir()}


def steps(out) -> dict[str, int]:
    return {
        name.removesuffix(".ckpt"): checkpoint(out, name.removesuffix(".ckpt"))["global_step"]
        for name in files(out)
    }


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("val/acc", [0.1, 0.3, 0.2], 1),
        ("val/acc", [0.3, 0.3, 0.1], 0),  # of equals the first
        ("val/acc", [0.1, 0.2, 0.3], 2),
        ("val/acc", [0.0, 0.0, 0.0], 0),
        ("val/loss", [3.0, 1.0, 2.0], 1),
        ("val/loss", [1.0, 1.0, 2.0], 0),
    ],
)
def test_best_is_of_the_epoch_with_the_best_validation_score(tmp_path, name, values, best):
    saver = Checkpoints()
    model = fitted(tmp_path, [Scores(name, values), saver], Toy(20, 4), max_epochs=3)
    assert steps(tmp_path) == {"last": 15, "previous": 10, "best": 5 * (best + 1)}
    assert model.metrics["epoch_best"] == saver.best_epoch == best
    assert model.metrics.get("val/acc_best") == (values[best] if name == "val/acc" else None)


def test_without_a_validation_score_there_is_no_best(tmp_path):
    fitted(tmp_path, [Scores("val/acc", []), Checkpoints()], Toy(20, 4), max_epochs=2)
    assert steps(tmp_path) == {"last": 10, "previous": 5}


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (None, {"last": 5, "best": 5}),
        (1, {"last": 8, "previous": 7, "best": 5}),
        (2, {"last": 8, "previous": 6, "best": 5}),
        (3, {"last": 6, "previous": 5, "best": 5}),
        (100, {"last": 5, "best": 5}),
    ],
)
def test_a_run_that_dies_leaves_its_last_two_checkpoints(tmp_path, every, expected):
    with pytest.raises(Stop):
        fitted(tmp_path, [StopAt(8), Checkpoints(every)], Toy(20, 4), max_epochs=2)
    assert steps(tmp_path) == expected


def test_with_several_batches_a_step_the_one_before_is_of_the_step_before(tmp_path):
    options = {"accumulate_grad_batches": 2, "max_epochs": 1}
    fitted(tmp_path, [Checkpoints(1)], Toy(24, 4), **options)
    assert steps(tmp_path) == {"last": 3, "previous": 2, "best": 3}


def test_best_and_last_hold_the_weights_of_their_steps(tmp_path):
    weights = {}

    class Look(pl.Callback):
        def on_train_epoch_end(self, trainer, model) -> None:
            weights[trainer.global_step] = model.net.recurrent.detach().clone()

    model = learner(optim=SGD(lr=0.3))
    callbacks = [Look(), Scores("val/acc", [0.1, 0.3, 0.2]), Checkpoints()]
    fitted(tmp_path, callbacks, Toy(20, 4), model, max_epochs=3)
    for name, step in {"previous": 10, "best": 10, "last": 15}.items():
        found = checkpoint(tmp_path, name)["state_dict"]["net.recurrent"]
        assert torch.equal(found, weights[step])
    assert not torch.equal(weights[10], weights[15])


def test_a_resumed_run_remembers_the_best(tmp_path):
    scores = Scores("val/acc", [0.9, 0.3, 0.2])
    fitted(tmp_path, [scores, Checkpoints()], Toy(20, 4), max_epochs=1)
    ckpt, saver = tmp_path / "checkpoints" / "last.ckpt", Checkpoints()
    fitted(tmp_path, [scores, saver], Toy(20, 4), ckpt=ckpt, max_epochs=3)
    assert (saver.best_score, saver.best_epoch) == (0.9, 0)
    assert steps(tmp_path)["best"] == 5


@pytest.mark.parametrize("every", [0, -1])
def test_every_must_be_positive(every):
    with pytest.raises(ValueError, match=f"^every must be a finite number >= 1, got {every}$"):
        Checkpoints(every)
