"""A regulariser in any LightningModule moves the weights as `isogain.regularize` does in a plain loop."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from their_module import STEPS_PER_EPOCH, Theirs, equal, examples, loaders, trained
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from toys import Toy, learner, trainer

import isogain
from isogain.callbacks import OrthogonalityGap, Regularize
from isogain.config.errors import ConfigError
from isogain.linalg import orthogonality_gap
from isogain.record.observers import observes
from isogain.reg import Lie, Regularizer, Soft, Spectral, Stiefel

MATCH = "blocks.*.weight"
CLIP, ACCUMULATED = 0.05, 2
REGS = {
    "stiefel": Stiefel,
    "learned": lambda: Stiefel(gain="learned"),
    "soft": lambda: Soft(0.1),
    "lie": Lie,
    "spectral": lambda: Spectral(margin=0.1),
}


def plain_loop(reg: Regularizer, epochs: int = 2, **time: int) -> Theirs:
    """What `trained` does with `reg`, clipping and accumulation, without Lightning."""
    module = Theirs()
    torch.manual_seed(5)
    optimizer = module.configure_optimizers()
    handle = isogain.regularize(optimizer, module, reg, match=MATCH, **time)
    train, val = loaders()
    for _ in range(epochs):
        for i, (x, y) in enumerate(train):
            loss = nn.functional.cross_entropy(module(x), y)
            (loss / ACCUMULATED).backward()
            if i % ACCUMULATED == ACCUMULATED - 1:
                handle.before_step()
                params = [p for group in optimizer.param_groups for p in group["params"]]
                nn.utils.clip_grad_norm_(params, CLIP)
                optimizer.step()
                optimizer.zero_grad()
        iter(val)  # the validation of an epoch draws a seed
    return module


def constrained(folder: Path, callback: pl.Callback, **options: Any) -> Theirs:
    settings = {"gradient_clip_val": CLIP, "accumulate_grad_batches": ACCUMULATED}
    return trained(folder, [callback], **(settings | options))


@pytest.mark.parametrize("name", REGS)
def test_weights_are_bitwise_those_of_a_plain_loop_with_clipping_and_accumulation(tmp_path, name):
    module = constrained(tmp_path, Regularize(REGS[name](), match=MATCH))
    assert equal(module, plain_loop(REGS[name]()))


def test_the_weights_stay_on_the_manifold(tmp_path):
    callback = Regularize(Stiefel(gain=1.3), match=MATCH)
    gap = OrthogonalityGap(1, match=MATCH, gain=1.3)
    module = trained(tmp_path, [callback, gap])
    assert gap.metrics["gap/worst"] < 1e-5
    assert orthogonality_gap(module.blocks[0].fc.weight, 1.3).item() < 1e-5
    assert orthogonality_gap(module.inlet[0].weight, 1.3).item() > 1e-2
    assert callback.handle.step == 2 * STEPS_PER_EPOCH
    assert callback.handle.optimizer.param_groups[-1]["weight_decay"] == 0


def scheduled_strength() -> Soft:
    return Soft(0.5, schedule="linear")


def test_a_schedule_has_its_time_from_the_trainer(tmp_path):
    steps = 2 * STEPS_PER_EPOCH // ACCUMULATED
    callback = Regularize(scheduled_strength(), match=MATCH)
    module = constrained(tmp_path, callback)
    assert callback.handle.clock.steps == steps
    time = {"steps": steps, "steps_per_epoch": STEPS_PER_EPOCH // ACCUMULATED}
    assert equal(module, plain_loop(scheduled_strength(), **time))


@pytest.mark.parametrize("name", REGS)
def test_a_resumed_training_is_bitwise_the_uninterrupted_one(tmp_path, name):
    class Saves(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    class Reseeds(pl.Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, *args: Any) -> None:
            torch.manual_seed(trainer.global_step)  # of the dropout

    data = 2 * (DataLoader(TensorDataset(*examples()), 8),)

    def train(**options: Any) -> tuple[Theirs, Regularize]:
        callback = Regularize(REGS[name](), match=MATCH)
        callbacks = [Reseeds(), callback, Saves()]
        return trained(tmp_path, callbacks, data=data, logger=False, **options), callback

    whole, _ = train()
    resumed, callback = train(ckpt=tmp_path / "0.ckpt")
    assert equal(resumed, whole)
    assert callback.handle.step == 2 * STEPS_PER_EPOCH


class Overflows(Theirs):
    """The gradient of the third batch is infinite."""

    batches = 0

    def on_train_batch_start(self, *args: Any) -> None:
        self.batches += 1

    def on_after_backward(self) -> None:
        if self.batches == 3:
            self.head.weight.grad.fill_(torch.inf)


class Float32(MixedPrecision):
    """A scaler and no half precision."""

    def autocast_context_manager(self) -> torch.autocast:
        return torch.autocast(self.device, enabled=False)


class Counts(pl.Callback):
    """The weights before and after every batch."""

    def __init__(self) -> None:
        self.moved: list[bool] = []

    def on_train_batch_start(self, trainer: Any, module: Any, *args: Any) -> None:
        self.before = {name: w.clone() for name, w in module.named_parameters()}

    def on_train_batch_end(self, trainer: Any, module: Any, *args: Any) -> None:
        now = dict(module.named_parameters())
        self.moved.append(any(not torch.equal(now[n], w) for n, w in self.before.items()))


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_a_grad_scaler_skips_changes_nothing(tmp_path, fused):
    plugin = Float32("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**4))
    callback, counts = Regularize(Stiefel(), match=MATCH), Counts()
    module = trained(tmp_path, [counts, callback], Overflows(fused=fused), plugins=[plugin])
    assert counts.moved == [True, True, False] + 5 * [True]
    assert callback.handle.step == 7
    assert orthogonality_gap(module.blocks[0].fc.weight).item() < 1e-5


class Scheduled(Theirs):
    """Attaches between the optimiser and its scheduler."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), **self.optim)
        for callback in self.trainer.callbacks:
            if isinstance(callback, Regularize):
                callback.attach(self, optimizer)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


def test_a_group_without_weight_decay_is_made_before_the_scheduler_or_refused(tmp_path):
    callback = Regularize(Stiefel(), match=MATCH)
    with pytest.raises(ValueError, match=r"^Regularize: .*attach\(self, optimizer\) in configure"):
        trained(tmp_path, [callback], Theirs(scheduled=True))
    module = trained(tmp_path, [callback], Scheduled())
    assert orthogonality_gap(module.blocks[0].fc.weight).item() < 1e-5
    assert [g["lr"] for g in callback.handle.optimizer.param_groups] == pytest.approx(2 * [5e-4])
    free = trained(tmp_path, [Regularize(Stiefel(), MATCH)], Theirs(scheduled=True, weight_decay=0))
    assert orthogonality_gap(free.blocks[0].fc.weight).item() < 1e-5


class TwoOptimizers(Theirs):
    """Manual optimisation; the blocks have an optimiser of their own, which steps twice a batch."""

    automatic_optimization = False

    def configure_optimizers(self) -> Any:
        held = list(self.blocks.parameters())
        others = [*self.inlet.parameters(), *self.head.parameters()]
        return torch.optim.SGD(others, lr=0.1), torch.optim.SGD(held, lr=0.1)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        one, two = self.optimizers()
        for optimizer in (one, two, two):
            optimizer.zero_grad()
            self.manual_backward(nn.functional.cross_entropy(self(batch[0]), batch[1]))
            optimizer.step()


def test_of_several_optimisers_it_is_around_the_one_that_moves_the_weights(tmp_path):
    callback = Regularize(Stiefel(), match=MATCH)
    module = trained(tmp_path, [callback], TwoOptimizers())
    assert callback.handle.step == 2 * 2 * STEPS_PER_EPOCH
    assert orthogonality_gap(module.blocks[2].fc.weight).item() < 1e-5


class Frozen(Theirs):
    """Its optimiser moves the head alone."""

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.head.parameters(), lr=0.1)


REFUSED = [
    (Regularize(Stiefel(), match="block.*.weight"), Theirs, "^Regularize: match=.*takes no param"),
    (Regularize(Stiefel(), match="*.bias"), Theirs, "takes vectors only"),
    (Regularize(Stiefel()), Theirs, "does not say which of its parameters to take: pass match="),
    (Regularize(Stiefel(), match=MATCH, blocks=4), Theirs, "blocks must divide the 6 rows"),
    (Regularize(Stiefel(), net="body"), Theirs, "^Regularize: net: Theirs has no module 'body'"),
    (Regularize(Stiefel(), match=MATCH), Frozen, "among the parameters of no optimiser"),
]


@pytest.mark.parametrize(("callback", "kind", "message"), REFUSED)
def test_weights_that_cannot_be_held_are_refused_before_training(tmp_path, callback, kind, message):
    with pytest.raises(ValueError, match=message):
        trained(tmp_path, [callback], kind())


def test_a_schedule_over_a_training_without_end_is_refused(tmp_path):
    callback = Regularize(scheduled_strength(), match=MATCH)
    with pytest.raises(ValueError, match="needs max_epochs or max_steps"):
        trained(tmp_path, [callback], max_epochs=-1)


def test_a_run_of_ours_has_its_regulariser_by_reg(tmp_path):
    with pytest.raises(ConfigError, match="by reg="):
        trainer(tmp_path, [Regularize(Stiefel())]).fit(learner(), datamodule=Toy())


def test_it_is_no_observer():
    assert not observes({"_target_": "isogain.callbacks.regularize_callback.Regularize"})
    assert observes({"_target_": "isogain.callbacks.weights.OrthogonalityGap"})
