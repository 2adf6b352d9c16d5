import numpy as np
import pytest
import torch
from cases import SHAPES, randn, same
from torch.utils._python_dispatch import TorchDispatchMode

from isogain.init import gaussian_, glorot_, orthogonal_
from isogain.linalg import bfloat16, newton_schulz, orthogonality_gap, polar, stacks, tall
from isogain.linalg.newton_schulz import Late, NewtonSchulz

DISTANCES = [1e-8, 1e-6, 1e-4, 1e-2, 0.1, 0.5, 3.0]
LINALG_ERROR = torch.linalg.LinAlgError


def near(*shape, gap=1e-3):
    """Orthogonal matrices, each entry off by gap/√(2m) times a normal number."""
    m = min(shape[-2:])
    return orthogonal_(randn(*shape)) + gap / (2 * m) ** 0.5 * randn(*shape)


def far(*shape):
    return 3 * near(*shape)


def nearest(w, gain=1.0):
    u, _, vh = np.linalg.svd(w.numpy(), full_matrices=False)
    return gain * torch.from_numpy(u @ vh)


def after(w, gain=1.0, tolerance=None):
    w = w.clone()
    NewtonSchulz(tolerance)(w, gain)
    return w


def unread(newton_schulz, w, gain=1.0):
    """The branch for other devices than the CPU, on one stack (matrices, n, k)."""
    newton_schulz._unread(tall(w), torch.full((len(w), 1, 1), gain, dtype=w.dtype))


def refuse(*args, **options):
    raise AssertionError("not to be called")


class Watch(TorchDispatchMode):
    """Counts matrix products by their three sizes, and numbers that the host reads."""

    def __init__(self):
        super().__init__()
        self.products, self.read = [], 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        if name in ("mm", "bmm", "addmm", "baddbmm"):
            a, b = args[-2:]
            self.products.append((a.shape[-2], a.shape[-1], b.shape[-1]))
        self.read += name in ("_local_scalar_dense", "is_nonzero")
        return out


def products(w, tolerance=None):
    """How many products of full size it takes."""
    n = w.shape[-1]
    with Watch() as watch:
        after(w, tolerance=tolerance)
    return watch.products.count((n, n, n))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("shape", [*SHAPES, (33, 33), (40, 20), (20, 40)])
def test_the_result_is_gain_times_the_polar_factor_of_numpy(shape, distance):
    w = 1.2 * near(*shape, gap=distance)
    expected = nearest(w, gain=1.2)
    found = after(w, gain=1.2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13 * max(1, 100 * distance))
    assert orthogonality_gap(found, 1.2).max() < 1.5e-14  # the tolerance


@pytest.mark.parametrize("init", [gaussian_, glorot_])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_matrix_that_never_was_orthogonal_is_projected_too(shape, init):
    w = init(randn(*shape))
    same(after(w, gain=0.7), nearest(w, gain=0.7))


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.99, 1.01, 1.2, 3.0])
@pytest.mark.parametrize("n", [8, 12, 33])
def test_one_column_alone_can_be_off(n, factor):
    for column in range(n):
        w = torch.eye(n, dtype=torch.float64)
        w[:, column] *= factor
        same(after(w).abs(), torch.eye(n, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(3, 6, 6), (2, 3, 8, 5), (2, 3, 5, 8)])
@pytest.mark.parametrize("distance", [1e-4, 0.1, 3.0])
def test_every_matrix_has_its_own_gain(shape, distance):
    gain = 0.5 + torch.rand(*shape[:-2], 1, 1, dtype=torch.float64)
    w = gain * near(*shape, gap=distance)
    same(after(w, gain), nearest(w, gain))
    s = torch.linalg.svdvals(after(w, gain))
    same(s, gain.squeeze(-1).expand_as(s))


@pytest.mark.parametrize("shape", SHAPES)
def test_it_works_in_place_and_returns_nothing(shape):
    w = near(*shape)
    address, expected = w.data_ptr(), nearest(w)
    assert NewtonSchulz()(w) is None
    assert w.data_ptr() == address
    same(w, expected)


def test_a_stack_in_many_pieces_is_done_like_matrix_by_matrix(monkeypatch):
    w = torch.cat([near(3, 6, 6), far(2, 6, 6), near(2, 6, 6, gap=1e-7)])
    gain = 0.9 + 0.2 * torch.rand(7, 1, 1, dtype=torch.float64)
    expected = torch.stack([after(m, g) for m, g in zip(w, gain, strict=True)])
    for cached in (1, 72, 36 * 4):
        monkeypatch.setattr(stacks, "CACHED", cached)
        projection, found = NewtonSchulz(), w.clone()
        projection(found, gain)
        same(found, expected)
        assert projection.fallbacks == 2


@pytest.mark.parametrize("instructions", [False, True])
@pytest.mark.parametrize("distance", [0.0, 1e-5, 1e-3, 1e-2, 0.1, 3.0])
@pytest.mark.parametrize("shape", [(64, 64), (3, 90, 30), (30, 90)])
def test_in_single_precision_ten_roundings_are_left(shape, distance, instructions, monkeypatch):
    """Whether or not the CPU has instructions for bfloat16."""
    monkeypatch.setattr(bfloat16, "multiplies_bfloat16", lambda: instructions)
    monkeypatch.setattr(bfloat16, "WORTH", 0)
    found = after(near(*shape, gap=distance).float(), gain=1.2)
    assert orthogonality_gap(found.double(), 1.2).max() < 2e-6


def test_what_is_orthogonal_already_moves_by_rounding_only():
    w = orthogonal_(torch.empty(64, 64))
    assert (after(w) - w).abs().max() < 5e-7


# how many products


@pytest.mark.parametrize("distance, count", [(0, 2), (1e-8, 2), (1e-6, 3), (1e-4, 4)])
def test_the_nearer_the_fewer_products(distance, count):
    assert products(near(3, 32, 32, gap=distance)) == count


@pytest.mark.parametrize("distance, count", [(0, 2), (1e-4, 2), (1e-2, 3), (3e-2, 4)])
def test_single_precision_needs_fewer(distance, count):
    assert products(near(3, 32, 32, gap=distance).float()) == count


@pytest.mark.parametrize("tolerance", [1e-13, 1e-10, 1e-7, 1e-4, 1e-2])
@pytest.mark.parametrize("distance", [1e-3, 1e-2, 0.1])
def test_the_tolerance_is_kept_and_a_looser_one_never_costs_more(distance, tolerance):
    w = near(3, 32, 32, gap=distance)
    assert orthogonality_gap(after(w, tolerance=tolerance)).max() <= tolerance
    assert products(w, tolerance) <= products(w)
    assert products(w, 1.0) == 2 < products(w)


@pytest.mark.parametrize("n, step", [(1, 0.02), (6, 0.02), (8, 0.05)])
def test_the_tolerance_is_kept_for_one_singular_value_too_small(n, step):
    """Shrinking is worse than stretching: the series has terms of one sign there."""
    for size in np.arange(step, 0.9, step):
        w = orthogonal_(randn(n, n))
        w -= (1 - (1 - size) ** 0.5) * w[:, :1] * torch.eye(n, dtype=w.dtype)[:1]
        w = w @ orthogonal_(randn(n, n))
        for tolerance in np.logspace(-6, -1, 21):
            assert orthogonality_gap(after(w, tolerance=tolerance)) <= tolerance


# far matrices


def test_fallbacks_counts_the_matrices_that_were_far_over_all_calls():
    projection = NewtonSchulz()
    projection(torch.cat([near(3, 12, 12), far(2, 12, 12)]))
    assert projection.fallbacks == 2
    projection(near(3, 12, 12))
    assert projection.fallbacks == 2
    projection(far(1, 4, 8, 12))
    assert projection.fallbacks == 6


def test_only_far_matrices_meet_the_svd(monkeypatch):
    w, given = near(5, 12, 12), []
    w[1], w[3] = far(12, 12), 0.1 * far(12, 12)
    expected, distant = nearest(w), w[[1, 3]].clone()
    monkeypatch.setattr(newton_schulz, "polar", lambda x: given.append(x.clone()) or polar(x))
    NewtonSchulz()(w)
    assert len(given) == 1
    assert torch.equal(given[0], distant)
    same(w, expected)


def test_near_matrices_never_meet_the_svd(monkeypatch):
    monkeypatch.setattr(newton_schulz, "polar", refuse)
    for distance in (1e-8, 1e-3, 0.1, 0.2):
        w = near(3, 24, 24, gap=distance)
        same(after(w), nearest(w))


@pytest.mark.parametrize("size, falls", [(0.89, 0), (0.91, 1), (-0.89, 0), (-0.91, 1)])
def test_where_the_gram_error_reaches_nine_tenths_the_svd_takes_over(size, falls):
    w = orthogonal_(randn(1, 1))
    projection = NewtonSchulz()
    projection(w.mul_((1 + size) ** 0.5))
    assert projection.fallbacks == falls
    same(w.abs(), torch.ones_like(w))


def test_the_count_of_fallbacks_is_saved_and_loaded():
    projection, resumed = NewtonSchulz(), NewtonSchulz()
    projection(far(3, 4, 4))
    assert projection.state_dict() == {"fallbacks": 3}
    resumed.load_state_dict(projection.state_dict())
    resumed(far(4, 4))
    assert resumed.fallbacks == 4


SINGULAR = {
    "zero": torch.zeros(12, 12),
    "negative zero": torch.full((5, 5), -0.0),
    "all equal": torch.ones(12, 12),
    "a zero column": torch.eye(12).index_fill(1, torch.tensor([1]), 0),
    "a zero row in a wide matrix": torch.eye(9, 12).index_fill(0, torch.tensor([4]), 0),
    "two equal columns": torch.eye(12, 9).index_copy(1, torch.tensor([3]), torch.eye(12, 1)),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_a_singular_matrix_ends_orthogonal_with_the_polar_factor_of_what_is_left(name):
    w = SINGULAR[name].double()
    found = after(torch.stack([w, near(*w.shape)]), gain=1.3)
    assert orthogonality_gap(found, 1.3).max() < 1e-13
    gram = tall(w).mT @ tall(found[0])  # (XᵀX)^½ g, of which a completion sees nothing
    root = torch.from_numpy(np.linalg.svd((tall(w).mT @ tall(w)).numpy())[0])
    values = torch.from_numpy(np.linalg.svd(tall(w).numpy(), compute_uv=False))
    torch.testing.assert_close(gram, 1.3 * (root * values) @ root.mT, rtol=0, atol=1e-7)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("shape", SHAPES)
def test_entries_that_are_not_finite_are_refused(shape, bad):
    w = near(*shape)
    w.view(-1)[-1] = bad
    with pytest.raises(LINALG_ERROR):
        NewtonSchulz()(w)


@pytest.mark.parametrize("size", [1e60, 1e90, 1e155, 1e200])
def test_a_matrix_whose_gram_overflows_does_not_keep_its_neighbours_from_theirs(size):
    w = near(3, 16, 16, gap=0.1)
    w[0] = size * randn(16, 16)
    expected = nearest(w)
    same(after(w), expected)


# without reading


def test_on_a_cpu_numbers_are_read():
    with Watch() as watch:
        after(near(3, 12, 12))
    assert watch.read


@pytest.mark.parametrize("distance", [1e-8, 1e-3, 0.1])
@pytest.mark.parametrize("shape", [(4, 6, 6), (2, 8, 5), (2, 5, 8), (2, 32, 32)])
def test_without_reading_near_matrices_are_orthogonal_at_once(shape, distance):
    w, projection = 1.2 * near(*shape, gap=distance), NewtonSchulz()
    expected = nearest(w, gain=1.2)
    with Watch() as watch:
        unread(projection, w, gain=1.2)
    assert watch.read == 0
    torch.testing.assert_close(w, expected, rtol=0, atol=1e-5 if distance == 0.1 else 1e-13)
    unread(projection, w, gain=1.2)
    same(w, expected)
    assert projection.fallbacks == 0


def test_without_reading_only_the_count_of_the_last_call_is_read(monkeypatch):
    seen = []
    monkeypatch.setattr(Late, "read", lambda self: seen.append(self.count.clone()) or 0)
    w, projection = near(4, 12, 12), NewtonSchulz()
    w[0], w[2] = far(12, 12), 0 * w[2]
    with Watch() as watch:
        for _ in range(3):
            unread(projection, w)
    assert watch.read == 0
    assert [count.tolist() for count in seen] == [2, 2]


@pytest.mark.parametrize("shape", [(2, 6, 6), (2, 8, 5), (2, 5, 8), (2, 32, 32)])
@pytest.mark.parametrize("size", [0.0, 0.1, 3.0, 1e200])
def test_without_reading_a_far_matrix_waits_for_the_next_call(shape, size):
    w = torch.cat([near(*shape), size * near(*shape)])
    expected, before = nearest(w, gain=5.0), w.clone()
    projection = NewtonSchulz()
    unread(projection, w.mul_(5.0), gain=5.0)
    same(w[:2], expected[:2])
    assert torch.equal(w[2:], 5.0 * before[2:])
    assert projection.fallbacks == 0
    unread(projection, w, gain=5.0)
    assert orthogonality_gap(w, 5.0).max() < 1e-14
    if size:
        same(w, expected)
    assert projection.fallbacks == 2
    unread(projection, w, gain=5.0)
    assert projection.fallbacks == 2


def test_without_reading_a_far_kernel_does_not_send_another_to_the_svd(monkeypatch):
    projection, here, there = NewtonSchulz(), far(2, 12, 12), near(2, 12, 12)
    expected = nearest(there)
    unread(projection, here)
    monkeypatch.setattr(newton_schulz, "polar", refuse)
    for _ in range(2):
        unread(projection, there)
    same(there, expected)
    assert projection.fallbacks == 0


def test_without_reading_entries_that_are_not_finite_are_refused_a_call_later():
    w, projection = near(2, 12, 12), NewtonSchulz()
    w[1, 3, 4] = torch.nan
    unread(projection, w)
    with pytest.raises(LINALG_ERROR):
        unread(projection, w)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("distance", [1e-4, 1e-2, 0.1, 3.0])
@pytest.mark.parametrize("shape", [(64, 64), (48, 20), (20, 48), (4, 64, 64), (2, 4, 32, 32)])
def test_a_gpu_computes_what_a_cpu_computes(shape, distance):
    w = 1.2 * near(*shape, gap=distance).float()
    on_gpu, expected = w.cuda(), after(w, gain=1.2)
    projection = NewtonSchulz().cuda()
    for _ in range(2):  # far ones get their SVD at the second call
        projection(on_gpu, 1.2)
    torch.testing.assert_close(on_gpu.cpu(), expected, rtol=0, atol=1e-5)
