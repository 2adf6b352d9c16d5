"""What the pages quote from results/**/*.csv: a piece of a page with gaps for its numbers, and what fills them."""

# ruff: noqa: E501 - a quote is as long as its sentence

import math
import re
from collections.abc import Callable
from functools import partial

import pandas as pd
from study import ACC, by_seed, down, interval, p, pearson, points, rows, spread, table, up

RATIO, STEPS = "signal_grad/at_start/log_ratio", "steps_to/train/loss/0.5"
EMPIRICAL, LOG_MAX = "fisher_empirical/at_start/lambda_max", "jacobian/at_start/log_max"
STUDY, README = "results/README.md", "README.md"
Numbers = Callable[[], tuple[float, ...]]


class Number(float):
    """Formatted as the pages do: halves away from zero, a true minus sign, 1e-4."""

    def __format__(self, spec: str) -> str:
        text = format(float(self) * (1 + 1e-12), spec)
        return re.sub("e-0", "e-", text) if "e" in spec else text.replace("-", "−")


def ratio(name: str, key: str, at: int, init: str, gain: float) -> pd.Series:
    return by_seed(name, RATIO, {key: at, "init": init, "init.gain": gain})


mlp, rnn = partial(ratio, "a_gradients", "model.depth"), partial(ratio, "a_gradients_rnn", "data.T")


def beyond(measured: pd.Series, gain: float, layers: int) -> float:
    """The log ratio that L log g leaves."""
    return measured.mean() - layers * math.log(gain)


def off(measured: pd.Series, gain: float, layers: int) -> float:
    """The same in percent of L log g."""
    return 100 * abs(beyond(measured, gain, layers) / (layers * math.log(gain)))


def slope_off(gain: float) -> float:
    """How far the fall from 16 to 64 layers is from log g a layer, in percent."""
    fall = (mlp(64, "orthogonal", gain) - mlp(16, "orthogonal", gain)).mean() / 48
    return 100 * abs(fall / math.log(gain) - 1)


def deep(init: str, gain: float) -> pd.Series:
    return by_seed("a_gradients", ACC, {"init": init, "init.gain": gain, "model.depth": 64})


def lead(gain: float) -> pd.Series:
    return deep("orthogonal", gain) - deep("gaussian", gain)


def slower(experiment: str, init: str) -> tuple[float, ...]:
    """Test accuracies of the runs at another rate, by seed, in percent."""
    return tuple(100 * by_seed("another_rate", ACC, {"experiment": experiment, "init": init}))


def holm(name: str, **where: object) -> float:
    """The corrected p of one comparison; keys of columns with a dot: model_depth."""
    (found,) = rows(f"{name}/pairs", {k.replace("_", ".", 1): v for k, v in where.items()}).p_holm
    return found


def steps(init: str, depth: int, rate: float | None = None) -> pd.Series:
    """Steps to a loss of 0.5 at the best rate, or at another."""
    where = {"init": init, "model.depth": depth}
    (best,) = rows("b_depth/cells", where)["optim.lr"]
    return by_seed("b_depth", STEPS, where | {"optim.lr": rate or best})


def later(depth: int) -> pd.Series:
    return steps("gaussian", depth) - steps("orthogonal", depth)


DEPTHS = (4, 8, 16, 32, 64, 128)


def isometry() -> pd.DataFrame:
    return rows("c_isometry/pairs", {"metric": "train/loss"})


def hold(reg: str, margin: float | None, gain: float = 1.0) -> pd.Series:
    return by_seed(
        "d_hard", ACC, {"reg": reg, "reg.margin": margin, "init.gain": gain, "init": "orthogonal"}
    )


def held(gain: float) -> list[float]:
    """What each way to impose orthogonality loses, in points."""
    ways = [("hard", 0.0), ("spectral", 0.0), ("manifold", None), ("cayley", None)]
    return sorted(100 * (hold("none", None, gain) - hold(*way, gain)).mean() for way in ways)


def held_p(gain: float) -> pd.Series:
    found = rows("d_hard/pairs", {"init.gain": gain})
    return found[found["first"].str.contains("cayley|manifold|margin=0 ")].p_holm


def wider(reg: str, a: float, b: float) -> pd.Series:
    return hold(reg, b) - hold(reg, a)


def pixels(*regs: str) -> list[float]:
    return [100 * by_seed("d_hard_pixels", ACC, {"reg": reg}).mean() for reg in regs]


def when(depth: int, onset: float | None, epochs: float | None, schedule: str | None) -> pd.Series:
    """What a penalty at these times gains over none."""
    keys = dict(
        zip(("reg.onset", "reg.epochs", "reg.schedule"), (onset, epochs, schedule), strict=True)
    )
    where = {"model.depth": depth}
    return by_seed("e_when", ACC, where | keys) - by_seed("e_when", ACC, where | {"reg": "none"})


def accuracy(name: str, reg: str, init: str = "orthogonal") -> pd.Series:
    return by_seed(name, ACC, {"reg": reg, "init": init})


def gain(name: str, first: str, second: str) -> tuple[float, ...]:
    return points(accuracy(name, first) - accuracy(name, second))


def gap(name: str, reg: str) -> float:
    return by_seed(name, "gap/final", {"reg": reg, "init": "orthogonal"}).mean()


def pair_p(first: str, second: str) -> float:
    """The corrected p among all comparisons in Hlav's setting, whichever way round they stand."""
    found = table("hlav_seqmnist/all_pairs")
    both = found["first"].isin([first, second]) & found["second"].isin([first, second])
    return found[both].p_holm.item()


def fisher(activation: str, q: float) -> pd.Series:
    return by_seed("sokol_fisher", EMPIRICAL, {"model.activation": activation, "init.q_star": q})


Q = (1e-4, 9e-4, 1 / 64, 0.5)


def rho(where: dict | None = None) -> tuple[float, ...]:
    found = rows("sokol_fisher/runs", where or {})
    return pearson((2 * found[LOG_MAX]).map(math.exp), found[EMPIRICAL])


def tanh_at(q: float) -> tuple[float, ...]:
    return rho({"model.activation": "tanh", "init.q_star": q})


def grown(q: float | None = None) -> tuple[float, float]:
    """How much λ_max grew over three epochs, least and most."""
    found = rows("sokol_fisher_training/runs", {"init.q_star": q} if q else {})
    ratios = found["fisher_empirical/lambda_max"] / found[EMPIRICAL]
    return ratios.min(), ratios.max()


def manifold(metric: str, reg: str, q: float) -> pd.Series:
    where = {"reg": reg, "init.q_star": q}
    (rate,) = rows("sokol_manifold/cells", {"metric": metric} | where)["optim.lr"]
    return by_seed("sokol_manifold", metric, where | {"optim.lr": float(str(rate).split()[0])})


def loss(reg: str) -> list[float]:
    return [manifold("train/loss", reg, q).mean() for q in Q[:3]]


def epochs(order: str, column: str, at: tuple[int, ...]) -> tuple[float, ...]:
    found = rows("pixels/epochs", {"order": order}).set_index("epoch")
    return tuple(100 * found.loc[list(at), column])


AT = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15)
ORTHOGONAL, GLOROT = "reg=none init=orthogonal", "reg=none init=glorot"
HERS = "reg=hlav/{} init=orthogonal"
LETTER, NOTEBOOK, SENTENCES, OURS = "hlav_seqmnist", "hlav_notebook", "hlav_sentiment", "hlav_ours"
QUOTES: list[tuple[str, str, Numbers]] = [
    (STUDY, "64 orthogonal tanh layers {:.3f} ± {:.3f} at g = 0.8, {:.2f} ± {:.2f} at 0.9; L log g is {:.2f} and {:.2f}, which the intervals exclude, by {:.1f} and {:.1f} %",
     lambda: (*spread(mlp(64, "orthogonal", 0.8)), *spread(mlp(64, "orthogonal", 0.9)), 64 * math.log(0.8), 64 * math.log(0.9), off(mlp(64, "orthogonal", 0.8), 0.8, 64), off(mlp(64, "orthogonal", 0.9), 0.9, 64))),
    (STUDY, "From 16 to 64 layers it falls by log g a layer to within {:.1f} %", lambda: (up(max(slope_off(0.8), slope_off(0.9))),)),
    (STUDY, "the {:.2f} and {:.2f} beyond L log g are there at 16 layers already ({:.2f} and {:.2f})",
     lambda: tuple(beyond(mlp(n, "orthogonal", g), g, n) for n in (64, 16) for g in (0.8, 0.9))),
    (STUDY, "Over 400 steps of an orthogonal RNN {:.1f} ± {:.1f} at 0.8 (L log g: {:.1f}, {:.0f} % off) and {:.0f} ± {:.0f} at 0.9 ({:.1f}, {:.0f} % off); of a Gaussian one {:.0f} ± {:.0f} and {:.0f} ± {:.0f}",
     lambda: (*spread(rnn(400, "orthogonal", 0.8)), 400 * math.log(0.8), off(rnn(400, "orthogonal", 0.8), 0.8, 400), *spread(rnn(400, "orthogonal", 0.9)), 400 * math.log(0.9), off(rnn(400, "orthogonal", 0.9), 0.9, 400), *spread(rnn(400, "gaussian", 0.8)), *spread(rnn(400, "gaussian", 0.9)))),
    (STUDY, "g = 1.25: {:.0f} % against {:.0f} %, {:.0f} points ({:.0f} to {:.0f}), p = {:.3f}; at g = 1.1 {:.0f} points ({:.0f} to {:.0f}), p = {:.3f}; at g = 1 {:.0f} points ({:.0f} to {:.0f}), p = {:.2f}, where one Gaussian seed of three reached {:.0f} %",
     lambda: (100 * deep("orthogonal", 1.25).mean(), 100 * deep("gaussian", 1.25).mean(), *points(lead(1.25)), holm("a_gradients", model_depth=64, init_gain=1.25, metric=ACC), *points(lead(1.1)), holm("a_gradients", model_depth=64, init_gain=1.1, metric=ACC), *points(lead(1.0)), holm("a_gradients", model_depth=64, init_gain=1.0, metric=ACC), 100 * deep("gaussian", 1.0).max())),
    (STUDY, "[{:.1f}, {:.1f} and {:.1f} %](#at-another-rate) for seeds 0 to 2, orthogonal {:.1f}, {:.1f} and {:.1f} %",
     lambda: (*slower("a_gradients", "gaussian"), *slower("a_gradients", "orthogonal"))),
    (STUDY, "4 to 128 layers: Gaussian {:.0f} ± {:.0f} to {:.0f} ± {:.0f} (the five seeds of six that came to it within 1000, so the mean is too small), orthogonal {:.0f} ± {:.0f} to {:.0f} ± {:.0f}",
     lambda: (*spread(steps("gaussian", 4)), *spread(steps("gaussian", 128)), *spread(steps("orthogonal", 4)), *spread(steps("orthogonal", 128)))),
    (STUDY, "at 4, 16, 32, 64 and 128 layers Gaussian takes {:.0f}, {:.0f}, {:.0f}, {:.0f} and {:.0f} more ({:.0f} to {:.0f}), p ≤ {:.3f} each; {:.0f} more at 8 layers ({:.0f} to {:.0f}), p = {:.2f}",
     lambda: (*(later(d).mean() for d in (4, 16, 32, 64, 128)), *interval(later(128))[1:], up(max(holm("b_depth", model_depth=d) for d in (4, 16, 32, 64, 128))), *interval(later(8)), holm("b_depth", model_depth=8))),
    (STUDY, "{:.0f} ± {:.0f}, {:.0f} ± {:.0f}, {:.0f} ± {:.0f}, {:.0f} ± {:.0f}, {:.0f} ± {:.0f}, {:.0f} ± {:.0f} steps at 4, 8, 16, 32, 64, 128 layers: from the first to the last {:.0f} more ({:.0f} to {:.0f}), p = {:.0e} (uncorrected)",
     lambda: (*(x for d in DEPTHS for x in spread(steps("orthogonal", d))), *interval(steps("orthogonal", 128) - steps("orthogonal", 4)), p(steps("orthogonal", 128) - steps("orthogonal", 4)))),
    (STUDY, "where Gaussian takes {:.0f} times as many", lambda: (steps("gaussian", 128).mean() / steps("gaussian", 4).mean(),)),
    (STUDY, "best: {:g} at 4 layers, {:g} at 8 to 32, {:g} at 64 and 128", lambda: tuple(rows("b_depth/cells", {"init": "orthogonal"}).set_index("model.depth")["optim.lr"][[4, 8, 64]])),
    (STUDY, "one rate further takes {:.0f} steps at 4 layers and {:.0f} at 128", lambda: (steps("orthogonal", 4, 0.03).mean(), steps("orthogonal", 128, 0.003).mean())),
    (STUDY, "least training loss in all {:.0f} comparisons (four optimisers, five other networks), {:.0f} intervals on that side", lambda: ((isometry().difference > 0).sum(), (isometry().low > 0).sum())),
    (STUDY, "{:.1f} to {:.1f} points below no constraint by each of four ways (p ≤ {:.2f}); g = 1.1: {:.1f} to {:.1f} (p ≥ {:.1f}, not decided)",
     lambda: (held(1.0)[0], held(1.0)[-1], up(held_p(1.0).max()), held(1.1)[0], held(1.1)[-1], down(held_p(1.1).min()))),
    (STUDY, "constrained that have learnt ({:.0f} to {:.0f} %) and the free that have not ({:.0f} %), p ≥ {:.2f}",
     lambda: (min(pixels("hard", "manifold", "spectral")), max(pixels("hard", "manifold", "spectral")), *pixels("none"), down(rows("d_hard_pixels/pairs").p_holm.min(), 2))),
    (STUDY, "{:.1f}, {:.1f}, {:.1f}, {:.1f} and {:.1f} % at margin 0, 0.001, 0.01, 0.1 and 0.99, {:.1f} % without",
     lambda: tuple(100 * hold(*x).mean() for x in [*(("hard", m) for m in (0.0, 0.001, 0.01, 0.1, 0.99)), ("none", None)])),
    (STUDY, "From 0.01 to 0.1 {:.1f} points more ({:.1f} to {:.1f}), `spectral` {:.1f} ({:.1f} to {:.1f}), p = {:.3f} each (uncorrected); from 0 to 0.01 {:.1f} ({:.1f} to {:.1f}) and {:.1f} ({:.1f} to {:.1f})",
     lambda: (*points(wider("hard", 0.01, 0.1)), *points(wider("spectral", 0.01, 0.1)), p(wider("hard", 0.01, 0.1), wider("spectral", 0.01, 0.1)), *points(wider("hard", 0.0, 0.01)), *points(wider("spectral", 0.0, 0.01)))),
    (STUDY, "A margin of 0.1 is {:.1f} points ({:.1f} to {:.1f}) below none", lambda: (lambda m, low, high: (m, low, high))(*points(hold("none", None) - hold("hard", 0.1)))),
    (STUDY, "none stays at {:.0f} %: all along {:+.0f} points ({:.0f} to {:.0f}), linear decay {:+.0f} ({:.0f} to {:.0f}), in the second epoch only **{:+.0f}** ({:.0f} to {:.0f})",
     lambda: (100 * by_seed("e_when", ACC, {"model.depth": 64, "reg": "none"}).mean(), *points(when(64, 0, None, "constant")), *points(when(64, 0, None, "linear")), *points(when(64, 1, 1, "constant")))),
    (STUDY, "in the first only {:+.0f} ({:.0f} to {:.0f}), step decay {:.0f} ({:.0f} to {:.0f}), in the third only {:+.0f} ({:.0f} to {:.0f})",
     lambda: (*points(when(64, 0, 1, "constant")), *points(when(64, 0, None, "step")), *points(when(64, 2, 1, "constant")))),
    (STUDY, "reaches {:.1f}, {:.1f} and {:.1f} % after one epoch (seeds 0 to 2)", lambda: slower("e_when/none", "orthogonal")),
    (STUDY, "16 layers: the first only {:+.1f} ({:.1f} to {:.1f}), p = {:.2f}. 4 layers: all along {:.1f} ({:.1f} to {:.1f}), p = {:.0e}",
     lambda: (*points(when(16, 0, 1, "constant")), e_p(16, "onset=0 reg.epochs=1"), *points(when(4, 0, None, "constant")), e_p(4, "onset=0 reg.schedule=constant"))),
    (STUDY, "Adam 1e-4, 15 epochs, λ = 1: {:+.1f} points ({:.1f} to {:.1f}), λ = 1/2: {:+.1f} ({:.1f} to {:.1f})",
     lambda: (*gain(LETTER, "hlav/gain_1", "hlav/soft_1"), *gain(LETTER, "hlav/gain_half", "hlav/soft_half"))),
    (STUDY, "a mean over entries: {:.3f} points ({:.3f} to {:.3f}). Ours, λ = 1e-3: {:.2f} ({:.2f} to {:.2f}). Sentences: {:.1f} ({:.1f} to {:.1f})",
     lambda: (*gain(NOTEBOOK, "hlav/gain_mean", "hlav/soft_mean"), *gain(OURS, "gain", "soft"), *gain(SENTENCES, "hlav/gain_1", "hlav/soft_1"))),
    (STUDY, "a vanilla RNN that is at {:.0f} to {:.0f} %", lambda: (lambda x: (x.min(), x.max()))(100 * rows(f"{SENTENCES}/cells", {"metric": ACC})["mean"])),
    (STUDY, "paper's, λ = 1: {:.1f} points ({:.1f} to {:.1f}), 1/2: {:.1f} ({:.1f} to {:.1f})", lambda: (*gain(LETTER, "hlav/gain_1", "none"), *gain(LETTER, "hlav/gain_half", "none"))),
    (STUDY, "notebook's: {:.3f} ({:.3f} to {:.3f}), all at {:.1f} %; ours: {:.2f} ({:.2f} to {:.2f}); sentences, with the same reserve: {:.1f} ({:.1f} to {:.1f})",
     lambda: (*gain(NOTEBOOK, "hlav/gain_mean", "none"), 100 * rows(f"{NOTEBOOK}/cells", {"metric": ACC})["mean"].mean(), *gain(OURS, "gain", "none"), *gain(SENTENCES, "hlav/gain_1", "none"))),
    (STUDY, "no penalty: {:+.1f} points ({:.1f} to {:.1f}), p = {:.3f}", lambda: (*points(accuracy(LETTER, "none") - accuracy(LETTER, "none", "glorot")), pair_p(ORTHOGONAL, GLOROT))),
    (STUDY, "gap {:.2f} against {:.2f} in her setting; summed as in her text it destroys: {:.1f} points ({:.1f} to {:.1f}), gap {:.1f}",
     lambda: (gap(NOTEBOOK, "notebook"), gap(NOTEBOOK, "none"), *gain(LETTER, "hlav/letter_sum", "none"), gap(LETTER, "hlav/letter_sum"))),
    (STUDY, "`hard` {:.1f} points ({:.1f} to {:.1f}), `manifold` {:.1f} ({:.1f} to {:.1f}) against `gain`, which is at {:.1f} % as is no penalty",
     lambda: (*gain(OURS, "hard", "gain"), *gain(OURS, "manifold", "gain"), 100 * accuracy(OURS, "gain").mean())),
    (STUDY, "{:.1f} ± {:.1f} at q\\* = 1e-4, {:.1f} ± {:.1f} at 9e-4, {:.1f} ± {:.1f} at 1/64, {:.0f} ± {:.0f} at 1/2", lambda: tuple(x for q in Q for x in spread(fisher("tanh", q)))),
    (STUDY, "from each to the next {:.1f} ({:.1f} to {:.1f}), {:.0f} ({:.0f} to {:.0f}) and {:.0f} ({:.0f} to {:.0f}) more on the same seeds, p ≤ {:.3f} (uncorrected)",
     lambda: (*(x for d in rises() for x in interval(d)), up(p(*rises())))),
    (STUDY, "ρ = {:.2f} ({:.2f} to {:.2f}) over the {:.0f} tanh networks", lambda: (*rho({"model.activation": "tanh"}), len(rows("sokol_fisher/runs", {"model.activation": "tanh"})))),
    (STUDY, "ρ is {:.2f}, {:.2f}, {:.2f} and {:.2f}, each interval with both signs in it; over all {:.0f} networks it is {:.2f} ({:.2f} to {:.2f})",
     lambda: (*(tanh_at(q)[0] for q in Q), len(table("sokol_fisher/runs")), *rho())),
    (STUDY, "σ²_max = 1 and a λ_max from {:.0f} to {:.0f}", lambda: (lambda x: (x.min(), round(x.max(), -2)))(rows("sokol_fisher/runs", {"model.activation": "linear"})[EMPIRICAL])),
    (STUDY, "{:+.1f} ({:.1f} to {:.1f}) on {:.1f}, p = {:.3f}; {:+.0f} ({:.0f} to {:.0f}) on {:.0f} at 1/2, p = {:.3f}",
     lambda: (*linear(1 / 64), fisher("tanh", 1 / 64).mean(), linear_p(1 / 64), *linear(0.5), fisher("tanh", 0.5).mean(), linear_p(0.5))),
    (STUDY, "after three epochs {:.0f} to {:.0f} times its start; by q\\* {:.0f} to {:.0f}, {:.0f} to {:.0f}, {:.0f} to {:.0f}, {:.0f} to {:.0f}", lambda: (*grown(), *(x for q in Q for x in grown(q)))),
    (STUDY, "training loss {:.3f}, {:.3f}, {:.3f} at 1e-4, 9e-4, 1/64; free {:.3f}, {:.3f}, {:.3f}; oblique {:.3f}, {:.3f}, {:.3f}: the least spread, no corrected p below {:.2f}",
     lambda: (*loss("sokol/stiefel"), *loss("none"), *loss("sokol/oblique"), down(rows("sokol_manifold/pairs", {"metric": "train/loss"}).p_holm.min(), 2))),
    (STUDY, "at 9e-4 by {:.3f} ({:.3f} to {:.3f}), p = {:.2f}; not at 1/64: more by {:.3f} ({:.3f} to {:.3f})",
     lambda: (*interval(manifold("train/loss", "none", 9e-4) - manifold("train/loss", "sokol/stiefel", 9e-4)), rows("sokol_manifold/pairs", {"metric": "train/loss", "init.q_star": 9e-4, "first": "none", "second": "sokol/stiefel"}).p_holm.item(), *interval(manifold("train/loss", "sokol/stiefel", 1 / 64) - manifold("train/loss", "none", 1 / 64)))),
    (STUDY, "Stiefel {:.1f} ± {:.1f} %, free {:.1f} ± {:.1f} %, oblique {:.1f} ± {:.1f} % at 1/64",
     lambda: tuple(x for reg in ("sokol/stiefel", "none", "sokol/oblique") for x in spread(manifold(ACC, reg, 1 / 64), 100))),
    (STUDY, "| pixels, validation accuracy, % | " + " | ".join(["{:.1f}"] * 10), lambda: epochs("pixels", "val/acc", AT)),
    (STUDY, "| permuted | " + " | ".join(["{:.1f}"] * 10), lambda: epochs("permuted", "val/acc", AT)),
    (STUDY, "(77 to 84), p < {:.0e} each", lambda: (below(max(e_p(64, "onset=1"), e_p(64, "schedule=linear"), e_p(64, "onset=0 reg.schedule=constant"))),)),
    (STUDY, "16 intervals on that side, p < 0.05 in {}", lambda: (("none", "one", "two", "three")[(isometry().p_holm < 0.05).sum()],)),
    (STUDY, "(1.8 to 2.4), p < {:.0e}", lambda: (below(max(pair_p(HERS.format(f"gain_{x}"), HERS.format(f"soft_{x}")) for x in ("1", "half"))),)),
    (STUDY, "(−6.3 to −4.7), p < {:.0e}", lambda: (below(max(pair_p(HERS.format(f"gain_{x}"), ORTHOGONAL) for x in ("1", "half"))),)),
    (README, "at 0.05 {:.0f} % against {:.0f} %, {:.0f} points ({:.0f} to {:.0f}), n = 3; at 0.01 Gaussian {:.1f}, {:.1f} and {:.1f} %, orthogonal {:.1f}, {:.1f} and {:.1f} %",
     lambda: (100 * deep("orthogonal", 1.25).mean(), 100 * deep("gaussian", 1.25).mean(), *points(lead(1.25)), *slower("a_gradients", "gaussian"), *slower("a_gradients", "orthogonal"))),
    (README, "Gaussian {:.0f} ± {:.0f} to {:.0f} ± {:.0f}, orthogonal {:.0f} ± {:.0f} to {:.0f} ± {:.0f}, n = 6", lambda: (*spread(steps("gaussian", 4)), *spread(steps("gaussian", 128)), *spread(steps("orthogonal", 4)), *spread(steps("orthogonal", 128)))),
    (README, "λ = 1: {:+.1f} points ({:.1f} to {:.1f}), n = 12", lambda: gain(LETTER, "hlav/gain_1", "hlav/soft_1")),
    (README, "the same: {:.1f} points ({:.1f} to {:.1f})", lambda: gain(LETTER, "hlav/gain_1", "none")),
    (README, "four ways to impose it: {:.1f} to {:.1f} points, n = 3; at g = 1.1 {:.1f} to {:.1f}", lambda: (held(1.0)[0], held(1.0)[-1], held(1.1)[0], held(1.1)[-1])),
    (README, "ρ = {:.2f} ({:.2f} to {:.2f}) over {:.0f} tanh networks at four q\\*; over all {:.0f}, linear ones too, {:.2f}", lambda: (*rho({"model.activation": "tanh"}), 20, len(table("sokol_fisher/runs")), rho()[0])),
    (README, "`hlav/gain_1` {:.1f} %, `manifold` {:.1f} %, Glorot {:.1f} %, orthogonal and free {:.1f} %",
     lambda: tuple(100 * accuracy(LETTER, *x).mean() for x in [("hlav/gain_1",), ("manifold",), ("none", "glorot"), ("none",)])),
]  # fmt: skip


def e_p(depth: int, what: str) -> float:
    found = rows("e_when/pairs", {"model.depth": depth})
    return found[found["first"].str.contains(what)].p_holm.item()


def rises() -> list[pd.Series]:
    return [fisher("tanh", b) - fisher("tanh", a) for a, b in zip(Q, Q[1:], strict=False)]


def linear(q: float) -> tuple[float, ...]:
    return interval(fisher("linear", q) - fisher("tanh", q))


def linear_p(q: float) -> float:
    return rows("sokol_fisher/pairs", {"init.q_star": q, "metric": EMPIRICAL}).p_holm.item()


def below(value: float) -> float:
    """The power of ten that `p <` names."""
    return 10.0 ** math.ceil(math.log10(value))


# what the evidence of a verdict names besides: sizes, rates, lengths of training, others' results
SETTINGS = [
    "64 tanh layers, 300 steps, ", "At SGD 0.01 and g = 1.25", "steps to a loss of 0.5", "a factor 3", "twice as many for 32 times the depth",
    "64 layers, 400 steps", "rows, Adam 1e-3, 5 epochs, g = 1:", "By pixels, 2 epochs", "Published, by pixels, 120 epochs: 77 against 93 %",
    "`hard`, g = 1:", "gain penalty, λ = 0.01, Adam 1e-3, 3 epochs, against none. 64 layers", "Adam 1e-4", "for 64 layers", "paper's, 64 units, ",
    "128 units", "where chance is 50", "no difference seen at 1e-4 and 9e-4", ", 15 epochs", "200 tanh layers of 400", "64 examples", "At one q\\* (n = 5)", "32 layers of 128, Adam 1e-3",
    "30 to 2700", "64 layers of 128, Fashion-MNIST, 3 epochs", "64 layers, 300 steps, g = 1.25: ", "4 to 128 layers", "n = 6 (one Gaussian of 128 layers not in 1000 steps",
    "RNN 64, rows, ", "Adam 1e-3", "RNN 128, ", "200 × 400: ", "1e-3",
]  # fmt: skip
