import copy

import pytest
import torch
from cases import randn, same, small
from foreign import CASES, B, C, jacobian, mlp
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from isogain.diagnostics import gram, layer_gram
from isogain.diagnostics.fisher import curvature, fisher_eigenvalues, ntk_spectrum
from isogain.models.mlp import MLP

pytestmark = [  # of torch, by the references that these tests compare with
    pytest.mark.filterwarnings("ignore:TF32 acceleration"),
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
]


@pytest.fixture(params=CASES)
def case(request):
    build, inputs = CASES[request.param]
    return build().double(), inputs()


def targets(z, loss):
    return torch.randint(C, z.shape[:-1]) if loss == "cross_entropy" else torch.randn_like(z)


def hessian(z, y, kind, loss):
    """H of every example, all rows of it together; (B, D, D)."""
    if kind == "empirical":
        g = z.softmax(-1) - one_hot(y, C) if loss == "cross_entropy" else z - y
        g = g.flatten(1)
        return g[:, :, None] * g[:, None]
    if loss == "squared":
        return torch.eye(z[0].numel()).double().expand(len(z), -1, -1)
    p = z.softmax(-1).reshape(len(z), -1, C)
    blocks = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
    return torch.stack([torch.block_diag(*example) for example in blocks])


def spectrum(j, h):
    return torch.linalg.eigvalsh(torch.einsum("bip,bij,bjq->pq", j, h, j)).flip(0)


def near(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-7, atol=1e-9 * expected[0].item())


def by_lanczos(monkeypatch):
    monkeypatch.setattr(gram, "FORMED", 0)
    monkeypatch.setattr(layer_gram, "FORMED", 0)


def by_parameters(monkeypatch):
    by_lanczos(monkeypatch)
    monkeypatch.setattr(gram, "DUAL", 0)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize(
    "kind", ["exact", pytest.param("ggn", marks=pytest.mark.slow), "empirical"]
)
def test_every_fisher_of_any_module_is_that_of_the_definition(case, kind, loss, monkeypatch):
    net, x = case
    j, z = jacobian(net, x)
    y = targets(z, loss)
    expected = spectrum(j, hessian(z, y, kind, loss) / B)
    dual = curvature(net, x, y, 3, kind, loss)
    assert dual.method == "dual" and dual.rank == (expected > 1e-12 * expected[0]).sum()
    same(dual.trace, expected.sum().item())
    near(dual.eigenvalues, expected[:3])
    near(fisher_eigenvalues(net, x, y, 3, kind, loss), expected[:3])
    by_lanczos(monkeypatch)
    free = curvature(net, x, y, 3, kind, loss)
    assert free.method == "lanczos" and free.rank is None
    same(free.trace, expected.sum().item())
    near(free.eigenvalues, expected[:3])
    by_parameters(monkeypatch)
    free = curvature(net, x, y, 3, kind, loss)
    near(free.eigenvalues, expected[:3])
    assert free.trace is None


def test_the_monte_carlo_fisher_is_the_empirical_one_of_drawn_targets(case):
    net, x = case
    _, z = jacobian(net, x)
    drawn = torch.multinomial(
        z.softmax(-1).flatten(0, -2), 1, generator=torch.Generator().manual_seed(4)
    )
    found = curvature(net, x, drawn, 3, "mc", generator=torch.Generator().manual_seed(4))
    expected = curvature(net, x, drawn.view(z.shape[:-1]), 3, "empirical")
    near(found.eigenvalues, expected.eigenvalues)


def test_the_tangent_kernel_of_any_module_is_j_jt(case):
    net, x = case
    j = jacobian(net, x)[0].flatten(0, 1)
    expected = torch.linalg.eigvalsh(j @ j.mT).flip(0)
    near(ntk_spectrum(net, x), expected)


def waves(z, y):
    """Convex in some directions and not in others; a mean over examples."""
    return (z.sin() * y + z.pow(2).prod(-1, keepdim=True)).flatten(1).sum(1).mean()


@pytest.mark.parametrize("reduction", ["sum", pytest.param("mean", marks=pytest.mark.slow)])
def test_the_gauss_newton_matrix_of_a_function_has_its_hessian(case, reduction, monkeypatch):
    net, x = case
    j, z = jacobian(net, x)
    y, scale = torch.randn_like(z), 1 if reduction == "mean" else B
    loss = lambda z, y: scale * waves(z, y)  # noqa: E731
    h = torch.autograd.functional.hessian(lambda z: loss(z, y), z)
    size = z[0].numel()
    h = h.reshape(B, size, B, size)
    expected = spectrum(j, torch.stack([h[b, :, b] for b in range(B)]))
    assert expected[-1] < -1e-4  # an indefinite one
    dual = curvature(net, x, y, 4, "ggn", loss)
    same(dual.trace, expected.sum().item())
    assert dual.method == "dual" and dual.condition is None
    near(dual.eigenvalues, expected[:4])
    by_lanczos(monkeypatch)
    free = curvature(net, x, y, 4, "ggn", loss)
    near(free.eigenvalues, expected[:4])
    same(free.trace, expected.sum().item())
    by_parameters(monkeypatch)
    near(fisher_eigenvalues(net, x, y, 4, "ggn", loss), expected[:4])


@pytest.mark.parametrize("kind", ["ggn", "empirical"])
def test_a_loss_function_that_is_cross_entropy_is_the_built_in_one(kind):
    net, x, y = mlp().double(), randn(B, 3), torch.randint(C, (B,))
    found = curvature(net, x, y, 3, kind, nn.CrossEntropyLoss())
    near(found.eigenvalues, curvature(net, x, y, 3, kind).eigenvalues)
    total = curvature(net, x, y, 3, kind, lambda z, y: cross_entropy(z, y, reduction="sum"))
    near(total.eigenvalues, B * found.eigenvalues)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
@pytest.mark.parametrize("name", ["mlp", "convolutions", "lstm"])
def test_the_largest_eigenvalues_of_any_module_are_those_of_curvlinops(name):
    curvlinops = pytest.importorskip("curvlinops", reason="make test installs it")
    build, inputs = CASES[name]
    net, x, y = build().double().eval(), inputs(), torch.randint(C, (B,))
    weights = {n: p for n, p in net.named_parameters()}
    with torch.backends.mkldnn.flags(enabled=False):
        for kind, operator in [
            ("exact", curvlinops.GGNLinearOperator),
            ("empirical", curvlinops.EFLinearOperator),
        ]:
            matrix = operator(net, nn.CrossEntropyLoss(), list(weights.values()), [(x, y)])
            dense = matrix @ torch.eye(matrix.shape[0], dtype=torch.float64)
            near(fisher_eigenvalues(net, x, y, 3, kind), torch.linalg.eigvalsh(dense).flip(0)[:3])


def test_our_networks_take_a_loss_function_too():
    net, x, y = small(MLP), randn(B, 5, 3), torch.randint(C, (B,))
    found = curvature(net, x, y, 3, "ggn", nn.CrossEntropyLoss())
    near(found.eigenvalues, curvature(net, x, y, 3).eigenvalues)


def test_frozen_parameters_are_left_out():
    net, x = mlp().double(), randn(B, 3)
    net[0].weight.requires_grad_(False)
    net[3].bias.requires_grad_(False)
    j, z = jacobian(net, x)
    expected = spectrum(j, hessian(z, None, "exact", "cross_entropy") / B)
    near(curvature(net, x, z.argmax(-1), 3).eigenvalues, expected[:3])
    with pytest.raises(ValueError, match="^k must be at least 1"):
        curvature(net, x, z.argmax(-1), j.shape[-1] + 1)


class Noted(nn.Module):
    """Counts its calls, and fails at the one that it is asked to."""

    def __init__(self, fails):
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(3), nn.Linear(3, C)
        self.calls, self.fails = 0, fails

    def forward(self, x):
        self.calls += 1
        if self.calls == self.fails:
            raise ArithmeticError
        return self.linear(self.norm(x))


@pytest.mark.parametrize("fails", [0, 1, 3])
def test_measuring_leaves_a_module_as_it_was_also_after_an_exception(fails):
    net, x, y = Noted(fails), torch.randn(B, 3), torch.randint(C, (B,))
    net.linear.bias.requires_grad_(False)
    net.norm.eval()
    net.linear.weight.grad = torch.ones_like(net.linear.weight)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    hook, draws = net.register_forward_hook(lambda *_: None), torch.get_rng_state()
    modes = [m.training for m in net.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    for measure in (fisher_eigenvalues, curvature):
        if fails:
            with pytest.raises(ArithmeticError):
                measure(net, x, y)
        else:
            measure(net, x, y)
    assert [m.training for m in net.modules()] == modes and net.calls == 0
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert (net.linear.weight.grad == 1).all() and net.norm.weight.grad is None
    assert [p.requires_grad for p in net.parameters()] == [True, True, True, False]
    assert list(net._forward_hooks) == [hook.id] and not net.linear._forward_hooks
    assert torch.equal(torch.get_rng_state(), draws)
    assert torch.backends.mha.get_fastpath_enabled() == fast


class Draws(nn.Linear):
    """Dropout that nobody turns off."""

    def forward(self, x):
        return nn.functional.dropout(super().forward(x), 0.5, training=True)


@pytest.mark.parametrize(
    ("net", "x", "message"),
    [
        (
            nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)),
            (B, 3),
            "^0 .* no running statistics",
        ),
        (Draws(3, 8), (B, 3), "other outputs alone than in a batch"),
        (nn.Sequential(nn.Flatten(0)), (B, 3), "no parameter with requires_grad"),
        (nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)), (B, 3), r"returns \(1,\) for one example"),
    ],
)
def test_what_has_no_examples_of_their_own_is_refused(net, x, message):
    with pytest.raises(ValueError, match=message):
        fisher_eigenvalues(net, torch.randn(x), torch.zeros(B).long())


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
def test_complex_parameters_are_refused():
    net = nn.Linear(3, 2).to(torch.complex64)
    with pytest.raises(ValueError, match="^weight is complex"):
        fisher_eigenvalues(net, torch.randn(B, 3), torch.zeros(B).long())


def test_what_is_no_loss_or_target_is_refused():
    net, x, y = nn.Linear(3, C), torch.randn(B, 3), torch.randint(C, (B,))
    with pytest.raises(TypeError, match="LSTM returns tuple: wrap it"):
        fisher_eigenvalues(nn.LSTM(3, 2), torch.randn(B, 4, 3), y)
    with pytest.raises(ValueError, match="neither the mean nor the sum"):
        fisher_eigenvalues(net, x, y, 1, "ggn", lambda z, y: z.square().mean(0).norm())
    with pytest.raises(ValueError, match="pass kind='ggn'"):
        fisher_eigenvalues(net, x, y, loss=nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="one number"):
        fisher_eigenvalues(net, x, y, 1, "ggn", nn.CrossEntropyLoss(reduction="none"))
    with pytest.raises(ValueError, match="classes from 0 to 3, got -100"):
        fisher_eigenvalues(net, x, torch.tensor([-100, 0, 1]), kind="empirical")
    with pytest.raises(ValueError, match=r"y must have the shape \(3,\)"):
        fisher_eigenvalues(net, x, y[:2], kind="empirical")
    with pytest.raises(ValueError, match="same number of examples"):
        fisher_eigenvalues(net, (x, x[:2]), y)


def test_in_inference_mode_and_half_precision_a_module_is_measured_all_the_same():
    net, y = nn.Linear(3, C).bfloat16(), torch.randint(C, (B,))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        x = torch.randn(B, 3)
        found = fisher_eigenvalues(net, x, y)
    expected = fisher_eigenvalues(copy.deepcopy(net).double(), x.clone().double(), y)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_a_layer_used_twice_or_with_its_weight_used_elsewhere_is_not_measured_layer_by_layer():
    class Twice(nn.Linear):
        pass

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(C, C)

        def forward(self, x):
            return nn.functional.linear(self.linear(x).tanh(), self.linear.weight)

    shared = nn.Linear(C, C)
    for net in (Tied(), nn.Sequential(shared, nn.Tanh(), shared), Twice(C, C)):
        net, x = net.double(), randn(B, C)
        j, z = jacobian(net, x)
        expected = spectrum(j, hessian(z, None, "exact", "squared") / B)
        near(curvature(net, x, z, 3, loss="squared").eigenvalues, expected[:3])


def test_many_examples_are_taken_in_blocks(monkeypatch):
    from isogain.diagnostics import linearised

    net, x = mlp().double(), randn(5, 3)
    expected = curvature(net, x, None, 3)
    monkeypatch.setattr(linearised, "PASSED", 2)
    monkeypatch.setattr(layer_gram, "PASSED", 2)
    near(curvature(net, x, None, 3).eigenvalues, expected.eigenvalues)
    by_lanczos(monkeypatch)
    near(curvature(net, x, None, 3).eigenvalues, expected.eigenvalues)
