"""Every option of conf/ acts, or is refused where the command line gives it and nothing would come of it."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cases import slow_but
from command_lines import said
from omegaconf import OmegaConf
from runs import CONF, composed, small_run

from isogain.config.check import parts, resolved
from isogain.data.task import Task
from isogain.launch import idle_options

# by other checks, which their own tests show
ELSEWHERE = {
    "optim.gain_lr": "rehearsal: no gain is learned",
    "reg.tolerance": "Projection: only where Newton-Schulz projects",
    "callbacks.learning_time.stop": "callback_check: without a value",
    "objective": "hydra_options: without a sweeper that looks for the best",
    "resume": "hydra_options: without out",
}
SWEEPS = (
    "hydra.launcher.",
    "hydra.sweeper.",
)  # act on a sweep; hydra_options refuses them without one
NO_EVALUATION = "trainer.limit_val_batches=0 trainer.limit_test_batches=0"
ENDLESS = "trainer.max_epochs=-1"
WIDE = "reg=none init=gaussian model.hidden=2049"
# of each key that may be idle: a command line on which it is, and one on which it acts
CASES = {
    "data.dim": ("data=sentiment data.dim=50 data.embeddings=none.txt", "data=sentiment data.dim=50"),
    "data.min_count": ("data=sentiment data.min_count=2 data.embeddings=x", "data=sentiment data.min_count=2"),
    "data.eval_batch_size": (f"data.eval_batch_size=9 {NO_EVALUATION}", "data.eval_batch_size=9"),
    "data.eval_examples": (f"data=copy data.eval_examples=9 {NO_EVALUATION}", "data=copy data.eval_examples=9"),
    "data.split_seed": (f"data=adding data.split_seed=9 {NO_EVALUATION}", f"data.split_seed=9 {NO_EVALUATION}"),
    "init.gain": ("init.gain=2 reg=manifold reg.gain=1", "init.gain=2 reg=manifold"),
    "init.distribution": ("init=glorot init.distribution=normal ckpt=x", "init=glorot init.distribution=normal"),
    "init.q_star": ("model=mlp init=critical init.q_star=0.1 ckpt=x", "model=mlp init=critical init.q_star=0.1"),
    "init.sigma_w": ("model=mlp init=critical init.sigma_w=1.1 ckpt=x", "model=mlp init=critical init.sigma_w=1.1"),
    "init.base": ("model=mlp init=critical init.base=gaussian ckpt=x", "model=mlp init=critical init.base=gaussian"),
    "init.normalise_input": (
        "model=mlp init=critical init.normalise_input=false ckpt=x",
        "model=mlp init=critical init.normalise_input=false",
    ),
    "model.forget_bias": ("model=lstm model.forget_bias=2 ckpt=x", "model=lstm model.forget_bias=2"),
    "model.input_init": ("init=critical model.input_init=kaiming", "model.input_init=kaiming"),
    **{
        f"logger.{name}": (f"logger.{name}={value} logger.mode=disabled", f"logger.{name}={value}")
        for name, value in (("project", "a"), ("group", "a"), ("name", "a"), ("tags", "[a]"), ("job_type", "a"))
    },
    "optim.schedule": (f"optim.schedule=linear {ENDLESS}", f"optim.schedule=linear {ENDLESS} trainer.max_steps=9"),
    "reg.schedule": (f"reg.schedule=linear {ENDLESS}", "reg.schedule=linear"),
    "reg.adam": ("reg=manifold reg.adam=scalar optim=sgd", "reg=manifold reg.adam=scalar"),
    "reg.epochs": ("reg.epochs=10", "reg.epochs=10 reg.schedule=linear"),
    **{
        f"reg.{name}": (f"reg=srip reg.{name}={value} reg.strength=0", f"reg=srip reg.{name}={value}")
        for name, value in (("gain", "2"), ("reduction", "mean"), ("onset", "1"), ("every", "2"), ("iterations", "3"))
    },
    "reg.method": ("reg=hard reg.method=newton_schulz reg.margin=0.1", "reg=hard reg.method=svd reg.margin=0.1"),
    "trainer.check_val_every_n_epoch": ("trainer.check_val_every_n_epoch=11", "trainer.check_val_every_n_epoch=9"),
    "trainer.val_check_interval": (
        "+trainer.val_check_interval=3 trainer.limit_val_batches=0", "+trainer.val_check_interval=3"
    ),
    "callbacks.learning_time.metric": (
        "callbacks.learning_time.metric=val/loss",
        "callbacks.learning_time.metric=val/loss callbacks.learning_time.at=[1]",
    ),
    **{
        f"callbacks.{name}.examples": (
            f"callbacks=full data=adding data.eval_examples=9 callbacks.{name}.examples=10",
            f"callbacks=full data=adding data.eval_examples=9 callbacks.{name}.examples=9",
        )
        for name in ("signal_gradients", "jacobian", "factors", "signals", "curvature")
    },
    "callbacks.jacobian.spans": (f"callbacks.jacobian.spans=2 {WIDE}", "callbacks.jacobian.spans=2"),
    "callbacks.curvature.k": (
        "callbacks=full callbacks.curvature.k=2 callbacks.curvature.kinds=[]", "callbacks=full callbacks.curvature.k=2"
    ),
}  # fmt: skip


def leaves(node: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        elif not str(key).startswith("_"):
            yield f"{path}{key}"


def keys_of(path: Path, prefix: str = "") -> set[str]:
    node = OmegaConf.to_container(OmegaConf.load(path))
    return set(leaves({k: v for k, v in node.items() if k not in ("defaults", "hydra")}, prefix))


def keys_of_conf() -> set[str]:
    """Every key of every choice of every group, and of train.yaml."""
    groups = ("model", "init", "reg", "data", "optim", "callbacks", "logger")
    files = [(group, path) for group in groups for path in (CONF / group).rglob("*.yaml")]
    return keys_of(CONF / "train.yaml").union(*(keys_of(path, f"{g}.") for g, path in files))


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """W&B as it is by default, whatever the tests run under."""
    monkeypatch.setenv("WANDB_MODE", "offline")


def refused(line: str) -> list[str]:
    plain = resolved(composed(*shlex.split(line)))
    return list(idle_options.refusals(plain, shlex.split(line), task_of(plain)))


def task_of(plain: Mapping[str, Any]) -> Task:
    return parts(OmegaConf.create({"data": plain["data"]}))["data"]


def test_what_may_be_idle_or_is_refused_elsewhere_is_a_key_of_conf():
    """Of a key that is in neither table it is true that it acts whatever the rest of the config is."""
    assert not ELSEWHERE.keys() & idle_options.IDLE.keys()
    assert {*ELSEWHERE, *idle_options.IDLE} - {"trainer.val_check_interval"} < keys_of_conf()


def test_every_key_of_the_launchers_and_sweepers_acts_on_a_sweep_alone():
    files = (*CONF.glob("cluster/*.yaml"), *CONF.glob("hydra/*/*.yaml"))
    for path in files:
        node = OmegaConf.to_container(OmegaConf.load(path))
        under = node.get("hydra", {}) if path.parent.name == "cluster" else {path.parent.name: node}
        assert all(f"hydra.{key}".startswith(SWEEPS) for key in leaves(under, "")), path


def test_every_key_that_may_be_idle_has_its_two_cases():
    assert CASES.keys() == idle_options.IDLE.keys()


@pytest.mark.parametrize("key", CASES)
def test_an_option_that_would_do_nothing_is_refused_and_one_that_acts_is_not(key):
    idle, acting = CASES[key]
    (line,) = (line for line in refused(idle) if line.startswith(f"{key}: "))
    assert line.startswith(f"{key}: has no effect: ") and len(line) > len(key) + 30
    assert refused(acting) == []


@pytest.mark.parametrize(
    "path",
    slow_but(sorted(CONF.glob("experiment/**/*.yaml")), *range(0, 100, 5)),
    ids=lambda p: f"{p.parent.stem}/{p.stem}",
)
def test_what_a_shipped_experiment_says_acts(path):
    plain = resolved(
        composed(f"experiment={path.relative_to(CONF / 'experiment').with_suffix('')}")
    )
    assert idle_options.reasons(plain, keys_of(path), task_of(plain)) == {}


@pytest.mark.parametrize(
    ("line", "told"),
    slow_but([
        ("'optim={lr:0.1,schedule:linear}' trainer.max_epochs=-1", "optim.schedule: has no effect: how long"),
        ("reg=soft reg.strength=0 reg.every=3", "reg.every: has no effect: reg.strength=0: there is no penalty"),
        ("_target_=x", "_target_=x: is isogain.training.run.run, for train.py runs nothing else"),
        ("~_target_", "~_target_: is isogain.training.run.run, for train.py runs nothing else"),
        ("objective=val/loss", "objective=val/loss: acts on a sweep that looks for the best point"),
        ("objective=test/acc", "objective=test/acc: the test set chooses nothing"),
        ("-m seed=0,1 out=s objective=val/loss", "objective=val/loss: acts on a sweep that looks for the best"),
        ("-m seed=0,1 out=s hydra/sweeper=optuna objective=test/acc", "objective=test/acc: the test set chooses"),
        ("-m seed=0,1 out=s reg.strength=0 reg.every=3", "point 0 (seed=0): reg.every: has no effect"),
        ("-m seed=choice(0,1) out=s hydra/sweeper=optuna reg.strength=0 reg.every=3", "reg.every: has no effect"),
    ], *range(0, 99, 2)),
)  # fmt: skip
def test_a_command_line_with_an_idle_option_is_refused_in_a_line(tmp_path, line, told):
    found = said(tmp_path, *shlex.split(line))
    assert found.code == 1, found
    first, *more = found.err.splitlines()
    assert first.startswith(f"error: {told}") and more in ([], ["error: nothing was started"])
    assert not list(tmp_path.glob("**/config.yaml"))


@pytest.mark.parametrize(
    "line",
    slow_but(["reg.strength=0,0.1 reg.every=3", "optim=sgd,adam reg=manifold reg.adam=scalar"], 0),
)
def test_an_option_that_acts_on_one_point_of_a_sweep_is_none(tmp_path, line):
    found = said(tmp_path, "-m", *line.split(), "out=s")
    assert "#1 : " in found.out and "effect" not in found.err


def test_what_the_weights_of_a_checkpoint_were_drawn_with_may_be_said_again(tmp_path):
    small_run(tmp_path / "a", "init.gain=0.9", "reg=none", "trainer.max_epochs=1")
    line = f"reg=none ckpt={tmp_path}/a/checkpoints/last.ckpt"
    assert refused(f"{line} model.input_init=uniform") == []
    assert refused(f"{line} model.input_init=kaiming") != []
    assert refused(f"{line} init.gain=1.1") == []  # the gap is measured against it
