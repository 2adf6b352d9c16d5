import copy

import pytest
import torch
from cases import networks, randn, same, small
from torch import nn
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.utils.parametrize import cached

from isogain.diagnostics import fisher
from isogain.diagnostics.fisher import (
    curvature,
    fisher_eigenvalues,
    forms,
    ntk_spectrum,
)
from isogain.diagnostics.output_rows import softmax_factor
from isogain.init import orthogonal_
from isogain.models.lstm import LSTM
from isogain.models.mlp import MLP
from isogain.models.rnn import RNN
from isogain.reg.lie import Lie

B, C = 7, 4
MODELS = [MLP, RNN, LSTM]


def task(loss="cross_entropy"):
    """Inputs and targets."""
    return randn(B, 5, 3), torch.randint(C, (B,)) if loss == "cross_entropy" else randn(B, C)


class Plain(nn.Module):
    """A network by its plain definition, which torch.func can differentiate."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net.readout(self.net.trajectory(self.net.start(x), x))


def jacobians(net, x):
    """∂logits/∂θ, example by example; (B, C, P)."""
    found = []
    for example in x:
        logits = Plain(net)(example[None])[0]
        rows = [torch.autograd.grad(z, list(net.parameters()), retain_graph=True) for z in logits]
        found.append(torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]))
    return torch.stack(found)


def brute_force(net, x, y, kind, loss):
    """F by its definition, (P, P)."""
    j, logits = jacobians(net, x), net(x).detach()
    if kind == "empirical":
        targets = one_hot(y, C) if loss == "cross_entropy" else y
        g = (logits.softmax(-1) if loss == "cross_entropy" else logits) - targets
        h = g[:, :, None] * g[:, None]
    elif loss == "cross_entropy":
        h = torch.autograd.functional.hessian(
            lambda z: cross_entropy(z, y, reduction="sum"), logits
        )
        h = torch.stack([h[b, :, b] for b in range(B)])
    else:
        h = torch.eye(C, dtype=torch.float64).expand(B, C, C)
    return torch.einsum("bcp,bcd,bdq->pq", j, h, j) / B


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("kind", ["exact", "ggn", "empirical"])
@pytest.mark.parametrize("model", MODELS)
def test_every_measure_is_that_of_the_definition(model, kind, loss):
    net, (x, y) = small(model), task(loss)
    f = brute_force(net, x, y, kind, loss)
    values, rank = torch.linalg.eigvalsh(f).flip(0), torch.linalg.matrix_rank(f, hermitian=True)
    found = curvature(net, x, y, 5, kind, loss)
    assert found.method == "dual" and found.rank == rank
    same(found.eigenvalues, values[:5])
    assert found.trace == pytest.approx(f.trace().item())
    assert found.condition == pytest.approx((values[0] / values[rank - 1]).item(), rel=1e-6)
    same(fisher_eigenvalues(net, x, y, 5, kind, loss), values[:5])


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script:FutureWarning"
)  # a dependency's use of torch
@pytest.mark.parametrize("build", networks())
def test_the_largest_eigenvalues_are_those_of_curvlinops(build):
    curvlinops = pytest.importorskip("curvlinops", reason="make test installs it")
    net, (x, y) = build(), task()
    for kind, operator in [
        ("exact", curvlinops.GGNLinearOperator),
        ("empirical", curvlinops.EFLinearOperator),
    ]:
        matrix = operator(Plain(net), nn.CrossEntropyLoss(), list(net.parameters()), [(x, y)])
        dense = matrix @ torch.eye(matrix.shape[0], dtype=torch.float64)
        expected = torch.linalg.eigvalsh(dense).flip(0)[:3]
        torch.testing.assert_close(
            fisher_eigenvalues(net, x, y, 3, kind), expected, rtol=1e-9, atol=1e-11
        )


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("kind", ["exact", "empirical"])
@pytest.mark.parametrize("model", MODELS)
def test_without_the_gram_matrix_the_eigenvalues_and_the_trace_are_the_same(
    model, kind, loss, monkeypatch
):
    net, (x, y) = small(model), task(loss)
    dual, top = curvature(net, x, y, 3, kind, loss), fisher_eigenvalues(net, x, y, 3, kind, loss)
    monkeypatch.setattr(fisher, "DUAL", 0)
    found = curvature(net, x, y, 3, kind, loss)
    assert found.method == "lanczos" and found.rank is None and found.condition is None
    torch.testing.assert_close(found.eigenvalues, dual.eigenvalues, rtol=1e-9, atol=1e-12)
    assert found.trace == pytest.approx(dual.trace)
    torch.testing.assert_close(
        fisher_eigenvalues(net, x, y, 3, kind, loss), top, rtol=1e-9, atol=1e-12
    )


def test_gradients_too_large_to_form_are_not_formed(monkeypatch):
    monkeypatch.setattr(fisher, "FORMED", 1000)
    assert curvature(small(RNN), *task()).method == "lanczos"
    assert curvature(small(MLP), *task()).method == "dual"


def test_the_softmax_factor_is_one_of_the_hessian_of_cross_entropy():
    logits = 3 * randn(6, 5)
    s, p = softmax_factor(logits), logits.softmax(-1)
    assert s.shape == (4, 6, 5)
    same(torch.einsum("rbc,rbd->bcd", s, s), torch.diag_embed(p) - p[:, :, None] * p[:, None])


def test_the_softmax_factor_of_a_certain_prediction_is_zero():
    assert softmax_factor(torch.tensor([[800.0, 0, 0], [0, 0, 800]]).double()).abs().max() < 1e-150


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_the_monte_carlo_fisher_is_the_exact_one_on_average(loss):
    net, examples = small(MLP), 40_000
    x = randn(1, 5, 3).expand(examples, -1, -1)
    s = forms(net, x, x, "mc", loss, torch.Generator().manual_seed(3))
    exact = forms(net, x[:1], x, "exact", loss)
    second = torch.einsum("rbc,rbd->cd", s, s), torch.einsum("rbc,rbd->cd", exact, exact)
    torch.testing.assert_close(*second, rtol=0, atol=0.03)  # five standard errors, 0.007 at most


def test_the_monte_carlo_fisher_needs_a_generator_and_draws_from_it_alone():
    net, (x, y) = small(MLP), task()
    with pytest.raises(ValueError, match="needs a generator"):
        fisher_eigenvalues(net, x, y, kind="mc")
    state = torch.get_rng_state()
    first, again = (
        curvature(net, x, y, 3, "mc", generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(first.eigenvalues, again.eigenvalues)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("build", networks())
def test_the_tangent_kernel_is_j_jt(build):
    net, x = build(), randn(3, 5, 3)
    j = jacobians(net, x).flatten(0, 1)
    same(ntk_spectrum(net, x), torch.linalg.eigvalsh(j @ j.mT).flip(0))


@pytest.mark.parametrize("model", MODELS)
def test_the_tangent_kernel_has_b_times_the_fishers_eigenvalues_for_squared_loss(model):
    net, (x, y) = small(model), task("squared")
    same(ntk_spectrum(net, x), B * curvature(net, x, y, B * C, loss="squared").eigenvalues)


def test_the_fisher_of_a_linear_model_has_the_spectrum_of_its_inputs():
    """Kernels that are zero leave logits = c: the only gradient is that by the output's weight and bias, here by c."""
    net, (x, y) = small(MLP, depth=1), task("squared")
    for p in net.parameters():
        nn.init.zeros_(p)
    found = curvature(net, x, y, C, loss="squared")
    same(found.eigenvalues, torch.ones(C).double())
    assert (found.rank, found.condition) == (C, pytest.approx(1))


def test_a_repeated_batch_has_the_same_fisher():
    net, (x, y) = small(RNN), task()
    twice = fisher_eigenvalues(net, torch.cat([x, x]), torch.cat([y, y]), 3)
    same(twice, fisher_eigenvalues(net, x, y, 3))


@pytest.mark.parametrize("model", MODELS)
def test_a_reparametrised_kernel_counts_as_the_kernel(model):
    net, (x, y) = small(model), task()
    for module, name in net.kernels():
        orthogonal_(getattr(module, name))
    plain = fisher_eigenvalues(net, x, y, 3)
    for module, name in net.kernels():
        Lie().attach(module, name)
    same(fisher_eigenvalues(net, x, y, 3), plain)
    with cached():  # as in a callback
        same(fisher_eigenvalues(net, x, y, 3), plain)
        same(fisher_eigenvalues(net, x, y, 3), plain)  # the first has left the network as it was


@pytest.mark.parametrize("model", MODELS)
def test_single_precision_is_within_a_millionth(model):
    depth = 32 if model is MLP else 1
    net, (x, y) = small(model, hidden=40, depth=depth), task()
    for module, name in net.kernels():
        orthogonal_(getattr(module, name))
    net = net.float()
    expected = fisher_eigenvalues(copy.deepcopy(net).double(), x.float().double(), y)
    found = fisher_eigenvalues(net, x.float(), y)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", ["exact", "mc", "empirical"])
@pytest.mark.parametrize("model", MODELS)
def test_measuring_changes_nothing(model, kind):
    net, (x, y) = small(model).float(), task()
    x = x.float()
    net(x).sum().backward()
    net.eval()
    state = torch.get_rng_state()
    before = [(p, p.detach().clone(), p.grad, p.grad.clone()) for p in net.parameters()]
    with torch.no_grad():
        curvature(net, x, y, 2, kind, generator=torch.Generator())
        fisher_eigenvalues(net, x, y, 2, kind, generator=torch.Generator())
        ntk_spectrum(net, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert not net.training and not x.requires_grad
    for p, (same_p, value, grad, gradient) in zip(net.parameters(), before, strict=True):
        assert p is same_p and p.grad is grad and p.requires_grad
        assert torch.equal(p, value) and torch.equal(grad, gradient)


def test_a_network_with_nan_is_refused():
    net, (x, y) = small(RNN), task()
    with torch.no_grad():
        net.recurrent[0, 1, 2] = torch.nan
    for measure in (fisher_eigenvalues, curvature):
        with pytest.raises(torch.linalg.LinAlgError):
            measure(net, x, y)


@pytest.mark.parametrize("kind", ["exact", "empirical"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("model", [RNN, LSTM])
def test_of_a_network_that_answers_at_every_step_all_steps_count(model, loss, kind):
    net = model(n_in=3, n_out=C, length=5, hidden=4, depth=2, per_step=True).double()
    x = randn(B, 5, 3)
    y = torch.randint(C, (B, 5)) if loss == "cross_entropy" else randn(B, 5, C)
    logits = Plain(net)(x)
    weights, size = list(net.parameters()), 5 * C
    flat = [torch.autograd.grad(z, weights, retain_graph=True) for z in logits.flatten()]
    j = torch.stack([torch.cat([g.flatten() for g in row]) for row in flat]).view(B, size, -1)
    z = logits.detach()
    gradient = z.softmax(-1) - one_hot(y, C) if loss == "cross_entropy" else z - y
    if kind == "empirical":
        h = gradient.flatten(1)[:, :, None] * gradient.flatten(1)[:, None]
    elif loss == "squared":
        h = torch.eye(size).double().expand(B, -1, -1)
    else:
        p = z.softmax(-1)
        blocks = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
        h = torch.stack([torch.block_diag(*example) for example in blocks])
    expected = torch.linalg.eigvalsh(torch.einsum("bip,bij,bjq->pq", j, h, j) / B).flip(0)[:6]
    torch.testing.assert_close(fisher_eigenvalues(net, x, y, 6, kind, loss), expected)
    torch.testing.assert_close(curvature(net, x, y, 6, kind, loss).eigenvalues, expected)
    kernel = ntk_spectrum(net, x)
    assert kernel.shape == (B * size,)
    full = torch.linalg.eigvalsh(j.flatten(0, 1) @ j.flatten(0, 1).mT).flip(0)
    torch.testing.assert_close(kernel, full, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dual", [True, False])
@pytest.mark.parametrize("examples", [1, 2])
def test_as_many_eigenvalues_as_asked_for_whatever_the_rank(monkeypatch, dual, examples):
    if not dual:
        monkeypatch.setattr(fisher, "DUAL", 0)
    net, (x, y) = MLP(n_in=3, n_out=C, length=5, hidden=4, depth=2).double(), task()
    few = fisher_eigenvalues(net, x[:examples], y[:examples], 3)
    for k in (1, 3, 9, 40):
        found = fisher_eigenvalues(net, x[:examples], y[:examples], k)
        whole = curvature(net, x[:examples], y[:examples], k).eigenvalues
        assert found.shape == whole.shape == (k,) and found.dtype == torch.float64
        torch.testing.assert_close(found[:3], few[:k], rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(found, whole, rtol=1e-8, atol=1e-10)
        assert (found.diff() <= 0).all() and not found[examples * (C - 1) :].any()
    size = sum(p.numel() for p in net.parameters())
    for k in (0, size + 1):
        with pytest.raises(ValueError, match="^k must be at least 1"):
            fisher_eigenvalues(net, x, y, k)
