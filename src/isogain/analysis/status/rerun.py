"""The command that runs again exactly what is missing, ready to paste."""

import os
import re
from pathlib import Path

from isogain.analysis.status.survey import Run, Sweep
from isogain.config import shell
from isogain.config.shell import quoted
from isogain.config.terminal import first_line
from isogain.record.bounded import Damaged
from isogain.record.overrides_yaml import read_overrides
from isogain.record.run_status import Status

OURS = "train.py"  # the one program that is proposed, whatever a file says
HERE = Path(__file__).parents[4] / OURS

# of the original command, what the new one says otherwise
REPLACED = re.compile(
    r"[+~]*(out|resume|hydra/sweeper(/\w+)?|hydra\.sweeper(\.[\w.]+)?|hydra\.sweep\.dir)="
)


def commands(sweep: Sweep, diverged: bool = False) -> list[str]:
    """Lines for a shell; none where nothing is missing. What is not known goes to the sweep's problems.

    A sweep is one command, and goes where it went before; runs outside of one are a command each.
    """
    missing = rerunnable(sweep, diverged)
    if not missing:
        return []
    if sweep.plan is not None:
        if (why := foreign_program(sweep)) is not None:
            sweep.problems.append(f"sweep.json: {why}; no command is proposed")
            return []
        return [_of_sweep(sweep, diverged)]
    return [line for run in missing if (line := _of_run(sweep, run))]


def rerunnable(sweep: Sweep, diverged: bool = False) -> list[Run]:
    """The runs that are missing: failed, lost, interrupted or never started; with `diverged`, those too."""
    return [
        run
        for run in sweep.runs
        if run.status.is_missing or (diverged and run.status is Status.DIVERGED)
    ]


def foreign_program(sweep: Sweep) -> str | None:
    """Why a sweep is not to be run again from what its sweep.json says: it was not started by our train.py."""
    program = sweep.plan.command[0] if sweep.plan and sweep.plan.command else OURS
    if os.path.basename(program) == OURS:
        return None
    return f"it was started by {first_line(program)!r}, not by {OURS}"


def foreign_override(runs: list[Run]) -> str | None:
    """Why points are not to be run again: an override of theirs is for Hydra itself, which no sweep writes there."""
    for run in runs:
        for override in run.overrides or []:
            if re.match(r"[+~]*hydra[./@]", override) and not REPLACED.match(override):
                return (
                    f"point {first_line(run.name)}: {first_line(override)!r} is no option of a run"
                )
    return None


def points(sweep: Sweep, runs: list[Run]) -> list[list[str]]:
    """What makes each of the runs go on in its own folder, as overrides of a job of a sweep."""
    return [
        [
            *(o for o in run.overrides or [] if not REPLACED.match(o)),
            f"out={quoted(str(sweep.path))}",
            f"hydra.sweep.subdir={quoted(run.name)}",
            "resume=true",
        ]
        for run in runs
    ]


def _of_sweep(sweep: Sweep, diverged: bool) -> str:
    words_given = sweep.plan.command or [OURS]
    script = words_given[0] if _is_ours(words_given[0]) else OURS
    kept = [
        word
        for word in words_given[1:]
        if word not in ("-m", "--multirun") and not REPLACED.match(word)
    ]
    words = ["python", script, "-m", *kept, f"out={quoted(str(sweep.path))}"]
    if sweep.plan.by.get("sweeper") == "optuna":  # the study itself knows which trials it lacks
        return shell.command(
            *words, *(w for w in words_given if w.startswith("hydra") and REPLACED.match(w))
        )
    words.append("hydra/sweeper=missing")
    return shell.command(*words, *(["hydra.sweeper.diverged=true"] if diverged else []))


def _of_run(sweep: Sweep, run: Run) -> str | None:
    folder = sweep.path / run.name
    overrides = run.overrides if run.overrides is not None else _overrides(folder)
    if overrides is None:
        sweep.problems.append(
            f"{run.name}: no readable overrides.yaml, so its command is not known"
        )
        return None
    kept = [override for override in overrides if not REPLACED.match(override)]
    return shell.command("python", "train.py", *kept, f"out={quoted(str(folder))}", "resume=true")


def _is_ours(program: str) -> bool:
    return os.path.exists(HERE) and os.path.realpath(program) == os.path.realpath(HERE)


def _overrides(folder: Path) -> list[str] | None:
    try:
        return read_overrides(folder)
    except (FileNotFoundError, Damaged):
        return None
