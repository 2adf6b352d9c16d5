"""What it takes to look at large folders: seconds and peak memory of each tool, each in a process of its own.

    python benchmarks/folders.py [--megabytes 300] [--runs 3000] [--points 10000] [--spectra 1000] [case ...]

Data are made in a temporary folder. The targets are 5 s and 300 MB for the board on a metrics.csv of 300 MB, 2 s and
300 MB for its first answer on 3 000 runs, 1 s for the status of 10 000 points that nobody has begun, and 200 requests
at once without one that is refused. `cpu` are the seconds that the process itself computed, for a machine that does
other work too; both count what Python takes to start and to import.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

OPTIONS = 40  # in each of a config's groups
SPAWN = multiprocessing.get_context("spawn")
TOLD = (1, 3)  # exit codes of status: what is missing, what goes on
GROUPS = ("model", "init", "reg", "data", "optim", "trainer", "callbacks")


def config(seed: int) -> str:
    """A config.yaml of the size that runs have."""
    groups = {g: {f"option_{i}": i / 7 for i in range(OPTIONS // 3)} for g in GROUPS}
    whole = {"_target_": "isogain.training.run.run", "seed": seed, "out": f"runs/{seed}", **groups}
    return yaml.safe_dump(whole, sort_keys=False)


def write_run(folder: Path, seed: int, rows: int = 50) -> None:
    """A finished run with `rows` rows of ten metrics and two spectra."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config(seed))
    (folder / "overrides.yaml").write_text(f"- seed={seed}\n- reg=gain\n- out=runs\n")
    (folder / "choices.yaml").write_text("model: rnn\nreg: gain\n")
    summary = {"status": "finished", "seed": seed, "steps": rows}
    summary |= {f"metric/{i}": seed / (i + 1) for i in range(30)}
    (folder / "summary.json").write_text(json.dumps(summary))
    write_metrics(folder / "metrics.csv", rows)
    write_spectra(folder / "spectra.npz", events=3, width=64)


def write_metrics(path: Path, rows: int) -> None:
    """A metrics.csv with a step a row and ten metrics of sixteen digits."""
    columns = ["step", "epoch", "train/loss", "val/acc", *(f"gap/{i}" for i in range(8))]
    draw = np.random.default_rng(0)
    with path.open("w") as file:
        file.write(",".join(columns) + "\r\n")
        for first in range(0, rows, 10_000):
            values = draw.random((min(10_000, rows - first), 10)).tolist()
            for i, row in enumerate(values, first):
                file.write(f"{i},{i // 1000},{','.join(map(repr, row))}\r\n")


def write_spectra(path: Path, events: int, width: int) -> None:
    """A spectra.npz with two arrays of so many events."""
    steps = np.arange(events)
    arrays = {}
    for name, last in (("jacobian/spectrum", "value"), ("signal_grad/log", "place")):
        arrays[name] = np.random.default_rng(0).random((events, 4, width))
        arrays |= {f"{name}/step": steps, f"{name}/axes": np.array(["event", "example", last])}
    np.savez(path, **arrays)


def large_metrics(folder: Path, megabytes: int) -> None:
    """One run whose metrics.csv has so many megabytes."""
    write_run(folder / "run", 0)
    write_metrics(folder / "run" / "metrics.csv", megabytes * 1_000_000 // 205)


def large_spectra(folder: Path, megabytes: int) -> None:
    """One run whose spectra.npz has so many megabytes."""
    write_run(folder / "run", 0)
    write_spectra(folder / "run" / "spectra.npz", megabytes * 1_000_000 // (2 * 4 * 8 * 2048), 2048)


def many_runs(folder: Path, runs: int) -> None:
    """So many finished runs."""
    for seed in range(runs):
        write_run(folder / str(seed), seed)


def unbegun(folder: Path, points: int) -> None:
    """A sweep of so many points that nobody has begun, by a process that is gone."""
    listed = [{"folder": str(n), "overrides": [f"seed={n}", "reg=gain"]} for n in range(points)]
    plan = {"command": ["train.py", "-m"], "time": "2026-01-01T00:00:00+00:00", "pid": 2**22 + 1}
    host = {"host": os.uname().nodename, "cluster": "none"}
    (folder / "sweep.json").write_text(json.dumps(plan | host | {"points": listed}))


ANSWER = """
    from isogain.analysis.board.index import Index
    index = Index(Path(sys.argv[1]))
    for name, argument in {questions}:
        assert index.answer(name, argument)
"""
TOOL = """
    from isogain.analysis.{tool}.__main__ import main
    main([sys.argv[1], *{arguments}])
"""
REQUESTS = """
    import socket, threading
    from isogain.analysis.board.index import Index
    from isogain.analysis.board.server import Server
    server = Server(Index(Path(sys.argv[1])))
    waiting = [socket.create_connection(server.server_address, timeout=10) for _ in range(200)]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for client in waiting:
        client.sendall(f"GET /{{server.word}}/api/runs HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n".encode())
    assert all(client.recv(12).endswith(b"200") for client in waiting)
"""


def cases() -> dict[str, tuple[Callable[[Path, int], None], str, str]]:
    """Name -> what makes its folder, the option that says how large, and what is measured."""
    curve = [("runs", ""), ("curves", "train/loss"), ("run", "0")]
    figure = ["--figure", "heatmap", "--out", "figure.png"]
    return {
        "board, metrics.csv": (large_metrics, "megabytes", ANSWER.format(questions=curve)),
        "board, spectra.npz": (large_spectra, "spectra", ANSWER.format(questions=[("run", "0")])),
        "plots, spectra.npz": (
            large_spectra,
            "spectra",
            TOOL.format(tool="plots", arguments=figure),
        ),
        "board, first answer": (many_runs, "runs", ANSWER.format(questions=[("runs", "")])),
        "board, all answers": (
            many_runs,
            "runs",
            ANSWER.format(questions=[("runs", ""), ("curves", "train/loss"), ("profiles", "")]),
        ),
        "results": (many_runs, "runs", TOOL.format(tool="report", arguments=[])),
        "status": (many_runs, "runs", TOOL.format(tool="status", arguments=[])),
        "status, unbegun": (unbegun, "points", TOOL.format(tool="status", arguments=[])),
        "server, 200 at once": (many_runs, "few", REQUESTS.format()),
    }


def measured(script: str, folder: Path) -> tuple[float, float, float]:
    """Wall time, processor time and peak memory in MB of a process that runs the script on the folder."""
    source = "import sys\nfrom pathlib import Path\n" + textwrap.dedent(script)
    began = time.perf_counter()
    with TemporaryDirectory() as here:
        process = subprocess.Popen(
            [sys.executable, "-c", source, str(folder)], stdout=subprocess.DEVNULL, cwd=here
        )
        _, status, used = os.wait4(process.pid, 0)
    if status and os.waitstatus_to_exitcode(status) not in TOLD:
        raise SystemExit(f"exit status {status}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=", ".join(cases()))
    sizes = {"megabytes": 300, "spectra": 1000, "runs": 3000, "points": 10_000, "few": 20}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    options = parser.parse_args()
    with TemporaryDirectory() as made:
        for name, (make, size, script) in cases().items():
            if options.cases and name not in options.cases:
                continue
            folder = Path(made) / f"{make.__name__}-{size}"
            if not folder.exists():
                folder.mkdir()
                made_there = SPAWN.Process(target=make, args=(folder, getattr(options, size)))
                made_there.start()  # a child's peak memory begins with its parent's
                made_there.join()
            wall, cpu, memory = measured(script, folder)
            print(f"{name:<22} {wall:6.1f} s  cpu {cpu:6.1f} s  {memory:6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
