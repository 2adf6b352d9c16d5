"""Small runs that W&B mirrors offline, and what W&B's own reader has of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from guards import PATIENCE
from runs import small_run

WANDB = Path(sys.executable).with_name("wandb")


def mirrored(out: Path, *overrides: str, **kwargs: Any) -> Path:
    """A small run in `out` that is mirrored offline; returns `out`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        small_run(out, "logger=wandb", *overrides, **kwargs)
    return out


def folders(out: Path) -> list[Path]:
    return sorted((out / "wandb").glob("offline-run-*"))


def records(folder: Path) -> list[dict[str, Any]]:
    """What W&B has of a run, one record after the other."""
    command = [str(WANDB), "leet", "inspect", "--json", str(folder)]
    read = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return [json.loads(line) for line in read.stdout.splitlines()]


def kind(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [record[name] for record in found if record["type"] == name]
