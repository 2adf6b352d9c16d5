"""A sweep of the tree of commit 92e0227, before its modules moved, is read and goes on as one of today."""

import shutil
from pathlib import Path

import forked
import pytest
from runs import metrics, summary

from isogain.analysis.plots.__main__ import main as plots
from isogain.analysis.report.__main__ import main as results
from isogain.analysis.status.__main__ import main as status
from isogain.results import runs

OLD = Path(__file__).parents[1] / "record" / "old_sweep"
OPTIONS = (
    *("model=rnn", "model.hidden=6", "data=adding", "data.T=6", "data.batches=6"),
    *("data.eval_examples=16", "data.eval_batch_size=8", "data.batch_size=8", "logger=csv"),
    *("trainer.accelerator=cpu", "trainer.log_every_n_steps=3", "callbacks.jacobian.every=6"),
    *("callbacks.jacobian.examples=2", "callbacks.gap.every=6", "callbacks.weights.every=6"),
    "callbacks.gradients.every=6",
)
pytestmark = pytest.mark.usefixtures("fork_server")


@pytest.fixture
def sweep(tmp_path) -> Path:
    """A copy whose files name the place where it lies, as those of any sweep do."""
    out = Path(shutil.copytree(OLD, tmp_path / "sweep"))
    for path in out.rglob("*"):
        if path.is_file() and path.suffix not in {".ckpt", ".npz"}:
            path.write_text(path.read_text().replace("/runs/sweep", str(out)))
    return out


def trained(log: Path, *arguments: str) -> tuple[int, str]:
    process = forked.started(log, *OPTIONS, *arguments)
    process.join()
    return process.exitcode, log.read_text()


def test_status_sees_its_points_finished(sweep, capsys):
    assert status([str(sweep)]) == 0
    assert "2 runs: 2 done" in capsys.readouterr().out


def test_its_table_holds_the_numbers_of_its_summaries(sweep):
    table = runs(sweep)
    assert sorted(table["reg"]) == ["gain", "hard"]
    expected = sorted(summary(sweep / name)["test/loss"] for name in "01")
    assert sorted(table["test/loss"]) == expected


@pytest.mark.slow
def test_results_and_figures_are_made_of_it(sweep, tmp_path):
    assert results([str(sweep), "--by", "reg", "--out", str(tmp_path / "report")]) == 0
    figure = tmp_path / "learning.png"
    assert plots([str(sweep), "--by", "reg", "--out", str(figure)]) == 0
    assert figure.stat().st_size > 10_000


def test_its_rows_are_those_that_were_written(sweep):
    rows = metrics(sweep / "0")
    assert [row["step"] for row in rows if row["val/loss"]] == ["6", "12"]


@pytest.mark.parametrize(("name", "reg"), [("0", "gain"), ("1", "hard")])
def test_a_finished_run_of_it_is_over(sweep, tmp_path, name, reg):
    run = (f"reg={reg}", "trainer.max_epochs=2", f"out={sweep / name}", "resume=true")
    assert trained(tmp_path / "log", *run) == (0, f"{sweep / name}: finished already\n")


def test_the_sweep_is_over(sweep, tmp_path):
    before = summary(sweep / "0")
    points = ("-m", "reg=gain,hard", "trainer.max_epochs=2", f"out={sweep}", "resume=true")
    code, text = trained(tmp_path / "log", *points)
    assert code == 0 and "2 points: 2 finished" in text and summary(sweep / "0") == before


def test_a_run_of_it_goes_on_to_a_later_end_from_its_own_checkpoint(sweep, tmp_path):
    before = metrics(sweep / "0")
    run = ("reg=gain", "trainer.max_epochs=3", f"out={sweep / '0'}", "resume=true")
    assert trained(tmp_path / "log", *run)[0] == 0
    assert summary(sweep / "0")["steps"] == 18
    after = metrics(sweep / "0")
    assert [row["step"] for row in after][: len(before)] == [row["step"] for row in before]


def test_another_run_is_refused_and_so_is_a_change_of_class_alone(sweep, tmp_path):
    for option in ("init.gain=2", "reg=dso"):
        run = ("trainer.max_epochs=2", f"out={sweep / '0'}", "resume=true")
        reg = () if option.startswith("reg=") else ("reg=gain",)
        code, text = trained(tmp_path / option, *reg, option, *run)
        assert code == 1 and text.startswith("error: ") and text.count("\n") == 1


def test_its_weights_begin_another_run(sweep, tmp_path):
    ckpt = f"ckpt={sweep / '0' / 'checkpoints' / 'last.ckpt'}"
    run = ("reg=none", "trainer.max_epochs=3", f"out={tmp_path / 'new'}", ckpt)
    code, text = trained(tmp_path / "log", *run)
    assert code == 0, text
