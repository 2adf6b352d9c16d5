"""What is measured along a foreign module, against torch.func."""

import copy
import math

import pytest
import torch
from cases import randn, same
from torch import nn
from torch.func import functional_call, jacrev
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from isogain.diagnostics import (
    curvature,
    factor_spectra,
    jacobian,
    jacobian_extremes,
    jacobian_spectra,
    jacobian_spectrum,
    rectangular,
    signal_gradient_norms,
    signals,
)
from isogain.diagnostics.step import pull_, push
from isogain.init import orthogonal_
from isogain.models.along import along


def by_jacrev(end, starts):
    """∂end/∂start of every example (n,), by torch.func."""
    return torch.stack([jacrev(lambda h: end(h[None])[0].flatten())(h) for h in starts]).detach()


def plain(*widths):
    pairs = zip(widths, widths[1:], strict=False)
    return nn.Sequential(*(m for a, b in pairs for m in (nn.Linear(a, b), nn.Tanh())))[:-1]


def deep(n=12, length=60):
    """A chaotic network in float32, far too ill-conditioned for a plain product."""
    net = plain(*[n] * (length + 1))
    for layer in net[::2]:
        orthogonal_(layer.weight.data, 2.0)
    return net


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_an_mlp_of_unequal_widths_is_that_of_jacrev(dtype):
    net, x = plain(20, 64, 48, 10).to(dtype), torch.randn(3, 20).to(dtype)
    own, inputs = copy.deepcopy(net).double(), x.double()
    expected = torch.linalg.svdvals(by_jacrev(own, inputs)).log()
    found = jacobian_spectrum(along(net, ["1", "3", "4"], from_input=True), x)
    same(found, expected)
    narrowing = jacobian_spectrum(along(net, ["1", "3", "4"]), x)
    h = own[:2](inputs).detach()
    same(narrowing, torch.linalg.svdvals(by_jacrev(own[2:], h)).log())


def test_beyond_a_narrower_layer_logarithms_are_minus_infinity_exactly():
    net, x = plain(9, 8, 3, 8, 7), torch.randn(2, 9)
    spectra = jacobian_spectra(along(net, "*", from_input=True), x, [0, 3, 6])
    assert spectra.logs.shape == (2, 3, 7)
    assert spectra.logs[:, 0].isfinite().sum(1).tolist() == [3, 3]
    assert (spectra.logs[:, 0, 3:] == -math.inf).all()
    assert spectra.logs[:, 1, 3:].isnan().all() and spectra.logs[:, 1, :3].isfinite().all()
    factors = factor_spectra(along(net, "*", from_input=True), x, [0, 2, 3])
    assert factors.isnan().sum(2).tolist() == [[0, 5, 5], [0, 5, 5]]
    w = net[2].weight.detach().double()
    same(factors[0, 1, :3], torch.linalg.svdvals(w).log())


def test_an_ill_conditioned_product_has_the_logarithms_of_our_own_network():
    from isogain.models.mlp import MLP

    net, x = deep(), torch.randn(2, 12)
    ours = MLP(12, 2, hidden=12, depth=59)
    with torch.no_grad():
        ours.input.load_state_dict(net[0].state_dict())
        for layer, w, b in zip(net[2::2], ours.kernel, ours.bias, strict=True):
            w.copy_(layer.weight)
            b.copy_(layer.bias)
    path = along(nn.Sequential(*net, nn.Tanh()), [str(i) for i in range(1, 120, 2)])
    found, expected = jacobian_spectra(path, x, [0, 30]), jacobian_spectra(ours, x, [0, 30])
    assert found.exact.all() and found.logs.min() < -60
    torch.testing.assert_close(found.logs, expected.logs, rtol=1e-6, atol=1e-6)


class Scaled(nn.Module):
    """A module with arguments of every kind."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x, gate, mode="double", scale=1.0):
        h = torch.tanh(self.a(x)) * gate
        h = torch.relu(self.b(h)) * (2 if mode == "double" else 1)
        return {"out": (self.c(h) * scale,)}


def test_arguments_may_be_tuples_dicts_and_no_tensors():
    net, x, gate = Scaled(), randn(3, 6), randn(3, 6)
    path = along(net, ["a", "b", "c"])
    found = jacobian_spectrum(path, (x, gate, "double"))
    assert torch.equal(found, jacobian_spectrum(path, {"x": x, "gate": gate, "mode": "double"}))
    own = copy.deepcopy(net).double()

    def end(z, i):
        h = torch.tanh(z) * gate[i]
        return own.c(torch.relu(own.b(h)) * 2)

    starts = own.a(x).detach()
    factors = [jacrev(lambda z, i=i: end(z, i))(z).detach() for i, z in enumerate(starts)]
    torch.testing.assert_close(
        found.exp(), torch.linalg.svdvals(torch.stack(factors)), rtol=1e-9, atol=1e-12
    )


class Residual(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(n), nn.Linear(n, n), nn.GELU(), nn.Dropout(0.3))

    def forward(self, x):
        return x + self.inner(x), None


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Residual(8) for _ in range(4))

    def forward(self, x):
        for block in self.blocks:
            x, _ = block(x)
        return x


def test_residual_blocks_that_give_tuples_are_those_of_jacrev():
    net, x = Tower(), randn(3, 8)
    own = copy.deepcopy(net).double().eval()
    starts = own.blocks[0](x)[0].detach()

    def end(h):
        for block in own.blocks[1:]:
            h, _ = block(h)
        return h

    expected = by_jacrev(end, starts)
    path = along(net, "blocks.*")
    found = jacobian_spectrum(path, x)
    torch.testing.assert_close(found, torch.linalg.svdvals(expected).log(), rtol=0, atol=1e-3)
    same(
        jacobian_spectrum(along(net.double(), "blocks.*"), x), torch.linalg.svdvals(expected).log()
    )
    same(jacobian(path, x), expected)


def test_a_pre_norm_transformer_encoder_is_that_of_jacrev():
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
    net = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).double()
    x, own = randn(1, 8, 32), copy.deepcopy(net).eval()

    def end(h):
        h = h.view(1, 8, 32)
        for layer in own.layers[1:]:
            h = layer(h)
        return h.flatten(1)

    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel has no vmap
        expected = by_jacrev(end, own.layers[0](x).detach().flatten(1))
    path = along(net, "layers.*")
    same(jacobian(path, x), expected)
    s = torch.linalg.svdvals(expected).log()
    torch.testing.assert_close(jacobian_spectrum(path, x), s, rtol=0, atol=1e-9)


def test_a_convolution_is_pulled_and_pushed_alike():
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(True), nn.Flatten()
    )
    examples = along(net, "*", from_input=True).examples(randn(3, 2, 6, 6))
    path, widths = along(net, "*", from_input=True), examples.widths
    most, hs = max(widths), [torch.zeros(3, max(widths))] * len(widths)
    for step in range(len(widths) - 1):
        v, u = randn(3, most), randn(3, 1, most)
        v[:, widths[step] :] = 0
        u[..., widths[step + 1] :] = 0
        pushed = push(path, v, step, hs, examples)
        pulled = pull_(path, u.clone(), step, hs, examples)
        same((u[:, 0] * pushed).sum(1), (pulled[:, 0] * v).sum(1))


@pytest.mark.parametrize("widths", [(9, 8, 7), (7, 8, 9), (8, 8, 8)])
def test_extremes_are_values_with_all_steps_and_bounds_with_fewer(widths):
    net, x = plain(*widths).double(), randn(2, widths[0])
    path = along(net, "*", from_input=True)
    s = torch.linalg.svdvals(by_jacrev(net, x)).log()
    same(jacobian_extremes(path, x), s[:, [0, -1]])
    few = jacobian_extremes(path, x, 4)
    assert (few[:, 0] <= s[:, 0] + 1e-12).all() and (few[:, 1] >= s[:, -1] - 1e-12).all()


def test_extremes_need_no_dense_factor_of_a_large_state(monkeypatch):
    from isogain.diagnostics import exact

    net, x = plain(9, 8, 7).double(), randn(2, 9)
    expected = jacobian_extremes(along(net, "*", from_input=True), x, 4)
    monkeypatch.setattr(exact, "LARGEST", 4)
    same(jacobian_extremes(along(net, "*", from_input=True), x, 4), expected)


def test_a_state_too_large_for_a_dense_matrix_is_refused_with_its_size(monkeypatch):
    monkeypatch.setattr(rectangular, "LARGEST", 8)
    path = along(plain(9, 8, 7), "*", from_input=True)
    with pytest.raises(ValueError, match="of 9 numbers .* jacobian_extremes or jacobian_density"):
        jacobian_spectrum(path, torch.randn(2, 9))


def test_the_gradients_of_states_are_those_of_autograd():
    net, x, y = plain(9, 8, 7, 4), torch.randn(3, 9), torch.tensor([0, 1, 2])
    found = signal_gradient_norms(along(net, ["0", "1", "3"], from_input=True), x, y, cross_entropy)
    weights = {name: p.detach().double() for name, p in net.named_parameters()}
    h = x.double().requires_grad_()
    states = [h]
    for name, layer in net.named_children():
        own = {
            key.removeprefix(f"{name}."): w
            for key, w in weights.items()
            if key.startswith(f"{name}.")
        }
        h = functional_call(layer, own, h)
        states += [h] if name in ("0", "1", "3") else []
    loss = cross_entropy(h, y, reduction="sum")
    grads = torch.autograd.grad(loss, states)
    same(found, torch.stack([g.norm(dim=1).log() for g in grads], 1))


def test_signals_are_those_of_the_states():
    net, x = plain(9, 8, 7), torch.randn(5, 9)
    path = along(net, "*", from_input=True)
    found = signals(path, x)
    same(found.q[:, 0], torch.stack([h.square().mean() for h in path.states(x)]))
    assert found.q.shape == (4, 1) and found.dead.isnan().all()


class Once(torch.autograd.Function):
    """A function whose backward pass looks at a number, which no vmap can."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx, grad):
        assert grad.sum().item() == grad.sum().item()
        return 2 * ctx.saved_tensors[0] * grad


class Squares(nn.Module):
    def forward(self, x):
        return Once.apply(x)


def test_a_backward_pass_that_cannot_be_batched_goes_row_by_row():
    net, x = nn.Sequential(nn.Linear(4, 4), Squares()).double(), randn(2, 4)
    h = net[0](x).detach()
    same(jacobian(along(net, "*"), x), torch.diag_embed(2 * h))


def test_a_curvature_of_a_foreign_module_is_refused_by_name():
    with pytest.raises(TypeError, match="Network of isogain's own, got Along"):
        curvature(along(plain(3, 3, 3), "*"), torch.randn(2, 3), torch.tensor([0, 1]))


@pytest.mark.slow
def test_resnet_18_has_the_extremes_and_the_density_of_jacrev():
    from torchvision.models import resnet18

    from isogain.diagnostics import jacobian_density

    net, x = resnet18(num_classes=10).double(), randn(1, 3, 32, 32)
    own = copy.deepcopy(net).eval()

    def end(h):
        return own.layer4(own.layer3(own.layer2(h.view(1, 64, 8, 8)))).flatten(1)

    start = own.layer1(own.maxpool(own.relu(own.bn1(own.conv1(x))))).detach().flatten(1)
    s = torch.linalg.svdvals(by_jacrev(end, start)).log()[0]
    path = along(net, ["layer1.0", "layer1", "layer2", "layer3.1", "layer4"][1:])
    extremes = jacobian_extremes(path, x, 24)[0]
    torch.testing.assert_close(extremes[0], s[0], rtol=0, atol=1e-6)
    assert extremes[1] >= s[-1] - 1e-9
    density = jacobian_density(path, x, steps=40, probes=6)
    resolved = s[s > s[0] - 30]  # units that are off make the rest zero: known by their weight
    at = torch.quantile(resolved, torch.tensor([0.25, 0.5, 0.75], dtype=s.dtype))
    value, error = density.cdf(at)
    expected = (s.unsqueeze(-1) <= at).double().mean(0)
    assert ((value[0] - expected).abs() <= 4 * error[0] + 0.02).all()
    assert net.training
