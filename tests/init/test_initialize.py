"""A whole network by type or by pattern: singular values are the gain that is returned, and that of theory."""

import math
from collections import OrderedDict
from functools import partial

import pytest
import torch
from cases import same
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import register_parametrization

import isogain
from isogain import initialize
from isogain.init import gaussian_, glorot_, orthogonal_
from isogain.init.critical import Critical
from isogain.theory import meanfield


def mlp(*phis, width=8):
    layers = [layer for phi in phis for layer in (nn.Linear(width, width), phi())]
    return nn.Sequential(*layers, nn.Linear(width, width)).double()


def spread(w, gain, blocks=1):
    """Every singular value of every block against the gain, in float64."""
    w = w.detach().double()
    s = torch.linalg.svdvals(w.view(blocks, -1, w.shape[-1]))
    same(s, torch.full_like(s, gain))


class Own(nn.Module):
    """A forward of its own."""

    def __init__(self):
        super().__init__()
        self.fc, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)
        self.emb = nn.Embedding(3, 4)

    def forward(self, x):
        return torch.tanh(self.fc(self.norm(x)))


@pytest.mark.parametrize("q", [1 / 64, 0.5, None])
def test_critical_gains_and_biases_are_those_of_theory_for_what_follows(q):
    net = mlp(nn.Tanh, nn.ReLU, nn.Hardtanh, width=200)
    gains = initialize(net, orthogonal_, gain="critical", q_star=q)
    tanh, sigma_b = meanfield.critical("tanh", q or 1 / 64)
    hardtanh = meanfield.critical("hardtanh", q or 1 / 64)[0]
    wanted = {"0.weight": tanh, "2.weight": 2**0.5, "4.weight": hardtanh, "6.weight": 1.0}
    assert gains == pytest.approx(wanted, rel=1e-9)
    for name, gain in gains.items():
        spread(net.get_parameter(name), gain)
    assert net[0].bias.std().item() == pytest.approx(sigma_b, rel=4 / math.sqrt(400))
    assert not net[2].bias.any() and not net[6].bias.any()


def test_sigma_w_gives_its_q_star_and_leaves_scale_free_layers_at_theirs():
    sigma_w, sigma_b = meanfield.critical("tanh", 0.3)
    net = mlp(nn.Tanh, nn.ReLU, width=100)
    gains = initialize(net, gaussian_, gain="critical", sigma_w=sigma_w)
    assert list(gains.values()) == pytest.approx([sigma_w, 2**0.5, 1])
    assert net[0].weight.std().item() == pytest.approx(sigma_w / 10, rel=0.04)
    assert net[0].bias.std().item() == pytest.approx(sigma_b, rel=0.3)


def test_a_signal_of_the_critical_length_keeps_it_through_a_deep_network():
    net = mlp(*[nn.Tanh] * 12, width=400)
    initialize(net, orthogonal_, gain="critical", q_star=0.5)
    h = 0.5**0.5 * torch.randn(16, 400, dtype=torch.float64)  # a pre-activation of variance q*
    for layer in list(net)[2:-1]:
        h = layer(torch.tanh(h)) if isinstance(layer, nn.Linear) else h
    assert h.square().mean().item() == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("gain", [None, 0.7])
@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrences_have_their_gates_filled_apart_and_the_input_left(kind, gates, gain):
    net = kind(5, 6, num_layers=2, bidirectional=True).double()
    before = net.weight_ih_l1.detach().clone(), net.bias_ih_l0.detach().clone()
    gains = initialize(net, partial(orthogonal_, gain=1.3), gain=gain)
    names = [f"weight_hh_l{layer}{way}" for layer in (0, 1) for way in ("", "_reverse")]
    assert gains == dict.fromkeys(names, gain or 1.3)
    for name in names:
        spread(getattr(net, name), gain or 1.3, gates)
    assert torch.equal(net.weight_ih_l1, before[0]) and torch.equal(net.bias_ih_l0, before[1])


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNNCell, 1), (nn.GRUCell, 3), (nn.LSTMCell, 4)])
def test_a_cell_and_the_input_weights_by_pattern_are_split_into_gates_too(kind, gates):
    net = kind(5, 6).double()
    assert list(initialize(net, orthogonal_)) == ["weight_hh"]
    initialize(net, orthogonal_, gain=2.0, match=["weight_ih"])
    spread(net.weight_ih, 2.0, gates)
    spread(net.weight_hh, 1.0, gates)


@pytest.mark.parametrize(("phi", "gain"), [("tanh", None), ("relu", 2**0.5)])
def test_the_recurrence_is_critical_by_its_own_nonlinearity(phi, gain):
    net = nn.RNN(5, 300, nonlinearity=phi).double()
    gains = initialize(net, orthogonal_, gain="critical", q_star=0.5)
    sigma_w, sigma_b = meanfield.critical(phi, 0.5)
    assert gains == {"weight_hh_l0": pytest.approx(gain or sigma_w)}
    assert net.bias_ih_l0.std().item() == pytest.approx(sigma_b, rel=0.2, abs=1e-12)
    assert not net.bias_hh_l0.any()


def test_a_transformer_layer_is_read_where_its_structure_says_it():
    layer = nn.TransformerEncoderLayer(8, 2, 8, activation="relu").double()
    line = r"^the activation after self_attn\.in_proj_weight is unknown, MultiheadAttention is no "
    with pytest.raises(ValueError, match=line):
        initialize(layer, orthogonal_, gain="critical")
    rest = {"self_attn.*": "linear", "linear2.*": "linear"}
    gains = initialize(layer, orthogonal_, gain="critical", activation=rest)
    assert gains["linear1.weight"] == pytest.approx(2**0.5) and gains["linear2.weight"] == 1
    spread(layer.self_attn.in_proj_weight, 1.0, 3)


def test_dropout_and_nested_sequences_are_read_through():
    inner = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Tanh(), nn.Linear(8, 8)))
    net = nn.Sequential(nn.Linear(8, 8), inner, nn.Flatten(), nn.ReLU(), nn.Linear(8, 8))
    tanh = meanfield.critical("tanh", 1 / 64)[0]
    gains = initialize(net, orthogonal_, gain="critical")
    assert list(gains.values()) == pytest.approx([tanh, 2**0.5, 1])


class Reversed(nn.Sequential):
    def forward(self, x):
        for layer in reversed(self):
            x = layer(x)
        return x


UNREAD = {
    "gelu": (nn.Sequential(nn.Linear(4, 4), nn.GELU()), "GELU is none of the activations"),
    "hardtanh": (nn.Sequential(nn.Linear(4, 4), nn.Hardtanh(0, 6)), "Hardtanh is none of"),
    "norm": (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU()), "LayerNorm is none of"),
    "own": (Own(), "the forward of Own says what follows, not its structure"),
    "own sequence": (Reversed(nn.ReLU(), nn.Linear(4, 4)), "the forward of Reversed says"),
    "lstm": (nn.LSTM(4, 4), "the gates of LSTM have no one activation"),
}


@pytest.mark.parametrize("case", UNREAD)
def test_what_cannot_be_read_is_asked_for_by_name_before_anything_is_drawn(case):
    net, reason = UNREAD[case]
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=rf"is unknown, {reason}.*: pass activation=") as caught:
        initialize(net, orthogonal_, gain="critical")
    assert "\n" not in str(caught.value) and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())


def test_a_module_that_is_used_twice_or_a_weight_with_two_followers_is_asked_for():
    twice = nn.Linear(4, 4)
    with pytest.raises(ValueError, match="its module is in 2 places"):
        initialize(nn.Sequential(twice, nn.ReLU(), twice, nn.Tanh()), orthogonal_, gain="critical")
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh())
    net[2].weight = net[0].weight
    with pytest.raises(ValueError, match="it is shared, and followed by relu, tanh"):
        initialize(net, orthogonal_, gain="critical")


def test_an_activation_is_given_by_name_by_function_and_by_pattern():
    for given in ("tanh", {"fc*": "tanh"}, {"*.weight": torch.tanh}):
        gains = initialize(Own(), orthogonal_, gain="critical", activation=given)
        assert gains == {"fc.weight": pytest.approx(meanfield.critical("tanh", 1 / 64)[0])}


def test_a_shared_weight_is_drawn_once_under_its_first_name():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    calls = []
    assert initialize(net, lambda w: calls.append(w) or w) == {"0.weight": 1.0}
    assert len(calls) == 1


def test_a_pattern_takes_matrices_of_any_module_and_leaves_vectors():
    net = Own()
    norm = net.norm.weight.detach().clone()
    assert list(initialize(net, orthogonal_, match="*.weight")) == ["fc.weight", "emb.weight"]
    assert torch.equal(net.norm.weight, norm)
    assert list(initialize(net, orthogonal_)) == ["fc.weight"]
    assert list(initialize(nn.Linear(3, 3), orthogonal_, match="*.weight")) == ["weight"]


def test_a_convolution_needs_a_view():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).double()
    with pytest.raises(ValueError, match=r"^0\.weight \(8, 3, 3, 3\) is .*: pass view=lambda w: "):
        initialize(net, orthogonal_)
    gains = initialize(net, orthogonal_, gain="critical", view=lambda w: w.flatten(1))
    assert list(gains.values()) == pytest.approx([2**0.5, 1])
    for conv, gain in zip((net[0], net[2]), gains.values(), strict=True):
        spread(conv.weight.detach().flatten(1), gain)


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, w):
        return w / 2


class OneWay(nn.Module):
    def forward(self, x):
        return x.tanh()


def test_a_parametrised_weight_is_set_through_its_parametrisation():
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU()).double()
    register_parametrization(net[0], "weight", Doubled())
    assert initialize(net, orthogonal_, gain=1.2, match="*.weight") == {"0.weight": 1.2}
    spread(net[0].weight, 1.2)
    spread(net[0].parametrizations.weight.original, 0.6)


def test_a_parametrisation_that_cannot_take_the_weight_is_refused_and_left():
    one_way = nn.Linear(4, 4)
    register_parametrization(one_way, "weight", OneWay())
    held = parametrizations.orthogonal(nn.Linear(4, 4))
    for net, reason in ((one_way, "cannot be set"), (held, "is parametrised")):
        before = {k: v.clone() for k, v in net.state_dict().items()}
        with pytest.raises(ValueError, match=rf"^weight .*{reason}.*: initialise it before$"):
            initialize(net, gaussian_, gain=3.0)
        assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_networks_are_filled_in_their_own_type(dtype):
    net = nn.LSTM(8, 16).to(dtype)
    initialize(net, orthogonal_, gain=1.1)
    s = torch.linalg.svdvals(net.weight_hh_l0.detach().double().view(4, 16, 16))
    assert net.weight_hh_l0.dtype == dtype and (s - 1.1).abs().max() < 0.02


@pytest.mark.slow  # it imports the compiler
def test_a_compiled_network_has_the_names_of_the_network():
    assert list(initialize(torch.compile(mlp(nn.Tanh)), orthogonal_)) == ["0.weight", "2.weight"]


LINES = {
    "pattern": (dict(match="*.weigth"), r"^match='\*\.weigth' takes no parameter of Sequential: d"),
    "one of two": (dict(match=["0.*", "fc"]), r"^match='fc' takes no parameter of Sequential: th"),
    "vectors": (dict(match="*.bias"), r"^match='\*\.bias' takes vectors alone: 0\.bias, 2\.bias$"),
    "gain": (dict(gain=0.0), r"^gain must be a finite number > 0, got 0"),
    "idle": (dict(q_star=0.5), r'^q_star is an option of gain="critical": leave it out$'),
    "idle too": (dict(gain=1.0, activation="tanh"), r"^activation is an option of gain="),
    "both": (dict(gain="critical", q_star=0.5, sigma_w=1.2), r"^q_star and sigma_w each give"),
    "below": (dict(gain="critical", sigma_w=0.9), r"^0\.weight: sigma_w=0\.9 with tanh: chi < 1"),
    "negative": (dict(gain="critical", q_star=-1.0), r"^0\.weight: q"),
    "unknown": (dict(gain="critical", activation="tahn"), r"^0\.weight: .*did you mean 'tanh'"),
    "idle pattern": (
        dict(gain="critical", activation={"fc": "tanh"}),
        r"^activation=\{'fc': \.+\}",
    ),
    "no gain": (dict(gain=1.5, init=lambda w: w), r"^<lambda> takes no gain: pass gain=None$"),
    "ensemble": (dict(gain="critical", init=glorot_), r'^gain="critical" is of orthogonal_ and ga'),
}


@pytest.mark.parametrize("case", LINES)
def test_a_mistake_is_one_line_and_nothing_is_drawn(case):
    options, line = LINES[case]
    net, state = mlp(nn.Tanh), torch.get_rng_state()
    before = [p.detach().clone() for p in net.parameters()]
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=line) as caught:
        initialize(net, **({"init": orthogonal_} | options))
    assert "\n" not in str(caught.value) and torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, net.parameters(), before))


def test_what_has_no_whole_real_matrix_is_refused_with_its_name():
    with pytest.raises(TypeError, match=r"^0\.weight has no shape yet: run a batch"):
        initialize(nn.Sequential(nn.LazyLinear(3)), orthogonal_)
    with pytest.raises(TypeError, match=r"^weight must be real floating-point, got torch.complex"):
        initialize(nn.Linear(3, 3, dtype=torch.complex64), orthogonal_)
    with pytest.raises(ValueError, match=r"^there is no nn\.Linear, convolution, recurrence"):
        initialize(nn.Sequential(OrderedDict(norm=nn.LayerNorm(3))), orthogonal_)


def test_a_sharded_weight_is_refused_and_one_that_is_replicated_by_ddp_is_filled(tmp_path):
    import torch.distributed as dist
    from torch.distributed.tensor import distribute_module, init_device_mesh

    if dist.is_initialized():
        pytest.skip("another test holds the process group")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        net = distribute_module(nn.Linear(4, 4), init_device_mesh("cpu", (1,)))
        with pytest.raises(
            TypeError, match=r"^weight is sharded \(DTensor\): initialise it before"
        ):
            initialize(net, orthogonal_)
        replicated = nn.parallel.DistributedDataParallel(mlp(nn.Tanh))
        assert list(initialize(replicated, orthogonal_)) == ["0.weight", "2.weight"]
    finally:
        dist.destroy_process_group()


def test_an_object_of_a_gain_of_its_own_is_taken_at_it():
    net = mlp(nn.Tanh)
    assert set(initialize(net, Critical(1.1)).values()) == {1.1}
    spread(net[0].weight, 1.1)
    assert isogain.initialize is initialize
