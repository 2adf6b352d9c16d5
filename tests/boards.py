"""Run folders as files, for what reads them: nothing is trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

CONFIG = {
    "_target_": "isogain.training.run.run",
    "seed": 0,
    "model": {"_target_": "isogain.models.mlp.MLP", "depth": 2},
    "init": {"_target_": "isogain.init.orthogonal_", "gain": 1.0},
    "reg": {"_target_": "isogain.reg.penalty.Soft", "strength": 0.001},
}


def board_run(
    folder: Path,
    reg: str = "gain",
    gain: float = 1.0,
    depth: int = 2,
    more: tuple[str, ...] = (),
    steps: int = 5,
    **summary: Any,
) -> Path:
    """A run folder whose loss is gain/(1 + step); `more` overrides, `summary` on top of a finished run's.

    With status=None the run has no summary yet.
    """
    folder.mkdir(parents=True)
    config = CONFIG | {"init": {"gain": gain}, "model": CONFIG["model"] | {"depth": depth}}
    overrides = [f"reg={reg}", f"init.gain={gain}", f"model.depth={depth}", *more]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    rows = [f"{10 * i},0,{gain / (1 + i)},{0.1 * i},{10.0**-i},0.5" for i in range(steps)]
    columns = "step,epoch,train/loss,val/acc,gap/max,jacobian/q50"
    (folder / "metrics.csv").write_text("\r\n".join([columns, *rows]) + "\r\n")
    summary = {"status": "finished", "test/acc": 0.5 + gain / 10, "seconds": 1.5} | summary
    if summary["status"] is not None:
        (folder / "summary.json").write_text(json.dumps(summary))
    logs = np.linspace(-3, 0, depth + 1) * np.ones((3, 2, 1))  # events, examples, places
    spectrum = np.geomspace(0.1, 1, 12).reshape(1, 2, 6) * np.ones((3, 1, 1))
    np.savez(
        folder / "spectra.npz",
        **{
            "signal_grad/log": logs,
            "signal_grad/log/step": np.array([0, 20, 40]),
            "signal_grad/log/axes": np.array(["event", "example", "place"]),
            "jacobian/spectrum": spectrum,
            "jacobian/spectrum/step": np.array([0, 20, 40]),
            "jacobian/spectrum/axes": np.array(["event", "example", "value"]),
        },
    )
    return folder
