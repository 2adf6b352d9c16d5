import numpy as np
import pytest
import torch
from cases import randn, same
from torch import nn

from isogain.diagnostics.gradients import gradient_norms, gradient_ratios
from isogain.diagnostics.matched_weights import weight_gaps, weight_spectra
from isogain.init import orthogonal_


def mixed():
    return nn.ModuleDict(
        {
            "conv": nn.Conv2d(2, 5, 3),
            "norm": nn.BatchNorm2d(5),
            "fc": nn.Linear(7, 4),
            "lstm": nn.LSTM(3, 4),
            "gru": nn.GRU(3, 4),
            "attention": nn.MultiheadAttention(4, 2),
        }
    ).double()


def test_the_spectra_are_numpys_by_name():
    net = mixed()
    found = weight_spectra(net, "*.*weight*", view=lambda w: w.flatten(1))
    assert found.keys() == {
        *("conv/weight", "fc/weight", "attention/in_proj_weight", "attention/out_proj/weight"),
        *(f"{cell}/weight_{place}_l0" for cell in ("lstm", "gru") for place in ("ih", "hh")),
    }
    for name, values in found.items():
        w = net.get_parameter(name.replace("/", ".")).detach().flatten(1).numpy()
        same(values, torch.from_numpy(np.linalg.svd(w, compute_uv=False))[None])


@pytest.mark.parametrize(("cell", "gates"), [("lstm", "ifgo"), ("gru", "rzn")])
def test_recurrent_weights_are_measured_gate_by_gate(cell, gates):
    net = mixed()
    w = net[cell].weight_hh_l0.detach()
    for i in range(len(gates)):
        orthogonal_(w[4 * i : 4 * i + 4], gain=i + 1.0)
    found = weight_gaps(net, 1.0, f"{cell}.weight_hh*")
    expected = {f"{cell}/weight_hh_l0/{g}": (i + 1.0) ** 2 - 1 for i, g in enumerate(gates)}
    same(found, expected)
    spectra = weight_spectra(net, f"{cell}.weight_hh*")[f"{cell}/weight_hh_l0"]
    same(spectra, torch.arange(1.0, len(gates) + 1).double()[:, None].expand(-1, 4))


def test_blocks_and_gains_are_given_by_letter_and_by_name():
    net = mixed()
    for i, w in enumerate(net.attention.in_proj_weight.detach().chunk(3)):
        orthogonal_(w, gain=2.0 + i)
    gain = {"attention.in_proj_weight": 2.0}
    found = weight_gaps(net, gain, "*.in_proj_weight", blocks="qkv")
    name = "attention/in_proj_weight"
    same(found, {f"{name}/q": 0.0, f"{name}/k": 9 / 4 - 1, f"{name}/v": 3.0})
    numbered = weight_gaps(net, gain, "*.in_proj_weight", blocks=3)
    assert list(numbered) == [f"{name}/{i:03d}" for i in range(3)]
    with pytest.raises(ValueError, match="gain has no entry for fc.weight"):
        weight_gaps(net, gain, "fc.weight")


def test_a_parametrised_weight_is_the_value():
    net = nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(5, 4).double()))
    same(weight_spectra(net), {"0/weight": torch.ones(1, 4).double()})


def test_a_shared_weight_is_measured_once():
    layer = nn.Linear(3, 3)
    assert list(weight_spectra(nn.Sequential(layer, nn.Tanh(), layer))) == ["0/weight"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"match": "conv.*"}, r"conv.weight has the shape \(5, 2, 3, 3\): pass view="),
        ({"match": "fc.wieght"}, "names no matrix of ModuleDict: did you mean 'fc.weight'"),
        ({"match": "norm.*"}, "names no matrix"),
        ({"match": "fc.*", "blocks": 3}, "fc.weight has 4 rows, which are not 3 blocks"),
        ({"match": "fc.*", "view": torch.flatten}, "no matrix"),
    ],
)
def test_what_is_no_matrix_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        weight_spectra(mixed(), **options)


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTM, "ifgo"), (nn.GRU, "rzn")])
def test_gradients_of_any_module_are_named_by_parameter_and_gate(cell, gates):
    net = nn.ModuleDict({"rnn": cell(3, 4), "out": nn.Linear(4, 2)}).double()
    net.out(net.rnn(randn(5, 2, 3))[0]).square().sum().backward()
    norms, ratios = gradient_norms(net), gradient_ratios(net)
    expected = {}
    for name, p in net.named_parameters():
        many = gates if "weight_hh" in name else ""
        parts = zip(p.grad.chunk(len(many) or 1), p.detach().chunk(len(many) or 1), strict=True)
        for gate, (g, w) in zip(many or [""], parts, strict=True):
            label = "/".join([*name.split("."), *filter(None, [gate])])
            expected[label] = g.norm().item(), (g.norm() / w.norm()).item()
    same(norms, {label: norm for label, (norm, _) in expected.items()})
    same(ratios, {label: ratio for label, (_, ratio) in expected.items()})


def test_the_norm_of_a_sparse_gradient_is_that_of_the_dense_one():
    sparse, dense = nn.Embedding(5, 3, sparse=True), nn.Embedding(5, 3)
    dense.load_state_dict(sparse.state_dict())
    for net in (sparse, dense):
        net(torch.tensor([1, 3, 1])).square().sum().backward()
    assert gradient_norms(sparse)["weight"] == pytest.approx(gradient_norms(dense)["weight"])
