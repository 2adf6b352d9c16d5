"""A malformed command line is told in lines that begin with `error: `, whatever is malformed about it."""

import shlex

import pytest
import yaml
from cases import slow_but
from command_lines import Said, said
from runs import CONF

GROUPS = ("model", "init", "reg", "data", "optim", "callbacks", "logger", "cluster", "experiment")
NEEDED = ("model", "init", "reg", "data", "optim", "callbacks", "trainer")
TRAIN = yaml.safe_load((CONF / "train.yaml").read_text())
WRONG = {  # of each key of train.yaml that has a type: values of others
    **dict.fromkeys(
        ("seed", "trainer.max_steps", "trainer.accumulate_grad_batches"), "abc 1.5 [1] {a:1}"
    ),
    **dict.fromkeys(("resume",), "3 maybe [true]"),
    **dict.fromkeys(("ckpt", "objective"), "3 [1] {a:1} true"),
    **dict.fromkeys(
        ("out", "trainer.precision", "trainer.accelerator", "trainer.strategy"), "[1] {a:1}"
    ),
    **dict.fromkeys(("trainer.max_epochs", "trainer.log_every_n_steps"), "abc 1.5 true [1] 0"),
    **dict.fromkeys(("trainer.check_val_every_n_epoch",), "abc 1.5 [1] 0"),
    "trainer.devices": "null 1.5 {a:1} 0",
    **dict.fromkeys(
        (f"trainer.limit_{p}_batches" for p in ("train", "val", "test")), "abc [1] -1 1.5"
    ),
}
MALFORMED = (
    *(f"{group}={value}" for group in GROUPS for value in ("null", "", "nope", "3", "{}", "{nope:1}")),
    *(f"++{group}=3" for group in GROUPS),
    *(f"~{group}" for group in NEEDED),
    *(f"{group}.nope=1" for group in (*GROUPS[:-2], "trainer", "hydra", "seed")),
    *(f"~{group}.nope" for group in (*GROUPS[:-2], "trainer", "hydra")),
    *(f"{key}={value}" for key, values in WRONG.items() for value in values.split(" ")),
    *("nope=1", "nope/nope=1", "+nope=1", "=1", "+=1", "~", "nope", "model", "model@x=rnn"),
    *("+seed=1", "+model=rnn", "~model=lstm", "~seed", "~init", "seed.x=1", "model.hidden.x=1"),
    *("optim.lr=", "optim.lr=null", "optim.lr=[1]", "optim.lr={a:1}", "optim.lr=0", "init.gain=abc"),
    *("callbacks.gap=3", "callbacks.gap=[1]", "+callbacks.x={a:1}", "+callbacks.x={_target_:nope.Nope}"),
    *("+callbacks.x={_target_:3}", "+callbacks.x={_target_:isogain.training.run}", "callbacks.gap.every=abc"),
    *("+callbacks.x={_target_:builtins.dict}", "data._target_=builtins.dict", "model._partial_=false"),
    *("trainer._target_=builtins.dict", "trainer._partial_=false", "reg._target_=isogain.optim.SGD"),
    *("out=~/x", "data.root=/a=b", "logger.name=a#b", "logger.name=a,b", "logger.name=\\'a", "out=${nope}"),
    *("model.hidden=[", "seed=range(3)", "seed=int(x)", "seed=nope(1)", "model=rnn,lstm"),
    *("logger=csv logger.project=x", "reg=none reg.strength=1", "logger=csv ++logger.project=x"),
    *("logger.tags=a", "logger.tags=[3]", f"logger.tags=[{'a' * 65}]", "'logger.tags=[\"\"]'"),
    *("logger.project=a/b", f"logger.project={'a' * 129}", f"logger.name={'a' * 129}", "logger.mode=x"),
    *(f"logger.group={'a' * 129}", f"logger.job_type={'a' * 65}"),
    *("experiment=a_gradients callbacks=minimal", "experiment=[a_gradients,copy]", "experiment=copy/nope"),
    *("resume=true", "out=x hydra.run.dir=y", "hydra.sweep.dir=y", "hydra.sweep.subdir=y", "cluster=local"),
    *("cluster=slurm", "hydra/launcher=local", "hydra.sweeper.max_batch_size=3", "hydra/sweeper=optuna"),
    *("hydra.mode=nope", "hydra.verbose=3", "hydra.job.chdir=maybe", "hydra/job_logging=nope"),
    *("hydra/job_logging=disabled", "hydra.job_logging=null", "hydra.job_logging.root.level=nope"),
    *("hydra.job_logging.handlers=null", "hydra.run=null", "hydra.run.dir=[1]", "hydra.searchpath=[x://y]"),
    *("--config-name other", "--config-dir nope", "--config-path nope", "--package model", "--resolve"),
    *("--multirun --cfg job", "ckpt=nope", "ckpt=/", "out=/proc/x", "out=/dev/null/x"),
    *("-m seed=0,1 hydra.run.dir=y out=s", "-m seed=0,1 out=s hydra.sweep.dir=t", "-m seed=0,1 resume=true"),
    *("-m model=rnn,null", "-m model=rnn,nope", "-m seed=0,abc", "-m model.hiden=1,2", "-m seed=0,1 ~model"),
    *("-m seed=0,1 hydra.sweeper.max_batch_size=0", "-m seed=0,1 hydra.sweep.subdir=x", "-m seed=range(0,"),
    *("-m seed=0,1 hydra/sweeper=optuna hydra.sweeper.n_jobs=0", "-m hydra/sweeper=missing out=x"),
    "-m seed=0,1 hydra/sweeper=optuna hydra.sweeper.direction=up",
)  # fmt: skip
QUICK = ("~model", "logger=null", "=1", "out=~/x", "hydra.verbose=3", "seed=abc", "cluster=slurm")


def lines(found: Said) -> list[str]:
    """Those on stderr, all of them errors."""
    assert found.code == 1, found
    told = found.err.splitlines()
    assert told and all(line.startswith("error: ") and len(line) > 10 for line in told), found.err
    return told


@pytest.mark.parametrize("line", QUICK)
def test_a_malformed_command_line_is_told_in_lines(tmp_path, line):
    lines(said(tmp_path, *shlex.split(line)))
    assert not list(tmp_path.glob("**/config.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in MALFORMED if line not in QUICK])
def test_every_malformed_command_line_is_told_in_lines(tmp_path, line):
    lines(said(tmp_path, *shlex.split(line)))
    assert not list(tmp_path.glob("**/config.yaml"))


def test_every_key_of_the_root_config_is_among_the_malformed():
    plain = {key for key in TRAIN if key not in ("defaults", "hydra", "trainer", "_target_")}
    trainer = {f"trainer.{key}" for key in TRAIN["trainer"] if not key.startswith("_")}
    assert plain | trainer == WRONG.keys()


@pytest.mark.parametrize(
    ("line", "told"),
    slow_but([
        ("seed=abc", "seed=abc: must be a whole number"),
        ("init.gain=abc", "init.gain=abc: must be a number"),
        ("~model", "model: is missing, and run needs it"),
        ("logger=null", "logger=null: must be the name of an option; ~logger leaves the group out"),
        ("reg=none reg.strength=1", "reg.strength: no such key; reg=none has no options"),
        ("modl.hidden=3", "modl: no such key; did you mean 'model'?"),
        ("reg=hlav/nope", "reg=hlav/nope: no such option; there is: "),
        ("--config-name other", "--config-name=other: no such config; the one that is there is train"),
        ("out=~/x", 'out=~/x: the shell has left ~ as it is: "out=$HOME/x"'),
        ("data.root=/a=b", "data.root=/a=b: if that is text, quote it: 'data.root=\"/a=b\"'"),
        ("'out=runs/a b=c'", "out=runs/a b=c: if that is text, quote it: 'out=\"runs/a b=c\"'"),
        ("'out=\"a b'", "out=\"a b: if that is text, quote it: "),
        (f"optim.lr={'9' * 5000}", "optim.lr=9999999999999999999999999999999...: a number of 5009 characters"),
        ("expriment=copy", "expriment: no such key; did you mean 'experiment'?"),
        ("hydra.launcher.jobs=2", "hydra.launcher.jobs: no such key; hydra.launcher has no options; cluster=local and"),
        ("++reg.nope=1 reg=none", "reg.nope: Regularizer has no such option; there is: none"),
        ("++init.nope=1", "init.nope: orthogonal_ has no such option; there is: blocks, gain, view"),
        (
            "callbacks=full 'callbacks.curvature.kinds=[[mc]]'",
            "callbacks.curvature.kinds=[['mc']]: must be a list, each one of exact, ggn, mc, empirical",
        ),
        ("seed=range(3)", "seed=range(3): is a sweep, and -m (first) runs one"),
        ("out=x hydra.run.dir=y", "out=x: is another folder than hydra.run.dir=y; leave one of them out"),
        ("resume=true", "resume=true: which run? out=FOLDER says it"),
        ("cluster=slurm", "cluster=slurm: acts on a sweep, and -m (first) makes it one; without it"),
        (
            "experiment=b_depth callbacks=minimal",
            "callbacks.jacobian={'examples': 1, 'spans': 0}: options without a _target_, of a part that was not "
            "chosen; callbacks.jacobian=null leaves them out",
        ),
    ], *range(0, 99, 2)),
)  # fmt: skip
def test_a_line_says_what_where_and_what_to_do(tmp_path, line, told):
    (found,) = lines(said(tmp_path, *shlex.split(line)))
    assert found.startswith(f"error: {told}")


@pytest.mark.parametrize(
    "text",
    slow_but(["/a=b", "a b=c", "a#b", "é", "it's", 'a"b', "a(b", "a;b&c", "a{b"], 1, 4, 5),
)
def test_what_is_quoted_as_a_line_says_is_read_as_that_text(tmp_path, text):
    (found,) = lines(said(tmp_path, f"logger.name={text}"))
    again = shlex.split(found.partition("quote it: ")[2])
    found = said(tmp_path, *again, "out=run")
    assert found.code == 0, found
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["logger"]["name"] == text


@pytest.fixture
def ours(tmp_path):
    """A configuration directory of the user's own, with a regulariser in it."""
    (tmp_path / "mine" / "reg").mkdir(parents=True)
    (tmp_path / "mine" / "reg" / "mine.yaml").write_text(
        "_target_: isogain.reg.penalty.Soft\nstrength: 0.1\ngain: ${init.gain}\n"
    )
    return ("--config-dir", str(tmp_path / "mine"), "reg=mine")


def test_a_key_that_a_users_own_config_lacks_is_told_with_those_it_has(tmp_path, ours):
    (found,) = lines(said(tmp_path, *ours, "reg.strenght=3"))
    assert found == "error: reg.strenght: no such key; did you mean 'strength'?"
    assert said(tmp_path, *ours, "reg.strength=3").code == 0


def test_a_file_that_a_users_own_config_names_and_does_not_have_is_told_with_its_place(
    tmp_path, ours
):
    (tmp_path / "mine" / "reg" / "other.yaml").write_text("defaults: [nope]\n")
    (found,) = lines(said(tmp_path, *ours[:2], "reg=other"))
    assert found.startswith("error: reg=nope: no such option (in reg/other); there is: ")


def test_a_single_run_of_a_config_that_has_a_sweep_says_so(tmp_path):
    assert "-m (first) runs them all" in said(tmp_path, "experiment=a_gradients").out
    assert "-m" not in said(tmp_path, "experiment=copy").out


def test_a_command_line_without_a_mistake_runs(tmp_path):
    assert said(tmp_path, "out=a b", "reg=none").code == 0
    assert (tmp_path / "a b" / "config.yaml").exists()


def test_an_error_in_code_that_hydra_calls_keeps_its_traceback(tmp_path, monkeypatch):
    def broken(config) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("isogain.launch.job", broken)
    found = said(tmp_path)
    assert found.code == 1 and "Traceback" in found.err and "ZeroDivisionError: ours" in found.err
