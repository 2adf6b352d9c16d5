"""Folders that anybody may have written: what befalls one run of three, file by file, or the tree that they lie in."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hostile_texts import ESC, POINTS, TEXTS
from run_folders import write_run

SECRET = "not for anybody"
FILES = (
    *("config.yaml", "overrides.yaml", "choices.yaml", "summary.json", "attempts.jsonl"),
    *("metrics.csv", "spectra.npz"),
)


def _arrays(folder: Path, kind: str) -> None:
    """spectra.npz with arrays that no run writes."""
    path, name, step = folder / "spectra.npz", "jacobian/spectrum", "jacobian/spectrum/step"
    values, steps = np.ones((2, 1, 3)), np.array([0, 10])
    kinds = {
        "texts": {name: np.array(["a", "b"]), step: steps},
        "objects": {name: np.array([{}, []], dtype=object), step: steps},
        "zero events": {name: values[:0], step: steps[:0]},
        "no values": {name: values[:, :, :0], step: steps},
        "other steps": {name: values, step: np.array([0, 10, 20])},
        "infinite steps": {name: values, step: np.array([0, np.inf])},
        "steps as texts": {name: values, step: np.array(["0", "10"])},
        "steps backwards": {name: values, step: steps[::-1]},
        "scalars": {name: np.array(1.0), step: np.array(0)},
        "records": {name: np.zeros(2, dtype=[("a", float)]), step: steps},
        "complex": {name: values.astype(complex), step: steps},
        "not finite": {name: values * np.nan, step: steps},
        "dates": {name: values.astype("M8[s]"), step: steps},
        "axes of another type": {name: values, step: steps, f"{name}/axes": np.ones(3)},
        "no axes": {"signal_grad/log": np.ones(2), "signal_grad/log/step": steps},
        "a name as long as it gets": {"x" * 60_000: values, "x" * 60_000 + "/step": steps},
    }
    if kind in kinds:
        np.savez(path, **kinds[kind])
        return
    data = path.read_bytes()
    if kind == "an .npy":
        with path.open("wb") as file:
            np.save(file, values)
    elif kind == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "shape of petabytes":
        shape = b"'shape': (2, 1, 2)"
        assert shape in data
        path.write_bytes(data.replace(shape, b"'shape': (2,1" + b"9" * 2 + b"2)"))
    elif kind == "code for a header":
        path.write_bytes(data.replace(b"'descr': '<f8'", b"'descr': open("))


ARRAYS = (
    *("texts", "objects", "zero events", "no values", "other steps", "infinite steps"),
    *("steps as texts", "steps backwards", "scalars", "records", "complex", "not finite", "dates"),
    *("axes of another type", "no axes", "a name as long as it gets", "an .npy", "cut"),
    *("shape of petabytes", "code for a header"),
)


def _tree(root: Path, kind: str) -> None:
    if kind == "a link to the folder itself":
        (root / "again").symlink_to(".")
    elif kind == "two links to the folder itself":
        (root / "again").symlink_to(".")
        (root / "bad" / "again").symlink_to("..")
        (root / "more").mkdir()
        for name in "xyz":
            (root / "more" / name).symlink_to("../more")
    elif kind == "a link to a folder above":
        (root / "above").symlink_to("../..")
    elif kind == "a link to everything":
        (root / "everything").symlink_to("/")
    elif kind == "links round in a circle":
        (root / "x").symlink_to("y")
        (root / "y").symlink_to("x")
    elif kind == "folders in each other":
        (root / "/".join(["deep"] * 300)).mkdir(parents=True)
    elif kind == "names that are no UTF-8":
        write_run(root / os.fsdecode(b"caf\xe9"), {"seed": 3}, {"status": "failed", "error": "x"})
        (root / os.fsdecode(b"empty\xff")).mkdir()
    elif kind == "a name that commands a terminal":
        write_run(root / f"{ESC}\nrm -rf", {"seed": 3}, {"status": "failed", "error": "x"})
        (root / f"empty{ESC}").mkdir()
    elif kind == "a name of many digits":
        write_run(root / ("9" * 200), {"seed": 3}, {})


TREES = (
    *("a link to the folder itself", "two links to the folder itself", "a link to a folder above"),
    *("a link to everything", "links round in a circle", "folders in each other"),
    *("names that are no UTF-8", "a name that commands a terminal", "a name of many digits"),
)


def _replaced(path: Path, kind: str) -> None:
    path.unlink(missing_ok=True)
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a link to itself":
        path.symlink_to(path.name)
    elif kind == "a link out":
        path.parent.parent.parent.joinpath("secret").write_text(SECRET)
        path.symlink_to("../../secret")
    elif kind == "a terabyte":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == "bytes":
        path.write_bytes(bytes(range(255, -1, -1)) * 20)


KINDS = ("a FIFO", "a device", "a folder", "a link to itself", "a link out", "a terabyte", "bytes")
Hazard = Callable[[Path], None]


def hazards() -> dict[str, Hazard]:
    """Name -> what happens to a folder with the runs `a`, `bad` and `c`."""
    found: dict[str, Hazard] = {}
    for name in (*FILES, "log.txt"):
        for kind in KINDS:
            found[f"{name}: {kind}"] = lambda root, n=name, k=kind: _replaced(root / "bad" / n, k)
    for kind in KINDS:
        found[f"sweep.json: {kind}"] = lambda root, k=kind: _replaced(root / "sweep.json", k)
    for name, texts in TEXTS.items():
        for i, text in enumerate(texts):
            found[f"{name}: text {i}"] = lambda root, n=name, t=text: _written(root / "bad" / n, t)
    for kind in ARRAYS:
        found[f"spectra.npz: {kind}"] = lambda root, k=kind: _arrays(root / "bad", k)
    for kind, value in POINTS.items():
        text = json.dumps(value)
        found[f"sweep.json: {kind}"] = lambda root, t=text: _written(root / "sweep.json", t)
    for kind in TREES:
        found[kind] = lambda root, k=kind: _tree(root, k)
    return found


def _written(path: Path, text: str) -> None:
    if path.name == "attempts.jsonl":
        (path.parent / "summary.json").unlink()
        text = text.replace("%s", socket.gethostname())
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


def three_runs(root: Path) -> Path:
    """The folder with `a`, `bad` and `c`, which are sound."""
    for seed, name in enumerate(("a", "bad", "c")):
        curves = {"val/acc": {s: 0.5 + s / 100 for s in (0, 5, 10)}}
        spectra = {
            "jacobian/spectrum": ([0, 10], np.full((2, 1, 2), 0.5)),
            "signal_grad/log": ([0, 10], np.zeros((2, 1, 3))),
        }
        numbers = {"test/acc": 0.5 + seed / 10, "steps": 10}
        said = {"seed": seed, "reg": "gain"}
        write_run(root / name, said, numbers, curves=curves, spectra=spectra)
        (root / name / "log.txt").write_text("begun\n")
    return root
