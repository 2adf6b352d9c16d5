import pytest
import torch
from cases import randn, same

from isogain.diagnostics import lanczos
from isogain.diagnostics.lanczos import largest_eigenvalues


def symmetric(values):
    """A matrix with these eigenvalues."""
    q = torch.linalg.qr(randn(len(values), len(values)))[0]
    return q * torch.as_tensor(values, dtype=torch.float64) @ q.mT


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("n", [1, 3, 7, 60])
def test_it_finds_what_a_dense_method_finds(n, k):
    k = min(k, n)
    a = symmetric(torch.logspace(2, -3, n))
    expected = torch.linalg.eigvalsh(a).flip(0)[:k]
    torch.testing.assert_close(largest_eigenvalues(a.matmul, a, k), expected, rtol=1e-9, atol=1e-12)


def test_a_cluster_without_a_gap_is_resolved_to_the_tolerance():
    values = torch.linspace(1, 0, 200, dtype=torch.float64)
    a = symmetric(values)
    same(largest_eigenvalues(a.matmul, a, 2), values[:2])


def test_an_eigenvalue_is_found_as_often_as_it_occurs():
    a = symmetric([5.0, 5.0, 5.0, *range(1, 5), *[0.0] * 20])
    same(largest_eigenvalues(a.matmul, a, 4), torch.tensor([5.0, 5, 5, 4]).double())


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_past_the_rank_there_are_zeros(rank):
    a = symmetric([2.0] * rank + [0.0] * (30 - rank))
    found = largest_eigenvalues(a.matmul, a, 3)
    same(found, torch.tensor([2.0] * rank + [0.0] * (3 - rank)).double())


def test_it_multiplies_far_less_often_than_the_matrix_has_columns():
    a, products = symmetric(torch.logspace(3, -3, 300)), []

    def product(v):
        products.append(v.shape[1])
        return a @ v

    largest_eigenvalues(product, a, 1)
    assert sum(products) < 40


def test_the_answer_is_the_same_every_time_and_no_generator_is_touched():
    a, state = symmetric(torch.linspace(1, 0, 50)), torch.get_rng_state()
    first = largest_eigenvalues(a.matmul, a, 2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(largest_eigenvalues(a.matmul, a, 2), first)


def test_no_convergence_is_an_error_and_not_a_number(monkeypatch):
    monkeypatch.setattr(lanczos, "STEPS", 3)
    a = symmetric(torch.linspace(1, 0, 100))
    with pytest.raises(torch.linalg.LinAlgError, match="no convergence of 1 eigenvalues in 3"):
        largest_eigenvalues(a.matmul, a, 1)


def test_a_spectrum_of_any_size_has_the_same_relative_error():
    q = torch.linalg.qr(torch.randn(60, 60, dtype=torch.float64))[0]
    values = torch.logspace(0, -90, 60, dtype=torch.float64)
    for size in (1e-200, 1.0, 1e200):
        matrix = (q * values * size) @ q.mT
        found = largest_eigenvalues(lambda v, a=matrix: a @ v, matrix, 3)
        torch.testing.assert_close(found / size, values[:3], rtol=1e-10, atol=1e-14)
