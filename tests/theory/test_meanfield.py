"""Lengths, correlations and the critical line, against published numbers and identities."""

import itertools
import math

import pytest
import torch

from isogain.theory.meanfield import (
    c_star,
    chi,
    correlation_map,
    correlation_slope,
    critical,
    critical_q,
    depth_scales,
    length_map,
    mu,
    phase,
    phase_diagram,
    q_star,
)

SMOOTH = ["tanh", "erf", "hardtanh", torch.nn.functional.gelu]
POINTS = [(0.8, 0.3), (1.2, 0.1), (1.5, 0.2), (3.0, 0.7)]


@pytest.mark.parametrize(
    ("q", "w2", "b2", "variance"),
    [
        (1e-4, "1.000200", "1.33e-12", "1.6e-05"),
        (1 / 64, "1.030558", "4.65e-06", "3.38e-01"),
        (0.5, "1.687975", "3.804e-02", "5.98e+01"),
        (0.82135, "2.000", "1.0378e-01", "9.75e+01"),
    ],
)
def test_the_critical_line_of_tanh_is_the_one_of_the_literature(q, w2, b2, variance):
    """The q* of Sokół and Park 2020; the variance of s² at depth 200, to all printed digits."""
    sigma_w, sigma_b = critical("tanh", q)

    def printed(value, like):
        digits = len(like.partition(".")[2].partition("e")[0])
        return format(value, f".{digits}{'e' if 'e' in like else 'f'}")

    assert printed(sigma_w**2, w2) == w2
    assert printed(sigma_b**2, b2) == b2
    assert printed(200 * (mu("tanh", q, 2) / mu("tanh", q) ** 2 - 1), variance) == variance


@pytest.mark.parametrize(("w2", "q", "b2"), [(1.05, 0.025921, 2.01e-5), (2.0, 0.82135, 0.10378)])
def test_q_star_of_a_critical_sigma_w_is_the_one_of_the_literature(w2, q, b2):
    found = critical_q("tanh", math.sqrt(w2))
    assert found == pytest.approx(q, abs=0.6 * 10 ** -(5 if w2 == 2 else 6))
    assert critical("tanh", found)[1] ** 2 == pytest.approx(b2, rel=3e-3)


@pytest.mark.parametrize("q", [1e-6, 1e-4, 1 / 64, 0.3, 1.0, 8.0])
@pytest.mark.parametrize("phi", SMOOTH)
def test_a_critical_point_is_a_fixed_point_with_chi_1(phi, q):
    if phi == "hardtanh" and q < 0.05:
        pytest.skip("1 - sigma_w is below rounding")
    sigma_w, sigma_b = critical(phi, q)
    assert chi(phi, q, sigma_w) == pytest.approx(1, rel=1e-13)
    assert length_map(phi, q, sigma_w, sigma_b) == pytest.approx(q, rel=1e-13)
    if phi != torch.nn.functional.gelu:  # whose length map has a second fixed point
        assert q_star(phi, sigma_w, sigma_b) == pytest.approx(q, rel=1e-9)
        assert phase(phi, sigma_w, sigma_b) == "critical"


@pytest.mark.parametrize("q", [1e-4, 1 / 64, 0.5, 8.0])
@pytest.mark.parametrize("phi", ["tanh", "erf"])
def test_the_critical_line_is_the_same_read_either_way(phi, q):
    assert critical_q(phi, critical(phi, q)[0]) == pytest.approx(q, rel=1e-9)


@pytest.mark.parametrize("q", [0.06, 0.5, 8.0])
def test_hardtanh_is_critical_where_sigma_w_squared_is_one_over_its_linear_share(q):
    """p = erf(1/√(2q*)). Pennington, Schoenholz and Ganguli 2017, section 2.4."""
    sigma_w, _ = critical("hardtanh", q)
    assert sigma_w**2 == pytest.approx(1 / math.erf(1 / math.sqrt(2 * q)), rel=1e-13)
    assert critical_q("hardtanh", sigma_w) == pytest.approx(q, rel=1e-9)


@pytest.mark.parametrize("q", [1e-4, 1.0, 50.0])
def test_relu_and_linear_have_one_critical_point_at_any_length(q):
    assert critical("relu", q) == pytest.approx((math.sqrt(2), 0), abs=1e-15)
    assert critical("linear", q) == pytest.approx((1, 0), abs=1e-15)
    leaky = critical(torch.nn.functional.leaky_relu, q)
    assert leaky == pytest.approx((math.sqrt(2 / 1.0001), 0), abs=1e-14)


@pytest.mark.parametrize(("w", "b"), POINTS)
@pytest.mark.parametrize("phi", SMOOTH)
def test_q_star_is_where_iteration_ends(phi, w, b):
    if phi == torch.nn.functional.gelu and w > 1.3:
        pytest.skip("its lengths grow without bound")
    q = 1.0
    for _ in range(3000):
        q = length_map(phi, q, w, b)
        if abs(length_map(phi, q, w, b) - q) < 1e-15:
            break
    assert q_star(phi, w, b) == pytest.approx(q, rel=1e-12)


@pytest.mark.parametrize(("w", "b"), POINTS)
@pytest.mark.parametrize("phi", ["tanh", "erf", "hardtanh"])
def test_chi_is_the_slope_of_the_correlation_map_at_1(phi, w, b):
    q = q_star(phi, w, b)
    assert correlation_slope(phi, 1.0, q, w) == pytest.approx(chi(phi, q, w), rel=1e-12)
    assert correlation_map(phi, 1.0, q, w, b) == pytest.approx(1, rel=1e-12)
    for c in (0.0, 0.4):
        ahead, behind = (correlation_map(phi, c + e, q, w, b) for e in (1e-5, -1e-5))
        found = correlation_slope(phi, c, q, w)
        assert found == pytest.approx((ahead - behind) / 2e-5, rel=1e-8)


@pytest.mark.parametrize(("w", "b"), [(1.5, 0.2), (3.0, 0.7)])
@pytest.mark.parametrize("phi", ["erf", "tanh"])
def test_c_star_is_where_iteration_ends_in_the_chaotic_phase(phi, w, b):
    q, found = q_star(phi, w, b), c_star(phi, w, b)
    assert phase(phi, w, b) == "chaotic" and 0 < found < 1
    assert correlation_map(phi, found, q, w, b) == pytest.approx(found, rel=1e-12)
    assert correlation_slope(phi, found, q, w) < 1


def test_in_the_ordered_phase_all_correlates_and_on_the_line_depth_is_unbounded():
    assert phase("tanh", 1.0, 0.3) == "ordered" and c_star("tanh", 1.0, 0.3) == 1
    _, xi_c = depth_scales("tanh", 1.0, 0.3)
    assert xi_c == pytest.approx(-1 / math.log(chi("tanh", q_star("tanh", 1.0, 0.3), 1.0)))
    _, xi_c = depth_scales("tanh", *critical("tanh", 0.5))
    assert xi_c == math.inf


def test_lengths_and_correlations_settle_at_the_rate_of_the_depth_scales():
    w, b = 1.7, 0.3
    q, c = q_star("erf", w, b), c_star("erf", w, b)
    xi_q, xi_c = depth_scales("erf", w, b)
    off = 1e-5
    after = length_map("erf", q * (1 + off), w, b) / q - 1
    assert after / off == pytest.approx(math.exp(-1 / xi_q), rel=1e-4)
    after = correlation_map("erf", c + off, q, w, b) - c
    assert after / off == pytest.approx(math.exp(-1 / xi_c), rel=1e-4)


def test_signals_die_out_below_the_line_without_bias():
    assert q_star("tanh", 0.9, 0.0) == 0 == q_star("tanh", 1.0, 0.0)
    assert chi("tanh", 0.0, 0.9) == pytest.approx(0.81)
    assert q_star("tanh", 1 + 1e-6, 0.0) == pytest.approx(1e-6, rel=1e-3)  # σ_w² − 1 = 2q
    assert critical_q("tanh", 1.0) == 0


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: q_star("relu", 1.5, 0.0), "grows without bound"),
        (lambda: q_star("linear", 1.0, 0.1), "grows without bound"),
        (lambda: q_star("relu", math.sqrt(2), 0.0), "every length is kept"),
        (lambda: q_star("tanh", -1.0, 0.0), "sigma_w must be a finite number >= 0, got -1"),
        (lambda: q_star("tanh", math.nan, 0.0), "sigma_w must be a finite number"),
        (lambda: critical_q("relu", math.sqrt(2)), "every q_star is critical"),
        (lambda: critical_q("relu", 1.3), "chi < 1 at every q_star"),
        (lambda: critical_q("tanh", 0.99), "chi < 1 at every q_star"),
        (lambda: critical_q("linear", 1.1), "chi > 1 at every q_star"),
        (lambda: critical("tanh", 0.0), "q_star must be a finite number > 0"),
        (lambda: critical(torch.sigmoid, 0.5), "sigma_b² would be < 0"),
        (lambda: critical(torch.sign, 0.5), "its slope is 0"),
        (lambda: phase("relu", 1.5, 0.0), "grows without bound"),
        (lambda: q_star(torch.relu, torch.tensor([1.0, 1.5]), 0.1), "sigma_w=1.5, sigma_b=0.1"),
    ],
)
def test_what_has_no_solution_is_told_with_the_reason(call, reason):
    with pytest.raises(ValueError) as told:
        call()
    assert reason in str(told.value) and "\n" not in str(told.value)


def test_relu_is_critical_on_its_point():
    assert phase("relu", math.sqrt(2), 0.0) == "critical" and phase("relu", 1.3, 0.1) == "ordered"


def test_a_grid_holds_the_numbers_of_its_points():
    w = torch.tensor([[0.7], [1.3]], dtype=torch.float64)
    b = torch.tensor([0.0, 0.2, 1.0], dtype=torch.float64)
    q, slope = phase_diagram("tanh", w, b)
    assert q.shape == slope.shape == (2, 3)
    for i, j in itertools.product(range(2), range(3)):
        at = w[i].item(), b[j].item()
        assert q[i, j].item() == pytest.approx(q_star("tanh", *at), rel=1e-13)
        assert slope[i, j].item() == pytest.approx(chi("tanh", q_star("tanh", *at), at[0]))
    sigma_w, sigma_b = critical("tanh", torch.tensor([0.1, 0.5]))
    assert sigma_w.shape == sigma_b.shape == (2,) and sigma_w.dtype == torch.float64


def test_a_diagram_has_a_place_for_what_has_no_length():
    q, slope = phase_diagram(
        "relu", torch.tensor([1.0, math.sqrt(2), 1.5], dtype=torch.float64), 0.0
    )
    assert q[0] == 0 and q[1].isnan() and q[2] == math.inf
    torch.testing.assert_close(slope, torch.tensor([0.5, 1, 1.125]).double())


def test_every_point_of_a_phase_diagram_is_a_fixed_point():
    w = torch.linspace(0.5, 3, 100, dtype=torch.float64)[:, None]
    b = torch.linspace(0, 1, 100, dtype=torch.float64)
    q, _ = phase_diagram("tanh", w, b)
    torch.testing.assert_close(length_map("tanh", q, w, b), q, rtol=1e-12, atol=0)
