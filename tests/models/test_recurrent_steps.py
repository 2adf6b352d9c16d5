import pytest
import torch
from cases import randn, same
from torch import nn

from isogain.diagnostics import input_norms, jacobian, jacobian_extremes, jacobian_spectrum
from isogain.models.along import along

KINDS = {
    "rnn": lambda **o: nn.RNN(3, 4, dtype=torch.float64, **o),
    "relu": lambda **o: nn.RNN(3, 4, nonlinearity="relu", dtype=torch.float64, **o),
    "lstm": lambda **o: nn.LSTM(3, 4, dtype=torch.float64, **o),
    "gru": lambda **o: nn.GRU(3, 4, dtype=torch.float64, **o),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def whole(rnn, x, state):
    """The module's own final state from `state` (n,) for one example x (T, D), h of all layers and then c of all."""
    parts = [
        part.reshape(rnn.num_layers, 1, 4) for part in state.chunk(1 + isinstance(rnn, nn.LSTM))
    ]
    x = x[None] if rnn.batch_first else x[:, None]
    _, end = rnn(x, tuple(parts) if len(parts) > 1 else parts[0])
    return torch.cat([part.flatten() for part in (end if isinstance(end, tuple) else (end,))])


@kinds
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("batch_first", "bias"), [(True, True), (False, False)])
def test_the_states_give_the_modules_own_output(kind, layers, batch_first, bias):
    rnn = KINDS[kind](num_layers=layers, batch_first=batch_first, bias=bias)
    x, path = randn(5, 6, 3), along(rnn, over="time")
    own = path.readout(path.states(x))
    same(own if batch_first else own.transpose(0, 1), rnn(x)[0])


@kinds
@pytest.mark.parametrize("layers", [1, 2])
def test_the_jacobian_through_time_is_that_of_jacrev(kind, layers):
    rnn = KINDS[kind](num_layers=layers, batch_first=layers == 1)
    x, path = randn(2, 5, 3), along(rnn, over="time")
    examples = x if rnn.batch_first else x.transpose(0, 1)
    found, start = jacobian(path, x), torch.zeros(path.states(x)[0].shape[-1], dtype=torch.float64)
    for own, example in zip(found, examples, strict=True):
        expected = torch.func.jacrev(lambda h, e=example: whole(rnn, e, h))(start).detach()
        same(own, expected)
    s = torch.linalg.svdvals(found)
    torch.testing.assert_close(jacobian_spectrum(path, x).exp(), s, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(
        jacobian_extremes(path, x).exp(), s[:, [0, -1]], rtol=1e-9, atol=1e-13
    )
    assert input_norms(path, x).shape == (len(examples), examples.shape[1])


def test_an_orthogonal_recurrence_by_parametrisation_is_measured():
    rnn = nn.RNN(3, 4, nonlinearity="relu", bias=False).double()
    nn.utils.parametrizations.orthogonal(rnn, "weight_hh_l0")
    before = rnn.weight_hh_l0.clone()
    logs = jacobian_spectrum(along(rnn, over="time"), 100 * torch.ones(1, 2, 3).double())
    assert (logs.isfinite() <= (logs.abs() < 1e-9)).all()  # units that are on carry isometrically
    assert torch.equal(rnn.weight_hh_l0, before) and rnn.training


@pytest.mark.parametrize(
    ("rnn", "reason"),
    [
        (nn.GRU(3, 4, bidirectional=True), "bidirectional"),
        (nn.LSTM(3, 4, proj_size=2), "proj_size"),
    ],
)
def test_what_has_no_single_state_is_refused(rnn, reason):
    with pytest.raises(ValueError, match=reason):
        along(rnn, over="time")


def test_packed_input_and_other_modules_are_refused():
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(5, 2, 3), [5, 3])
    with pytest.raises(TypeError, match="got PackedSequence"):
        jacobian_spectrum(along(nn.GRU(3, 4), over="time"), packed)
    with pytest.raises(TypeError, match="got Linear"):
        along(nn.Linear(2, 2), over="time")
    with pytest.raises(ValueError, match=r"\(T, B, D\), got \(5, 3\)"):
        along(nn.GRU(3, 4), over="time").states(torch.randn(5, 3))
