"""End to end: every regulariser with every model, what a run leaves behind, and how it may end."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from cases import covering, one_of_each_kind, parts, slow_but
from runs import CONF, checkpoint, composed, metrics, small_run, summary
from torch.nn.utils.parametrize import is_parametrized

from isogain.config.errors import CheckpointError, ConfigError, DataError
from isogain.linalg import orthogonality_gap
from isogain.optim import kernel_parameters

MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
REGS = sorted(path.stem for path in (CONF / "reg").glob("*.yaml"))
INITS = sorted(path.stem for path in (CONF / "init").glob("*.yaml"))
OPTIMS = sorted(path.stem for path in (CONF / "optim").glob("*.yaml"))
REPORTS = {name: reg.report().keys() for name, reg in parts("reg").items()}
PENALTIES = [name for name in REGS if "reg/strength" in REPORTS[name]]
OFTEN = ("gain", "manifold", "exp")  # a penalty, a constraint and a parametrisation
EXACT = {"hard", "manifold", "exp", "cayley"}  # orthogonal to rounding error
BOUNDS = dict.fromkeys(EXACT, 1e-5) | {  # of the gap, the root mean square of s²/g² − 1
    "spectral": 1.1**2 - 1,  # the margin is 0.1
    "landing": 0.5 / 8**0.5,  # ‖WᵀW/g² − I‖_F <= 0.5, of 8 units
}
FILES = {
    "config.yaml",
    "overrides.yaml",
    "metrics.csv",
    "summary.json",
    "spectra.npz",
    "checkpoints",
    "attempts.jsonl",
}


def column(out: Path, name: str) -> list[float]:
    """What was logged under `name`, in order."""
    return [float(row[name]) for row in metrics(out) if row[name]]


@pytest.mark.parametrize(("model", "reg"), covering(MODELS, REGS))
def test_every_reg_trains_every_model_from_wherever_it_starts(tmp_path, model, reg):
    options = (f"model={model}", f"reg={reg}", "init=gaussian", "init.gain=1.1")
    numbers = small_run(tmp_path / "run", *options, "trainer.max_steps=2")
    assert numbers["status"] == "finished" and numbers["steps"] == 2
    assert 0 <= numbers["test/acc"] <= 1 and math.isfinite(numbers["test/loss"])
    assert numbers["gain"] == (1.0 if reg == "soft" else 1.1)
    assert REPORTS[reg] <= numbers.keys()
    assert numbers["gap/worst"] <= BOUNDS.get(reg, math.inf)


@pytest.mark.parametrize(("init", "optim"), covering(INITS, OPTIMS))
def test_every_init_trains_with_every_optimiser(tmp_path, init, optim):
    options = (f"init={init}", f"optim={optim}", "reg=manifold", "trainer.max_steps=2")
    assert small_run(tmp_path / "run", *options)["status"] == "finished"


@pytest.mark.parametrize(("reg", "optim"), covering(["manifold", "oblique"], OPTIMS))
def test_a_learned_gain_is_trained_at_a_rate_of_its_own(tmp_path, reg, optim):
    out = tmp_path / "run"
    options = (f"reg={reg}", "reg.gain=learned", f"optim={optim}", "optim.gain_lr=0.01")
    numbers = small_run(out, *options, "model=lstm", "init.gain=1.1", "trainer.max_epochs=1")
    groups = checkpoint(out)["optimizer_states"][0]["param_groups"]
    assert [len(group["params"]) for group in groups[1:]] == [1, 1]
    assert groups[2]["initial_lr"] == 0.01
    gains = checkpoint(out)["state_dict"]["reg.sigmas.0"].double()
    told = [numbers[name] for name in ("gain/min", "gain", "gain/max")]
    assert told == pytest.approx([f().item() for f in (gains.min, gains.mean, gains.max)])
    assert told[0] < told[1] < told[2] and not (abs(gains - 1.1) < 1e-5).any()
    kernel = checkpoint(out)["state_dict"]["net.recurrent"].double()
    norms = torch.linalg.matrix_norm(kernel, keepdim=True)
    torch.testing.assert_close(norms, gains * 8**0.5, rtol=1e-5, atol=0)
    assert numbers["gap/worst"] < (1e-5 if reg == "manifold" else math.inf)


@pytest.mark.parametrize("reg", ["manifold", "oblique"])
def test_a_learned_gain_stays_at_a_rate_of_0(tmp_path, reg):
    options = (f"reg={reg}", "reg.gain=learned", "optim.gain_lr=0", "init.gain=1.1")
    small_run(tmp_path / "run", *options, "trainer.max_epochs=1", "callbacks.gap.every=1")
    gains = column(tmp_path / "run", "gain")
    assert len(gains) == 7 and len(set(gains)) == 1 and gains[0] == pytest.approx(1.1, rel=1e-6)


@pytest.mark.parametrize("reg", slow_but(PENALTIES, 0))
def test_the_strength_of_a_penalty_falls_and_is_0_after_its_epochs(tmp_path, reg):
    """A row at step k > 0 tells the strength of the step that led to it."""
    options = (f"reg={reg}", "reg.strength=0.5", "reg.schedule=linear", "reg.epochs=1")
    small_run(tmp_path / "run", *options, "trainer.max_epochs=2", "callbacks.gap.every=1")
    falling = [0.5 * (1 - i / 6) for i in range(6)]
    assert column(tmp_path / "run", "reg/strength") == pytest.approx([0.5, *falling, *[0] * 6])


def test_without_epochs_of_its_own_a_schedule_is_over_the_whole_training(tmp_path):
    options = ("reg=gain", "reg.strength=0.5", "reg.schedule=cosine", "trainer.max_epochs=2")
    small_run(tmp_path / "run", *options, "callbacks.gap.every=1")
    falling = [0.25 * (1 + math.cos(math.pi * i / 12)) for i in range(12)]
    assert column(tmp_path / "run", "reg/strength") == pytest.approx([0.5, *falling])


@pytest.mark.parametrize("data", ["data=mnist", "data.order=pixels", "data.order=permuted"])
def test_an_mlp_reads_flat_images_and_sequences_alike(tmp_path, data):
    assert small_run(tmp_path / "run", "model=mlp", data, "trainer.max_steps=1")["steps"] == 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("finished") / "run"
    return out, small_run(out, "seed=3")


def test_a_run_folder_holds_the_record(finished):
    out, numbers = finished
    assert FILES <= {path.name for path in out.iterdir()}
    assert {path.name for path in (out / "checkpoints").iterdir()} == {
        "best.ckpt",
        "last.ckpt",
        "previous.ckpt",
    }
    assert json.loads(json.dumps({k: v for k, v in numbers.items() if v is not None})) == summary(
        out
    )


def test_the_summary_is_flat_and_says_what_design_lists(finished):
    found = summary(finished[0])
    listed = """status test/acc test/loss val/acc val/acc_best epoch_best train/loss steps epochs seconds
        examples_per_second gap/final gap/worst jacobian/mean_square jacobian/log_max jacobian/log_min seed device
        versions git gain reg/strength"""
    assert set(listed.split()) - {"git"} <= found.keys()
    assert not any(isinstance(value, dict | list) for value in found.values())
    assert (found["steps"], found["epochs"], found["seed"]) == (18, 3, 3)


def test_the_summary_agrees_with_the_rows(finished):
    rows, found = metrics(finished[0]), summary(finished[0])
    last = {name: [float(row[name]) for row in rows if row.get(name)] for name in rows[0]}
    assert found["gap/final"] == last["gap/max"][-1] and found["gap/worst"] == max(last["gap/max"])
    assert (
        found["val/acc_best"] == max(last["val/acc"]) and found["test/acc"] == last["test/acc"][-1]
    )
    assert found["epoch_best"] == int(np.argmax(last["val/acc"]))


def test_steps_in_the_metrics_increase_and_begin_before_the_first_update(finished):
    rows = metrics(finished[0])
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == 18
    assert (
        float(rows[0]["gap/max"]) < 1e-5
        and rows[0]["jacobian/q50"]
        and rows[0]["grad/recurrent/000"]
    )


def test_spectra_are_named_and_carry_their_steps(finished):
    with np.load(finished[0] / "spectra.npz") as arrays:
        assert arrays["jacobian/spectrum"].shape == (4, 2, 8)
        assert arrays["jacobian/spectrum/step"].tolist() == [0, 7, 14, 18]
        assert arrays["weights/recurrent"].shape == (5, 1, 8)
        np.testing.assert_allclose(arrays["weights/recurrent"][0], 1, atol=1e-6)


def test_the_best_checkpoint_is_of_the_epoch_with_the_best_accuracy(finished):
    out, numbers = finished
    assert checkpoint(out, "best")["global_step"] == 6 * (numbers["epoch_best"] + 1)
    assert checkpoint(out)["global_step"] == 18


class Computed(pl.Callback):
    """Keeps every kernel that a re-parametrisation computes."""

    def __init__(self) -> None:
        self.kernels: list[torch.Tensor] = []

    def on_fit_start(self, trainer, learner) -> None:
        for module, name in learner.net.kernels():
            if is_parametrized(module, name):
                module.parametrizations[name].register_forward_hook(self.keep)

    def keep(self, module, args, w) -> None:
        self.kernels.append(w.detach().clone())


@pytest.mark.parametrize(
    ("model", "reg"), covering(MODELS, ["gain", "hard", "manifold", "landing", "exp", "spectral"])
)
def test_mixed_precision_leaves_kernels_and_constraints_in_float32(tmp_path, model, reg):
    out, computed = tmp_path / "run", Computed()
    options = (f"model={model}", f"reg={reg}", "trainer.precision=bf16-mixed")
    numbers = small_run(out, *options, "trainer.max_steps=3", extra={"computed": computed})
    kept = {name: w for name, w in checkpoint(out)["state_dict"].items() if w.is_floating_point()}
    assert {w.dtype for w in [*kept.values(), *computed.kernels]} == {torch.float32}
    gaps = [orthogonality_gap(w.double()).max().item() for w in computed.kernels]
    assert bool(gaps) == (reg in ("exp", "spectral"))
    assert max([numbers["gap/worst"], *gaps]) < (1e-5 if reg in EXACT else 0.1)


@pytest.mark.parametrize(
    ("model", "reg"),
    slow_but([("rnn", "manifold"), ("lstm", "exp"), ("rnn", "cayley"), ("mlp", "hard")], 0, 1),
)
def test_in_float64_constraints_hold_to_its_rounding_from_the_start(tmp_path, model, reg):
    options = (f"model={model}", f"reg={reg}", "trainer.precision=64-true", "init.gain=1.3")
    numbers = small_run(tmp_path, *options, "trainer.max_steps=3")
    assert numbers["gap/worst"] < 1e-13
    assert {w.dtype for w in checkpoint(tmp_path)["state_dict"].values()} <= {
        torch.float64,
        torch.int64,
    }


def test_in_float64_every_diagnostic_measures(tmp_path):
    options = ("model=mlp", "data=mnist", "callbacks=full", "trainer.precision=64-true")
    numbers = small_run(tmp_path, *options, "trainer.max_steps=1")
    assert not [name for name in numbers if name.startswith("failed/")]
    assert {"jacobian/log_max", "signal_grad/log_ratio", "fisher_exact/lambda_max"} <= set(numbers)


@pytest.mark.parametrize("reg", ["none", "gain", "hard", "manifold"])
def test_an_orthogonal_start_has_no_gap_at_the_gain_it_was_given(tmp_path, reg):
    small_run(tmp_path / "run", "init.gain=1.3", f"reg={reg}", "trainer.max_steps=1")
    assert float(metrics(tmp_path / "run")[0]["gap/max"]) < 1e-5


def test_the_gap_of_soft_is_that_from_its_own_target(tmp_path):
    small_run(tmp_path / "run", "init.gain=1.3", "reg=soft", "trainer.max_steps=1")
    assert float(metrics(tmp_path / "run")[0]["gap/max"]) == pytest.approx(1.3**2 - 1, abs=1e-5)


@pytest.mark.parametrize("reg", one_of_each_kind(REGS, OFTEN))
def test_gradients_accumulate_to_those_of_the_larger_batch(tmp_path, reg):
    options = (f"reg={reg}", "init=gaussian", "optim=sgd", "trainer.max_steps=2")
    small_run(tmp_path / "one", *options, "data.batch_size=64")
    small_run(tmp_path / "two", *options, "trainer.accumulate_grad_batches=2")
    one, two = (checkpoint(tmp_path / name)["state_dict"] for name in ("one", "two"))
    torch.testing.assert_close(one, two, rtol=1e-5, atol=2e-6)


def test_a_folder_holds_one_run(finished):
    with pytest.raises(ConfigError, match=f"out={finished[0]}: holds a run already"):
        small_run(finished[0])


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    small_run(tmp_path / "run", "trainer.max_epochs=1")
    rows, found = metrics(tmp_path / "run"), summary(tmp_path / "run")
    small_run(tmp_path / "run", "trainer.max_epochs=1", "resume=true")
    assert metrics(tmp_path / "run") == rows
    same = (
        "status",
        "test/acc",
        "val/acc_best",
        "gap/worst",
        "steps",
        "epochs",
        "jacobian/log_max",
    )
    assert {k: summary(tmp_path / "run")[k] for k in same} == {k: found[k] for k in same}


def test_a_run_from_a_checkpoint_ends_bitwise_where_the_uninterrupted_one_ends(tmp_path):
    constant = "optim.schedule=constant"  # the others depend on the length of the run
    small_run(tmp_path / "whole", constant)
    small_run(tmp_path / "first", constant, "trainer.max_epochs=1")
    start = tmp_path / "first" / "checkpoints" / "last.ckpt"
    small_run(tmp_path / "second", constant, f"ckpt={start}")
    for part in ("state_dict", "optimizer_states", "SeqMNIST"):
        whole, second = checkpoint(tmp_path / "whole")[part], checkpoint(tmp_path / "second")[part]
        torch.testing.assert_close(whole, second, rtol=0, atol=0)
    assert int(metrics(tmp_path / "second")[0]["step"]) > 6


def test_a_checkpoint_with_nothing_left_to_train_is_refused(finished, tmp_path):
    ckpt = finished[0] / "checkpoints" / "last.ckpt"
    with pytest.raises(CheckpointError, match="has 3 epochs behind it; raise trainer.max_epochs"):
        small_run(tmp_path / "run", f"ckpt={ckpt}")


@pytest.mark.parametrize(
    ("option", "difference"),
    [
        ("model.hidden=9", r"recurrent is \(1, 8, 8\) there and \(1, 9, 9\) in the model"),
        ("model.activation=modrelu", "it has no beta, which the model needs"),
        ("model=lstm", r"recurrent is \(1, 8, 8\) there and \(1, 4, 8, 8\) in the model"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_with_the_first_difference(
    finished, tmp_path, option, difference
):
    ckpt = finished[0] / "checkpoints" / "last.ckpt"
    with pytest.raises(CheckpointError, match=difference):
        small_run(tmp_path / "run", option, f"ckpt={ckpt}", "trainer.max_epochs=9")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["optim.lr=0.5", "optim=sgd", "optim.schedule=linear"])
def test_a_checkpoint_of_another_optimiser_is_refused(finished, tmp_path, option):
    ckpt = finished[0] / "checkpoints" / "last.ckpt"
    with pytest.raises(CheckpointError, match=r"was saved by Adam\(lr=0.001, .* cannot go on with"):
        small_run(tmp_path / "run", option, f"ckpt={ckpt}", "trainer.max_epochs=9")


@pytest.fixture(scope="module")
def strayed(tmp_path_factory) -> Path:
    """The checkpoint of a run whose kernel is not orthogonal."""
    out = tmp_path_factory.mktemp("strayed") / "run"
    assert small_run(out, "reg=none", "init=gaussian", "trainer.max_epochs=1")["gap/final"] > 0.1
    return out / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize("reg", ["hard", "manifold", "landing", "oblique"])
def test_from_a_checkpoint_of_another_reg_the_kernel_begins_where_this_one_may(
    strayed, tmp_path, reg
):
    options = (f"reg={reg}", "init.gain=1.1", f"ckpt={strayed}", "trainer.max_steps=8")
    numbers = small_run(tmp_path / "run", *options)
    kernel = checkpoint(tmp_path / "run")["state_dict"]["net.recurrent"].double()
    assert numbers["status"] == "finished" and numbers["steps"] == 8
    if reg == "oblique":
        norms = torch.linalg.vector_norm(kernel, dim=-1)
        torch.testing.assert_close(norms, torch.full_like(norms, 1.1), rtol=1e-5, atol=0)
    else:
        assert orthogonality_gap(kernel, 1.1) < (1e-5 if reg in EXACT else 1e-2)
        assert numbers["gap/worst"] < (1e-5 if reg in EXACT else 1e-2)


@pytest.mark.parametrize("options", [("reg=exp",), ("reg=manifold", "reg.gain=learned")])
def test_a_checkpoint_without_what_the_reg_trains_is_refused(strayed, tmp_path, options):
    with pytest.raises(CheckpointError, match="the checkpoint does not fit .*reg: "):
        small_run(tmp_path / "run", *options, f"ckpt={strayed}", "trainer.max_epochs=2")


def test_resuming_with_another_model_is_refused_and_changes_nothing(tmp_path):
    small_run(tmp_path / "run", "trainer.max_epochs=1")
    found = summary(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"recurrent is \(1, 8, 8\) there"):
        small_run(tmp_path / "run", "model.hidden=9", "resume=true")
    assert summary(tmp_path / "run") == found


def test_divergence_is_an_outcome_with_its_step(tmp_path):
    numbers = small_run(
        tmp_path / "run", "optim=sgd", "optim.lr=1e30", "model.activation=linear", "reg=none"
    )
    assert numbers["status"] == "diverged"
    assert numbers["error"].startswith("train/loss is ") and "at step 1" in numbers["error"]
    assert numbers["steps"] == 1 and "test/acc" not in numbers
    assert int(metrics(tmp_path / "run")[0]["step"]) == 0


@pytest.mark.parametrize("strength", ["1e30", "1e29"])
def test_a_penalty_whose_gradient_overflows_is_a_divergence(tmp_path, strength):
    options = (f"reg.strength={strength}", "init=gaussian", "optim=sgd")
    assert small_run(tmp_path / "run", *options)["status"] == "diverged"


class Poison(pl.Callback):
    """Makes every gradient that moves a kernel nan."""

    def on_before_optimizer_step(self, trainer, learner, optimizer) -> None:
        for w in kernel_parameters(learner.net):
            w.grad.fill_(torch.nan)


@pytest.mark.parametrize("reg", one_of_each_kind(REGS, OFTEN))
def test_a_gradient_that_is_not_finite_is_a_divergence(tmp_path, reg):
    numbers = small_run(tmp_path / "run", f"reg={reg}", extra={"poison": Poison()})
    assert numbers["status"] == "diverged" and numbers["steps"] <= 1


@pytest.mark.parametrize("reg", ["hard", "manifold"])
def test_a_constraint_that_is_given_a_kernel_that_is_not_finite_says_so(tmp_path, reg):
    numbers = small_run(tmp_path / "run", f"reg={reg}", extra={"poison": Poison()})
    assert numbers["error"].startswith("a kernel is nan at step ")


class Raises(pl.Callback):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_train_batch_end(self, trainer, *args) -> None:
        if trainer.global_step == 8:
            raise self.error


def test_an_interrupted_run_says_so_and_how_to_go_on(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="interrupted at step 8; .* resume=true goes on"):
        small_run(tmp_path / "run", extra={"raises": Raises(KeyboardInterrupt())})
    found = summary(tmp_path / "run")
    assert found["status"] == "interrupted" and found["steps"] == 8 and found["epochs"] == 1
    assert small_run(tmp_path / "run", "resume=true")["status"] == "finished"


def test_a_failed_run_keeps_its_numbers_and_names_the_error(tmp_path):
    with pytest.raises(ZeroDivisionError):
        small_run(tmp_path / "run", extra={"raises": Raises(ZeroDivisionError("oops"))})
    found = summary(tmp_path / "run")
    assert (found["status"], found["error"], found["steps"]) == (
        "failed",
        "ZeroDivisionError: oops",
        8,
    )
    assert len(metrics(tmp_path / "run")) >= 3


@pytest.mark.parametrize("damage", slow_but([b"", b"junk", None], 2))
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path, damage):
    with pytest.raises(ZeroDivisionError):
        small_run(
            tmp_path / "run",
            "callbacks.checkpoints.every=2",
            extra={"raises": Raises(ZeroDivisionError())},
        )
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000] if damage is None else damage)
    small_run(tmp_path / "run", "resume=true")
    small_run(tmp_path / "whole")
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


def test_resume_without_a_checkpoint_starts_from_the_beginning(finished, tmp_path):
    small_run(tmp_path / "run", "seed=3", "resume=true")
    assert metrics(tmp_path / "run") == metrics(finished[0])


def test_damaged_data_is_found_before_training(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.xz").write_bytes(b"junk")
    with pytest.raises(DataError, match="train-images-idx3-ubyte.xz"):
        small_run(tmp_path / "run", f"data.root={tmp_path}")


class Norms(pl.Callback):
    """Keeps the 2-norm of the whole gradient that every step took."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_before_zero_grad(self, trainer, learner, optimizer) -> None:
        grads = [
            p.grad.flatten()
            for g in optimizer.param_groups
            for p in g["params"]
            if p.grad is not None
        ]
        self.norms += [torch.linalg.vector_norm(torch.cat(grads)).item()] if grads else []


@pytest.mark.parametrize("reg", one_of_each_kind(REGS, OFTEN))
def test_clipping_acts_on_what_the_regulariser_left_of_the_gradient(tmp_path, reg):
    """Steps of 0.1 · 0.01 at most, six of them, leave a kernel of 8 units nearly orthogonal."""
    look = Norms()
    options = (f"reg={reg}", "optim=sgd", "optim.grad_clip=0.01", "trainer.max_epochs=1")
    numbers = small_run(tmp_path / "run", *options, extra={"look": look})
    assert numbers["status"] == "finished"
    assert look.norms[-5:] == pytest.approx([0.01] * 5, rel=1e-4)
    assert numbers["gap/worst"] < BOUNDS.get(reg, 1) and numbers["gap/worst"] < 2.1 * 0.006 / 8**0.5


def test_a_kernel_learning_rate_of_zero_freezes_the_kernels_alone(tmp_path):
    out = tmp_path / "run"
    small_run(out, "optim.kernel_lr=0", "reg=none", "trainer.max_epochs=1", "optim=sgd")
    assert orthogonality_gap(checkpoint(out)["state_dict"]["net.recurrent"]).item() < 1e-5
    assert summary(out)["gap/final"] == pytest.approx(float(metrics(out)[0]["gap/max"]), abs=1e-6)


def test_rates_follow_their_schedule_to_zero(tmp_path):
    small_run(tmp_path / "run", "optim.schedule=cosine", "trainer.max_epochs=1")
    groups = checkpoint(tmp_path / "run")["optimizer_states"][0]["param_groups"]
    assert [group["lr"] for group in groups] == pytest.approx([0, 0], abs=1e-12)


def test_the_composed_config_has_every_group(tmp_path):
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert groups - {"cluster", "experiment", "hydra"} <= set(composed())


@pytest.mark.parametrize("model", ["mlp", "lstm"])
def test_callbacks_full_measures_all_there_is_on_real_images(tmp_path, model):
    few = ("callbacks.curvature.examples=4", "callbacks.signals.examples=4")
    found = small_run(tmp_path, f"model={model}", "callbacks=full", *few, "trainer.max_epochs=1")
    assert found["status"] == "finished" and not any(name.startswith("failed/") for name in found)
    assert found["fisher_exact/lambda_max"] > 0 and found["jacobian/exact"] in (0, 0.5, 1)
    row = metrics(tmp_path)[0]
    assert ("bound/bound" in row) == (model == "mlp") and row["signal/q"] and row["ntk/lambda_max"]
    with np.load(tmp_path / "spectra.npz") as arrays:
        kinds = {f"fisher_{kind}/eigenvalues" for kind in ("exact", "mc", "empirical")}
        rest = {"jacobian/by_start", "signal_grad/log", "signal/kurtosis", "ntk/eigenvalues"}
        assert kinds | rest < set(arrays.files)
        for name in (name for name in arrays.files if f"{name}/axes" in arrays.files):
            assert len(arrays[f"{name}/axes"]) == arrays[name].ndim
