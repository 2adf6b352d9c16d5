"""Points side by side on this machine: the death of one is its own."""

import json
from pathlib import Path

import pytest
from commands import TINY, called

import isogain
from hydra_plugins.isogain.local_launcher import _shares
from hydra_plugins.isogain.slurm_launcher import equal_parts

PATHS = f"{Path(isogain.__file__).parents[1]}:{Path(__file__).parents[1]}"
HAZARD = (
    "+callbacks.hazard={_target_: hazards.Hazard, seed: ${seed}, raises: 1, killed: 2}",
    "trainer.max_epochs=1",
)


def statuses(folder) -> list[str | None]:
    files = [folder / str(n) / "summary.json" for n in range(4)]
    return [json.loads(f.read_text())["status"] if f.exists() else None for f in files]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Four seeds, of which one raises and one is killed; then the same command once more, resumed."""
    cwd = tmp_path_factory.mktemp("local")
    command = ("-m", *TINY, *HAZARD, "seed=0,1,2,3", "cluster=local", "out=sweep")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        first, ended = called(cwd, *command), statuses(cwd / "sweep")
        return ended, first, called(cwd, *command, "resume=true"), statuses(cwd / "sweep")


@pytest.mark.slow
def test_every_point_but_the_killed_one_leaves_its_summary(sweep):
    ended, result, *_ = sweep
    assert ended == ["finished", "failed", None, "finished"]
    assert result.returncode == 1 and "Traceback" not in result.stdout + result.stderr


@pytest.mark.slow
def test_each_point_that_went_wrong_is_told_in_one_line(sweep):
    _, result, *_ = sweep
    assert result.stderr.splitlines() == [
        "error: point 1 (seed=1): failed: RuntimeError: a hazard of the third step",
        "error: point 2 (seed=2): lost: it ended without a summary",
        "error: python -m isogain.status sweep has them all",
    ]
    assert "point 2 (seed=2): lost: killed by SIGKILL" in result.stdout


@pytest.mark.slow
def test_resumed_it_takes_up_what_is_not_over_and_nothing_else(sweep):
    *_, again, ended = sweep
    assert ended == ["finished"] * 4
    assert "2 of 4 points are over; 2 go on" in again.stdout
    assert again.stdout.count("point 0 (") == 0 and again.stdout.count("point 2 (") == 1


@pytest.mark.parametrize("count", [1, 5, 6, 7, 12, 13, 1000, 2500])
def test_points_beyond_an_array_are_split_evenly(count):
    sizes = equal_parts(count, 6)
    assert sum(sizes) == count and max(sizes) <= 6 and max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-count // 6)


@pytest.mark.slow
def test_a_point_on_several_devices_is_one_run_with_one_voice(tmp_path):
    together = (*TINY, "trainer.max_epochs=1", "trainer.devices=2", "trainer.strategy=ddp")
    result = called(tmp_path, "-m", *together, "seed=4", "cluster=local", "out=sweep")
    assert result.returncode == 0, result.stderr  # without its other process it would wait for ever
    summary = json.loads((tmp_path / "sweep" / "0" / "summary.json").read_text())
    assert summary["status"] == "finished" and summary["seed"] == 4
    assert (tmp_path / "sweep" / ".local" / "0.log").read_text().count("  model ") == 1


@pytest.mark.parametrize("points", [1, 2, 100])
@pytest.mark.parametrize("threads", [None, 1, 3])
def test_points_at_a_time_do_not_share_cores(monkeypatch, points, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    jobs, each = _shares(None, threads, 0, points)
    assert 1 <= jobs <= points and jobs * each <= 8


def test_points_of_several_processes_have_a_core_for_each(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    assert _shares(None, None, 0, 100, 2) == (4, 1)
    assert _shares(1, None, 0, 100, 2) == (1, 4)


def test_with_gpus_there_is_a_point_a_gpu(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    assert _shares(None, None, 4, 100) == (4, 2)
