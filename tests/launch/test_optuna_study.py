"""Studies go on where they were cut off; real trials, launched by Hydra in this process."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from runs import CONF, SMALL, summary

from isogain import launch
from isogain.config.errors import UserError
from isogain.launch import optuna_study

pytestmark = pytest.mark.usefixtures("mnist_read_once")
pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
TINY = (*SMALL, "callbacks=minimal", "trainer.max_epochs=1")
TINY = tuple(o for o in TINY if not o.startswith("callbacks."))
# a gain at which the first loss overflows, or an activation that there is not
BROKEN = ("init.gain=1e38", "reg=none", "model.activation=choice(linear,none_such)")


def sweep(out: Path, *overrides: str) -> None:
    """`train.py -m` with the example, tiny trials and `overrides`."""
    said = ["hydra.mode=MULTIRUN", "experiment=tune_lr", "hydra/sweeper=optuna"]
    GlobalHydra.instance().clear()
    hydra = Hydra.create_main_hydra2("train", create_config_search_path(str(CONF)))
    try:
        words = [*said, *TINY, f"out={out}", *overrides]
        hydra.multirun("train", launch.job, words, with_log_configuration=False)
    finally:
        GlobalHydra.instance().clear()


def trials(out: Path) -> list:
    return optuna_study.opened(str(out / "study.db"), "maximize").trials


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Three trials, and then two more in the same storage."""
    out = tmp_path_factory.mktemp("study") / "lr"
    sweep(out, "hydra.sweeper.n_trials=3")
    sweep(out, "hydra.sweeper.n_trials=5")
    return out


@pytest.mark.slow
def test_a_study_that_is_resumed_has_each_trial_once_in_the_folder_of_its_number(study):
    found = trials(study)
    assert [trial.number for trial in found] == [0, 1, 2, 3, 4]
    for trial in found:
        overrides = yaml.safe_load((study / str(trial.number) / "overrides.yaml").read_text())
        assert f"optim.lr={trial.params['optim.lr']}" in overrides
        assert trial.value == summary(study / str(trial.number))["val/acc_best"]


def test_what_is_proposed_lies_in_the_ranges_and_differs(study):
    rates = [trial.params["optim.lr"] for trial in trials(study)]
    assert len(set(rates)) == 5 and all(1e-4 <= rate <= 3e-2 for rate in rates)


def test_a_study_that_was_cut_off_proposes_what_one_that_was_not_does(study, tmp_path):
    space = {name: trials(study)[0].distributions[name] for name in trials(study)[0].distributions}
    straight = optuna_study.opened(str(tmp_path / "study.db"), "maximize")
    for trial in trials(study):
        again = optuna_study.proposed_trial(straight, space, seed=0, startup=10, side_by_side=False)
        assert again.params == trial.params
        optuna_study.tell(straight, again, trial.value)


def test_the_best_trial_is_told_as_overrides(study):
    best = yaml.safe_load((study / "best.yaml").read_text())
    assert best["value"] == max(trial.value for trial in trials(study))
    lr = trials(study)[int(best["folder"])].params["optim.lr"]
    assert f"optim.lr={lr}" in best["overrides"]


def test_trials_that_diverge_or_fail_are_failed_ones_and_the_study_goes_on(tmp_path):
    out = tmp_path / "lr"
    with pytest.raises(UserError, match="no trial finished"):
        sweep(out, "hydra.sweeper.n_trials=3", *BROKEN)
    assert [trial.state.name for trial in trials(out)] == ["FAIL"] * 3
    assert {summary(out / str(n))["status"] for n in range(3)} == {"diverged", "failed"}


def test_a_trial_whose_study_was_killed_is_taken_up_first(tmp_path):
    out = tmp_path / "lr"
    out.mkdir()
    space = {
        f"optim.{name}": optuna_study.distribution(
            parsed(f"optim.{name}=tag(log, interval({low}, 3e-2))")
        )
        for name, low in (("lr", "1e-4"), ("kernel_lr", "1e-5"))
    }
    began = optuna_study.opened(str(out / "study.db"), "maximize")
    trial = optuna_study.proposed_trial(began, space, seed=0, startup=10, side_by_side=False)
    trial.set_user_attr("by", {**trial.user_attrs["by"], "pid": 2**22 + 1})  # beyond any pid
    sweep(out, "hydra.sweeper.n_trials=1")
    (found,) = trials(out)
    assert found.params == trial.params and found.state.name == "COMPLETE"


def parsed(override: str):
    return OverridesParser.create().parse_override(override)


@pytest.mark.parametrize(
    ("said", "kind", "low", "high", "log"),
    [
        ("a=int(interval(1,8))", "IntDistribution", 1, 8, False),
        ("a=tag(log,interval(0.1,8))", "FloatDistribution", 0.1, 8, True),
        ("a=range(1,9,2)", "IntDistribution", 1, 7, False),
    ],
)
def test_a_sweep_of_numbers_is_the_distribution_it_says(said, kind, low, high, log):
    found = optuna_study.distribution(parsed(said))
    assert (type(found).__name__, found.low, found.high, found.log) == (kind, low, high, log)


def test_a_choice_is_between_what_the_command_line_says():
    assert optuna_study.distribution(parsed("model=rnn,lstm")).choices == ("rnn", "lstm")


def test_a_study_of_the_other_direction_is_refused(study):
    with pytest.raises(UserError, match="direction=minimize"):
        optuna_study.opened(str(study / "study.db"), "minimize")


ADDING = ("data=adding", "data.T=5", "data.batches=4", "data.eval_examples=32", "objective=null")


@pytest.fixture(scope="module")
def losses(tmp_path_factory) -> Path:
    """A study of a task that has a loss only."""
    out = tmp_path_factory.mktemp("losses") / "lr"
    sweep(out, *ADDING, "hydra.sweeper.n_trials=3")
    return out


def test_the_best_of_losses_is_the_least(losses):
    values = {n: summary(losses / str(n))["val/loss"] for n in range(3)}
    best = yaml.safe_load((losses / "best.yaml").read_text())
    assert best["value"] == min(values.values()) == values[int(best["folder"])]
    assert optuna_study.opened(str(losses / "study.db"), "minimize").best_value == best["value"]


@pytest.mark.parametrize("options", [(*ADDING, "objective=val/loss"), ("objective=train/loss",)])
def test_a_direction_that_takes_the_worst_for_the_best_is_refused(tmp_path, options):
    with pytest.raises(UserError, match="^hydra.sweeper.direction=maximize: the best .*/loss is"):
        sweep(tmp_path / "lr", *options, "hydra.sweeper.direction=maximize")
    assert not (tmp_path / "lr").exists()


def test_an_objective_of_which_no_side_is_better_needs_a_direction():
    with pytest.raises(UserError, match="say hydra.sweeper.direction="):
        optuna_study.direction("jacobian/log_max", None)
    assert optuna_study.direction("jacobian/log_max", "minimize") == "minimize"


def test_tasks_that_are_judged_by_different_metrics_need_an_objective(tmp_path):
    options = ("objective=null", "data=choice(adding,seqmnist)")
    with pytest.raises(UserError, match="^objective: the tasks are judged by val/acc_best and val"):
        sweep(tmp_path / "lr", *options)


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (("init.gain=2",), "init.gain: 1.0 there, 2 here"),
        (("trainer.max_epochs=2",), "trainer.max_epochs: 1 there, 2 here"),
        (("objective=train/loss",), "objective: val/loss there, train/loss here"),
        (("optim.lr=0.5",), "optim.lr: "),
    ],
)
def test_another_study_is_refused_before_its_next_trial(losses, options, difference):
    best = (losses / "best.yaml").read_bytes()
    with pytest.raises(UserError, match=difference) as refused:
        sweep(losses, *ADDING, "hydra.sweeper.n_trials=9", *options)
    assert "\n" not in str(refused.value) and (losses / "best.yaml").read_bytes() == best
    assert len(optuna_study.opened(str(losses / "study.db"), "minimize").trials) == 3
    assert not (losses / "3").exists()


def test_where_all_finished_without_the_objective_it_is_named(tmp_path):
    options = (*ADDING, "trainer.limit_val_batches=0", "hydra.sweeper.n_trials=2")
    with pytest.raises(UserError, match="^no trial has val/loss, though 2 of 2 finished: "):
        sweep(tmp_path / "lr", *options)


def test_the_numbers_of_a_range_are_proposed_as_they_are_typed():
    kind = optuna_study.distribution(parsed("a=range(0.9,1.15,0.1)"))
    assert (kind.low, kind.high, kind.step) == (0.9, 1.1, 0.1)

    class Trial:
        distributions, params = {"a": kind}, {}

    for k, expected in enumerate(["0.9", "1.0", "1.1"]):
        Trial.params = {"a": 0.9 + k * 0.09999999999999998}
        assert optuna_study.overrides(Trial) == [f"a={expected}"]


def test_without_the_extra_one_line_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)  # an import raises
    with pytest.raises(UserError, match="pip install -e '.\\[sweep\\]'"):
        sweep(tmp_path / "lr", "hydra.sweeper.n_trials=1")


def test_a_study_that_is_no_file_or_none_of_optunas_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "fifo.db")
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "device.db").symlink_to("/dev/zero")
    (tmp_path / "text.db").write_text("no study\n" * 1000)
    for name in ("fifo", "folder", "device", "text"):
        with pytest.raises(UserError, match=f"{name}.db: ") as caught:
            optuna_study.opened(str(tmp_path / f"{name}.db"), "maximize")
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("by", ["x", 7, {}, {"host": 1, "pid": "x", "time": []}, [1]])
def test_a_trial_that_anybody_may_have_begun_is_cut_off_or_not_and_no_error(by):
    trial = SimpleNamespace(state=SimpleNamespace(is_finished=lambda: False), user_attrs={"by": by})
    assert optuna_study.is_cut_off(trial) in (True, False)
