import numpy as np
import pytest
import torch
from cases import Kernel, networks, randn, same
from torch import nn

from isogain.diagnostics.kernel_labels import kernel_labels, named_kernels
from isogain.diagnostics.weights import kernel_gaps, kernel_shapes, kernel_spectra
from isogain.init import orthogonal_
from isogain.linalg import polar


class Two(Kernel):
    """A network of two kernels."""

    def __init__(self, w, v):
        super().__init__(w)
        self.v = nn.Parameter(v)

    def kernels(self):
        yield from super().kernels()
        yield self, "v"


def singular_values(w):
    """By numpy, one row a matrix."""
    stack = w.detach().double().reshape(-1, *w.shape[-2:]).numpy()
    return np.stack([np.linalg.svd(matrix, compute_uv=False) for matrix in stack])


@pytest.mark.parametrize("build", networks())
def test_the_spectra_are_numpys_matrix_by_matrix(build):
    net = build()
    spectra = kernel_spectra(net)
    assert spectra.keys() == {name for _, name in net.kernels()}
    for module, name in net.kernels():
        same(spectra[name], torch.from_numpy(singular_values(getattr(module, name))))


@pytest.mark.parametrize("shape", [(1, 8, 5), (3, 5, 8), (2, 4, 5, 5)])
def test_the_spectra_of_rectangles_have_the_length_of_the_shorter_side(shape):
    net = Kernel(randn(*shape))
    same(kernel_spectra(net)["w"], torch.from_numpy(singular_values(net.w)))


def gaps(w, gain):
    """By numpy, one a matrix; `gain` is a number or has an entry a matrix."""
    ratios = singular_values(w) / np.reshape(gain, (-1, 1))
    return np.sqrt(np.mean((ratios**2 - 1) ** 2, axis=1)).tolist()


@pytest.mark.parametrize("build", networks())
def test_the_gap_is_the_root_mean_square_of_s2_over_g2_minus_1(build):
    net, expected = build(), {}
    gains = [1.3 + i for i, _ in enumerate(net.kernels())]
    for (name, w), gain in zip(named_kernels(net), gains, strict=True):
        expected |= zip(kernel_labels(net, name, w), gaps(w, gain), strict=True)
    same(kernel_gaps(net, gains), expected)


@pytest.mark.parametrize("build", networks())
def test_where_each_matrix_has_a_gain_its_gap_is_measured_against_its_own(build):
    net, gains, expected = build(), [], {}
    for name, w in named_kernels(net):
        gain = torch.rand(*w.shape[:-2], 1, 1) + 0.5  # float32, as it is learned
        gains.append(gain)
        expected |= zip(kernel_labels(net, name, w), gaps(w, gain.double().numpy()), strict=True)
    same(kernel_gaps(net, gains), expected)


def test_every_kernel_is_measured_against_the_gain_at_its_place():
    net = Two(orthogonal_(randn(8, 5), gain=2.0), orthogonal_(randn(2, 4, 4), gain=3.0))
    found = kernel_gaps(net, [1.0, torch.tensor([1.5, 3.0]).view(2, 1, 1)])
    same(found, {"w": 3.0, "v/000": 3.0, "v/001": 0.0})


def test_as_many_gains_are_needed_as_there_are_kernels():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        kernel_gaps(Two(randn(8, 5), randn(5, 5)), [1.0])


@pytest.mark.parametrize("build", networks())
def test_orthogonal_kernels_have_one_singular_value_and_no_gap(build):
    net = build()
    for module, name in net.kernels():
        orthogonal_(getattr(module, name), gain=1.3)
    for spectrum in kernel_spectra(net).values():
        same(spectrum, torch.full_like(spectrum, 1.3))
    assert max(kernel_gaps(net, [1.3 for _ in net.kernels()]).values()) < 1e-14


@pytest.mark.parametrize("build", networks())
def test_single_precision_is_measured_in_double(build):
    net = build().float()
    for module, name in net.kernels():
        found = kernel_spectra(net)[name]
        assert found.dtype == torch.float64 and not found.requires_grad
        same(found, torch.from_numpy(singular_values(getattr(module, name))))


@pytest.mark.parametrize("build", networks())
def test_the_distance_is_that_to_the_nearest_scaled_orthogonal_matrix(build):
    net, expected = build(), []
    for module, name in net.kernels():
        w = getattr(module, name).detach()
        expected += torch.linalg.matrix_norm(w - 1.3 * polar(w)).flatten().tolist()
    found = kernel_shapes(net, [1.3 for _ in net.kernels()])
    same([shape["distance"] for shape in found.values()], expected)


def test_every_matrix_may_have_its_own_gain_to_be_distant_from():
    net = Kernel(orthogonal_(randn(2, 4, 4), gain=3.0))
    found = kernel_shapes(net, [torch.tensor([1.5, 3.0]).view(2, 1, 1)])
    same({name: shape["distance"] for name, shape in found.items()}, {"w/000": 3.0, "w/001": 0.0})


def test_the_effective_rank_counts_equal_singular_values_and_ignores_the_scale():
    q = orthogonal_(randn(3, 6, 6))
    s = torch.tensor([[5.0] * 6, [2.0, 2, 2, 0, 0, 0], [1.0, 0, 0, 0, 0, 0]]).double()
    found = kernel_shapes(Kernel(q * s.unsqueeze(-2)), [1.0])
    ranks = [shape["effective_rank"] for shape in found.values()]
    torch.testing.assert_close(ranks, [6.0, 3.0, 1.0], rtol=1e-10, atol=0)
