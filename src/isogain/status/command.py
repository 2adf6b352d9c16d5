"""The command that runs again exactly what is missing, ready to paste."""

import re
import shlex
from pathlib import Path

import yaml

from isogain.shell import quoted
from isogain.status.states import MISSING
from isogain.status.sweeps import Run, Sweep

# of the original command, what the new one says otherwise
REPLACED = re.compile(
    r"[+~]*(out|resume|hydra/sweeper(/\w+)?|hydra\.sweeper(\.[\w.]+)?|hydra\.sweep\.dir)="
)


def commands(sweep: Sweep, diverged: bool = False) -> list[str]:
    """Lines for a shell; none where nothing is missing. What cannot be told goes to the sweep's problems.

    A sweep is one command, and goes where it went before; runs outside of one are a command each.
    """
    missing = rerunnable(sweep, diverged)
    if not missing:
        return []
    if sweep.plan is not None:
        return [_of_sweep(sweep, diverged)]
    return [line for run in missing if (line := _of_run(sweep, run))]


def rerunnable(sweep: Sweep, diverged: bool = False) -> list[Run]:
    """The runs that are missing: failed, lost, interrupted or never started; with `diverged`, those too."""
    states = MISSING | ({"diverged"} if diverged else set())
    return [run for run in sweep.runs if run.state in states]


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
    said = [str(word) for word in sweep.plan.get("command") or []] or ["train.py"]
    script = said[0] if said[0].endswith(".py") else "train.py"
    kept = [
        word for word in said[1:] if word not in ("-m", "--multirun") and not REPLACED.match(word)
    ]
    words = ["python", script, "-m", *kept, f"out={quoted(str(sweep.path))}"]
    if sweep.plan.get("sweeper") == "optuna":  # the study itself knows which trials it lacks
        return shlex.join(
            [*words, *(w for w in said if w.startswith("hydra") and REPLACED.match(w))]
        )
    words.append("hydra/sweeper=missing")
    return shlex.join([*words, "hydra.sweeper.diverged=true"] if diverged else words)


def _of_run(sweep: Sweep, run: Run) -> str | None:
    folder = sweep.path / run.name
    overrides = run.overrides if run.overrides is not None else _overrides(folder)
    if overrides is None:
        sweep.problems.append(
            f"{run.name}: no readable overrides.yaml, so its command is not known"
        )
        return None
    kept = [override for override in overrides if not REPLACED.match(override)]
    return shlex.join(["python", "train.py", *kept, f"out={quoted(str(folder))}", "resume=true"])


def _overrides(folder: Path) -> list[str] | None:
    try:
        found = yaml.safe_load((folder / "overrides.yaml").read_bytes())
    except (OSError, yaml.YAMLError):
        return None
    whole = isinstance(found, list) and all(isinstance(override, str) for override in found)
    return found if whole else None
