"""What reaches W&B is the run folder's record, each step once, however often a run was cut off and synced."""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import forked
import pytest
from guards import PATIENCE
from runs import metrics, small_run, summary
from wandb_server import KEY, Server

from isogain.tracking import offline, sync

KILLED = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
for name in [name for name in os.environ if name.startswith("WANDB_")]:
    del os.environ[name]  # the service of another process would outlive the kill, and hold the run
os.environ["WANDB_MODE"] = "offline"
from pathlib import Path
import pytorch_lightning as pl
from runs import small_run
from isogain.tracking import offline

out = Path(sys.argv[2])

class Kill(pl.Callback):
    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == 11:
            while 10 not in offline.logged(out):  # until what was logged is on the disk
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)

small_run(out, *sys.argv[3:], extra={"kill": Kill()})
"""
OPTIONS = (
    "logger=wandb",
    "logger.tags=[tried]",
    "logger.job_type=gain",
    "callbacks.checkpoints.every=4",
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, fork_server) -> Path:
    """A sweep with a run that was killed at step 11, with step 8 saved and step 10 logged, and resumed to its end."""
    path = tmp_path_factory.mktemp("sync") / "my_sweep"
    path.mkdir()
    (path / "multirun.yaml").touch()
    script, log = path.parent / "killed.py", path.parent / "log"
    script.write_text(KILLED)
    words = (str(script), str(Path(__file__).parents[1]), str(path / "0"), *OPTIONS)
    killed = forked.python(path.parent, log, *words)
    killed.join(PATIENCE)
    assert killed.exitcode == -signal.SIGKILL, log.read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        small_run(path / "0", *OPTIONS, "resume=true")
    return path


@pytest.fixture(scope="module")
def server(sweep):
    """A server to which the sweep was synced, twice."""
    with Server() as server, pytest.MonkeyPatch.context() as patch:
        logged_in(patch, server.url)
        assert sync.main([str(sweep)]) == 0
        server.rows = [len(run.history) for run in server.runs.values()]
        assert sync.main([str(sweep)]) == 0
        yield server


def logged_in(patch: pytest.MonkeyPatch, url: str, key: str | None = KEY) -> None:
    patch.setenv("WANDB_BASE_URL", url)
    patch.setenv("HOME", "/nonexistent")  # whatever account this machine has
    patch.setenv("WANDB_API_KEY", key) if key else patch.delenv("WANDB_API_KEY", raising=False)


def run_of(server: Server) -> Any:
    (run,) = server.runs.values()
    return run


@pytest.mark.slow
def test_the_attempts_of_a_run_are_one_run_with_group_job_type_and_tags(sweep, server):
    run = run_of(server)
    assert len(offline.of_run(sweep / "0")) == 2
    assert run.name == (sweep / "0" / "wandb" / "id").read_text()
    assert run.fields["groupName"] == "my_sweep" and run.fields["jobType"] == "gain"
    assert run.fields["tags"] == ["tried"] and run.fields["displayName"] == "0"


def test_every_value_of_the_run_folder_is_there_once_at_its_step_and_in_order(sweep, server):
    seen = Counter()
    steps = [row["trainer/global_step"] for row in run_of(server).history]
    assert steps == sorted(steps)
    found = {}
    for row in run_of(server).history:
        seen.update((row["trainer/global_step"], name) for name in row)
        found |= {(row["trainer/global_step"], name): value for name, value in row.items()}
    expected = {
        (int(row["step"]), name): float(value)
        for row in metrics(sweep / "0")
        for name, value in row.items()
        if value and name not in ("step", "epoch")
    }
    assert {key: found[key] for key in expected} == expected
    assert {seen[key] for key in expected} == {1}


def test_the_summary_is_that_of_the_whole_run_and_not_of_its_last_attempt(sweep, server):
    kept = run_of(server).summary
    whole = summary(sweep / "0")
    assert {name: kept[name] for name in ("val/acc_best", "test/acc", "steps", "status")} == {
        name: whole[name] for name in ("val/acc_best", "test/acc", "steps", "status")
    }


def test_to_sync_again_adds_nothing(server):
    assert [len(run.history) for run in server.runs.values()] == server.rows


def fragment(run: Path, stamp: str, content: bytes) -> Path:
    """A fragment of a run that ended."""
    folder = run / "wandb" / f"offline-run-{stamp}-x"
    folder.mkdir(parents=True)
    (folder / "run-x.wandb").write_bytes(content)
    (run / "summary.json").write_text(json.dumps({"status": "finished"}))
    return folder


def copy_of(sweep: Path, run: Path) -> Path:
    """The first fragment of the run in `sweep`, not yet uploaded, as another run's."""
    (first, _) = offline.of_run(sweep / "0")
    (log,) = first.glob("*.wandb")
    return fragment(run, "20300101_000000", log.read_bytes())


def test_what_cannot_be_read_is_told_in_a_line_and_the_rest_goes_up(
    sweep, tmp_path, monkeypatch, capsys
):
    cut = fragment(tmp_path / "a", "20200101_000000", b":W&B\x00\x00\x00")
    whole = copy_of(sweep, tmp_path / "a")
    with Server() as server:
        logged_in(monkeypatch, server.url)
        assert sync.main([str(tmp_path)]) == 1
        assert len(run_of(server).history) > 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("left: ") and str(cut) in line]
    assert list(whole.glob("*.synced")) and not list(cut.glob("*.synced"))


def test_the_newest_fragment_of_a_run_that_goes_on_waits(sweep, tmp_path, monkeypatch, capsys):
    newest = copy_of(sweep, tmp_path / "a")
    (tmp_path / "a" / "summary.json").unlink()
    begun = {"event": "start", "host": "elsewhere", "pid": 1, "time": "2030-01-01T00:00:00+00:00"}
    (tmp_path / "a" / "attempts.jsonl").write_text(json.dumps(begun) + "\n")
    logged_in(monkeypatch, "http://127.0.0.1:9")  # nobody has to answer
    assert sync.main([str(tmp_path)]) == 1
    assert "elsewhere" in capsys.readouterr().out and not list(newest.glob("*.synced"))


@pytest.mark.parametrize(
    ("key", "refuses", "said"),
    [(None, False, "wandb login"), (KEY, True, "user is not logged in")],
    ids=["no key", "wrong key"],
)
def test_without_an_account_one_line_says_what_to_do_and_nothing_is_marked(
    sweep, tmp_path, monkeypatch, capsys, key, refuses, said
):
    folder = copy_of(sweep, tmp_path / "a")
    with Server() as server:
        server.refuses = refuses
        logged_in(monkeypatch, server.url, key)
        assert sync.main([str(tmp_path)]) == 3
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert said in line and KEY not in told.err + told.out
    assert not list(folder.glob("*.synced"))


def test_without_a_network_one_line_says_so(sweep, tmp_path, monkeypatch, capsys):
    copy_of(sweep, tmp_path / "a")
    monkeypatch.setattr(sync, "ANSWER", 2)
    logged_in(monkeypatch, "http://127.0.0.1:9")
    assert sync.main([str(tmp_path)]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("folder", ["missing", "."])
def test_a_folder_without_runs_is_refused(tmp_path, folder, capsys):
    assert sync.main([str(tmp_path / folder)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_fragment_that_is_no_file_is_told_and_not_waited_for(tmp_path, capsys):
    folder = fragment(tmp_path / "a", "20200101_000000", b"")
    (log,) = folder.glob("*.wandb")
    log.unlink()
    os.mkfifo(log)
    with Server() as server, pytest.MonkeyPatch.context() as patch:
        logged_in(patch, server.url)
        assert sync.main([str(tmp_path)]) == 1
    assert "run-x.wandb: not a regular file" in capsys.readouterr().out
