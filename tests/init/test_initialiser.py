"""One shape for all that fills kernels: functions, partials of them, and objects that set a whole network."""

from functools import partial

import pytest
import torch
from cases import parts, randn

from isogain.init import gaussian_, orthogonal_
from isogain.init.initialiser import (
    FunctionInitialiser,
    Initialiser,
    NetworkInitialiser,
    as_initialiser,
)

GAIN = 1.3
BUILT = {name: as_initialiser(init) for name, init in parts("init", GAIN).items()}


@pytest.mark.parametrize("name", BUILT)
def test_every_initialiser_of_conf_has_its_name_gain_and_options(name):
    init = BUILT[name]
    assert isinstance(init, Initialiser)
    assert (init.name, init.gain, init.options["gain"]) == (name, GAIN, GAIN)
    assert as_initialiser(init) is init


@pytest.mark.parametrize("name", BUILT)
def test_critical_alone_sets_a_whole_network(name):
    assert isinstance(BUILT[name], NetworkInitialiser) == (name == "critical")


@pytest.mark.parametrize(
    ("init", "name", "gain", "options"),
    [
        (orthogonal_, "orthogonal", 1.0, {}),
        (partial(gaussian_, gain=2.0), "gaussian", 2.0, {"gain": 2.0}),
        (lambda w: w.zero_(), "<lambda>", 1.0, {}),
        (torch.nn.init.xavier_normal_, "xavier_normal", 1.0, {}),
        (partial(torch.nn.init.orthogonal_, gain=0.5), "orthogonal", 0.5, {"gain": 0.5}),
    ],
    ids=str,
)
def test_a_function_and_a_partial_become_one_that_does_the_same(init, name, gain, options):
    ours, start = as_initialiser(init), torch.zeros(3, 4)
    assert (ours.name, ours.ensemble, ours.gain, ours.options) == (name, name, gain, options)
    ends = []
    for fill in (init, ours):
        torch.manual_seed(1)
        ends.append(fill(start.clone()).detach())
    assert torch.equal(*ends)


def test_an_object_that_is_called_has_the_name_of_its_class():
    class Halves:
        def __call__(self, w):
            return w.fill_(0.5)

    init = as_initialiser(Halves())
    assert isinstance(init, FunctionInitialiser) and init.name == "Halves"
    assert (init(randn(2, 2)) == 0.5).all()


def test_an_object_that_sets_a_whole_network_and_lacks_something_is_refused():
    class Half:
        name, gain = "half", 1.0

        def __call__(self, w):
            return w

        def finish_(self, net, x):
            pass

    with pytest.raises(TypeError, match=r"^Half .* lacks \['ensemble', 'options', 'point'\]$"):
        as_initialiser(Half())
