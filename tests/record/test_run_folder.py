"""A run's folder: a name of its own, one run that claims it, a summary that is always valid JSON."""

import json
import math
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from guards import PATIENCE
from omegaconf import OmegaConf

from isogain.config.errors import ConfigError
from isogain.record.run_folder import RunFolder, fresh_folder

CONFIG = OmegaConf.create({"seed": 3, "init": {"gain": 1.5}, "reg": {"gain": "${init.gain}"}})
FORK = multiprocessing.get_context("fork")
CLAIMANTS = 8


def claim(folder: Path, resume: bool = False) -> RunFolder:
    run = RunFolder(folder)
    run.claim(CONFIG, ["seed=3"], resume)
    return run


def test_no_two_folders_share_a_name_even_within_a_second():
    assert len({fresh_folder() for _ in range(1000)}) == 1000


def many_names(_: int) -> list[str]:
    return [fresh_folder("sweeps") for _ in range(250)]


def test_no_two_processes_make_up_the_same_name():
    with ProcessPoolExecutor(4, FORK) as pool:
        names = [name for names in pool.map(many_names, range(4)) for name in names]
    assert len(set(names)) == 1000
    assert {Path(name).parent for name in names} == {Path("sweeps")}


def attempt(folder: Path, start: Barrier, answers: multiprocessing.Queue, resume: bool) -> None:
    start.wait(PATIENCE)
    try:
        claim(folder, resume)
        answers.put("claimed")
    except ConfigError as error:
        answers.put(str(error))
    start.wait(PATIENCE)  # one that has claimed the folder is at work in it


def answers_of_claimants(folder: Path, resume: bool) -> list[str]:
    start, answers = FORK.Barrier(CLAIMANTS), FORK.Queue()
    claimants = [
        FORK.Process(target=attempt, args=(folder, start, answers, resume))
        for _ in range(CLAIMANTS)
    ]
    for process in claimants:
        process.start()
    said = [answers.get(timeout=PATIENCE) for _ in claimants]
    for process in claimants:
        process.join(PATIENCE)
    return said


@pytest.mark.parametrize("exists", [True, False])
def test_of_runs_that_claim_a_folder_at_once_one_gets_it_and_the_others_are_told(tmp_path, exists):
    folder = tmp_path if exists else tmp_path / "deep" / "run"
    said = answers_of_claimants(folder, resume=False)
    assert said.count("claimed") == 1
    refusal = f"out={folder}: holds a run already; choose another, or resume=true"
    assert said.count(refusal) == CLAIMANTS - 1


def test_of_runs_that_resume_a_folder_at_once_one_gets_it_and_the_others_are_told(tmp_path):
    claim(tmp_path).attempts.end("interrupted", 7)
    said = answers_of_claimants(tmp_path, resume=True)
    assert said.count("claimed") == 1
    pid = next(e["pid"] for e in RunFolder(tmp_path).attempts.events() if e.get("restart") == 1)
    refusal = f"out={tmp_path}: process {pid} is at work in it; wait until it ends, or end it"
    assert said.count(refusal) == CLAIMANTS - 1


def test_a_run_whose_process_was_killed_can_be_resumed_at_once(tmp_path):
    process = FORK.Process(target=lambda: (claim(tmp_path), time.sleep(PATIENCE)))
    process.start()
    while not RunFolder(tmp_path).attempts.events():
        time.sleep(0.01)
    with pytest.raises(ConfigError, match=f"process {process.pid} is at work"):
        claim(tmp_path, resume=True)
    process.kill(), process.join()
    assert claim(tmp_path, resume=True).claimed


def test_a_requeued_job_takes_its_run_up_though_the_attempt_before_has_not_gone_yet(tmp_path):
    process = FORK.Process(target=lambda: (claim(tmp_path), time.sleep(PATIENCE)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "12")
        process.start()
        while not RunFolder(tmp_path).attempts.events():
            time.sleep(0.01)
        assert claim(tmp_path, resume=True).claimed
    process.kill(), process.join()


def test_a_claim_keeps_the_config_with_every_value_filled_in_and_the_overrides(tmp_path):
    assert claim(tmp_path / "run").claimed
    assert OmegaConf.load(tmp_path / "run" / "config.yaml").reg.gain == 1.5
    assert OmegaConf.load(tmp_path / "run" / "overrides.yaml") == ["seed=3"]


def test_a_claim_keeps_which_choice_of_every_group_was_made_and_none_of_hydras(tmp_path):
    choices = {"reg": "gain", "experiment": None, "hydra/launcher": "basic"}
    RunFolder(tmp_path).claim(CONFIG, [], False, choices)
    assert OmegaConf.load(tmp_path / "choices.yaml") == {"reg": "gain", "experiment": None}


def test_a_refused_claim_changes_nothing(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    (tmp_path / "summary.json").write_text("{}\n")
    run = RunFolder(tmp_path)
    with pytest.raises(ConfigError, match="holds a run already"):
        run.claim(CONFIG, [], resume=False)
    assert not run.claimed
    assert (tmp_path / "config.yaml").read_text() == "seed: 1\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "summary.json"]


def test_a_resumed_run_takes_its_folder_and_the_old_summary_goes(tmp_path):
    claim(tmp_path).write_summary({"status": "interrupted"})
    assert claim(tmp_path, resume=True).claimed
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("below", ["", "run", "deep/run"])
def test_a_folder_that_cannot_be_made_is_a_mistake_that_names_it(tmp_path, below, resume):
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / below
    with pytest.raises(ConfigError) as told:
        claim(folder, resume)
    assert str(told.value).startswith(f"out={folder}: cannot be written (")
    assert "\n" not in str(told.value)


def test_a_folder_that_cannot_be_written_is_a_mistake_that_names_it(tmp_path):
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(ConfigError, match=f"out={tmp_path}: cannot be written"):
        claim(tmp_path, resume=True)


def strict(text: str) -> dict:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_summary_holds_what_is_known_and_finite(tmp_path):
    known = {"status": "finished", "steps": 0, "ok": False, "empty": "", "tiny": 5e-324}
    unknown = {"a": None, "b": math.nan, "c": math.inf, "d": -math.inf}
    RunFolder(tmp_path).write_summary(known | unknown)
    assert strict((tmp_path / "summary.json").read_text()) == known
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_a_summary_replaces_the_one_before(tmp_path):
    run = RunFolder(tmp_path)
    run.write_summary({"a": 1})
    run.write_summary({"b": 2})
    assert strict((tmp_path / "summary.json").read_text()) == {"b": 2}


def test_a_summary_that_cannot_be_written_leaves_the_one_before(tmp_path):
    run = RunFolder(tmp_path)
    run.write_summary({"a": 1})
    with pytest.raises(TypeError):
        run.write_summary({"a": object()})
    assert strict((tmp_path / "summary.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_notes_follow_one_another_in_the_log(tmp_path):
    run = RunFolder(tmp_path)
    run.note("one\n")
    run.note("two\n")
    assert (tmp_path / "log.txt").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("files", [[], ["log.txt"]], ids=str)
def test_discard_removes_a_folder_with_nothing_but_a_log(tmp_path, files):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("")
    RunFolder(folder).discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.yaml", "summary.json", "log.txt.old", "checkpoints/"])
def test_discard_leaves_a_folder_with_anything_else_untouched(tmp_path, name):
    (tmp_path / "log.txt").write_text("kept")
    (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text("")
    RunFolder(tmp_path).discard()
    assert (tmp_path / "log.txt").read_text() == "kept" and (tmp_path / name).exists()


def test_discard_of_a_folder_that_was_never_made_does_nothing(tmp_path):
    RunFolder(tmp_path / "run").discard()
    assert not list(tmp_path.iterdir())
