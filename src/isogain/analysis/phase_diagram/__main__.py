"""What theory predicts, as a table and as figures: `python -m isogain.theory --q-star 0.5 --depth 32 --out figures`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from isogain.analysis.phase_diagram import figures
from isogain.config import arguments, streams
from isogain.theory import meanfield, spectrum

EXAMPLES = (
    """
One of: --q-star Q (the critical point there), --sigma-w W (the critical point with it), or
--sigma-w W --sigma-b B (any point).

  python -m isogain.theory --q-star 0.015625 --depth 200
  python -m isogain.theory --activation hardtanh --sigma-w 1.1 --sigma-b 0.1 --out figures

"""
    + arguments.EXIT
)


def main(argv: Sequence[str] | None = None) -> int:
    """Print what mean-field theory predicts of a wide deep network, and draw it with --out."""
    options = parser().parse_args(argv)
    return arguments.exit_code(lambda: show(options))


def show(options: argparse.Namespace) -> None:
    """The table, and the figures where they are asked for."""
    q, sigma_w, sigma_b = point(options)
    rows = prediction(options.activation, q, sigma_w, sigma_b, options.depth)
    width = max(map(len, rows))
    print("\n".join(f"  {name:<{width}}  {value}" for name, value in rows.items()))
    if options.out:
        draw(options, q, sigma_w, sigma_b)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command_line = arguments.parser("theory", main, EXAMPLES)
    command_line.add_argument(
        "--activation", default="tanh", help="tanh (default), erf, hardtanh, relu or linear"
    )
    command_line.add_argument("--q-star", type=float, help="variance of a pre-activation")
    command_line.add_argument("--sigma-w", type=float, help="gain: weights have variance σ_w²/N")
    command_line.add_argument("--sigma-b", type=float, help="standard deviation of the biases")
    command_line.add_argument(
        "--depth", type=int, default=32, help="layers L of the Jacobian, default 32"
    )
    command_line.add_argument(
        "--depths", type=int, nargs="+", default=[4, 16, 64], help="of the densities drawn"
    )
    command_line.add_argument(
        "--weights", default="orthogonal", choices=["orthogonal", "gaussian"], help="drawn"
    )
    command_line.add_argument(
        "--out", type=Path, help="folder for phases, density and edge as PNG and SVG"
    )
    return command_line


def point(options: argparse.Namespace) -> tuple[float, float, float]:
    """q*, σ_w and σ_b from what was given; raises ValueError where that is too little or too much."""
    phi, q, w, b = options.activation, options.q_star, options.sigma_w, options.sigma_b
    if (q is None) == (w is None) or (b is not None and w is None):
        raise ValueError("give --q-star, or --sigma-w, or --sigma-w and --sigma-b")
    if q is None:
        q = meanfield.critical_q(phi, w) if b is None else meanfield.q_star(phi, w, b)
    if q == 0:
        raise ValueError(
            "q* is 0: signals die out, and the Jacobian is linear; give a larger --sigma-b or --sigma-w"
        )
    return (q, *(meanfield.critical(phi, q) if b is None else (w, b)))


def prediction(phi: str, q: float, sigma_w: float, sigma_b: float, depth: int) -> dict[str, str]:
    """Name -> value, as they are printed."""
    chi = meanfield.chi(phi, q, sigma_w)
    critical = abs(chi - 1) < meanfield.ON_THE_LINE
    rows = {
        "activation": phi,
        "σ_w, σ_w²": f"{sigma_w:.10g}  {sigma_w**2:.10g}",
        "σ_b, σ_b²": f"{sigma_b:.10g}  {sigma_b**2:.10g}",
        "q*": f"{q:.10g}",
        "χ": f"{chi:.10g}  {'critical' if critical else 'ordered' if chi < 1 else 'chaotic'}",
    }
    if phi not in ("relu", "linear") or not critical:
        xi_q, xi_c = meanfield.depth_scales(phi, sigma_w, sigma_b)
        rows["c*"] = f"{meanfield.c_star(phi, sigma_w, sigma_b):.10g}"
        rows["ξ_q, ξ_c"] = f"{xi_q:.10g}  {xi_c:.10g} layers"
    for weights in ("orthogonal", "gaussian"):
        mean, variance = spectrum.moments(phi, q, sigma_w, depth, weights)
        rows[f"{weights}, L = {depth}"] = (
            f"mean s² {mean:.6g}, variance {variance:.6g}, s_max² "
            f"{spectrum.s2_max(phi, q, sigma_w, depth, weights):.6g}"
        )
        for s, mass in spectrum.atoms(phi, q, sigma_w, depth, weights).items():
            rows[f"{weights}, s = {s:.6g}"] = f"atom of probability {mass:.6g}"
    return rows


def draw(options: argparse.Namespace, q: float, sigma_w: float, sigma_b: float) -> None:
    """Write the three figures, each as PNG and SVG, and say where."""
    phi, out = options.activation, options.out
    out.mkdir(parents=True, exist_ok=True)
    drawn = {
        "phases": figures.phase_figure(phi, (sigma_w, sigma_b)),
        "density": figures.density_figure(phi, q, sigma_w, options.depths, options.weights),
        "edge": figures.edge_figure(phi, q, sigma_w, max(options.depth, *options.depths)),
    }
    for name, figure in drawn.items():
        for kind in ("png", "svg"):
            figure.savefig(out / f"{name}.{kind}")
            print(out / f"{name}.{kind}")


if __name__ == "__main__":
    sys.exit(streams.exit_code(main))
