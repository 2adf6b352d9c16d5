"""The command line as a user sees it: what is printed, what is left behind, and the exit code."""

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import forked
import pytest
import yaml
from commands import TINY, TRAIN, called, environment
from guards import PATIENCE
from runs import CONF, metrics, small_run, summary

pytestmark = pytest.mark.usefixtures("fork_server")
slow = partial(pytest.param, marks=pytest.mark.slow)
HEAVY = {"torch", "pytorch_lightning", "wandb", "numpy"}
LISTS_MODULES = """
import atexit, runpy, sys
atexit.register(lambda: print("MODULES", *sys.modules))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LONG = (*TINY, "trainer.limit_train_batches=60", "trainer.max_epochs=4")
FOREVER = (*TINY, "trainer.max_epochs=-1", "optim.schedule=constant")
REGS = ", ".join(sorted(path.stem for path in (CONF / "reg").glob("*.yaml")))


def forked_call(cwd: Path, *arguments: str) -> subprocess.CompletedProcess:
    """As `called`, in a process forked off one that has imported everything; its streams lie beside `cwd`."""
    out, err = (cwd.parent / f"{cwd.name}.{stream}" for stream in ("out", "err"))
    process = forked.python(cwd, out, str(TRAIN), *arguments, errors=err)
    process.join(PATIENCE)
    return subprocess.CompletedProcess(
        arguments, process.exitcode, out.read_text(), err.read_text()
    )


def started(cwd: Path, *arguments: str) -> subprocess.Popen:
    """A run of its own process group, which Ctrl-C reaches even where this one ignores it."""
    return subprocess.Popen(
        [sys.executable, str(TRAIN), *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def stopped(process: subprocess.Popen, after: str, by: signal.Signals) -> tuple[str, str]:
    """Wait until a line of the output begins with `after`, stop the process, and return what it said."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(after):
            break
    process.send_signal(by)
    out, err = process.communicate(timeout=PATIENCE)
    return "".join(seen) + out, err


def folders(cwd: Path) -> list[Path]:
    """The run folders below multirun/."""
    return sorted(path.parent for path in cwd.glob("multirun/**/config.yaml"))


def one_line(error: str) -> str:
    assert error.startswith("error: ") and error.count("\n") == 1 and error.endswith("\n")
    return error.strip()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model=rn", "error: model=rn: no such option; did you mean 'rnn'?"),
        slow("reg=xyz", f"error: reg=xyz: no such option; there is: {REGS}"),
        slow("modl=rnn", "error: modl: no such key; did you mean 'model'?"),
        slow("sed=3", "error: sed: no such key; did you mean 'seed'?"),
        slow("model.hiden=3", "error: model.hiden: no such key; did you mean 'hidden'?"),
        (
            "callbacks.jacobian.evry=3",
            "error: callbacks.jacobian.evry: no such key; did you mean 'every'?",
        ),
        ("model.hidden=[", "error: model.hidden=["),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_at_once(tmp_path, override, said):
    result = called(tmp_path, override, wrapper=("-c", LISTS_MODULES))
    assert one_line(result.stderr).startswith(said)
    assert result.returncode == 1
    assert not HEAVY & set(result.stdout.split("MODULES ")[1].split())
    assert not list(tmp_path.iterdir())


def test_a_typo_is_answered_with_the_keys_of_the_groups_that_were_chosen(tmp_path):
    line = one_line(called(tmp_path, "model=lstm", "model.forget_bas=1").stderr)
    assert line == "error: model.forget_bas: no such key; did you mean 'forget_bias'?"


def test_flags_that_exclude_each_other_are_one_line(tmp_path):
    result = called(tmp_path, "--multirun", "--cfg", "job")
    assert one_line(result.stderr).startswith("error: Only one of --run, --multirun, --cfg")
    assert result.returncode == 1


@pytest.mark.parametrize(
    "option", [("--help",), slow(("--cfg", "job")), ("--cfg", "job", "--resolve")]
)
def test_what_only_shows_something_imports_nothing_heavy_and_leaves_nothing(tmp_path, option):
    result = called(tmp_path, *option, wrapper=("-c", LISTS_MODULES))
    shown, modules = result.stdout.split("MODULES ")
    assert shown and result.stderr == "" and result.returncode == 0
    assert not HEAVY & set(modules.split())
    assert not list(tmp_path.iterdir())


def test_cfg_job_shows_the_config_that_the_overrides_make(tmp_path):
    shown = yaml.safe_load(called(tmp_path, "--cfg", "job", "--resolve", "init.gain=1.25").stdout)
    assert shown["init"]["gain"] == shown["reg"]["gain"] == 1.25


def test_a_value_that_a_part_refuses_is_one_line_and_leaves_no_run(tmp_path):
    result = forked_call(tmp_path, *TINY, "init.gain=-1", "reg=gain")
    assert one_line(result.stderr) == (
        "error: reg.gain must be a finite number > 0, got -1 (reg.gain is ${init.gain})"
    )
    assert result.returncode == 1 and result.stdout == ""
    assert not list(tmp_path.glob("multirun/*"))


def test_damaged_data_is_one_line_and_on_record(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train-images-idx3-ubyte.xz").write_bytes(b"junk")
    result = forked_call(tmp_path, *TINY, f"data.root={data}", "out=run")
    assert one_line(result.stderr).startswith(
        f"error: {data}/train-images-idx3-ubyte.xz: cannot be read"
    )
    assert result.returncode == 1
    found = summary(tmp_path / "run")
    assert found["status"] == "failed" and "train-images-idx3-ubyte.xz" in found["error"]


def test_ctrl_c_ends_a_run_with_its_record_and_says_how_to_go_on(tmp_path):
    out, err = tmp_path.parent / "out", tmp_path.parent / "err"
    process = forked.python(tmp_path, out, str(TRAIN), *FOREVER, errors=err)
    while process.is_alive() and not (out.exists() and "epoch  2" in out.read_text()):
        process.join(0.01)
    os.kill(process.pid, signal.SIGINT)
    process.join(PATIENCE)
    said, errors = out.read_text(), err.read_text()
    (folder,) = folders(tmp_path)
    found, told = summary(folder), errors.strip().splitlines()[-1]
    assert process.exitcode == 130
    assert found["status"] == "interrupted" and found["steps"] >= 12
    assert told.startswith(f"interrupted at step {found['steps']}; the same command with out=")
    assert told.endswith(f"{folder.name} resume=true goes on")
    assert "Traceback" not in said + errors
    assert int(metrics(folder)[-1]["step"]) <= found["steps"]


@pytest.fixture(scope="module")
def resumed(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """A run that was killed in its second epoch or later, and resumed to its end."""
    cwd = tmp_path_factory.mktemp("killed")
    process = started(cwd, *LONG)
    stopped(process, "epoch  2", signal.SIGKILL)
    (folder,) = folders(cwd)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "summary.json").exists()
    fonts = str(tmp_path_factory.mktemp("fonts"))  # where matplotlib has never been loaded
    going_on = (f"out={folder.relative_to(cwd)}", "resume=true")
    return folder, called(cwd, *LONG, *going_on, MPLCONFIGDIR=fonts)


@pytest.mark.slow
def test_a_run_ends_with_exit_code_0_and_tables_at_its_start_and_its_end(resumed):
    folder, result = resumed
    assert result.returncode == 0 and result.stderr == ""
    first, table = result.stdout.splitlines()[:2]
    assert first.startswith("resuming from ") and re.match(r"  model +RNN 1 × 8", table)
    assert re.search(r"^  status +finished$", result.stdout, re.M)
    assert re.search(rf"^  folder +\S*multirun/{folder.name}$", result.stdout, re.M)


@pytest.mark.slow
def test_a_run_leaves_one_folder_below_multirun_of_the_working_directory(resumed):
    folder, _ = resumed
    assert folders(folder.parents[1]) == [folder]
    assert [path.name for path in folder.parents[1].iterdir()] == ["multirun"]
    assert "epoch  4" in (folder / "log.txt").read_text()


@pytest.mark.slow
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(resumed, tmp_path):
    folder, result = resumed
    small_run(tmp_path / "run", *LONG)
    assert re.search(r"^resuming from .*, step (60|120|180)$", result.stdout, re.M)
    assert metrics(folder) == metrics(tmp_path / "run")


@pytest.mark.slow
def test_a_sweep_goes_on_over_points_that_diverge(tmp_path):
    sweep = ("reg=none", "optim=sgd", "optim.lr=1e30,0.01", "model.activation=linear")
    result = forked_call(tmp_path, "-m", *TINY, "trainer.max_epochs=1", *sweep, "out=sweep")
    found = [summary(tmp_path / "sweep" / str(point))["status"] for point in range(2)]
    assert found == ["diverged", "finished"]
    assert result.returncode == 0 and "Traceback" not in result.stdout + result.stderr


def test_a_sweep_goes_on_over_points_that_fail_and_ends_with_exit_code_1(tmp_path):
    sweep = ("trainer.max_epochs=1", f"data.root={tmp_path}/none,null", "out=sweep")
    result = forked_call(tmp_path, "-m", *TINY, *sweep)
    found = [summary(tmp_path / "sweep" / str(point)) for point in range(2)]
    assert [point["status"] for point in found] == ["failed", "finished"]
    assert "none/train-images-idx3-ubyte" in found[0]["error"]
    assert result.returncode == 1 and "Traceback" not in result.stdout + result.stderr
    failed, pointer = result.stderr.splitlines()
    assert failed.startswith(f"error: point 0 (data.root={tmp_path}/none): failed: DataError: ")
    assert pointer == "error: python -m isogain.status sweep has them all"


def test_a_sweep_with_a_point_that_cannot_run_is_refused_and_leaves_nothing(tmp_path):
    result = forked_call(tmp_path, "-m", *TINY, "model.hidden=4,0", "optim.lr=1,a", "out=sweep")
    assert result.stderr.splitlines() == [
        "error: point 1 (model.hidden=4 optim.lr=a): optim.lr=a: must be a number",
        "error: point 2 (model.hidden=0 optim.lr=1): model.hidden must be a finite number >= 1, got 0",
        "error: point 3 (model.hidden=0 optim.lr=a): optim.lr=a: must be a number",
        "error: nothing was started",
    ]
    assert result.returncode == 1 and result.stdout == ""
    assert not list(tmp_path.iterdir())
