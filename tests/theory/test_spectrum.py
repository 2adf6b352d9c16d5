"""The predicted spectrum: closed forms, published numbers, and the law's own consistency."""

import math
from functools import cache, partial

import numpy as np
import pytest
import torch
from cases import covering, slow_but

from isogain.theory.meanfield import critical, mu
from isogain.theory.slopes import Slopes
from isogain.theory.spectrum import Spectrum, atoms, density, moments, s2_max

LAWS = [  # smooth and kinked slopes, both ensembles, atoms and none
    ("tanh", 0.5, 2, "orthogonal"),
    ("tanh", 8.0, 8, "gaussian"),
    ("hardtanh", 0.3, 16, "orthogonal"),
    ("hardtanh", 0.3, 16, "gaussian"),
    ("relu", 1.0, 1, "gaussian"),
    ("linear", 1.0, 32, "gaussian"),
]
MORE = [  # other lengths, depths and activations
    ("tanh", 1e-4, 16, "orthogonal"),
    ("tanh", 1 / 64, 16, "orthogonal"),
    ("tanh", 0.5, 200, "orthogonal"),
    ("erf", 1.0, 8, "orthogonal"),
    ("erf", 0.2, 32, "gaussian"),
    ("relu", 1.0, 32, "orthogonal"),
    (torch.nn.functional.selu, 0.5, 6, "orthogonal"),
]
slow = partial(pytest.param, marks=pytest.mark.slow)
laws = pytest.mark.parametrize(("phi", "q", "depth", "weights"), slow_but([*LAWS, *MORE], 3, 4))
BOTH = pytest.mark.parametrize("weights", ["orthogonal", "gaussian"])


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def gain(phi, q):
    return critical(phi, q)[0]


@cache
def bulk(phi, q, depth, weights, points):
    """s, and the probability of the bulk that each stands for."""
    s, weight = Spectrum(phi, q, gain(phi, q), depth, weights).grid(points)
    return s, density(phi, q, gain(phi, q), depth, weights, s) * weight


def integral(phi, q, depth, weights, power=0, points=400):
    """∫ s^power of the bulk and the atoms."""
    s, mass = bulk(phi, q, depth, weights, points)
    found = atoms(phi, q, gain(phi, q), depth, weights)
    return (mass * s**power).sum().item() + sum(m * at**power for at, m in found.items())


@laws
def test_density_and_atoms_make_1(phi, q, depth, weights):
    assert integral(phi, q, depth, weights) == pytest.approx(1, abs=1e-4)


@laws
def test_the_moments_of_the_density_are_the_closed_forms(phi, q, depth, weights):
    mean, variance = moments(phi, q, gain(phi, q), depth, weights)
    assert mean == pytest.approx(1, rel=1e-11)
    assert integral(phi, q, depth, weights, 2) == pytest.approx(1, rel=1e-4)
    assert integral(phi, q, depth, weights, 4) == pytest.approx(1 + variance, rel=1e-4)


@laws
def test_off_the_critical_line_only_the_scale_changes(phi, q, depth, weights):
    w = gain(phi, q)
    mean, variance = moments(phi, q, 1.2 * w, depth, weights)
    assert mean == pytest.approx(1.44**depth, rel=1e-10)
    assert variance / mean**2 == pytest.approx(moments(phi, q, w, depth, weights)[1], rel=1e-10)
    at_1 = s2_max(phi, q, w, depth, weights)
    assert s2_max(phi, q, 1.2 * w, depth, weights) == pytest.approx(at_1 * 1.44**depth, rel=1e-10)
    s = Spectrum(phi, q, w, depth, weights).grid(20)[0]
    scaled = density(phi, q, 1.2 * w, depth, weights, 1.2**depth * s) * 1.2**depth
    torch.testing.assert_close(scaled, density(phi, q, w, depth, weights, s), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("q", "variance", "edges"),
    [(1e-4, "1.6e-05", "1.007 545"), (1 / 64, "0.338", "2.59 546"), (0.5, "59.8", "164 708")],
)
def test_tanh_at_depth_200_is_as_published(q, variance, edges):
    """Variance and largest s² of the critical tanh networks of Pennington et al. and Sokół and Park."""
    found = moments("tanh", q, gain("tanh", q), 200)[1]
    assert (
        format(found, f".{len(variance.partition('e')[0].replace('.', '').lstrip('0'))}g")
        == variance
    )
    for weights, edge in zip(("orthogonal", "gaussian"), edges.split(), strict=True):
        largest = s2_max("tanh", q, gain("tanh", q), 200, weights)
        assert format(largest, f".{len(edge.replace('.', ''))}g") == edge


def test_the_isometric_and_the_published_gain_differ_as_published():
    """σ_w² = 1.05 and 2 at depth 200: variances 0.854 and 97.5."""
    for q, variance in ((0.025921, 0.854), (0.82135, 97.5)):
        found = moments("tanh", q, gain("tanh", q), 200)[1]
        assert found == pytest.approx(variance, rel=6e-4)


@pytest.mark.parametrize("depth", [1, 4, 32, 200])
def test_the_edge_of_a_gaussian_linear_network(depth):
    """(L + 1)^{L+1}/L^L. Pennington, Schoenholz and Ganguli 2017, section 2.5.1."""
    expected = math.exp((depth + 1) * math.log(depth + 1) - depth * math.log(depth))
    assert s2_max("linear", 1.0, 1.0, depth, "gaussian") == pytest.approx(expected, rel=1e-9)


def two_valued(p):
    """The q* at which hard-tanh is linear with probability p."""
    return 1 / (2 * torch.erfinv(tensor(p)).item() ** 2)


@pytest.mark.parametrize(("p", "depth"), [(0.9, 32), (0.5, 8), (0.7, 4), (0.98, 200)])
def test_the_edge_of_two_valued_slopes_where_the_bulk_is_on_top(p, depth):
    """(1 − p)/p · L^L/(L − 1)^{L−1} where L(1 − p) > 1. Pennington et al. 2017, equation 20."""
    log = depth * math.log(depth) - (depth - 1) * math.log(depth - 1)
    expected = (1 - p) / p * math.exp(log)
    q = two_valued(p)
    assert s2_max("hardtanh", q, gain("hardtanh", q), depth) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("p", "depth", "largest"),
    [(0.9, 4, 1.524), slow(0.98, 16, 1.382), slow(0.98, 32, 1.909)],
)
def test_the_edge_of_two_valued_slopes_where_an_atom_is_on_top(p, depth, largest):
    """p^{−L} where L(1 − p) <= 1, an atom of probability 1 − L(1 − p)."""
    q = two_valued(p)
    w = gain("hardtanh", q)
    found = s2_max("hardtanh", q, w, depth)
    assert found == pytest.approx(p**-depth, rel=1e-9) and found == pytest.approx(largest, abs=6e-4)
    at = atoms("hardtanh", q, w, depth)
    assert list(at) == pytest.approx([0, p ** (-depth / 2)])
    assert list(at.values()) == pytest.approx([1 - p, 1 - depth * (1 - p)])
    assert integral("hardtanh", q, depth, "orthogonal", points=1600) == pytest.approx(1, abs=1e-4)
    near = tensor(1 - 1e-3, 1 - 1e-6, 1 - 1e-12, 1, 1 + 1e-6) * p ** (-depth / 2)
    assert density("hardtanh", q, w, depth, "orthogonal", near).max() < 1e-6  # an atom stands alone


def test_relu_loses_half_the_directions_in_any_ensemble():
    for weights in ("orthogonal", "gaussian"):
        assert atoms("relu", 1.0, math.sqrt(2), 16, weights) == pytest.approx({0: 0.5})


def test_a_linear_orthogonal_network_is_one_atom():
    ((place, mass),) = atoms("linear", 1.0, 1.1, 10).items()
    assert (place, mass) == pytest.approx((1.1**10, 1))
    assert density("linear", 1.0, 1.1, 10, "orthogonal", tensor(0.5, 2.0, 3.0)).max() < 1e-12
    assert moments("linear", 1.0, 1.1, 10)[1] == 0
    assert s2_max("linear", 1.0, 1.1, 10) == pytest.approx(1.1**20)


def test_one_gaussian_layer_has_the_quarter_circle_law():
    s = torch.linspace(0.01, 1.99, 60, dtype=torch.float64)
    found = density("linear", 1.0, 1.0, 1, "gaussian", s)
    torch.testing.assert_close(found, (4 - s**2).sqrt() / math.pi, rtol=1e-8, atol=1e-10)


def test_a_product_of_two_gaussian_layers_has_the_fuss_catalan_law():
    """Penson and Życzkowski 2011, equation 15 at s = 2, in x = s²."""
    s = torch.linspace(0.05, 2.5, 40, dtype=torch.float64)
    x = s**2
    root = (27 + 3 * (81 - 12 * x).sqrt()) ** (1 / 3)
    law = 2 ** (1 / 3) * 3**0.5 / (12 * math.pi)
    law = law * (2 ** (1 / 3) * root**2 - 6 * x ** (1 / 3)) / (x ** (2 / 3) * root)
    found = density("linear", 1.0, 1.0, 2, "gaussian", s)
    torch.testing.assert_close(found, 2 * s * law, rtol=1e-7, atol=1e-10)


def test_one_orthogonal_layer_has_the_law_of_its_slopes():
    """s = σ_w φ'(x) for erf: P(s) from the normal density of x, two values of either sign."""
    q, w = 0.7, 1.3
    s = torch.linspace(0.05, 1.44, 50, dtype=torch.float64)
    x = (2 * w / math.sqrt(math.pi) / s).log().sqrt()
    normal = (-(x**2) / (2 * q)).exp() / math.sqrt(2 * math.pi * q)
    found = density("erf", q, w, 1, "orthogonal", s)
    torch.testing.assert_close(found, 2 * normal / (2 * x * s), rtol=1e-6, atol=1e-9)


def test_gaussian_moments_of_two_valued_slopes():
    """m₁ = (σ_w² p)^L, m₂ = m₁² (L + p)/p. Pennington et al. 2017, section 2.5."""
    q = two_valued(0.8)
    mean, variance = moments("hardtanh", q, 1.1, 12, "gaussian")
    assert mean == pytest.approx((1.21 * 0.8) ** 12, rel=1e-11)
    assert variance + mean**2 == pytest.approx(mean**2 * (12 + 0.8) / 0.8, rel=1e-11)


@BOTH
def test_moments_broadcast(weights):
    q, depth = tensor(0.1, 0.5)[:, None], tensor(1, 10, 100)
    mean, variance = moments("tanh", q, 1.1, depth, weights)
    assert mean.shape == variance.shape == (2, 3)
    one = moments("tanh", 0.5, 1.1, 10, weights)
    assert (mean[1, 1].item(), variance[1, 1].item()) == pytest.approx(one, rel=1e-12)
    spread = mu("tanh", 0.5, 2) / mu("tanh", 0.5) ** 2 - 1 + (weights == "gaussian")
    assert one[1] / one[0] ** 2 == pytest.approx(10 * spread, rel=1e-12)


@BOTH
@pytest.mark.parametrize(
    ("phi", "q", "depth"), [("tanh", 0.5, 5), ("hardtanh", 1.0, 5), ("relu", 1.0, 3)]
)
def test_the_density_ends_at_the_edge(phi, q, depth, weights):
    edge = math.sqrt(s2_max(phi, q, gain(phi, q), depth, weights))
    inside, outside = density(phi, q, gain(phi, q), depth, weights, edge * tensor(0.9999, 1.0001))
    assert inside > 1e-4 and outside < 1e-4 * inside


@pytest.mark.parametrize(
    ("phi", "w"),
    covering(
        ["tanh", "erf", "hardtanh", torch.nn.functional.silu],
        [0.3 + 0.2j, 0.7 + 1e-3j, 2.0 + 1e-9j, -1e-9 + 0j, -5.0 + 0j],
    ),
)
def test_the_transform_of_the_slopes_equals_a_sum_over_a_fine_grid(phi, w):
    law = Slopes(phi, 0.8)
    z = np.linspace(-10, 10, 4_000_001)
    d = law.point.derivative(torch.from_numpy(0.8**0.5 * z)).square().numpy()
    weight = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    expected = (weight * d / (w - d)).sum()
    eta = (torch.tensor([w], dtype=torch.complex128) / law.top).log()
    found, one_more, _ = law.transforms(eta)
    tolerance = 2e-6 if phi != "hardtanh" else 1e-5  # of the grid, at a kink
    assert abs(found.item() - expected) < tolerance * max(1, abs(expected))
    assert one_more.item() == pytest.approx(1 + found.item(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("phi", "top"), [("tanh", 1.0), ("erf", 4 / math.pi), ("relu", 1.0)])
def test_the_largest_slope_is_found(phi, top):
    assert Slopes(phi, 0.3).top == pytest.approx(top, rel=1e-15)


def test_the_largest_slope_is_found_off_the_origin():
    assert Slopes(torch.nn.functional.silu, 1.0).top == pytest.approx(1.0998393**2, rel=1e-7)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: s2_max("tanh", 0.0, 1.0, 3), "q_star must be a finite number > 0"),
        (lambda: s2_max("tanh", 0.5, -1.0, 3), "sigma_w must be a finite number > 0"),
        (lambda: s2_max("tanh", 0.5, 1.0, 0), "depth must be a finite number >= 1"),
        (lambda: s2_max("tanh", 0.5, 1.0, 2, "uniform"), "weights must be one of"),
        (lambda: moments("tanh", 0.5, 1.0, 2, "uniform"), "weights must be one of"),
        (lambda: density("tanh", 0.5, 1.0, 2, "gaussian", tensor(0.0)), "s must be > 0"),
    ],
)
def test_bad_input_is_told(call, reason):
    with pytest.raises(ValueError, match=reason):
        call()


WIDE = [  # narrow laws, one layer, tails beyond float64, slopes that underflow or turn, gaps and poles
    ("tanh", 1e-6, 1, "orthogonal"),
    ("tanh", 1e-4, 1, "orthogonal"),
    ("tanh", 1e-6, 200, "orthogonal"),
    ("tanh", 2.0, 200, "orthogonal"),
    ("tanh", 8.0, 1, "orthogonal"),
    ("tanh", 8.0, 100, "gaussian"),
    ("tanh", 40.0, 200, "gaussian"),
    ("erf", 8.0, 1, "orthogonal"),
    ("hardtanh", 0.5, 2, "orthogonal"),
    ("linear", 1.0, 200, "gaussian"),
    ("relu", 1.0, 200, "orthogonal"),
    (torch.nn.functional.silu, 0.5, 2, "gaussian"),
    (torch.nn.functional.gelu, 1.0, 1, "orthogonal"),
    (torch.nn.functional.gelu, 8.0, 1, "orthogonal"),
    (torch.nn.functional.silu, 1e-4, 1, "orthogonal"),
    (torch.nn.functional.softplus, 40.0, 1, "orthogonal"),
    (torch.nn.functional.selu, 40.0, 1, "orthogonal"),
    (torch.nn.functional.selu, 0.01, 2, "orthogonal"),
    (lambda x: torch.nn.functional.leaky_relu(x, 0.1), 1.0, 2, "orthogonal"),
    (lambda x: torch.nn.functional.leaky_relu(x, 0.1), 1.0, 3, "orthogonal"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("phi", "q", "depth", "weights"), WIDE)
def test_the_whole_law_is_there_however_narrow_or_wide_it_is(phi, q, depth, weights):
    w = mu(phi, q) ** -0.5
    law = Spectrum(phi, q, w, depth, weights)
    mean, variance = moments(phi, q, w, depth, weights)
    (s, weight), places = law.grid(), law.atoms()
    mass = law.density(s) * weight
    for power, expected in ((0, 1.0), (2, mean), (4, variance + mean**2)):
        found = (mass * s**power).sum().item() + sum(m * at**power for at, m in places.items())
        assert found == pytest.approx(expected, rel=1e-4)
    log_s, weight = law.log_grid()
    assert (law.log_density(log_s) * weight).sum().item() == pytest.approx(law.bulk, abs=1e-4)


@laws
def test_the_density_is_the_slope_of_the_distribution(phi, q, depth, weights):
    """P(S > s) comes of a closed form of its own."""
    law = Spectrum(phi, q, gain(phi, q), depth, weights)
    at = law.log_grid(60)[0]
    above = law.bulk_above(at) / law.bulk
    at = at[(above > 0.02) & (above < 0.98)][::4]  # nearer to an end only rounding would differ
    step = 3e-4 * (law.log_max() / 2 - at)  # the law's own scale
    slope = (law.survival(at - step) - law.survival(at + step)) / (2 * step)
    torch.testing.assert_close(slope, law.log_density(at), rtol=1e-5, atol=1e-7)


def test_a_law_that_float64_cannot_hold_is_refused_and_its_logarithms_are_not():
    law = Spectrum("tanh", 0.5, 0.01, 200)
    with pytest.raises(ValueError, match="log_grid holds their logarithms"):
        law.grid()
    assert (law.log_grid()[0] < -690).all()
