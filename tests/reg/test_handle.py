"""A handle in a plain loop, with a closure, and by a trainer's hand: the same bits; skipped, copied, saved, removed."""

import copy

import pytest
import torch
from cases import randn
from torch import nn, optim

from isogain.init import orthogonal_
from isogain.linalg import orthogonality_gap
from isogain.reg import SRIP, Soft, Stiefel, regularize

BUILD = {
    "sgd": lambda ps: optim.SGD(ps, lr=0.05, momentum=0.9),
    "adam": lambda ps: optim.Adam(ps, lr=0.05, fused=True),
}


def net_and(build, reg=Stiefel, hooks=True, **options):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 6))
    optimizer = BUILD[build](net.parameters())
    reg = reg(**options)
    return net, optimizer, regularize(optimizer, net, reg, match="*.weight", hooks=hooks, steps=20)


def batches(step):
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(5, 4, generator=generator) for _ in range(2)]  # accumulated


def weights(net):
    return [p.detach().clone() for p in net.parameters()]


def trained(how, clip, build, skips=()):
    """Weights after six steps, of which some overflow and are skipped."""
    net, optimizer, handle = net_and(build, hooks=how != "trainer", gain="learned")
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, enabled=bool(skips))
    for step in range(6):
        optimizer.zero_grad()

        def closure(step=step):
            for x in batches(step):
                scale = torch.inf if step in skips else 1.0
                scaler.scale(scale * net(x).square().sum()).backward()
            if skips:
                scaler.unscale_(optimizer)
            if clip or how == "trainer":
                handle.before_step()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), 0.1)

        if how == "closure":
            optimizer.step(closure)
        else:
            closure()
            scaler.step(optimizer)
            scaler.update()
        if how == "trainer":
            handle.after_step()
    assert handle.step == 6 - len(skips)
    return weights(net)


@pytest.mark.parametrize("build", BUILD)
@pytest.mark.parametrize("clip", [False, True])
def test_loop_closure_and_trainer_lead_to_the_same_bits(build, clip):
    loop, *others = (trained(how, clip, build) for how in ("loop", "closure", "trainer"))
    for other in others:
        assert all(map(torch.equal, loop, other))


@pytest.mark.parametrize("build", BUILD)
@pytest.mark.parametrize("clip", [False, True])
def test_loop_and_trainer_lead_to_the_same_bits_where_a_scaler_skips(build, clip):
    loop, other = (trained(how, clip, build, skips=(0, 3)) for how in ("loop", "trainer"))
    assert all(map(torch.equal, loop, other)) and all(w.isfinite().all() for w in loop)


@pytest.mark.parametrize("hooks", [True, False])
def test_a_skipped_step_changes_no_bit_and_no_count(hooks):
    net, optimizer, handle = net_and("adam", hooks=hooks)
    scaler, before = torch.amp.GradScaler("cpu"), weights(net)
    scaler.scale(torch.inf * net(batches(0)[0]).sum()).backward()
    scaler.unscale_(optimizer)
    if not hooks:
        handle.before_step()
    scaler.step(optimizer)
    handle.after_step()
    assert all(map(torch.equal, weights(net), before)) and handle.step == 0


def test_a_fused_step_under_a_scaler_sees_the_true_gradient():
    results = []
    for scale in (1.0, 2.0**12):
        net, optimizer, _ = net_and("adam", Soft, strength=10.0)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        for step in range(3):
            optimizer.zero_grad()
            scaler.scale(net(batches(step)[0]).square().sum()).backward()
            scaler.step(optimizer)
            scaler.update(scale)
        results.append(weights(net))
    assert all(map(torch.equal, *results))


def test_before_step_sees_the_gradient_of_the_closure_once():
    w = nn.Parameter(orthogonal_(randn(3, 3)))
    optimizer = optim.SGD([w], lr=0.1)
    handle = regularize(optimizer, w, Stiefel())
    direction = randn(3, 3)

    def closure():
        optimizer.zero_grad()
        loss = (w * direction).sum()
        loss.backward()
        return loss

    expected = (w.detach() * direction).sum().item()
    assert optimizer.step(closure=closure).item() == pytest.approx(expected)
    assert (w.grad + w.grad.mT).abs().max() < 1e-12  # the gradient in the frame of w, once
    assert orthogonality_gap(w.detach()).max() < 1e-12 and handle.step == 1


class Twice(optim.SGD):
    """Evaluates its closure twice."""

    @torch.no_grad()
    def step(self, closure=None):
        with torch.enable_grad():
            closure()
            return closure()


class Never(optim.SGD):
    """Does not evaluate its closure."""

    def step(self, closure=None):
        return None


@pytest.mark.parametrize(
    ("kind", "reason"), [(Twice, "again within a step"), (Never, "without evaluating")]
)
def test_an_optimiser_that_mistreats_its_closure_is_refused(kind, reason):
    w = nn.Parameter(torch.eye(2))
    optimizer = kind([w], lr=0.1)
    regularize(optimizer, w, Stiefel())
    with pytest.raises(RuntimeError, match=reason):
        optimizer.step(lambda: w.sum().backward())


def test_a_trainer_that_forgets_before_step_hears_of_it():
    net, optimizer, _ = net_and("sgd", hooks=False)
    net(batches(0)[0]).sum().backward()
    with pytest.raises(RuntimeError, match="call handle.before_step"):
        optimizer.step()


@pytest.mark.parametrize("gain", [1.0, "learned"])
def test_a_parameter_without_a_gradient_stays_whatever_its_stack_does(gain):
    net, optimizer, handle = net_and("sgd", gain=gain)
    for step in range(40):  # past a correction of rounding
        optimizer.zero_grad()
        net(batches(step)[0]).square().sum().backward()
        if step % 2:
            net[2].weight.grad = None
        still = net[2].weight.detach().clone()
        gap = handle.gap()["2.weight"]
        optimizer.step()
        if step % 2:
            assert torch.equal(net[2].weight.detach(), still)
            assert torch.equal(handle.gap()["2.weight"], gap)


def test_a_sparse_gradient_is_refused():
    layer = nn.Embedding(4, 4, sparse=True)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    regularize(optimizer, layer, Stiefel())
    layer(torch.tensor([1])).sum().backward()
    with pytest.raises(TypeError, match="sparse gradient"):
        optimizer.step()


def steps(net, optimizer, begin, count):
    for step in range(begin, begin + count):
        optimizer.zero_grad()
        net(batches(step)[0]).square().sum().backward()
        optimizer.step()
    return weights(net)


@pytest.mark.parametrize(
    ("reg", "options"), [(Stiefel, {"gain": "learned"}), (SRIP, {"strength": 0.1})]
)
@pytest.mark.parametrize("build", BUILD)
def test_a_copy_with_its_optimiser_goes_on_as_the_original(build, reg, options):
    parts = net_and(build, reg, **options)
    steps(*parts[:2], 0, 3)
    twin = copy.deepcopy(parts)
    after = steps(*twin[:2], 3, 2)
    assert twin[2].optimizer is twin[1] and twin[2].step == 5 and parts[2].step == 3
    assert all(map(torch.equal, steps(*parts[:2], 3, 2), after))


@pytest.mark.parametrize(
    ("reg", "options"), [(Stiefel, {"gain": "learned"}), (SRIP, {"strength": 0.1})]
)
@pytest.mark.parametrize("build", BUILD)
def test_a_saved_state_goes_on_as_the_original(build, reg, options):
    parts = net_and(build, reg, **options)
    steps(*parts[:2], 0, 3)
    saved = [copy.deepcopy(part.state_dict()) for part in parts]
    twin = net_and(build, reg, **options)
    for part, state in zip(twin, saved, strict=True):
        part.load_state_dict(state)
    assert twin[2].step == 3
    assert all(map(torch.equal, steps(*twin[:2], 3, 2), steps(*parts[:2], 3, 2)))


def test_a_network_that_is_converted_is_followed():
    net, optimizer, handle = net_and("sgd", gain="learned")
    steps(net, optimizer, 0, 2)
    net.double()
    handle.to(torch.float64)
    optimizer.state.clear()
    optimizer.zero_grad()
    net(batches(0)[0].double()).square().sum().backward()
    optimizer.step()
    assert handle.kernels[0].kernel.dtype == torch.float64


def test_a_removed_handle_leaves_the_optimiser_free():
    net, optimizer, handle = net_and("sgd")
    handle.remove()
    handle.remove()
    free = copy.deepcopy((net, optimizer))
    assert all(map(torch.equal, steps(net, optimizer, 0, 2), steps(*free, 0, 2)))
    assert repr(handle).endswith("removed, step 0)")
    assert not optimizer._optimizer_step_pre_hooks and not optimizer._optimizer_step_post_hooks


def test_time_goes_by_the_handles_own_steps():
    w = nn.Parameter(torch.eye(2))
    optimizer = optim.SGD([w], lr=0.1)
    reg = Soft(strength=1.0, schedule="linear")
    handle = regularize(optimizer, w, reg, steps=4)
    strengths = []
    for _ in range(5):
        w.sum().backward()
        optimizer.step()
        strengths.append(reg.strength_now())
    assert strengths == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0], abs=1e-12) and handle.step == 5


def test_the_penalty_is_that_of_the_weights_now():
    w = nn.Parameter(2 * torch.eye(3))
    handle = regularize(optim.SGD([w], lr=0.1), w, Soft(strength=0.1))
    assert handle.penalty().item() == pytest.approx(2.7)
    with torch.no_grad():
        w.copy_(torch.eye(3))
    assert handle.penalty().item() == 0 and handle.gap()["the parameter"].item() == 0
