"""Which side of a metric is the better one, for everything that picks a best."""

import pytest
from omegaconf import OmegaConf
from runs import CONF, composed, small_run

from isogain.config.check import parts
from isogain.config.errors import ConfigError
from isogain.config.objective import better, direction, known_sign, objective_of
from isogain.training.run import Objective

KNOWN = {
    "seqmnist": "val/acc_best",
    "copy": "val/acc_best",
    "adding": "val/loss",
    "teacher": "val/loss",
}
TASKS = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))


@pytest.mark.parametrize("metric", Objective.__args__)
def test_of_every_objective_the_better_side_is_known(metric):
    expected = 1 if "acc" in metric else -1
    assert better(metric) == known_sign(metric) == expected
    assert direction(metric) == ("maximize" if expected > 0 else "minimize")


def test_of_an_unknown_metric_no_side_is_taken_for_the_better_one():
    assert better("jacobian/log_max") == 0 and direction("jacobian/log_max") is None
    with pytest.raises(ValueError, match="jacobian/log_max: whether more or less of it is better"):
        known_sign("jacobian/log_max")


@pytest.mark.parametrize("task", TASKS)
def test_a_config_is_judged_as_its_task_is(task):
    config = composed(f"data={task}", "model=mlp" if task == "teacher" else "model=rnn")
    plain = OmegaConf.to_container(config, resolve=True)
    objective = parts(OmegaConf.create({"data": plain["data"]}))["data"].objective
    assert objective_of(plain) == KNOWN.get(task, objective) == objective
    assert objective_of(plain | {"objective": "train/loss"}) == "train/loss"


STOP = "+callbacks.stop={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: %s%s}"


@pytest.mark.parametrize(
    ("monitor", "mode", "right"),
    [
        ("val/acc", "", False),  # Lightning's default is min
        ("val/acc", ", mode: min", False),
        ("val/acc", ", mode: max", True),
        ("val/loss", "", True),
        ("val/loss", ", mode: max", False),
        ("jacobian/log_max", ", mode: max", True),
    ],
)
def test_a_callback_that_takes_the_worst_for_the_best_is_refused_in_a_line(monitor, mode, right):
    config = composed(STOP % (monitor, mode))
    config.out = "x"
    if right:
        assert parts(config)["callbacks"]["stop"].monitor == monitor
    else:
        with pytest.raises(ConfigError, match=rf"^callbacks.stop.mode: a \w+ {monitor} is better"):
            parts(config)


@pytest.mark.parametrize("data", ["adding", "copy"])
def test_a_run_has_what_it_is_judged_by(tmp_path, data):
    options = (f"data={data}", "data.T=5", "data.batches=6", "data.eval_examples=32")
    numbers = small_run(tmp_path / "run", *options, "trainer.max_epochs=1")
    config = OmegaConf.to_container(composed(f"data={data}"), resolve=True)
    assert objective_of(config) in numbers
