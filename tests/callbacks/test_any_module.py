"""Our callbacks in a LightningModule that is not ours, with loggers that are not ours."""

import csv
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from their_module import BLOCKS, STEPS_PER_EPOCH, Theirs, equal, examples, loaders, trained
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, IterableDataset

from isogain.callbacks import (
    Curvature,
    FactorSpectrum,
    GradientNorms,
    JacobianSpectrum,
    OrthogonalityGap,
    SignalGradients,
    SignalStatistics,
    WeightSpectrum,
)
from isogain.callbacks.base import Diagnostic

LOSS = "cross_entropy"


def observers() -> list[pl.Callback]:
    """Every callback that observes."""
    return [
        JacobianSpectrum(2, 4, along=BLOCKS),
        FactorSpectrum(2, 4, along="blocks.*"),
        SignalStatistics(2, 4, along=BLOCKS),
        SignalGradients(2, 4, loss=cross_entropy, along=BLOCKS),
        Curvature(4, 6, k=2, loss=LOSS),
        GradientNorms(1),
        OrthogonalityGap(2, match="blocks.*.weight"),
        WeightSpectrum(2, match="*.weight"),
    ]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def column(folder: Path, name: str) -> dict[int, float]:
    """Step -> value."""
    return {int(r["step"]): float(r[name]) for r in rows(folder) if r.get(name)}


@pytest.fixture(scope="module")
def observed(tmp_path_factory) -> tuple[Path, pl.LightningModule, list[pl.Callback]]:
    folder, callbacks = tmp_path_factory.mktemp("observed"), observers()
    return folder, trained(folder, callbacks, data=loaders(noise=True)), callbacks


def test_training_is_bitwise_the_same_with_and_without_the_observing_callbacks(observed, tmp_path):
    _, module, callbacks = observed
    assert not any(name.startswith("failed") for c in callbacks for name in c.metrics)
    assert equal(module, trained(tmp_path, data=loaders(noise=True)))


def test_scalars_reach_a_logger_that_is_not_ours_at_the_steps_at_which_they_are_due(observed):
    folder, *_ = observed
    last = 2 * STEPS_PER_EPOCH
    for name in ("jacobian/log_max", "factors/log_max", "signal/q", "signal_grad/log_first"):
        assert list(column(folder, name)) == [0, 2, 4, 6, last], name
    assert list(column(folder, "gap/blocks/1/fc/weight")) == [0, 2, 4, 6, last]
    assert list(column(folder, "fisher_exact/lambda_max")) == [0, 4, last]
    assert list(column(folder, "grad/head/weight")) == list(range(last))


def test_arrays_lie_in_an_npz_beside_with_their_axes(observed):
    folder, *_ = observed
    with np.load(folder / "spectra.npz") as arrays:
        assert arrays["jacobian/spectrum"].shape == (5, 4, 6)
        assert arrays["jacobian/spectrum/axes"].tolist() == ["event", "example", "value"]
        assert arrays["weights/blocks/0/fc/weight"].shape == (5, 1, 6)
        assert arrays["fisher_exact/eigenvalues/step"].tolist() == [0, 4, 8]


def test_the_spectrum_is_that_of_jacrev_at_the_last_weights_in_eval_mode(tmp_path):
    callback = JacobianSpectrum(100, 4, along=BLOCKS, at_start=False)
    module = trained(tmp_path, [callback]).double().eval()
    x = examples()[0][:4].double()
    h = module.blocks[0](module.inlet(x)).detach()
    rest = vmap(jacrev(lambda v: module.blocks[2](module.blocks[1](v))))
    expected = torch.linalg.svdvals(rest(h)).log().detach()
    assert callback.metrics["jacobian/log_max"] == pytest.approx(expected.max().item(), abs=1e-6)
    with np.load(tmp_path / "spectra.npz") as arrays:
        logs = arrays["jacobian/log_spectrum"][0]
    np.testing.assert_allclose(logs, expected.numpy(), atol=1e-5)  # the module is in float32


def test_widths_that_differ_have_the_values_of_the_narrower_end(tmp_path):
    callback = JacobianSpectrum(100, 4, along=["blocks.0", "head"], from_input=True)
    module = trained(tmp_path, [callback]).double().eval()
    x = examples()[0][:4].double()
    jacobians = vmap(jacrev(lambda v: module(v[None])[0]))(x)
    expected = torch.linalg.svdvals(jacobians).log().detach()
    with np.load(tmp_path / "spectra.npz") as arrays:
        np.testing.assert_allclose(arrays["jacobian/log_spectrum"][-1], expected.numpy(), atol=1e-9)


def test_a_gap_is_that_of_the_weight_and_its_gain_may_be_one_a_weight(tmp_path):
    gains = {f"blocks.{i}.fc.weight": 1.0 + i for i in range(3)}
    callback = OrthogonalityGap(100, match="blocks.*.weight", gain=gains)
    module = trained(tmp_path, [callback])
    w = module.blocks[2].fc.weight.detach().double()
    expected = (w.mT @ w / 9 - torch.eye(6)).norm().item() / 6**0.5
    assert list(column(tmp_path, "gap/blocks/2/fc/weight").values())[-1] == pytest.approx(expected)
    assert callback.metrics["gap/worst"] >= callback.metrics["gap/final"] > 0


def test_the_distance_to_the_manifold_is_that_of_the_singular_values(tmp_path):
    module = trained(tmp_path, [WeightSpectrum(100, match="head.weight", gain=2.0)])
    s = torch.linalg.svdvals(module.head.weight.detach().double())
    values = list(column(tmp_path, "distance/head/weight").values())
    assert values[-1] == pytest.approx((s - 2).norm().item(), rel=1e-9)


def test_the_gradient_norm_is_that_of_the_first_batch(tmp_path):
    class Keeps(pl.Callback):
        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            if trainer.global_step == 0:
                self.norm = module.head.weight.grad.norm().item()

    keeps = Keeps()
    trained(tmp_path, [keeps, GradientNorms(1)])
    assert column(tmp_path, "grad/head/weight")[0] == pytest.approx(keeps.norm, rel=1e-5)


@pytest.mark.parametrize("loss", [LOSS, cross_entropy])
def test_curvature_is_that_of_the_fisher_by_its_definition(tmp_path, loss):
    callback = Curvature(100, 6, k=2, loss=loss, at_start=False)
    module = trained(tmp_path, [callback]).double().eval()
    x = examples()[0][:6].double()
    z = module(x)
    p, fisher = z.softmax(-1).detach(), 0
    parameters = list(module.parameters())
    for b in range(6):
        grads = [torch.autograd.grad(out, parameters, retain_graph=True) for out in z[b]]
        j = torch.stack([torch.cat([g.flatten() for g in row]) for row in grads])
        fisher = fisher + j.mT @ (p[b].diag() - p[b].outer(p[b])) @ j / 6
    expected = torch.linalg.eigvalsh(fisher)[-1].item()
    assert callback.metrics["fisher_exact/lambda_max"] == pytest.approx(expected, rel=1e-8)


def test_a_loss_function_takes_the_gauss_newton_matrix(tmp_path):
    def smooth(z: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(z, y, label_smoothing=0.1)

    trained(tmp_path, [Curvature(100, 6, k=2, loss=smooth, kinds=["ggn"])])
    assert len(column(tmp_path, "fisher_ggn/lambda_max")) == 2


@pytest.mark.parametrize("probe", ["batch", "function"])
def test_the_probe_batch_may_be_given(tmp_path, probe):
    given = torch.ones(3, 4), torch.zeros(3, dtype=torch.long)
    callback = SignalStatistics(
        100, along=BLOCKS, probe=given if probe == "batch" else lambda: given
    )
    module = trained(tmp_path, [callback]).eval()
    h = module.blocks[0](module.inlet(given[0])).detach()
    with np.load(tmp_path / "spectra.npz") as arrays:
        q = arrays["signal/q"][-1][0, 0]
    assert q == pytest.approx(h.square().mean().item(), rel=1e-5)


class Dicts(Theirs):
    """Batches are dictionaries, and the network is a part."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Sequential(self.inlet, *self.blocks, self.head)

    forward = pl.LightningModule.forward

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return cross_entropy(self.part(batch["x"]), batch["y"])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.part(batch["x"])


def dict_loaders() -> tuple[DataLoader, DataLoader]:
    items = [{"x": x, "y": y} for x, y in zip(*examples(), strict=True)]
    return DataLoader(items, 8), DataLoader(items, 5)


def test_batches_of_any_structure_are_read_by_inputs_and_targets_and_a_part_may_be_the_net(
    tmp_path,
):
    parts = {"net": "part", "inputs": lambda b: b["x"], "targets": lambda b: b["y"]}
    callbacks = [
        Curvature(100, 6, k=1, loss=LOSS, **parts),
        SignalGradients(100, 6, loss=cross_entropy, along=["1", "2", "3"], **parts),
    ]
    trained(tmp_path, callbacks, Dicts(), dict_loaders())
    assert len(column(tmp_path, "fisher_exact/lambda_max")) == 2
    assert len(column(tmp_path, "signal_grad/log_first")) == 2


class Stream(IterableDataset):
    """Examples one after the other."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(*examples(), strict=True)


class Once(Stream):
    """A stream that is its own iterator."""

    def __init__(self) -> None:
        self.items = super().__iter__()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        return next(self.items)


def test_the_probe_batch_of_a_stream_is_its_beginning_and_takes_nothing_from_it(tmp_path):
    callback = JacobianSpectrum(100, 3, along=BLOCKS)
    trained(tmp_path, [callback], data=(loaders()[0], DataLoader(Stream(), 5)))
    x, y = callback.probe.batch(None, Theirs())
    assert torch.equal(x, examples()[0][:3]) and torch.equal(y, examples()[1][:3])
    with pytest.raises(ValueError, match=r"probe: a Once can be read once only.*pass probe="):
        trained(
            tmp_path, [JacobianSpectrum(along=BLOCKS)], data=(loaders()[0], DataLoader(Once(), 5))
        )


class NoForward(Theirs):
    """Calls its parts in training_step alone."""

    forward = pl.LightningModule.forward


REFUSED = [
    (JacobianSpectrum(), Theirs, r"^JacobianSpectrum: along: name the submodules .*inlet, inlet.0"),
    (JacobianSpectrum(along=["blocks.0", "block.1"]), Theirs, r"did you mean 'blocks.1'\?"),
    (JacobianSpectrum(along="blocks.0"), Theirs, "a trajectory needs two states or more"),
    (JacobianSpectrum(along=BLOCKS), NoForward, r"NoForward has no forward: pass net=.*inlet"),
    (GradientNorms(net="heads"), Theirs, r"^GradientNorms: net: .* did you mean 'head'\?"),
    (OrthogonalityGap(match="blocks.*.wieght"), Theirs, r"^OrthogonalityGap: match='blocks"),
    (OrthogonalityGap(match="*", gain={}), Theirs, r"gain has no entry for inlet.0.weight"),
    (WeightSpectrum(match="head.weight", blocks=2), Theirs, "3 rows, which are not 2 blocks"),
    (Curvature(), Theirs, r"^Curvature: loss: pass 'cross_entropy', 'squared' or a function"),
    (Curvature(loss="hinge"), Theirs, r"there is 'cross_entropy', 'squared' and functions"),
    (Curvature(loss=lambda z, y: z.sum()), Theirs, r"kinds: a loss function takes kinds=\['ggn'\]"),
    (SignalGradients(along=BLOCKS), Theirs, r"loss: pass the function"),
]


@pytest.mark.parametrize(("callback", "kind", "message"), REFUSED)
def test_options_that_cannot_be_are_refused_before_anything_is_trained(
    tmp_path, callback, kind, message
):
    module = kind()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        trained(tmp_path, [callback], module)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_batch_that_does_not_say_what_x_is_is_refused_before_training(tmp_path):
    callback = JacobianSpectrum(along=["1", "2"], net="part")
    with pytest.raises(ValueError, match=r"^JacobianSpectrum: inputs: a batch is a dict: pass"):
        trained(tmp_path, [callback], Dicts(), dict_loaders())


def test_without_validation_data_a_probe_has_to_be_given(tmp_path):
    callback = JacobianSpectrum(along=BLOCKS)
    with pytest.raises(ValueError, match=r"no validation dataloader: pass probe=\(x, y\)"):
        trained(tmp_path, [callback], data=(loaders()[0], None))


class Fails(Diagnostic):
    """Measures at the start and never again."""

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.global_step:
            raise ValueError("the weights are strange")


def test_what_goes_wrong_in_a_measurement_does_not_end_the_training(tmp_path, caplog):
    callback = Fails(2)
    with caplog.at_level(logging.WARNING):
        module = trained(tmp_path, [callback])
    assert equal(module, trained(tmp_path / "free"))
    assert caplog.text.count("Fails at step 2: the weights are strange") == 1
    assert callback.metrics == {"failed/Fails": 2}


def test_two_of_a_class_in_one_training_are_told_apart_by_what_they_measure(tmp_path):
    pair = [OrthogonalityGap(2, match=f"blocks.{i}.*.weight") for i in (0, 1)]
    trained(tmp_path, pair, enable_checkpointing=True)
    assert pair[0].state_key != pair[1].state_key


def test_another_training_in_the_folder_leaves_the_arrays_of_the_first_one(tmp_path):
    for _ in range(2):
        trained(tmp_path, [WeightSpectrum(4, match="head.weight")], logger=False)
    first, second = (np.load(tmp_path / f"spectra{n}.npz") for n in ("-1", ""))
    assert first["weights/head/weight/step"].tolist() == [0, 4, 8]
    assert second["weights/head/weight/step"].tolist() == [0, 4, 8]


def test_a_resumed_training_continues_its_arrays_and_its_worst_gap(tmp_path):
    def measured() -> list[pl.Callback]:
        return [WeightSpectrum(3, match="head.weight"), OrthogonalityGap(3, match="head.weight")]

    path = tmp_path / "half.ckpt"

    class Saves(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(path)

    trained(tmp_path, [*measured(), Saves()], logger=False)
    whole = dict(np.load(tmp_path / "spectra.npz"))
    resumed = measured()
    trained(tmp_path, resumed, logger=False, ckpt=path)
    again = dict(np.load(tmp_path / "spectra.npz"))
    assert whole.keys() == again.keys()
    assert whole["weights/head/weight/step"].tolist() == [0, 3, 6, 8]
    assert again["weights/head/weight/step"].tolist() == [0, 3, 6, 8]
    assert resumed[1].metrics["gap/worst"] >= resumed[1].metrics["gap/final"]


class Histograms:
    """An experiment as TensorBoard's writer is one."""

    def __init__(self) -> None:
        self.added: dict[tuple[str, int], Any] = {}

    def add_histogram(self, tag: str, values: Any, global_step: int, bins: Any) -> None:
        self.added[tag, global_step] = np.histogram(values, bins)[0]


class WithHistograms(CSVLogger):
    """A logger with such an experiment beside its own file."""

    experiment_ = Histograms()

    @property
    def experiment(self) -> Any:
        return self.experiment_


class Scalars(WithHistograms):
    """Takes scalars and does nothing with them."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        assert all(isinstance(value, float | int) for value in metrics.values())

    def save(self) -> None:
        """Nothing."""


def test_histograms_reach_what_has_add_histogram_whole(tmp_path):
    trained(tmp_path, [WeightSpectrum(4, match="blocks.*.weight")], logger=Scalars(tmp_path))
    added = Scalars.experiment_.added
    assert {step for _, step in added} == {0, 4, 8}
    assert all(counts.sum() == 6 for counts in added.values())


def test_tensorboard_holds_scalars_and_histograms(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from pytorch_lightning.loggers import TensorBoardLogger
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path, name="", version="")
    trained(tmp_path, [JacobianSpectrum(4, 3, along=BLOCKS)], logger=logger)
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    assert [e.step for e in events.Scalars("jacobian/log_max")] == [0, 4, 8]
    assert [e.histogram_value.num for e in events.Histograms("jacobian/spectrum")] == [18.0] * 3
    assert (Path(logger.log_dir) / "spectra.npz").exists()


@pytest.mark.slow
def test_wandb_holds_histograms(tmp_path, monkeypatch):
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    monkeypatch.setenv("WANDB_SILENT", "true")
    logger, seen = WandbLogger(save_dir=tmp_path, offline=True), []
    monkeypatch.setattr(type(logger.experiment), "log", lambda run, data, **_: seen.append(data))
    trained(tmp_path, [WeightSpectrum(4, match="head.weight")], logger=logger)
    wandb.finish()
    events = [event for event in seen if "weights/head/weight" in event]
    assert [event["trainer/global_step"] for event in events] == [0, 4, 8]
    assert all(sum(event["weights/head/weight"].histogram) == 3 for event in events)


def test_a_squared_loss_is_known_by_its_function():
    assert Curvature(loss=mse_loss)._loss(None) == Curvature(loss="squared")._loss(None)
