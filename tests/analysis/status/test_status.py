"""Every run of a sweep is accounted for, whatever became of it; folders written by hand, and one real rerun."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from guards import PATIENCE
from hydra.core.override_parser.overrides_parser import OverridesParser
from runs import SMALL, metrics, small_run, summary

from isogain.analysis.status import rerun, survey
from isogain.analysis.status.__main__ import main
from isogain.record import processes

REPOSITORY = Path(__file__).parents[3]
NO_PID = 2**22 + 1  # beyond any that Linux gives


def ago(**delta: float) -> str:
    return (datetime.now(UTC) - timedelta(**delta)).isoformat()


def start(**others: Any) -> dict[str, Any]:
    """An attempt of a process that is gone, unless `others` say otherwise."""
    known = {"event": "start", "host": socket.gethostname(), "pid": NO_PID, "slurm_job": None}
    return known | {"time": ago(hours=1), "step": 0, "restart": 0} | others


def run(folder: Path, *events: dict[str, Any], ended: dict | None = None, step: int = 7) -> Path:
    """A run folder with these attempts and this summary."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("trainer:\n  max_epochs: 10\n  max_steps: 50\n")
    (folder / "overrides.yaml").write_text("- seed=1\n")
    (folder / "metrics.csv").write_text(f"step,epoch,train/loss\r\n0,0,2\r\n{step},1,1.5\r\n9")
    if events:
        (folder / "attempts.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    if ended:
        (folder / "summary.json").write_text(json.dumps(ended))
    return folder


def sweep_of(folder: Path, count: int, **others: Any) -> Path:
    """sweep.json with `count` points, begun an hour ago."""
    points = [{"folder": str(n), "overrides": [f"seed={n}", f"out={folder}"]} for n in range(count)]
    said = ["train.py", "-m", f"seed=0,1,{count}", f"out={folder}", "reg.gain=1"]
    plan = {"command": said, "time": ago(hours=1), "cluster": "none", "points": points}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(plan | others))
    return folder


def judged(folder: Path, **options: Any) -> dict[str, survey.Run]:
    found = survey.find(folder)
    survey.judge(found, **options)
    return {run.name: run for sweep in found for run in sweep.runs}


def state(folder: Path, **options: Any) -> str:
    (found,) = judged(folder, **options).values()
    return found.state


HERE = {"pid": os.getpid(), "time": datetime.now(UTC).isoformat()}
PREEMPTED = {"event": "preempted", "time": ago(minutes=5), "signal": "SIGTERM", "step": 5}
END = {"event": "end", "time": ago(minutes=5), "step": 7}


@pytest.mark.parametrize(
    ("events", "ended", "expected"),
    [
        ([start(**HERE)], None, "running"),
        ([start()], None, "lost"),
        ([start(pid=os.getpid(), time=ago(days=4000))], None, "lost"),  # another process's number
        ([start(), PREEMPTED], None, "lost"),
        ([start(**HERE), PREEMPTED], None, "preempted"),
        ([start(host="elsewhere")], None, "unknown"),
        ([start(), END | {"status": "finished"}], {"status": "finished"}, "done"),
        ([start(), END | {"status": "finished"}], None, "lost"),  # its summary is gone
        ([start(), END | {"status": "failed", "error": "x"}], None, "failed"),
        ([start(), END | {"status": "failed"}, start(**HERE)], None, "running"),
        ([start()], {"status": "diverged", "error": "nan"}, "diverged"),  # killed after the summary
        ([], {"status": "interrupted", "error": "at step 3"}, "interrupted"),
        ([], {"status": "finished"}, "done"),
        ([], None, "unknown"),
    ],
)
def test_the_state_of_a_run_is_what_its_last_attempt_and_its_process_say(
    tmp_path, events, ended, expected
):
    assert state(run(tmp_path / "run", *events, ended=ended)) == expected


def test_a_silent_run_of_another_machine_is_lost_only_where_the_user_says_so(tmp_path):
    folder = run(tmp_path / "run", start(host="elsewhere"))
    for name in ("metrics.csv", "attempts.jsonl"):
        os.utime(folder / name, (time.time() - 3600,) * 2)
    assert state(folder, lost_after=90) == "unknown" and state(folder, lost_after=30) == "lost"


def test_a_line_that_a_kill_cut_short_is_no_problem_and_others_are_told(tmp_path):
    folder = run(tmp_path / "run", start(**HERE))
    with (folder / "attempts.jsonl").open("a") as file:
        file.write('{"event": "pre')
    (found,) = judged(folder).values()
    assert found.state == "running" and found.record.problems == []
    (folder / "attempts.jsonl").write_bytes(b"\x00\xff\n[1]\n")
    (folder / "metrics.csv").write_bytes(b"step,epoch\nx,y\n")
    (folder / "summary.json").write_text("{")
    (found,) = judged(folder).values()
    assert len(found.record.problems) == 4


def fake_squeue(folder: Path, monkeypatch, script: str) -> None:
    """An squeue that is the shell script; the real one, if there is any, is out of the way."""
    path = folder / "bin" / "squeue"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\necho called >> {folder}/calls\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/bin:/usr/bin")


@pytest.fixture
def of_slurm(tmp_path) -> Path:
    """A sweep of six: running, requeued, preempted, gone, never started twice."""
    folder = sweep_of(tmp_path / "sweep", 6, cluster="slurm")
    for n in range(4):
        job = start(host="node1", slurm_job=f"77_{n}")
        run(folder / str(n), job, *([PREEMPTED] if n == 2 else []))
    for n in range(6):
        (folder / ".submitit" / f"77_{n}").mkdir(parents=True)
    return folder


def test_slurm_is_asked_once_and_tells_running_waiting_and_gone_apart(
    of_slurm, tmp_path, monkeypatch
):
    lines = ["77_0|RUNNING", "77_1|PENDING", "77_2|PENDING", "77_4|PENDING", "77_5|PENDING"]
    fake_squeue(tmp_path, monkeypatch, "\n".join(f"echo '{line}'" for line in lines))
    states = [run.state for run in judged(of_slurm).values()]
    assert states == ["running", "preempted", "preempted", "lost", "pending", "pending"]
    assert (tmp_path / "calls").read_text().splitlines() == ["called"]


def test_jobs_that_slurm_has_forgotten_are_lost(of_slurm, tmp_path, monkeypatch):
    script = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    fake_squeue(tmp_path, monkeypatch, script)
    states = [run.state for run in judged(of_slurm).values()]
    assert states == ["lost"] * 4 + ["unstarted"] * 2


@pytest.mark.parametrize("script", [None, "echo 'cannot contact slurmctld' >&2; exit 1"])
def test_where_slurm_does_not_answer_nothing_is_called_lost(
    of_slurm, tmp_path, monkeypatch, script
):
    if script:
        fake_squeue(tmp_path, monkeypatch, script)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    assert {run.state for run in judged(of_slurm).values()} == {"unknown"}
    assert rerun.commands(*survey.find(of_slurm)) == []


def test_points_wait_as_long_as_the_process_that_starts_them_lives(tmp_path):
    folder = sweep_of(tmp_path / "sweep", 2)
    assert {run.state for run in judged(folder).values()} == {"unstarted"}
    run(folder / "0", start(**HERE))
    assert [run.state for run in judged(folder).values()] == ["running", "pending"]


def test_what_is_being_run_again_is_pending_and_is_not_started_twice(tmp_path):
    folder = sweep_of(tmp_path / "sweep", 2)
    run(folder / "0", start(), END | {"status": "failed"}, ended={"status": "failed"})
    order = {"host": socket.gethostname(), "cluster": "local", "folders": ["0"], **HERE}
    (folder / "reruns.jsonl").write_text(json.dumps(order) + "\n")
    assert [run.state for run in judged(folder).values()] == ["pending", "unstarted"]
    (folder / "reruns.jsonl").write_text(json.dumps(order | {"pid": NO_PID}) + "\n")
    assert [run.state for run in judged(folder).values()] == ["failed", "unstarted"]


def test_nothing_broken_or_foreign_is_dropped_in_silence(tmp_path, capsys):
    folder = sweep_of(tmp_path / "sweep", 2)
    run(folder / "0", ended={"status": "finished"})
    run(folder / "1", ended={"status": "finished"})
    run(folder / "extra", ended={"status": "finished"})
    (folder / "pictures").mkdir()
    (folder / "1" / "summary.json").write_text('{"status": "fin')
    other = sweep_of(tmp_path / "other", 1)
    (other / "sweep.json").write_text("not JSON")
    run(other / "0", ended={"status": "finished"})
    assert main([str(tmp_path)]) == 3
    told = capsys.readouterr().out
    for said in ("pictures: holds no run", "extra: a run that", "1/summary.json: not JSON"):
        assert said in told
    assert "sweep.json: not JSON" in told and "1 done" in told and "Traceback" not in told


def test_a_sweep_cannot_name_folders_outside_of_itself(tmp_path):
    folder = sweep_of(tmp_path / "sweep", 1)
    plan = json.loads((folder / "sweep.json").read_text())
    plan["points"] += [
        {"folder": "../secret", "overrides": []},
        {"folder": "/etc", "overrides": []},
    ]
    (folder / "sweep.json").write_text(json.dumps(plan))
    (found,) = survey.find(folder)
    assert [run.name for run in found.runs] == ["0"] and "outside" in found.problems[0]


def test_an_error_is_one_line_and_commands_nothing_to_the_terminal(tmp_path, capsys):
    run(tmp_path / "run", ended={"status": "failed", "error": "a\x1b[31mb\nTraceback"})
    assert main([str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "\x1b" not in told and "Traceback" not in told and "a�[31mb" in told


@pytest.mark.parametrize(
    ("events", "ended", "code"),
    [
        ([], {"status": "finished"}, 0),
        ([], {"status": "diverged"}, 0),
        ([], {"status": "failed"}, 1),
        ([start()], None, 1),
        ([start(**HERE)], None, 3),
    ],
)
def test_the_exit_code_says_whether_anything_is_missing(tmp_path, events, ended, code, capsys):
    assert main([str(run(tmp_path / "run", *events, ended=ended))]) == code


@pytest.mark.parametrize("name", ["none", "."])
def test_a_folder_without_runs_is_refused_in_one_line(tmp_path, name, capsys):
    assert main([str(tmp_path / name)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_thousand_runs_take_a_second_or_two(tmp_path, capsys):
    folder = sweep_of(tmp_path / "sweep", 1000)
    for n in range(500):
        run(folder / str(n), start(), ended={"status": "finished"} if n % 2 else None)
    began = time.process_time()
    assert main([str(folder)]) == 1
    assert time.process_time() - began < 20
    assert "500-999" in capsys.readouterr().out


def test_json_has_every_run_its_state_and_the_command(tmp_path, capsys):
    folder = sweep_of(tmp_path / "sweep", 2)
    run(folder / "0", start(), ended={"status": "finished"})
    main([str(folder), "--json"])
    (told,) = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"done": 1, "unstarted": 1}
    assert [(r["folder"], r["state"], r["step"]) for r in told["runs"]] == [
        ("0", "done", 7),
        ("1", "unstarted", None),
    ]
    assert len(told["rerun"]) == 1


def test_the_command_of_a_sweep_is_the_one_it_was_started_with_and_a_sweeper(tmp_path):
    folder = sweep_of(tmp_path / "a sweep", 2)
    (found,) = survey.find(folder)
    survey.judge([found])
    (line,) = rerun.commands(found)
    assert shlex.split(line) == [
        *("python", "train.py", "-m", "seed=0,1,2", "reg.gain=1", f"out='{folder}'"),
        "hydra/sweeper=missing",
    ]


@pytest.mark.parametrize("program", ["/tmp/evil.py", "evil", "train.py.sh", "\x1b[2J"])
def test_what_another_program_started_is_not_run_again_by_what_its_file_says(tmp_path, program):
    (found,) = survey.find(sweep_of(tmp_path / "sweep", 2, command=[program, "-m"]))
    survey.judge([found])
    assert rerun.commands(found) == [] and "no command is proposed" in found.problems[-1]
    assert rerun.foreign_program(found).isprintable()


def test_a_script_of_another_place_is_ours_in_the_command(tmp_path):
    folder = sweep_of(
        tmp_path / "sweep", 2, command=["/tmp/evil/train.py", "-m", "seed=0\n rm -rf ~"]
    )
    (found,) = survey.find(folder)
    survey.judge([found])
    (line,) = rerun.commands(found)
    assert line.startswith("python train.py -m $'seed=0\\x0a rm -rf ~' ") and line.isprintable()


def test_a_point_with_an_override_for_hydra_itself_is_not_run_again(tmp_path):
    points = [{"folder": "0", "overrides": ["seed=0", "hydra.searchpath=[file:///tmp/evil]"]}]
    (found,) = survey.find(sweep_of(tmp_path / "sweep", 1, points=points))
    survey.judge([found])
    assert "hydra.searchpath" in rerun.foreign_override(rerun.rerunnable(found))


def test_missing_runs_nothing_that_another_program_started(tmp_path):
    folder = sweep_of(tmp_path / "sweep", 2, command=["/tmp/evil.py"])
    words = [sys.executable, "train.py", "-m", f"out={folder}", "hydra/sweeper=missing"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(
        words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode != 0 and "nothing is run" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr and [p.name for p in folder.iterdir()] == ["sweep.json"]


def test_a_run_of_its_own_is_run_again_by_its_overrides(tmp_path):
    run(tmp_path / "run", ended={"status": "failed"})
    (found,) = survey.find(tmp_path)
    survey.judge([found])
    expected = f"python train.py seed=1 out={tmp_path}/run resume=true"
    assert rerun.commands(found) == [expected]


def test_what_diverged_is_run_again_only_where_the_user_says_so(tmp_path):
    run(tmp_path / "run", ended={"status": "diverged"})
    (found,) = survey.find(tmp_path)
    survey.judge([found])
    assert rerun.commands(found) == [] and len(rerun.commands(found, diverged=True)) == 1


@pytest.mark.parametrize(
    "text", ["a b", "it's", "a=b,c", "x\\", "7", "2026-01-01", "ü", "${x}", "a"]
)
def test_a_quoted_folder_is_read_back_by_hydra(text):
    (parsed,) = OverridesParser.create().parse_overrides([f"out={rerun.quoted(text)}"])
    value = parsed.value()
    assert str(getattr(value, "text", value)) == text


def test_a_process_is_not_taken_for_one_that_had_its_number_before():
    assert processes.process_alive(os.getpid(), time.time())
    assert not processes.process_alive(os.getpid(), time.time() - 1e8)
    child = subprocess.Popen(["true"])
    child_began = time.time()
    while (Path("/proc") / str(child.pid) / "stat").read_text().rpartition(")")[2].split()[
        0
    ] != "Z":
        time.sleep(0.01)
    assert not processes.process_alive(child.pid, child_began)  # a zombie
    child.wait()


@pytest.mark.slow
def test_the_printed_command_runs_exactly_what_is_missing_each_in_its_own_folder(
    tmp_path, capsys, monkeypatch
):
    """Point 0 is done, 1 was cut off after 12 steps of 18, 2 never began."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "src"))
    out = tmp_path / "sweep"
    options = [*SMALL, "callbacks.checkpoints.every=6"]
    for seed in (0, 1):
        small_run(out / str(seed), "callbacks.checkpoints.every=6", f"seed={seed}")
    whole = metrics(out / "1")
    points = [
        {"folder": str(n), "overrides": [*options, f"seed={n}", f"out={out}"]} for n in range(3)
    ]
    plan = {"command": ["train.py", "-m", *options, "seed=0,1,2", f"out={out}"], "cluster": "none"}
    (out / "sweep.json").write_text(json.dumps(plan | {"points": points, "time": ago(hours=1)}))
    (out / "1" / "summary.json").unlink()
    for name in ("last.ckpt", "best.ckpt"):
        (out / "1" / "checkpoints" / name).unlink()
    (out / "1" / "attempts.jsonl").write_text(json.dumps(start()) + "\n")
    untouched = (out / "0" / "summary.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main([str(out), "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"done": 1, "lost": 1, "unstarted": 1}
    (line,) = told["rerun"]
    subprocess.run(
        [sys.executable, *shlex.split(line)[1:]], cwd=REPOSITORY, check=True, timeout=PATIENCE
    )
    assert main([str(out)]) == 0
    assert (out / "0" / "summary.json").stat().st_mtime_ns == untouched
    assert metrics(out / "1") == whole and "resuming from" in (out / "1" / "log.txt").read_text()
    assert [summary(out / str(n))["seed"] for n in range(3)] == [0, 1, 2]
