"""Theory against finite networks: N = 400, signals begun at q*, several draws, both ensembles.

Finite width adds to the limit: corrections of relative order L/N, and one singular value that
belongs to the signal itself (its direction is the one a layer contracts by χ_q).
"""

import math
from functools import cache, partial
from itertools import starmap

import pytest
import torch

from isogain.init import orthogonal_
from isogain.theory.gaussian import pointwise
from isogain.theory.meanfield import c_star, critical, depth_scales, q_star
from isogain.theory.spectrum import Spectrum, moments, s2_max

N = 400
SIGMAS = 4.5  # of a standard error; the seed is fixed, so a pass stays a pass
CRITICAL = {
    "tanh, q* 1e-4": ("tanh", 1e-4),
    "tanh, q* 1/64": ("tanh", 1 / 64),
    "tanh, q* 1/2": ("tanh", 0.5),
    "erf, q* 1": ("erf", 1.0),
    "hardtanh, q* 0.3": ("hardtanh", 0.3),
    "relu": ("relu", 1.0),
    "linear": ("linear", 1.0),
}
CASES = [  # where, depth, weights, draws
    ("relu", 8, "orthogonal", 6),
    ("linear", 16, "gaussian", 6),
]
MORE = [  # activations, lengths and depths of the same law
    ("tanh, q* 1/64", 8, "gaussian", 6),
    ("hardtanh, q* 0.3", 16, "orthogonal", 6),
    (("tanh", 1.5, 0.2), 4, "orthogonal", 6),
    ("tanh, q* 1e-4", 200, "orthogonal", 2),
    ("tanh, q* 1/64", 200, "orthogonal", 2),
    ("tanh, q* 1/64", 200, "gaussian", 2),
    ("linear", 200, "gaussian", 2),
    ("tanh, q* 1/64", 32, "orthogonal", 4),
    ("tanh, q* 1/2", 8, "orthogonal", 6),
    ("tanh, q* 1/2", 8, "gaussian", 6),
    ("erf, q* 1", 8, "orthogonal", 6),
    ("erf, q* 1", 4, "gaussian", 6),
    ("hardtanh, q* 0.3", 8, "gaussian", 6),
    ("relu", 4, "gaussian", 6),
    (("tanh", 1.0, 0.3), 8, "gaussian", 6),
    (("erf", 0.9, 0.4), 8, "orthogonal", 6),
    (("hardtanh", 1.3, 0.1), 6, "orthogonal", 6),
    (("relu", 1.3, 0.2), 4, "orthogonal", 6),
    ((torch.nn.functional.selu, 0.8, 0.5), 6, "orthogonal", 6),
]
slow = partial(pytest.param, marks=pytest.mark.slow)


@cache
def haar(count):
    """The first so many of one series of Haar matrices."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return orthogonal_(torch.empty(count, N, N, dtype=torch.float64))


def draw(phi, q, sigma_w, sigma_b, depth, weights):
    """s² of Π D_l W_l along a signal that begins at q. A Haar matrix with rows permuted and columns' signs drawn is one
    too.
    """
    point = pointwise(phi)
    h = math.sqrt(q) * torch.randn(N, dtype=torch.float64)
    product = torch.eye(N, dtype=torch.float64)
    for kernel in haar(32 if depth <= 32 else 200)[:depth]:
        if weights == "gaussian":
            kernel = torch.randn(N, N, dtype=torch.float64) / math.sqrt(N)
        else:
            kernel = (kernel * torch.randn(N, dtype=torch.float64).sign())[torch.randperm(N)]
        h = sigma_w * (kernel @ point.function(h)) + sigma_b * torch.randn(N, dtype=torch.float64)
        product = point.derivative(h)[:, None] * (sigma_w * (kernel @ product))
    return torch.linalg.svdvals(product).square()


def setting(where):
    if isinstance(where, str):
        phi, q = CRITICAL[where]
        return phi, q, *critical(phi, q)
    phi, sigma_w, sigma_b = where
    return phi, q_star(phi, sigma_w, sigma_b), sigma_w, sigma_b


def assert_near(samples, expected, bias):
    """The mean of the samples, up to its standard error and a relative bias of finite width."""
    error = samples.std() / math.sqrt(len(samples))
    assert abs(samples.mean() - expected) < SIGMAS * error + bias * expected


def contraction(phi, sigma_w, sigma_b, depth, where):
    """s² of the signal's own direction, χ_q^{2L}."""
    if where in ("relu", "linear"):
        return 1.0
    return math.exp(-2 * depth / depth_scales(phi, sigma_w, sigma_b)[0])


@pytest.mark.parametrize(("where", "depth", "weights", "draws"), [*CASES, *starmap(slow, MORE)])
@pytest.mark.slow
def test_the_spectrum_of_a_finite_network_is_the_predicted_one(where, depth, weights, draws):
    phi, q, sigma_w, sigma_b = setting(where)
    s2 = torch.stack([draw(phi, q, sigma_w, sigma_b, depth, weights) for _ in range(draws)])
    mean, variance = moments(phi, q, sigma_w, depth, weights)
    measured = s2.mean(-1)
    assert_near(measured, mean, bias=0.02 + 0.5 * depth / N)
    own = (mean - contraction(phi, sigma_w, sigma_b, depth, where)) ** 2 / N
    spread = s2.var(-1, correction=0) / measured**2
    assert_near(spread, (variance + own) / mean**2, bias=min(0.15, 2 * depth / N))
    if weights == "orthogonal" or depth < 100:  # a Gaussian edge is a few values in 400
        largest = s2.amax(-1) / measured
        expected = s2_max(phi, q, sigma_w, depth, weights) / mean
        assert_near(largest, expected, bias=0.05 if weights == "orthogonal" else 0.12)
    if depth < 100:
        assert distance(s2 / measured[:, None], phi, q, sigma_w, depth, weights, mean) < 0.05


def distance(s2, phi, q, sigma_w, depth, weights, mean):
    """The largest gap between the sample's distribution function and the predicted one, at 200 values of s."""
    law = Spectrum(phi, q, sigma_w, depth, weights)
    s, weight = law.grid(800)
    below = (law.density(s) * weight).cumsum(0)
    below += sum(mass * (s >= at * (1 - 1e-9)) for at, mass in law.atoms().items())
    scale = math.sqrt(mean)
    at = torch.quantile(s2.flatten().sqrt(), torch.linspace(0.01, 0.99, 200).double())
    at = at[at > 1e-6]  # what is lower is 0
    sampled = (s2.flatten().sqrt() <= at[:, None] * (1 + 1e-6)).double().mean(-1)
    i = torch.searchsorted(s / scale, at * (1 + 1e-6)).clamp(1, len(s)) - 1
    return (sampled - below[i]).abs().max()


@pytest.mark.parametrize(("phi", "sigma_w", "sigma_b"), [("tanh", 1.7, 0.2), ("erf", 2.5, 0.1)])
def test_two_signals_settle_at_q_star_and_c_star(phi, sigma_w, sigma_b):
    function = pointwise(phi).function
    h = torch.randn(2, 8, N, dtype=torch.float64)
    lengths, correlations = [], []
    for layer in range(60):
        kernel = sigma_w * torch.randn(N, N, dtype=torch.float64) / math.sqrt(N)
        h = function(h) @ kernel.mT + sigma_b * torch.randn(N, dtype=torch.float64)
        if layer >= 10:
            length = h.square().mean(-1)
            lengths.append(length.mean())
            correlations.append(((h[0] * h[1]).mean(-1) / length.prod(0).sqrt()).mean())
    q, c = q_star(phi, sigma_w, sigma_b), c_star(phi, sigma_w, sigma_b)
    assert torch.stack(lengths).mean() == pytest.approx(q, rel=0.05)
    assert torch.stack(correlations).mean() == pytest.approx(c, abs=0.05)
