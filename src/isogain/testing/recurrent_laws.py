"""What a network that reads a sequence step by step owes beside: any length, any cut, an answer at every step.

Axes: B batch, T time steps, D features a step.
"""

import torch

from isogain.testing.expectations import expect_all_close, expect_close
from isogain.testing.network_laws import N_OUT, Build, D, T
from isogain.testing.single_kernel import randn
from isogain.testing.small_network import small


def a_trajectory_can_be_cut_and_taken_up_again(build: Build) -> None:
    net, x = small(build), randn(3, T, D)
    whole = net.trajectory(net.start(x), x)
    first = net.trajectory(net.start(x), x[:, :2])
    rest = net.trajectory(first[-1], x[:, 2:])
    expect_all_close(first[:-1] + rest, whole, "the states of the whole sequence")


def it_works_at_another_length(build: Build) -> None:
    net, x = small(build), randn(2, T + 4, D)
    plain = net.readout(net.trajectory(net.start(x), x))
    expect_close(net(x), plain, f"the readout of the trajectory at T={T + 4}", rtol=1e-11)


def the_answer_at_a_step_is_that_to_the_sequence_up_to_there(build: Build) -> None:
    net, x = small(build), randn(3, T, D)
    wanted = torch.stack([net(x[:, : t + 1]) for t in range(T)], 1)
    net.per_step = True
    expect_close(net(x), wanted, "at every step the answer to the sequence up to there", rtol=1e-11)


def with_an_answer_a_step_forward_is_the_readout_of_the_trajectory(build: Build) -> None:
    net = small(build, per_step=True)
    x, form = randn(3, T, D).requires_grad_(), randn(3, T, N_OUT)
    given = [x, *net.parameters()]
    fast, plain = (
        [y, *torch.autograd.grad((y * form).sum(), given)]
        for y in (net(x), net.readout(net.trajectory(net.start(x), x)))
    )
    expect_all_close(fast, plain, "the trajectory's logits and gradients with per_step")


LAWS = (a_trajectory_can_be_cut_and_taken_up_again, it_works_at_another_length)
OF_PER_STEP = (
    the_answer_at_a_step_is_that_to_the_sequence_up_to_there,
    with_an_answer_a_step_forward_is_the_readout_of_the_trajectory,
)
