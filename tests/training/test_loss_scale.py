"""A loss scale is a unit, not a number of the training: with a GradScaler all is as without one."""

import math
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from cases import part, parts, regularizers
from pytorch_lightning.plugins import MixedPrecision
from runs import metrics
from torch import Tensor
from torch.amp import GradScaler
from torch.nn.functional import cross_entropy
from toys import Toy, fitted, learner

from isogain.callbacks.gradients import GradientNorms
from isogain.config.errors import Divergence
from isogain.linalg import orthogonality_gap
from isogain.optim import SGD, MatrixAdam, kernel_parameters
from isogain.reg.landing import Landing
from isogain.reg.penalty import Soft
from isogain.reg.projection import Projection
from isogain.reg.spectral import Spectral
from isogain.reg.srip import SRIP
from isogain.reg.stiefel import Stiefel

SCALE = 2.0**16
OPTIMS = sorted(parts("optim"))
REGS = {
    **regularizers(1.2),
    "manifold-learned": part("reg", "manifold", "learned", _partial_=True),
    "oblique-learned": part("reg", "oblique", "learned", _partial_=True),
    "manifold-scalar": part("reg", "manifold", adam="scalar", _partial_=True),
}
# torch's derivative of the matrix exponential takes as many squarings as the gradient is large
ROUNDING = {"exp": 1e-5}


class Float32(MixedPrecision):
    """A scaler and no half precision, so that scaling by a power of two loses nothing."""

    def autocast_context_manager(self) -> torch.autocast:
        return torch.autocast(self.device, enabled=False)


def scaled(scale: float = SCALE, device: str = "cpu") -> list[MixedPrecision]:
    return [Float32("16-mixed", device, GradScaler(device, init_scale=scale))]


class Stop(pl.Callback):
    """Ends training after so many steps, with a checkpoint of them."""

    def __init__(self, steps: int, path: Path) -> None:
        self.steps, self.path = steps, path

    def on_train_batch_end(self, trainer, model, *args) -> None:
        if trainer.global_step == self.steps < trainer.max_steps:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def everything(model):
    """All that training changes, by name."""
    state = dict(model.state_dict())
    for i, values in enumerate(model.optimizers().optimizer.state_dict()["state"].values()):
        state |= {f"{i}/{k}": torch.as_tensor(v) for k, v in values.items() if v is not None}
    return {name: value.detach().clone() for name, value in state.items()}


def trained(out, reg, optim, plugins=(), data=None, **options):
    torch.manual_seed(1)
    model = learner(reg, optim)
    with torch.no_grad():
        for w in kernel_parameters(model.net):
            w.mul_(1 + 0.1 * torch.rand_like(w))
    options = {"max_epochs": 1, "limit_val_batches": 0} | options
    fitted(out, data=data or Toy(20, 4), model=model, plugins=plugins, **options)
    return model


def assert_same(found, expected, rtol=0.0):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=rtol, atol=rtol, msg=name)


@pytest.mark.parametrize("name", REGS)
def test_with_a_scaler_every_regulariser_trains_as_without(tmp_path, name):
    optim = part("optim", "momentum", lr=0.1)
    plain = trained(tmp_path / "plain", REGS[name](), optim)
    found = trained(tmp_path / "scaled", REGS[name](), optim, scaled())
    assert_same(everything(found), everything(plain), ROUNDING.get(name, 0.0))


@pytest.mark.parametrize("clip", [None, 0.05], ids=["", "clipped"])
@pytest.mark.parametrize("reg", [Soft, Stiefel, Landing, partial(Stiefel, "learned")])
@pytest.mark.parametrize("name", OPTIMS)
def test_with_a_scaler_every_optimiser_trains_as_without_clipped_and_accumulated(
    tmp_path, name, reg, clip
):
    options = {"clip": clip, "accumulate_grad_batches": 2}
    optim = part("optim", name, lr=0.01)
    plain = trained(tmp_path / "plain", reg(), optim, **options)
    found = trained(tmp_path / "scaled", reg(), optim, scaled(), **options)
    assert_same(everything(found), everything(plain))


def test_gradients_are_logged_and_edited_in_their_own_units(tmp_path):
    rows = []
    for name, plugins in (("plain", ()), ("scaled", scaled())):
        torch.manual_seed(1)
        fitted(tmp_path / name, [GradientNorms(1)], model=learner(), plugins=plugins, max_epochs=1)
        rows.append(
            [{k: v for k, v in row.items() if "grad" in k} for row in metrics(tmp_path / name)]
        )
    assert rows[0] == rows[1] and any(float(row["grad/recurrent/000"] or 0) for row in rows[0])


def test_float16_trains_as_float32_to_its_rounding_and_the_constraint_holds_to_that_of_float32(
    tmp_path,
):
    half = [MixedPrecision("16-mixed", "cpu", GradScaler("cpu"))]
    optim = SGD(lr=0.1, momentum=0.9)
    plain = trained(tmp_path / "plain", Projection(), optim, max_epochs=4)
    found = trained(tmp_path / "half", Projection(), optim, half, max_epochs=4)
    assert orthogonality_gap(found.net.recurrent.double()) < 1e-5
    assert 0 < (found.net.recurrent - plain.net.recurrent).abs().max() < 5e-3


class Overflows:
    """Cross-entropy whose gradient is not finite for some of the calls, counted from `start`."""

    def __init__(self, *calls: int, start: int = 0) -> None:
        self.calls, self.next = calls, start

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor:
        if self.next in self.calls and logits.requires_grad:
            logits.register_hook(lambda grad: grad / 0)
        self.next += logits.requires_grad
        return cross_entropy(logits, y)


class After(pl.Callback):
    """Keeps all that training changes as it is after so many steps, and the rates."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, model, *args) -> None:
        if trainer.global_step == self.steps:
            self.state = everything(model)
            self.rates = [group["lr"] for group in trainer.optimizers[0].param_groups]


SKIPPING = {
    "soft": partial(Soft, strength=0.1, schedule="linear", every=2),
    "srip": partial(SRIP, strength=0.1),
    "hard": partial(Projection, every=2),
    "manifold": partial(Stiefel, "learned", adam="scalar"),
    "landing": Landing,
    "spectral": Spectral,
}


@pytest.mark.parametrize("reg", SKIPPING)
@pytest.mark.parametrize("name", OPTIMS)
def test_a_step_that_is_skipped_changes_nothing_that_the_others_depend_on(tmp_path, name, reg):
    """Training without the batches that overflow is the same; the first of all is one of them."""
    ends = []
    for bad in ((0, 3), ()):
        torch.manual_seed(1)
        data, model = Toy(24, 4), learner(SKIPPING[reg](), part("optim", name, lr=0.01))
        model.loss, end = Overflows(*bad), After(6 if bad else 4)
        if not bad:
            kept = [i for i in range(24) if i // 4 not in (0, 3)]
            data.x, data.y = data.x[kept], data.y[kept]
        options = {"max_epochs": -1, "max_steps": 6, "limit_val_batches": 0}
        fitted(tmp_path / str(bad), [end], data, model, plugins=scaled(), **options)
        assert model.metrics.get("loss_scale/skipped", 0) == len(bad)
        ends.append(end)
    assert_same(ends[0].state, ends[1].state)
    assert ends[0].rates == ends[1].rates


def test_skipped_steps_are_still_counted_after_a_resume(tmp_path):
    ends, optim = [], SGD(lr=0.1, momentum=0.5)
    for first in (3, 6):
        torch.manual_seed(1)
        model, end = learner(Soft(strength=0.1, every=2), optim), After(6)
        model.loss = Overflows(1)
        options = {"max_epochs": -1, "limit_val_batches": 0, "plugins": scaled()}
        out = tmp_path / str(first)
        halt = Stop(first, out / "half.ckpt")
        fitted(out, [end, halt], Toy(12, 4), model, max_steps=6, **options)
        if first < 6:
            model, options["plugins"] = learner(Soft(strength=0.1, every=2), optim), scaled()
            model.loss = Overflows(1, start=first)
            fitted(out, [end], Toy(12, 4), model, out / "half.ckpt", max_steps=6, **options)
        ends.append(end)
    assert_same(ends[0].state, ends[1].state)
    assert ends[0].rates == ends[1].rates


def test_a_gradient_that_no_scale_makes_finite_ends_the_run(tmp_path):
    model = learner()
    model.loss = Overflows(*range(1000))
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    with pytest.raises(Divergence, match="^the gradient is inf at step 39$"):
        fitted(tmp_path, model=model, plugins=scaled(2.0**23), max_epochs=100)
    assert all(torch.equal(p, start[n]) for n, p in model.named_parameters())


def test_a_gradient_that_overflows_is_not_logged(tmp_path):
    model = learner()
    model.loss = Overflows(0)
    fitted(tmp_path, [GradientNorms(1)], Toy(12, 4), model, plugins=scaled(), max_epochs=1)
    logged = [row["step"] for row in metrics(tmp_path) if row["grad/recurrent/000"]]
    assert logged == ["1", "2"]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("first", [True, False], ids=["unscaled by us", "unscaled by the scaler"])
def test_adam_of_matrices_is_unscaled_and_skips_in_any_loop(fused, first):
    """As torch promises of its own optimisers."""
    start, targets = torch.randn(2, 5, 5), torch.randn(4, 2, 5, 5)
    ends = []
    for scaler in (GradScaler("cpu", init_scale=SCALE), GradScaler("cpu", enabled=False)):
        w = start.clone().requires_grad_()
        optimizer = MatrixAdam([{"params": [w], "per_matrix": True}], lr=0.1, fused=fused)
        for i, target in enumerate(targets):
            if i == 2 and not scaler.is_enabled():
                continue
            loss = (w - target).square().sum() * (math.inf if i == 2 else 1)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            if first:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
        ends.append((w.detach(), optimizer.state[w]))
    torch.testing.assert_close(*ends, rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("reg", [Soft, Stiefel, Landing, partial(Stiefel, "learned")])
@pytest.mark.parametrize("name", OPTIMS)
def test_with_a_scaler_a_gpu_trains_as_without(tmp_path, name, reg):
    optim, options = part("optim", name, lr=0.01), {"accelerator": "gpu", "devices": 1}
    plain = trained(tmp_path / "plain", reg(), optim, clip=0.05, **options)
    found = trained(tmp_path / "scaled", reg(), optim, scaled(device="cuda"), clip=0.05, **options)
    assert_same(everything(found), everything(plain), rtol=1e-6)
