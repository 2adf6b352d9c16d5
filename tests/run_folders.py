"""Run folders written by hand: what a run leaves behind, without the run."""

import json
from pathlib import Path

import numpy as np
import yaml

CONFIG = {
    "model": {"_target_": "isogain.models.mlp.MLP", "hidden": 8, "depth": 2, "activation": "tanh"},
    "init": {"_target_": "isogain.init.orthogonal_", "_partial_": True, "gain": 1.0},
    "reg": {"_target_": "isogain.reg.penalty.Soft", "strength": 0.001, "gain": 1.0},
    "optim": {"_target_": "isogain.optim.Adam", "lr": 0.001},
    "_target_": "isogain.training.run.run",
    "seed": 0,
    "out": None,
}
CHOICES = {"model": "mlp", "init": "orthogonal", "reg": "gain", "optim": "adam", "experiment": None}


def write_run(folder: Path, said: dict | None = None, summary: dict | None = None, **files) -> Path:
    """A run that was told `said` (seed=…, reg=…, init.gain=…), with its summary, unless it is None.

    curves: metric -> step -> value. spectra: name -> (steps, values).
    """
    folder.mkdir(parents=True)
    said = said or {}
    config = json.loads(json.dumps(CONFIG | {"out": str(folder)}))
    choices = CHOICES | {k: v for k, v in said.items() if k in CHOICES}
    for key, value in said.items():
        *path, name = key.split(".")
        if key not in CHOICES:
            node = config
            for part in path:
                node = node[part]
            node[name] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "choices.yaml").write_text(yaml.safe_dump(choices))
    (folder / "overrides.yaml").write_text(yaml.safe_dump([f"{k}={v}" for k, v in said.items()]))
    if summary is not None:
        whole = {"status": "finished", "seed": said.get("seed", 0)} | summary
        (folder / "summary.json").write_text(json.dumps(whole))
    if "curves" in files:
        write_metrics(folder, files["curves"])
    if "spectra" in files:
        write_spectra(folder, files["spectra"])
    return folder


def write_metrics(folder: Path, curves: dict[str, dict[int, float]]) -> None:
    steps = sorted({step for values in curves.values() for step in values})
    rows = [[str(s), "0", *(str(v.get(s, "")) for v in curves.values())] for s in steps]
    lines = [",".join(["step", "epoch", *curves]), *map(",".join, rows)]
    (folder / "metrics.csv").write_text("\r\n".join(lines) + "\r\n")


def write_spectra(folder: Path, spectra: dict[str, tuple]) -> None:
    arrays = {}
    for name, (steps, values) in spectra.items():
        arrays |= {name: np.array(values, dtype=float), f"{name}/step": np.array(steps)}
    np.savez(folder / "spectra.npz", **arrays)
