import pytest
import torch

from isogain.linalg import bfloat16
from isogain.linalg.bfloat16 import LOST, multiplies_bfloat16, pays, rough_product

SHAPES = [(64, 64, 64), (48, 90, 20), (17, 300, 31)]  # m, n, k


def lost(a, b):
    """How far the product is off, of its Frobenius norm."""
    exact = a.double() @ b.double()
    off = rough_product(a, b).double() - exact
    return (torch.linalg.matrix_norm(off) / torch.linalg.matrix_norm(exact)).max().item()


@pytest.mark.parametrize("m, n, k", SHAPES)
@pytest.mark.parametrize("stack", [(), (3,), (2, 4)])
def test_random_entries_lose_what_three_roundings_lose(stack, m, n, k):
    a, b = torch.randn(*stack, m, n), torch.randn(*stack, n, k)
    assert 0.5 * LOST < lost(a, b) < 1.1 * LOST
    assert 0.5 * LOST < lost(b.mT, a.mT) < 1.1 * LOST


@pytest.mark.parametrize("n", [16, 64, 256])
@pytest.mark.parametrize("kind", ["symmetric", "skew"])
def test_the_square_of_a_symmetric_or_skew_matrix_loses_less(kind, n):
    a = torch.randn(5, n, n)
    a = a + a.mT if kind == "symmetric" else a - a.mT
    assert lost(a, a) < LOST


@pytest.mark.parametrize("entry", [1 + 2**-8, 1 - 2**-9, 1.0039, 1.7])
def test_entries_that_are_all_rounded_the_same_way_lose_at_most_three_roundings_of_one_in_256(
    entry,
):
    a = torch.full((32, 32), entry)
    assert lost(a, a) <= 3.02 * 2**-8 < 4 * LOST


def test_what_bfloat16_can_hold_loses_nothing():
    a = torch.randint(-3, 4, (8, 8)).float()
    b = torch.eye(8).roll(1, 0) * 2.0 ** torch.arange(8)
    assert torch.equal(rough_product(a, b), a @ b)


def test_the_type_stays_and_so_do_the_factors():
    a, b = torch.randn(4, 8), torch.randn(8, 4)
    before = a.clone(), b.clone()
    assert rough_product(a, b).dtype == torch.float32
    assert torch.equal(a, before[0]) and torch.equal(b, before[1])


def test_it_pays_for_large_stacks_in_single_precision_on_a_cpu_with_instructions_for_it(
    monkeypatch,
):
    large = torch.empty(2, 256, 256)
    monkeypatch.setattr(bfloat16, "multiplies_bfloat16", lambda: True)
    assert pays(large)
    assert not pays(large.double())
    assert not pays(torch.empty(128, 128))
    assert not pays(large.to("meta"))
    monkeypatch.setattr(bfloat16, "multiplies_bfloat16", lambda: False)
    assert not pays(large)


def test_the_instructions_are_those_that_torch_found():
    found = torch.cpu.get_capabilities()
    assert multiplies_bfloat16() is found.get("avx512_bf16", False)
