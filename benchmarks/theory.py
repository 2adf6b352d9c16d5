"""What the theory costs on one core: a phase diagram of 100 × 100 points, grids of 400 points and the densities there.

python benchmarks/theory.py [--rounds 5]
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import process_time

import torch

from isogain.theory.meanfield import critical, phase_diagram
from isogain.theory.spectrum import Spectrum, Weights

LAWS: list[tuple[str, float, int, Weights]] = [
    ("tanh", 1 / 64, 200, "orthogonal"),
    ("tanh", 0.5, 200, "orthogonal"),
    ("tanh", 0.5, 2, "orthogonal"),
    ("tanh", 0.5, 200, "gaussian"),
    ("erf", 1.0, 32, "orthogonal"),
    ("hardtanh", 0.3, 16, "orthogonal"),
    ("relu", 1.0, 32, "orthogonal"),
]


def seconds(call: Callable[[], object], rounds: int) -> float:
    """Median processor time of a call."""
    found = []
    for _ in range(rounds):
        began = process_time()
        call()
        found.append(process_time() - began)
    return median(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    w = torch.linspace(0.5, 3, 100, dtype=torch.float64)[:, None]
    b = torch.linspace(0, 1, 100, dtype=torch.float64)
    for phi in ("tanh", "erf", "hardtanh"):
        took = seconds(lambda phi=phi: phase_diagram(phi, w, b), rounds)
        print(f"{f'phase diagram, {phi}':<44}{took:6.2f} s")
    for phi, q, depth, weights in LAWS:
        law = Spectrum(phi, q, critical(phi, q)[0], depth, weights)
        s = law.grid(400)[0]
        name = f"{phi}, q* {q:g}, L {depth}, {weights}"
        for what, call in {
            "grid": law.grid,
            "density": lambda law=law, s=s: law.density(s),
        }.items():
            print(f"{f'{what}, {name}':<44}{seconds(call, rounds):6.2f} s")


if __name__ == "__main__":
    main()
