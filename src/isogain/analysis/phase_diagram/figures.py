"""Figures of the theory, each drawn from data that a function of its own returns."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from isogain.analysis.plots.style import COLOURS, LINE_STYLES
from isogain.theory.gaussian import Phi, named
from isogain.theory.meanfield import critical, phase_diagram
from isogain.theory.spectrum import Spectrum, Weights, moments

LINE = torch.logspace(-4, 2, 200, dtype=torch.float64)  # q* along the critical line


def phase_data(phi: Phi, points: int = 100) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """σ_w and σ_b (points,), χ at q* (σ_b, σ_w), and the critical line (σ_w, σ_b)."""
    w, b = torch.linspace(0.5, 3, points).double(), torch.linspace(0, 1, points).double()
    _, chi = phase_diagram(phi, w, b[:, None])
    return w, b, chi, critical(phi, LINE)


def density_data(
    phi: Phi, q_star: float, sigma_w: float, depths: Sequence[int], weights: Weights
) -> dict[int, tuple[Tensor, Tensor, dict[float, float]]]:
    """Depth -> s, its density and its atoms."""
    laws = {depth: Spectrum(phi, q_star, sigma_w, depth, weights) for depth in depths}
    grids = {depth: law.grid()[0] for depth, law in laws.items()}
    return {depth: (s, laws[depth].density(s), laws[depth].atoms()) for depth, s in grids.items()}


def edge_data(
    phi: Phi, q_star: float, sigma_w: float, depth: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Ensemble -> depths up to `depth`, and s_max at each; the root mean square is "mean"."""
    depths = torch.logspace(0, torch.tensor(depth).log10(), 25).round().unique().double()
    edges = {"mean": (depths, moments(phi, q_star, sigma_w, depths)[0].sqrt())}
    for weights in ("orthogonal", "gaussian"):
        logs = [Spectrum(phi, q_star, sigma_w, int(d), weights).log_max() / 2 for d in depths]
        edges[weights] = depths, torch.tensor(logs, dtype=torch.float64).exp()
    return edges


def phase_figure(phi: Phi, at: tuple[float, float]) -> Any:
    """χ over (σ_w, σ_b), the line χ = 1, and the point `at`."""
    from matplotlib.colors import TwoSlopeNorm

    figure, axes = _figure()
    w, b, chi, (line_w, line_b) = phase_data(phi)
    norm = TwoSlopeNorm(1, 0, 2)
    image = axes.pcolormesh(
        w.numpy(), b.numpy(), chi.numpy(), cmap="PuOr_r", norm=norm, rasterized=True
    )
    figure.colorbar(image, ax=axes, label=r"$\chi$ at q*", extend="max")
    drawn = {"lw": 2} if line_w.std() > 1e-9 else {"marker": "*", "ms": 16, "clip_on": False}
    axes.plot(line_w.numpy(), line_b.numpy(), "k", label=r"critical, $\chi$ = 1", **drawn)
    axes.plot(*at, "o", ms=13, mfc="none", mec="k", mew=2, ls="", label="this point", clip_on=False)
    axes.set(xlabel=r"$\sigma_w$", ylabel=r"$\sigma_b$", title=f"Phases of {named(phi)}")
    axes.set_xlim(w[0].item(), w[-1].item())
    axes.set_ylim(b[0].item(), b[-1].item())
    axes.legend(loc="upper right", framealpha=1)
    return figure


def density_figure(
    phi: Phi, q_star: float, sigma_w: float, depths: Sequence[int], weights: Weights
) -> Any:
    """The density of s, a curve a depth; triangles are atoms, their probabilities in the legend."""
    figure, axes = _figure()
    data = density_data(phi, q_star, sigma_w, depths, weights)
    for i, (depth, (s, density, atoms)) in enumerate(data.items()):
        colour, style = COLOURS[i % len(COLOURS)], LINE_STYLES[i % len(LINE_STYLES)]
        masses = ", ".join(f"{mass:.2g} at {place:.3g}" for place, mass in atoms.items())
        label = f"L = {depth}" + (f", atoms {masses}" if masses else "")
        axes.plot(s.numpy(), density.numpy(), color=colour, ls=style, lw=2, label=label)
        for place in atoms:
            axes.plot([place], [0], "^", color=colour, ms=10, clip_on=False, zorder=3)
    tops = [
        density[s > 0.1 * s[-1]].max().item() for s, density, _ in data.values() if density.any()
    ]
    axes.set_ylim(0, 1.15 * min(max(tops), 12 * min(tops)) if tops else 1)
    axes.set_xlim(right=max(s[-1].item() for s, _, _ in data.values()) * 1.03)
    if min(s[0].item() for s, _, _ in data.values()) < 0.3:
        axes.set_xlim(left=0)
    axes.set(xlabel="singular value s of the Jacobian", ylabel="density")
    axes.set_title(f"{named(phi)}, {weights}, q* = {q_star:.4g}, $\\sigma_w$ = {sigma_w:.4g}")
    axes.legend(frameon=False)
    return figure


def edge_figure(phi: Phi, q_star: float, sigma_w: float, depth: int) -> Any:
    """s_max against depth for both ensembles, on logarithmic axes."""
    figure, axes = _figure()
    names = {"orthogonal": "orthogonal", "gaussian": "Gaussian", "mean": "root mean square"}
    for i, (name, (depths, s)) in enumerate(edge_data(phi, q_star, sigma_w, depth).items()):
        colour = "0.4" if name == "mean" else COLOURS[i]
        axes.plot(
            depths.numpy(), s.numpy(), color=colour, ls=LINE_STYLES[i], lw=2, label=names[name]
        )
    axes.set(xscale="log", yscale="log", xlabel="depth L", ylabel="largest singular value")
    axes.set_title(f"{named(phi)}, q* = {q_star:.4g}, $\\sigma_w$ = {sigma_w:.4g}")
    axes.legend(frameon=False)
    return figure


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained", dpi=160)
    return figure, figure.subplots()
