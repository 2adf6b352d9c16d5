"""Which parameters a target takes, by the parameter, the module or a pattern; what cannot be held is refused."""

import logging

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from isogain.models import MLP
from isogain.reg.held_parameters import held_parameters


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.norm = nn.Linear(4, 4), nn.Linear(4, 4), nn.LayerNorm(4)
        self.conv = nn.Conv2d(2, 4, 3)


def taken(*args, **options):
    return {h.name: h.view.result for h in held_parameters(*args, **options)}


@pytest.fixture
def process_group(tmp_path):
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Linear(3, 4), {"weight": (4, 3)}),
        (nn.LSTM(2, 3, num_layers=2), {"weight_hh_l0": (4, 3, 3), "weight_hh_l1": (4, 3, 3)}),
        (nn.GRUCell(2, 3), {"weight_hh": (3, 3, 3)}),
        (MLP(3, 2, hidden=5, depth=4), {"kernel": (4, 5, 5)}),
    ],
)
def test_a_module_with_one_clear_kernel_needs_no_name(module, expected):
    assert taken(module) == expected


def test_attention_is_taken_as_query_key_and_value():
    attention = nn.MultiheadAttention(4, 2)
    assert taken((attention, "in_proj_weight")) == {"in_proj_weight": (3, 4, 4)}
    assert taken((attention, "in_proj_weight"), blocks=1) == {"in_proj_weight": (12, 4)}
    assert taken(attention.in_proj_weight, blocks="qkv") == {"the parameter": (3, 4, 4)}


@pytest.mark.parametrize("wrap", [lambda net: net, torch.compile], ids=["plain", "compiled"])
def test_a_pattern_takes_names_without_wrappers(wrap):
    net = Net()
    net.fc1 = wrap(net.fc1)
    assert taken(wrap(net), match="fc?.weight") == {"fc1.weight": (4, 4), "fc2.weight": (4, 4)}


def test_ddp_is_looked_through(process_group):
    assert taken(DistributedDataParallel(Net()), match=["fc1.weight"]) == {"fc1.weight": (4, 4)}


def test_a_shard_is_refused_with_the_reason(process_group):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    w = distribute_tensor(torch.zeros(4, 4), init_device_mesh("cpu", (1,)), [Shard(0)])
    with pytest.raises(TypeError, match="is sharded .* none its singular values"):
        held_parameters(nn.Parameter(w))


def test_vectors_of_a_pattern_are_named(caplog):
    caplog.set_level(logging.WARNING, "isogain")
    assert taken(Net(), match=["fc1.*", "norm.*"]) == {"fc1.weight": (4, 4)}
    assert caplog.messages[0].endswith("left free: fc1.bias, norm.weight, norm.bias")


@pytest.mark.parametrize(
    ("target", "options", "error", "reason"),
    [
        (Net(), {"match": "fc3.weight"}, ValueError, "did you mean 'fc[12].weight'"),
        (Net(), {"match": "*.bias"}, ValueError, "takes vectors only.*fc1.bias"),
        (Net(), {"match": "conv.weight"}, ValueError, r"conv.weight .* pass view="),
        (Net(), {}, ValueError, r"pass match=.*fc1.weight"),
        ((Net(), "fc9.weight"), {}, ValueError, "did you mean"),
        ((Net(), "fc1.wieght"), {}, ValueError, "did you mean 'fc1.weight'"),
        (nn.Linear(2, 2).weight, {"match": "*"}, ValueError, "pass the module"),
        (nn.Linear(2, 2).bias, {}, ValueError, "has no matrix"),
        (nn.Linear(2, 2, dtype=torch.complex64), {}, TypeError, "is complex"),
        (nn.LazyLinear(2), {}, TypeError, "run a batch through"),
        ("fc1.weight", {}, TypeError, "pass a parameter, a module or"),
        (torch.eye(2).to_sparse().requires_grad_(), {}, TypeError, "is sparse"),
        (nn.utils.parametrizations.orthogonal(nn.Linear(2, 2)), {}, ValueError, "pass match="),
        (
            (nn.utils.parametrizations.orthogonal(nn.Linear(2, 2)), "weight"),
            {},
            ValueError,
            "parametrised already",
        ),
    ],
)
def test_what_cannot_be_held_is_refused(target, options, error, reason):
    with pytest.raises(error, match=reason):
        held_parameters(target, **options)
