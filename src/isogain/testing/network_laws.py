"""What every network owes: its fast path is its trajectory's readout, its kernels are its own.

Axes: B batch, T time steps, D features a step.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from isogain.diagnostics.kernel_labels import kernel_labels
from isogain.models.base import Network
from isogain.testing.expectations import expect, expect_all_close, expect_close, expect_refusal
from isogain.testing.single_kernel import randn
from isogain.testing.small_network import SIZES, small

Build = Callable[..., Network]
D, N_OUT, T = (SIZES[name] for name in ("n_in", "n_out", "length"))


def _answer(net: Network, x: Tensor, logits: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Logits, and the gradients of a fixed linear form of them by the input and every parameter."""
    x = x.clone().requires_grad_()
    out = logits(x)
    form = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    slopes = torch.autograd.grad((out * form).sum(), [x, *net.parameters()], allow_unused=True)
    return [out.detach(), *(torch.zeros(()) if slope is None else slope for slope in slopes)]


def _plainly(net: Network) -> Callable[[Tensor], Tensor]:
    return lambda x: net.readout(net.trajectory(net.start(x), x))


def forward_is_the_readout_of_the_trajectory_in_value_and_gradient(build: Build) -> None:
    for length in (1, T):
        for batch in (1, 3):
            net, x = small(build, length=length), randn(batch, length, D)
            pair = _answer(net, x, net), _answer(net, x, _plainly(net))
            expected = f"the trajectory's logits and gradients at T={length}, B={batch}"
            expect_all_close(*pair, expected)


def every_parameter_has_an_effect(build: Build) -> None:
    """Else the law above would not see one that is left out."""
    net = small(build)
    slopes = _answer(net, randn(3, T, D), net)[2:]
    names = [name for name, _ in net.named_parameters()]
    idle = [n for n, slope in zip(names, slopes, strict=True) if not slope.any()]
    expect(not idle, "a gradient by every parameter", f"none by {', '.join(idle)}")


def forward_keeps_its_value_in_evaluation_and_without_gradient(build: Build) -> None:
    net, x = small(build), randn(3, T, D)
    wanted = net(x).detach()
    with torch.no_grad():
        expect_close(net.eval()(x), wanted, "the same logits in evaluation", rtol=1e-11)
    with torch.inference_mode():
        expect_close(net(x).clone(), wanted, "the same logits in inference mode", rtol=1e-11)


def examples_do_not_see_each_other(build: Build) -> None:
    net, x = small(build), randn(3, T, D)
    alone = torch.cat([net(example) for example in x.split(1)])
    expect_close(net(x), alone, "the logits of each example alone", rtol=1e-11)


def memory_layout_of_the_input_does_not_matter(build: Build) -> None:
    net, x = small(build), randn(3, T, D)
    stored_otherwise = x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    expect_close(net(stored_otherwise), net(x), "the logits of a contiguous input", rtol=1e-11)


def a_trajectory_begins_with_the_state_that_is_given_and_keeps_its_shape(build: Build) -> None:
    net, x = small(build), randn(3, T, D)
    start = net.start(x)
    h = randn(*start.shape)
    hs = net.trajectory(h, x)
    expect(hs[0] is h, "the given state first", "another")
    shapes = {tuple(state.shape) for state in hs}
    expect(shapes == {tuple(start.shape)}, f"states of shape {tuple(start.shape)}", shapes)
    states = 1 + (T if net.sequential else net.depth)
    expect(len(hs) == states, f"{states} states", len(hs))
    logits = net.readout(hs).shape
    expect(logits == (3, N_OUT), f"logits of shape {(3, N_OUT)}", tuple(logits))


def kernels_are_parameters_of_two_axes_or_more(build: Build) -> None:
    net = small(build)
    parameters = {id(p) for p in net.parameters()}
    kernels = list(net.kernels())
    expect(len(kernels) > 0, "a kernel", "none")
    for module, name in kernels:
        w = getattr(module, name)
        fits = id(w) in parameters and w.ndim >= 2
        expect(fits, f"{name} to be a parameter (..., n, k)", f"shape {tuple(w.shape)}")


def every_matrix_has_a_label_of_its_own(build: Build) -> None:
    net = small(build)
    for module, name in net.kernels():
        w = getattr(module, name)
        labels, count = kernel_labels(net, name, w), w[..., 0, 0].numel()
        expect(len(set(labels)) == len(labels) == count, f"{count} labels of {name}", labels)


def a_size_below_1_is_refused_by_name(build: Build) -> None:
    for option in ("hidden", "depth"):
        sizes = SIZES | {option: 0}
        expect_refusal(lambda sizes=sizes: build(**sizes), f"{option} must be ", f"{option}=0")  # type: ignore[misc]


def a_network_can_be_built_without_memory(build: Build) -> None:
    with torch.device("meta"):
        net = build(**SIZES)
    there = [name for name, p in net.named_parameters() if not p.is_meta]
    expect(not there, "every parameter on the meta device", f"{', '.join(there)} elsewhere")


def a_fresh_network_is_finite_and_in_single_precision(build: Build) -> None:
    net = build(**SIZES)
    for name, p in net.named_parameters():
        fits = p.dtype == torch.float32 and bool(p.isfinite().all())
        expect(fits, f"{name} finite and in float32", f"{p.dtype}, or NaN or inf in it")
    with torch.no_grad():
        expect(net(torch.randn(2, T, D)).isfinite().all(), "finite logits", "NaN or inf")


def its_last_layer_is_linear_and_called_output(build: Build) -> None:
    """Callbacks and optimisers leave it out by this name."""
    last = getattr(small(build), "output", None)
    fits = isinstance(last, nn.Linear) and last.out_features == N_OUT
    expect(fits, f"an nn.Linear with {N_OUT} outputs as `output`", last)


LAWS = (
    forward_is_the_readout_of_the_trajectory_in_value_and_gradient,
    every_parameter_has_an_effect,
    forward_keeps_its_value_in_evaluation_and_without_gradient,
    examples_do_not_see_each_other,
    memory_layout_of_the_input_does_not_matter,
    a_trajectory_begins_with_the_state_that_is_given_and_keeps_its_shape,
    kernels_are_parameters_of_two_axes_or_more,
    every_matrix_has_a_label_of_its_own,
    a_size_below_1_is_refused_by_name,
    a_network_can_be_built_without_memory,
    a_fresh_network_is_finite_and_in_single_precision,
    its_last_layer_is_linear_and_called_output,
)
