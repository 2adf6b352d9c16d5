"""What a machine cannot do, or a callback would wait for in vain, is told before anything is built."""

import pytest
from pytorch_lightning.callbacks import EarlyStopping
from runs import composed, small_run

from hydra_plugins.isogain.local_launcher import _too_many
from isogain.config.check import parts
from isogain.config.errors import ConfigError, UserError
from isogain.training import machine
from isogain.training.preflight import rehearse

TINY = (
    *("model.hidden=4", "data=adding", "data.T=6", "data.batches=6", "data.eval_examples=8", "reg=none"),
    *("data.batch_size=4", "callbacks=minimal", "logger=csv", "trainer.accelerator=cpu", "out=run"),
)  # fmt: skip
STOP = "+callbacks.stop={_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:%s}"
FOREIGN = f"+callbacks.foreign={{_target_:{__name__}.Foreign}}"
GB = 10**9
pytestmark = pytest.mark.filterwarnings("ignore:You passed .Trainer.accelerator:UserWarning")


class Foreign(EarlyStopping):
    """A callback of a user's own, which might log anything."""

    def __init__(self) -> None:
        super().__init__("val/loss", patience=99)


def told(*overrides: str) -> list[str]:
    try:
        rehearse(**parts(composed(*TINY, *overrides)))
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.fixture
def computer(monkeypatch):
    """A machine of so many cores and bytes, where a process takes so many."""

    def build(cores: int, memory: int, each: int) -> None:
        for name, value in (("cores", cores), ("memory", memory), ("memory_of_this_process", each)):
            monkeypatch.setattr(machine, name, lambda value=value: value)

    return build


@pytest.mark.parametrize("devices", [1, 2, 4, 5, 64])
@pytest.mark.parametrize(("cores", "memory"), [(2, 64), (4, 64), (64, 2), (64, 64), (1, 1)])
def test_more_processes_than_cores_or_memory_are_refused_with_the_numbers(
    computer, devices, cores, memory
):
    computer(cores, memory * GB, GB // 2)
    found = told(f"trainer.devices={devices}", "trainer.strategy=ddp")
    assert bool(found) == (devices > cores or devices * GB // 2 > memory * GB)
    if found:
        (line,) = found
        assert line.startswith(f"trainer.devices={devices}: {devices} processes of 0.5 GB each")
        assert (
            f"{cores} core" in line and f"{memory} GB: use at most {min(cores, 2 * memory)}" in line
        )


def test_processes_that_something_else_starts_are_not_counted(computer, monkeypatch):
    computer(1, GB, GB // 2)
    for name, value in (("LOCAL_RANK", "0"), ("RANK", "0"), ("WORLD_SIZE", "64")):
        monkeypatch.setenv(name, value)  # torchrun's
    assert told("trainer.devices=64", "trainer.strategy=ddp") == []


def test_a_process_takes_memory_and_a_machine_has_more():
    assert 10**7 < machine.memory_of_this_process() < machine.memory() and machine.cores() >= 1


@pytest.mark.parametrize("devices", ["-1", "[0,5]", "abc", "0"])
def test_devices_that_there_are_not_are_one_line(devices):
    (line,) = told(f"trainer.devices={devices}")
    assert line.startswith("trainer")


def test_nodes_that_nobody_starts_are_refused():
    (line,) = told("+trainer.num_nodes=2")
    assert line.startswith("trainer.num_nodes=2: nothing starts the other nodes' processes")


@pytest.mark.parametrize(
    "strategy", ["ddp_spawn", "ddp_notebook", "fsdp", "deepspeed", "xla", "dpp"]
)
def test_a_strategy_that_splits_kernels_or_forks_this_process_is_refused(strategy):
    (line,) = told(f"trainer.strategy={strategy}")
    assert line.startswith(f"trainer.strategy={strategy}: must be one of auto, single_device, ddp")


@pytest.mark.parametrize(
    ("jobs", "each", "sound"),
    [(1, 1, 1), (4, 1, 1), (5, 1, 0), (64, 1, 0), (2, 2, 1), (3, 2, 0), (1, 8, 1)],
)
def test_more_points_at_a_time_than_cores_are_refused_with_the_numbers(computer, jobs, each, sound):
    computer(4, 24 * GB, GB // 2)
    found = list(_too_many(jobs, None, each))
    assert len(found) == 1 - sound
    if found:
        assert (
            found[0].startswith(f"hydra.launcher.jobs={jobs}: {jobs} points")
            and "4 cores and 24 GB" in found[0]
        )


def test_more_threads_than_cores_are_refused(computer):
    computer(4, 24 * GB, GB // 2)
    assert len(list(_too_many(None, 5, 1))) == 1 and not list(_too_many(None, 4, 1))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ((STOP % "nope",), "callbacks.stop.monitor=nope: no such metric; there is val/loss"),
        ((STOP % "val/acc,mode:max",), "callbacks.stop.monitor=val/acc: no such metric; there is val/loss"),
        ((STOP % "val/loss", "trainer.limit_val_batches=0"), "callbacks.stop.monitor=val/loss: no such"),
        ((STOP % "val/loss", "trainer.check_val_every_n_epoch=11"), "callbacks.stop.monitor=val/loss: no such metric"),
        (("callbacks.learning_time.metric=val/acc", "callbacks.learning_time.at=[0.5]"), "callbacks.learning_t"),
        (("callbacks.learning_time.stop=true",), "callbacks.learning_time.stop: has no effect without a value"),
        (("objective=val/loss", "trainer.limit_val_batches=0"), "objective=val/loss: this run has no validation"),
        (("optim.gain_lr=0.1",), "optim.gain_lr: has no effect, for no gain is learned"),
        (("reg=manifold", "optim.gain_lr=0.1"), "optim.gain_lr: has no effect, for no gain is learned"),
        (("reg=gain", "reg.onset=10"), "reg.onset=10: comes after the end, trainer.max_epochs=10"),
        (("reg=hard", "reg.method=svd", "reg.tolerance=1e-3"), "reg.tolerance must be null"),
        (("trainer.max_epochs=null",), "trainer.max_epochs=null: what ends the training?"),
        (("+trainer.max_time=00:00:00:00",), "trainer.max_time must not be 0"),
        (("+trainer.min_epochs=11",), "trainer.min_epochs=11: more than trainer.max_epochs=10"),
        (("trainer.limit_train_batches=0.001",), "trainer.limit_train_batches=0.001: less than one batch of 6"),
        (("trainer.limit_test_batches=0.01",), "trainer.limit_test_batches=0.01: less than one batch of"),
        (("trainer.precision=16-mixed",), "trainer.precision=16-mixed: this accelerator cannot"),
        (("+callbacks.a={_target_:builtins.dict}",), "callbacks.a: must be a callback"),
        ((STOP.replace("EarlyStopping,monitor:%s", "BatchSizeFinder"),), "callbacks.stop: BatchSizeFinder needs"),
    ],
)  # fmt: skip
def test_what_a_run_would_do_in_vain_or_not_at_all_is_refused(overrides, line):
    (found,) = told(*overrides)
    assert found.startswith(line)


@pytest.mark.parametrize(
    "overrides",
    [
        ("reg=manifold", "reg.gain=learned", "optim.gain_lr=0.1"),
        ("reg=gain", "reg.onset=9"),
        ("reg=gain", "reg.onset=10", "trainer.max_epochs=-1"),
        ("reg=hard", "reg.tolerance=1e-3"),
    ],
)
def test_what_has_an_effect_is_not_refused(overrides):
    assert told(*overrides) == []


def test_what_a_users_callback_may_log_is_waited_for_and_its_absence_is_a_line(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("runs.SMALL", TINY[:-1])
    assert told(STOP % "nope", FOREIGN) == []
    with pytest.raises(
        UserError, match=r"^trainer: Early stopping conditioned on metric `nope`"
    ) as line:
        small_run(tmp_path / "run", STOP % "nope", FOREIGN)
    assert "\n" not in str(line.value)
    assert told(STOP % "val/loss") == []


@pytest.mark.parametrize("option", ["limit_test_batches=0.01", "limit_val_batches=0.01"])
def test_a_limit_that_only_the_data_can_tell_is_told_before_the_training(
    tmp_path, monkeypatch, option
):
    monkeypatch.setattr("runs.SMALL", TINY[:-1])
    monkeypatch.setattr("isogain.data.synthetic.Drawn.known_batches", Later.known_batches)
    with pytest.raises(ConfigError, match=rf"^trainer.{option}: less than one batch of 1"):
        small_run(tmp_path / "run", f"trainer.{option}")
    assert not (tmp_path / "run" / "metrics.csv").exists()


class Later:
    """A task that learns its sizes from its files."""

    def known_batches(self, ranks: int = 1) -> dict[str, int]:
        return {part: len(stream) for part, stream in self._batches.items()}
