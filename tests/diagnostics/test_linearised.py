import pytest
import torch
from cases import randn, same
from foreign import CASES, jacobian
from torch import nn

from isogain.diagnostics.layer_gram import layer_gram
from isogain.diagnostics.linearised import Linearised
from isogain.diagnostics.measured_copy import measured_copy

pytestmark = [  # of torch, by the references that these tests compare with
    pytest.mark.filterwarnings("ignore:TF32 acceleration"),
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
]


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_products_are_those_with_the_jacobian_forward_and_by_two_backward_passes(name, forward):
    build, inputs = CASES[name]
    net, x = build().double(), inputs()
    j, z = jacobian(net, x)
    with measured_copy(net) as plain:
        model = Linearised(plain, x)
        assert model._has_forward
        model.__dict__["_has_forward"] = forward
        u, v = torch.randn_like(z), randn(model.size)
        same(model.push(v).flatten(1), j @ v)
        same(model.pull(u), torch.einsum("bd,bdp->p", u.flatten(1), j))


@pytest.mark.parametrize("name", ["mlp", "convolutions", "arguments"])
def test_linear_layers_and_convolutions_are_measured_layer_by_layer(name):
    build, inputs = CASES[name]
    net, x = build().double(), inputs()
    j, z = jacobian(net, x)
    rows = randn(2, len(z), z[0].numel())
    g = torch.einsum("rbd,bdp->rbp", rows, j).flatten(0, 1)
    with measured_copy(net) as plain:
        same(layer_gram(Linearised(plain, x), rows), g @ g.mT)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_other_modules_are_not_measured_layer_by_layer(name):
    build, inputs = CASES[name]
    with measured_copy(build().double()) as plain:
        model = Linearised(plain, inputs())
        assert layer_gram(model, model.z.flatten(1)[None]) is None


class Doubled(torch.autograd.Function):
    """The identity, with a gradient of its own, and no forward differentiation."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return 2 * g


class Custom(nn.Linear):
    def forward(self, x):
        return Doubled.apply(super().forward(x))


def test_where_there_is_no_forward_derivative_the_backward_pass_is_what_counts():
    x, v = randn(3, 2), randn(3)
    with measured_copy(Custom(2, 1).double()) as plain:
        model = Linearised(plain, x)
        assert not model._has_forward
        same(model.push(v), 2 * (torch.cat([x, torch.ones_like(x[:, :1])], 1) @ v)[:, None])
