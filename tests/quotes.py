"""What the pages quote from results/**/*.csv: a piece of a page with gaps for its numbers, and what fills them."""

# ruff: noqa: E501 - a quote is as long as its sentence

import math
import re
from collections.abc import Callable

from comparisons import (
    DEPTHS,
    EMPIRICAL,
    Q,
    accuracy,
    below,
    beyond,
    deep,
    e_p,
    epochs,
    fisher,
    gain,
    gap,
    grown,
    held,
    held_p,
    hold,
    holm,
    isometry,
    later,
    lead,
    linear,
    linear_p,
    loss,
    manifold,
    mlp,
    off,
    pair_p,
    pixels,
    rho,
    rises,
    rnn,
    slope_off,
    slower,
    steps,
    tanh_at,
    when,
    wider,
)
from study import ACC, by_seed, down, interval, p, points, rows, spread, table, up

STUDY, FINDINGS, TASKS = "results/README.md", "docs/findings.md", "docs/tasks.md"

Numbers = Callable[[], tuple[float, ...]]

AT = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15)

ORTHOGONAL, GLOROT = "reg=none init=orthogonal", "reg=none init=glorot"

HERS = "reg=hlav/{} init=orthogonal"

LETTER, NOTEBOOK, SENTENCES, OURS = "hlav_seqmnist", "hlav_notebook", "hlav_sentiment", "hlav_ours"


class Number(float):
    """Formatted as the pages do: halves away from zero, a true minus sign, 1e-4."""

    def __format__(self, spec: str) -> str:
        text = format(float(self) * (1 + 1e-12), spec)
        return re.sub("e-0", "e-", text) if "e" in spec else text.replace("-", "−")


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
    (FINDINGS, "at 0.05 {:.0f} % against {:.0f} %, {:.0f} points ({:.0f} to {:.0f}), n = 3; at 0.01 Gaussian {:.1f}, {:.1f} and {:.1f} %, orthogonal {:.1f}, {:.1f} and {:.1f} %",
     lambda: (100 * deep("orthogonal", 1.25).mean(), 100 * deep("gaussian", 1.25).mean(), *points(lead(1.25)), *slower("a_gradients", "gaussian"), *slower("a_gradients", "orthogonal"))),
    (FINDINGS, "Gaussian {:.0f} ± {:.0f} to {:.0f} ± {:.0f}, orthogonal {:.0f} ± {:.0f} to {:.0f} ± {:.0f}, n = 6", lambda: (*spread(steps("gaussian", 4)), *spread(steps("gaussian", 128)), *spread(steps("orthogonal", 4)), *spread(steps("orthogonal", 128)))),
    (FINDINGS, "λ = 1: {:+.1f} points ({:.1f} to {:.1f}), n = 12", lambda: gain(LETTER, "hlav/gain_1", "hlav/soft_1")),
    (FINDINGS, "the same: {:.1f} points ({:.1f} to {:.1f})", lambda: gain(LETTER, "hlav/gain_1", "none")),
    (FINDINGS, "four ways to impose it: {:.1f} to {:.1f} points, n = 3; at g = 1.1 {:.1f} to {:.1f}", lambda: (held(1.0)[0], held(1.0)[-1], held(1.1)[0], held(1.1)[-1])),
    (FINDINGS, "ρ = {:.2f} ({:.2f} to {:.2f}) over {:.0f} tanh networks at four q\\*; over all {:.0f}, linear ones too, {:.2f}", lambda: (*rho({"model.activation": "tanh"}), 20, len(table("sokol_fisher/runs")), rho()[0])),
    (FINDINGS, "`hlav/gain_1` {:.1f} %, `manifold` {:.1f} %, Glorot {:.1f} %, orthogonal and free {:.1f} %",
     lambda: tuple(100 * accuracy(LETTER, *x).mean() for x in [("hlav/gain_1",), ("manifold",), ("none", "glorot"), ("none",)])),
]  # fmt: skip

# what the evidence of a verdict names besides: sizes, rates, lengths of training, what others published
SETTINGS = [
    "64 tanh layers, 300 steps, ", "At SGD 0.01 and g = 1.25", "steps to a loss of 0.5", "a factor 3", "twice as many for 32 times the depth",
    "64 layers, 400 steps", "rows, Adam 1e-3, 5 epochs, g = 1:", "By pixels, 2 epochs", "Published, by pixels, 120 epochs: 77 against 93 %",
    "`hard`, g = 1:", "gain penalty, λ = 0.01, Adam 1e-3, 3 epochs, against none. 64 layers", "Adam 1e-4", "for 64 layers", "paper's, 64 units, ",
    "128 units", "where chance is 50", "no difference seen at 1e-4 and 9e-4", ", 15 epochs", "200 tanh layers of 400", "64 examples", "At one q\\* (n = 5)", "32 layers of 128, Adam 1e-3",
    "30 to 2700", "64 layers of 128, Fashion-MNIST, 3 epochs", "64 layers, 300 steps, g = 1.25: ", "4 to 128 layers", "n = 6 (one Gaussian of 128 layers not in 1000 steps",
    "RNN 64, rows, ", "Adam 1e-3", "RNN 128, ", "200 × 400: ", "1e-3",
]  # fmt: skip
