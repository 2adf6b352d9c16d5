"""The comparisons of the study that its pages quote, computed from the committed tables of runs."""

import math
from functools import partial

import pandas as pd
from study import ACC, by_seed, interval, pearson, points, rows, table

RATIO, STEPS = "signal_grad/at_start/log_ratio", "steps_to/train/loss/0.5"

EMPIRICAL, LOG_MAX = "fisher_empirical/at_start/lambda_max", "jacobian/at_start/log_max"


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
