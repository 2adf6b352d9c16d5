"""Whatever conf/ builds may be copied, pickled, saved and converted."""

import copy
import io
import pickle

import pytest
import torch
from cases import Kernel, networks, part, parts, randn

from isogain.init.initialiser import as_initialiser
from isogain.reg.base import Regularizer


def saved(thing):
    torch.save(thing, file := io.BytesIO())
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


COPIES = [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing)), saved]
each_way = pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle", "save"])


@each_way
@pytest.mark.parametrize("build", networks())
def test_the_copy_of_a_network_is_another_with_the_same_outputs(build, copied):
    net, x = build(), randn(2, 5, 3)
    twin = copied(net)
    assert torch.equal(twin(x), net(x))
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
    assert all(p.any() for p in net.parameters())
    twin.load_state_dict(net.state_dict())
    assert torch.equal(twin(x), net(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("build", networks())
def test_a_converted_network_computes_in_its_new_precision(build, dtype):
    net, x = build(), randn(2, 5, 3)
    expected = net(x)
    found = net.to(dtype)(x.to(dtype))
    assert found.dtype == dtype
    size = expected.abs().max().item()
    torch.testing.assert_close(
        found.double(), expected, rtol=0, atol=50 * torch.finfo(dtype).eps * size
    )


@each_way
@pytest.mark.parametrize("name", sorted(parts("init")))
def test_the_copy_of_an_initialiser_draws_the_same(name, copied):
    init, ends = part("init", name, 1.2), []
    for draw in (init, copied(init)):
        torch.manual_seed(1)
        ends.append(draw(randn(2, 4, 4)))
    assert torch.equal(*ends)
    assert as_initialiser(copied(init)).options == as_initialiser(init).options


@each_way
@pytest.mark.parametrize("name", sorted(parts("optim")))
@pytest.mark.parametrize("adam", ["scalar", "elementwise"])
def test_the_copy_of_an_optimiser_and_its_network_steps_the_same(name, adam, copied):
    reg = Regularizer()
    reg.adam = adam
    net, optim = Kernel(randn(2, 4, 4)), copied(part("optim", name))
    assert repr(optim) == repr(part("optim", name))
    optimizer = optim(net, reg)
    grads = randn(4, 2, 4, 4)
    stepped(net, optimizer, grads[:2])
    twin, theirs = copied((net, optimizer))
    expected = stepped(net, optimizer, grads[2:])
    assert torch.equal(stepped(twin, theirs, grads[2:]), expected)


def stepped(net, optimizer, grads):
    for grad in grads:
        net.w.grad = grad.clone()
        optimizer.step()
    return net.w.detach()
