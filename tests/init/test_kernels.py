import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from cases import SHAPES, initialisers, matrices, parts, same

from isogain.init import cayley_, gaussian_, glorot_, henaff_, identity_, orthogonal_
from isogain.init.initialiser import as_initialiser
from isogain.testing import initialiser_contract

ORTHOGONAL = [orthogonal_, henaff_, cayley_, identity_]
ROTATIONS = {henaff_: (-math.pi, math.pi), cayley_: (0, math.pi / 2)}
DRAWS = 20_000
SIGMAS = 4.5  # of a standard error; the seed is fixed, so a pass stays a pass


def empty(*shape):
    return torch.full(shape, torch.nan, dtype=torch.float64)


def angles(w):
    """t of every block [[cos t, sin t], [−sin t, cos t]] on the diagonal."""
    i = torch.arange(0, w.shape[-1] - 1, 2)
    return torch.atan2(w[..., i, i + 1], w[..., i, i])


def assert_mean(samples, expected):
    error = samples.std() / math.sqrt(samples.numel())
    assert abs(samples.mean() - expected) < SIGMAS * error


CLAUSES = [
    pytest.param(clause, id=f"{name}-{clause.name}")
    for name, init in parts("init", gain=1.3).items()
    for clause in initialiser_contract(
        init,
        orthogonal=name in {"orthogonal", "henaff", "cayley", "identity", "critical"},
        random=name != "identity",
    )
]


@pytest.mark.parametrize("clause", CLAUSES)
def test_an_initialiser_of_conf_keeps_its_contract(clause):
    clause()


@pytest.mark.parametrize("shape", [(7, 7), (1, 1), (1, 4), (4, 1)])
@pytest.mark.parametrize("init", ORTHOGONAL)
def test_a_matrix_of_an_odd_or_a_least_size_is_gain_times_orthogonal(init, shape):
    w = init(empty(*shape), gain=1.3)
    s = torch.linalg.svdvals(w)
    same(s, torch.full_like(s, 1.3))


def test_the_trace_of_a_haar_matrix_has_the_moments_of_the_orthogonal_group():
    """Diaconis and Shahshahani 1994, theorem 4: tr Qʲ has mean 1 for even j, else 0."""
    q = orthogonal_(empty(DRAWS, 4, 4))
    trace, squared = (p.diagonal(dim1=-2, dim2=-1).sum(-1) for p in (q, q @ q))
    assert_mean(trace, 0)
    assert_mean(trace**2, 1)
    assert_mean(trace**4, 3)
    assert_mean(squared, 1)
    assert_mean(torch.linalg.det(q), 0)


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6)])
def test_the_entries_of_a_haar_matrix_have_the_moments_of_the_orthogonal_group(shape):
    """Weingarten integrals on O(n), n the longer side."""
    q, n = orthogonal_(empty(DRAWS, *shape)), max(shape)
    assert_mean(q[:, 0, 0], 0)
    assert_mean(q[:, 1, 2] ** 2, 1 / n)
    assert_mean(q[:, 2, 2] ** 4, 3 / (n * (n + 2)))
    assert_mean(q[:, 0, 0] * q[:, 1, 1], 0)
    assert_mean(q[:, 0, 0] ** 2 * q[:, 1, 1] ** 2, (n + 1) / (n * (n - 1) * (n + 2)))


def test_a_haar_rotation_of_the_plane_has_a_uniform_angle():
    q = orthogonal_(empty(DRAWS, 2, 2))
    rotations = q[torch.linalg.det(q) > 0]
    t = angles(rotations).flatten().numpy()
    uniform = scipy.stats.uniform(-math.pi, 2 * math.pi)
    assert scipy.stats.kstest(t, uniform.cdf).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(300, 300), (600, 150), (150, 600), (4, 150, 150)])
def test_gaussian_entries_are_normal_with_variance_gain2_over_k(shape):
    w = gaussian_(empty(*shape), gain=1.5).flatten() / (1.5 / math.sqrt(shape[-1]))
    assert_mean(w, 0)
    assert_mean(w**2, 1)
    assert_mean(w**4, 3)


@pytest.mark.parametrize("shape", [(300, 300), (600, 150), (150, 600), (4, 150, 150)])
@pytest.mark.parametrize(("distribution", "kurtosis"), [("uniform", 1.8), ("normal", 3)])
def test_glorot_entries_have_variance_2_gain2_over_n_plus_k(shape, distribution, kurtosis):
    n, k = shape[-2:]
    w = glorot_(empty(*shape), gain=1.5, distribution=distribution).flatten()
    unit = w / (1.5 * math.sqrt(2 / (n + k)))
    assert_mean(unit, 0)
    assert_mean(unit**2, 1)
    assert_mean(unit**4, kurtosis)


def test_uniform_glorot_fills_the_interval_of_the_paper():
    """Glorot and Bengio 2010, equation 16: U(±√6/√(n + k))."""
    w, bound = glorot_(empty(200, 100)), math.sqrt(6 / 300)
    assert 0.999 * bound < w.abs().max() <= bound


@pytest.mark.parametrize("shape", SHAPES)
def test_identity_is_ones_on_the_main_diagonal(shape):
    for matrix in matrices(identity_(empty(*shape), gain=0.7)):
        same(matrix, torch.from_numpy(0.7 * np.eye(*shape[-2:])))


@pytest.mark.parametrize("n", [6, 7])
def test_henaff_is_the_exponential_of_a_skew_matrix_of_planes(n):
    for w in matrices(henaff_(empty(3, n, n), gain=1.3)):
        a = np.zeros((n, n))
        for plane, t in enumerate(angles(w).tolist()):
            a[2 * plane, 2 * plane + 1], a[2 * plane + 1, 2 * plane] = t, -t
        same(w, torch.from_numpy(1.3 * scipy.linalg.expm(a)))


@pytest.mark.parametrize("n", [6, 7])
def test_cayley_is_the_cayley_transform_of_a_skew_matrix_of_planes(n):
    """Helfrich, Willmott and Ye 2018, section 4.1."""
    for w in matrices(cayley_(empty(3, n, n), gain=1.3)):
        a = np.zeros((n, n))
        for plane, t in enumerate(angles(w).tolist()):
            s = -math.sqrt((1 - math.cos(t)) / (1 + math.cos(t)))
            a[2 * plane, 2 * plane + 1], a[2 * plane + 1, 2 * plane] = s, -s
        same(w, torch.from_numpy(1.3 * scipy.linalg.solve(np.eye(n) + a, np.eye(n) - a)))


@pytest.mark.parametrize("init", ROTATIONS)
def test_the_angles_of_the_planes_are_uniform(init):
    low, high = ROTATIONS[init]
    t = angles(init(empty(DRAWS // 10, 20, 20))).flatten().numpy()
    assert scipy.stats.kstest(t, scipy.stats.uniform(low, high - low).cdf).pvalue > 1e-4


@pytest.mark.parametrize("n", [40, 41])
def test_the_eigenvalues_of_cayley_lie_on_the_right_half_circle(n):
    eigenvalues = np.linalg.eigvals(cayley_(empty(n, n), gain=1.3).numpy())
    assert np.abs(eigenvalues).round(12).tolist() == [1.3] * n
    assert eigenvalues.real.min() > 0
    assert np.isclose(eigenvalues, 1.3).sum() == n % 2


@pytest.mark.parametrize("n", [40, 41])
def test_the_eigenvalues_of_henaff_lie_on_the_whole_circle(n):
    eigenvalues = np.linalg.eigvals(henaff_(empty(n, n), gain=1.3).numpy())
    assert np.abs(eigenvalues).round(12).tolist() == [1.3] * n
    assert eigenvalues.real.min() < -0.9 and eigenvalues.real.max() > 0.9
    assert np.isclose(eigenvalues, 1.3).sum() == n % 2


@pytest.mark.parametrize("init", ROTATIONS)
@pytest.mark.parametrize("shape", [(7, 4), (4, 7)])
def test_a_rectangle_of_rotations_is_cut_from_the_square(init, shape):
    torch.manual_seed(1)
    square = init(empty(7, 7))
    torch.manual_seed(1)
    same(init(empty(*shape)), square[: shape[0], : shape[1]])


def test_single_precision_is_orthogonal_to_single_precision():
    w = orthogonal_(torch.empty(4, 64, 64), gain=1.1)
    assert w.dtype == torch.float32
    assert (torch.linalg.svdvals(w.double()) - 1.1).abs().max() < 1e-5


HALF = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("init", initialisers(1.1))
def test_half_precision_is_drawn_in_float32_and_rounded(init, dtype, shape):
    torch.manual_seed(1)
    found = init(torch.empty(shape, dtype=dtype))
    torch.manual_seed(1)
    single = init(torch.empty(shape))
    if as_initialiser(init).ensemble.startswith(
        ("gaussian", "glorot")
    ):  # entry by entry, which torch draws itself
        assert 0.2 < found.float().std() / single.std() < 5
    else:
        assert torch.equal(found, single.to(dtype))


@pytest.mark.parametrize(
    "w",
    [
        torch.zeros(5),
        torch.tensor(1.0),
        torch.zeros(2, 2, dtype=torch.int64),
        torch.zeros(2, 2, dtype=torch.complex64),
        torch.zeros(2, 2, dtype=torch.bool),
    ],
    ids=str,
)
@pytest.mark.parametrize("init", initialisers())
def test_what_is_no_stack_of_real_matrices_is_refused_in_a_line(init, w):
    with pytest.raises(
        ValueError, match=r"^w must be \(\.\.\., n, k\) and real.*, got .* of "
    ) as told:
        init(w)
    assert "\n" not in str(told.value)
