"""Every law of a network is broken by a class that breaks it."""

import pytest
import torch
from torch import nn

from isogain.models import MLP, RNN
from isogain.testing import check_network, network_contract, network_laws, recurrent_laws


class Shifted(MLP):
    def forward(self, x):
        return super().forward(x) + 1e-9


class Detached(MLP):
    """Right in value, not in gradient."""

    def forward(self, x):
        return super().forward(x.detach()) + 0 * x.sum()


class Idle(MLP):
    def __init__(self, n_in, n_out, length=1, hidden=8, depth=1):
        super().__init__(n_in, n_out, length, hidden, depth)
        self.spare = nn.Parameter(torch.zeros(2))


class Trained(MLP):
    def forward(self, x):
        return super().forward(x) + (0 if self.training else 1)


class Normed(MLP):
    """An example sees its batch."""

    def entry(self, x):
        return super().entry(x - x.mean(0, keepdim=True))


class Stored(MLP):
    """Reads the storage."""

    def entry(self, x):
        return super().entry(x.as_strided(x.shape, torch.empty(x.shape).stride()))


class Restarts(MLP):
    def trajectory(self, h, x):
        return super().trajectory(h.clone(), x)


class Short(MLP):
    def trajectory(self, h, x):
        return super().trajectory(h, x)[:2]


class NoKernels(MLP):
    def kernels(self):
        return iter(())


class Copies(MLP):
    def kernels(self):
        self.copy = self.kernel.detach().clone()
        yield self, "copy"


class AnySize(MLP):
    def __init__(self, n_in, n_out, length=1, hidden=8, depth=1):
        super().__init__(n_in, n_out, length, max(hidden, 1), max(depth, 1))


class OnCpu(MLP):
    def __init__(self, n_in, n_out, length=1, hidden=8, depth=1):
        super().__init__(n_in, n_out, length, hidden, depth)
        self.bias = nn.Parameter(torch.zeros(depth, hidden, device="cpu"))


class Double(MLP):
    def __init__(self, n_in, n_out, length=1, hidden=8, depth=1):
        super().__init__(n_in, n_out, length, hidden, depth)
        self.double()


class NoOutput(MLP):
    def __init__(self, n_in, n_out, length=1, hidden=8, depth=1):
        super().__init__(n_in, n_out, length, hidden, depth)
        self.output = nn.Sequential(self.output)


class Clock(RNN):
    """Its step depends on how many come after it."""

    def steps(self, h, x):
        for maps, state in super().steps(h, x):
            yield maps, state * (1 + 0.1 * x.shape[1])


class FixedLength(RNN):
    def forward(self, x):
        h = super().forward(x)
        return h if x.shape[1] <= self.length else 2 * h


class Backwards(RNN):
    """Answers a step with the answer to the whole."""

    def _answers(self, h):
        return super()._answers(h.flip(0) if self.per_step else h)


n, r = network_laws, recurrent_laws
fast = n.forward_is_the_readout_of_the_trajectory_in_value_and_gradient
BROKEN = [
    (Shifted, fast),
    (Detached, fast),
    (Idle, n.every_parameter_has_an_effect),
    (Trained, n.forward_keeps_its_value_in_evaluation_and_without_gradient),
    (Normed, n.examples_do_not_see_each_other),
    (Stored, n.memory_layout_of_the_input_does_not_matter),
    (Restarts, n.a_trajectory_begins_with_the_state_that_is_given_and_keeps_its_shape),
    (NoKernels, n.kernels_are_parameters_of_two_axes_or_more),
    (Copies, n.kernels_are_parameters_of_two_axes_or_more),
    (AnySize, n.a_size_below_1_is_refused_by_name),
    (OnCpu, n.a_network_can_be_built_without_memory),
    (Double, n.a_fresh_network_is_finite_and_in_single_precision),
    (NoOutput, n.its_last_layer_is_linear_and_called_output),
    (Clock, r.a_trajectory_can_be_cut_and_taken_up_again),
    (FixedLength, r.it_works_at_another_length),
    (Backwards, r.the_answer_at_a_step_is_that_to_the_sequence_up_to_there),
    (Backwards, r.with_an_answer_a_step_forward_is_the_readout_of_the_trajectory),
]


@pytest.mark.parametrize(("net", "law"), BROKEN, ids=lambda x: x.__name__)
def test_a_class_that_breaks_a_law_is_refused_by_it(net, law):
    (clause,) = [clause for clause in network_contract(net) if clause.law is law]
    with pytest.raises(AssertionError, match=rf"^{net.__name__} breaks the law ") as caught:
        clause()
    assert "\n" not in str(caught.value)


def test_labels_that_are_one_break_their_law(monkeypatch):
    monkeypatch.setattr(n, "kernel_labels", lambda net, name, w: ["kernel"] * len(w))
    law = n.every_matrix_has_a_label_of_its_own
    with pytest.raises(AssertionError, match=r"^expected 2 labels of kernel, got "):
        law(lambda **sizes: MLP(**sizes, depth=2))


def test_every_law_is_broken_by_one_of_them():
    laws = {*n.LAWS, *r.LAWS, *r.OF_PER_STEP} - {n.every_matrix_has_a_label_of_its_own}
    assert laws == {law for _, law in BROKEN}


def test_a_network_that_keeps_the_laws_passes():
    check_network(RNN)
