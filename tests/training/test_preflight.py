"""What does not fit together is told before data is read, memory taken or a file written."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import CONF, checkpoint, composed, small_run

from isogain.config.check import parts
from isogain.config.errors import CheckpointError, ConfigError, UserError
from isogain.models.base import Network
from isogain.training.preflight import rehearse

SMALL = ("model.hidden=4", "logger=csv", "out=run")


def rehearsed(*overrides: str) -> None:
    rehearse(**parts(composed(*SMALL, *overrides)))


def told(*overrides: str, error: type[UserError] = ConfigError) -> str:
    with pytest.raises(error) as refusal:
        rehearsed(*overrides)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("model", ["mlp", "rnn", "lstm"])
@pytest.mark.parametrize("data", ["mnist", "seqmnist"])
def test_a_network_that_reads_sequences_needs_data_with_a_time_axis(model, data):
    choice = (f"model={model}", f"data={data}")
    if model == "mlp" or data == "seqmnist":
        rehearsed(*choice)
    else:
        assert (
            told(*choice) == f"model={model} reads a sequence and MNIST is flat: use data=seqmnist"
        )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            name,
            marks=()
            if name in ("adding", "copy", "mnist", "seqmnist", "teacher")
            else pytest.mark.slow,
        )
        for name in sorted(path.stem for path in CONF.glob("data/*.yaml"))
    ],
)
def test_every_task_fits_a_model_and_is_refused_with_what_would_fit_by_the_others(data):
    lines = []
    for model in ("mlp", "rnn", "lstm"):
        try:
            rehearsed(f"model={model}", f"data={data}")
        except ConfigError as error:
            lines.append(str(error))
    assert len(lines) < 3
    for line in lines:
        *_, choice = line.split("use ")
        assert choice.startswith(("data=", "data.", "model="))


@pytest.mark.parametrize("data", ["copy", "adding"])
@pytest.mark.parametrize("model", ["rnn", "lstm"])
def test_sequences_that_no_memory_holds_are_refused_before_they_are_drawn(data, model):
    line = told(f"model={model}", f"data={data}", "data.T=1000000000000")
    assert "128 sequences of 1,000,000,000,0" in line and "lower data.batch_size" in line


def test_a_task_that_asks_at_every_step_needs_a_recurrent_network():
    line = "model=mlp answers once and Copy asks at every step: use model=rnn or model=lstm"
    assert told("model=mlp", "data=copy") == line


@pytest.mark.parametrize("model", ["mlp", "rnn", "lstm"])
@pytest.mark.parametrize("option", ["depth", "hidden"])
def test_a_size_that_the_network_refuses_is_told_with_its_path(model, option):
    line = f"model.{option} must be a finite number >= 1, got 0"
    assert told(f"model={model}", f"model.{option}=0") == line


@pytest.mark.parametrize("option", ["n_in=3", "n_out=3", "length=3", "per_step=true"])
def test_what_the_data_decides_cannot_be_set(option):
    name = option.partition("=")[0]
    assert told(f"+model.{option}") == f"model.{name}: comes from the data and cannot be set"


@pytest.mark.parametrize(
    "init", ["orthogonal", "gaussian", "glorot", "identity", "henaff", "cayley"]
)
def test_a_gain_that_the_initialiser_refuses_is_told_with_its_path(init):
    line = "init.gain must be a finite number > 0, got -1"
    assert told("reg=none", f"init={init}", "init.gain=-1") == line


@pytest.mark.parametrize(
    "option",
    [
        "trainer.precision=12",
        "trainer.accelerator=nope",
        "trainer.devices=0",
        "trainer.max_epochs=-2",
        "trainer.max_steps=-5",
        "trainer.limit_train_batches=1.5",
        "trainer.limit_train_batches=-1",
        "trainer.accumulate_grad_batches=0",
        "trainer.check_val_every_n_epoch=0",
        "trainer.log_every_n_steps=0",
    ],
)
def test_what_the_trainer_cannot_do_is_one_line(option):
    assert told(option).startswith("trainer")


@pytest.mark.parametrize("seed", ["-1", "99999999999"])
def test_a_seed_that_no_generator_takes_is_told_before_a_folder_is_made(seed):
    assert told(f"seed={seed}").startswith("seed")


@pytest.mark.parametrize("model", ["mlp", "rnn", "lstm"])
def test_a_rehearsal_takes_no_memory_for_the_network(model, monkeypatch):
    made, init = [], Network.__init__
    monkeypatch.setattr(
        Network, "__init__", lambda net, *args: (init(net, *args), made.append(net))[0]
    )
    rehearsed(f"model={model}")
    assert len(made) == 1 and {p.device.type for p in made[0].parameters()} == {"meta"}


@pytest.mark.parametrize("init", ["orthogonal", "gaussian", "henaff"])
def test_a_rehearsal_draws_no_random_number(init):
    state = torch.get_rng_state()
    rehearsed(f"init={init}")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_rehearsal_reads_no_data_and_writes_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rehearsed(f"data.root={tmp_path / 'nowhere'}", "model.hidden=100000", "logger=wandb")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> dict[str, Any]:
    """What a run of one epoch of six steps saved."""
    out = tmp_path_factory.mktemp("real") / "run"
    small_run(out, *SMALL[:-1], "trainer.max_epochs=1")
    return checkpoint(out)


@pytest.fixture
def saved(real, tmp_path) -> Callable[..., Path]:
    """The path of the real checkpoint with `epochs` behind it and some parameters `changed`."""

    def save(epochs: int = 1, **changed: torch.Tensor) -> Path:
        content = copy.deepcopy(real)
        content["state_dict"] |= {f"net.{name}": w for name, w in changed.items()}
        content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] = epochs
        torch.save(content, tmp_path / "a.ckpt")
        return tmp_path / "a.ckpt"

    return save


def test_a_checkpoint_that_fits_passes(saved):
    rehearsed(f"ckpt={saved()}")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"recurrent": torch.zeros(2, 4, 4)}, r"recurrent is (2, 4, 4) there and (1, 4, 4)"),
        ({"beta": torch.zeros(1, 4)}, "it has beta, which the model lacks"),
    ],
    ids=["shape", "extra"],
)
def test_a_checkpoint_of_another_network_is_told_with_the_first_difference(saved, changed, reason):
    ckpt = saved(**changed)
    line = told(f"ckpt={ckpt}", error=CheckpointError)
    assert line.startswith(f"ckpt={ckpt}: does not fit the model: {reason}")


@pytest.mark.parametrize(("epochs", "limit"), [(3, 3), (5, 3)])
def test_a_checkpoint_with_nothing_left_to_train_is_refused(saved, epochs, limit):
    ckpt = saved(epochs)
    line = told(f"ckpt={ckpt}", f"trainer.max_epochs={limit}", error=CheckpointError)
    assert (
        line == f"ckpt={ckpt}: has {epochs} epochs behind it; raise trainer.max_epochs to train on"
    )


def test_a_checkpoint_may_go_on_without_an_end_or_to_a_later_one(saved):
    ckpt = saved(3)
    rehearsed(f"ckpt={ckpt}", "trainer.max_epochs=4")
    rehearsed(f"ckpt={ckpt}", "trainer.max_epochs=-1", "trainer.max_steps=9")


def test_a_checkpoint_with_no_step_left_is_refused(saved):
    ckpt = saved()
    line = told(f"ckpt={ckpt}", "trainer.max_steps=6", error=CheckpointError)
    assert line.startswith(f"ckpt={ckpt}: has 6 steps behind it")


def test_a_checkpoint_that_does_not_exist_is_named(tmp_path):
    line = told(f"ckpt={tmp_path / 'none.ckpt'}", error=CheckpointError)
    assert line == f"ckpt={tmp_path / 'none.ckpt'}: no such file"


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "transformer-engine"])
def test_a_precision_that_stores_kernels_in_less_than_float32_is_refused(precision):
    assert told(f"trainer.precision={precision}").startswith(f"trainer.precision={precision}: ")


@pytest.mark.parametrize("precision", [16, "16-mixed"])
def test_a_precision_that_lightning_would_replace_is_refused(precision):
    line = told(f"trainer.precision={precision}", "trainer.accelerator=cpu")
    assert line.startswith(f"trainer.precision={precision}: ") and "bf16-mixed" in line
    elsewhere = composed(*SMALL, f"trainer.precision={precision}")
    rehearse(**parts(elsewhere), here=False)


@pytest.mark.parametrize("precision", ["32-true", 32, 64, "64-true", "bf16-mixed", "bf16", "null"])
def test_every_other_precision_is_taken(precision):
    rehearsed(f"trainer.precision={precision}", "trainer.accelerator=cpu")
