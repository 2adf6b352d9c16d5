import numpy as np
import pytest
import torch
from cases import networks, randn, same

from isogain.diagnostics.weights import kernel_gaps, kernel_spectra
from isogain.init import orthogonal_
from isogain.models.base import Network


class Rectangles(Network):
    """A network of which only the kernel matters: tall, wide or batched."""

    def __init__(self, *shape):
        super().__init__(n_in=1, n_out=1, length=1, hidden=1, depth=1)
        self.w = torch.nn.Parameter(randn(*shape))

    def kernels(self):
        yield self, "w"


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
    net = Rectangles(*shape)
    same(kernel_spectra(net)["w"], torch.from_numpy(singular_values(net.w)))


@pytest.mark.parametrize("build", networks())
def test_the_gap_is_the_root_mean_square_of_s2_over_g2_minus_1(build):
    net, gain = build(), 1.3
    expected = {}
    for module, name in net.kernels():
        w = getattr(module, name)
        gaps = np.sqrt(np.mean((singular_values(w) ** 2 / gain**2 - 1) ** 2, axis=1))
        expected |= zip(net.labels(name, w), gaps.tolist(), strict=True)
    same(kernel_gaps(net, gain), expected)


@pytest.mark.parametrize("build", networks())
def test_orthogonal_kernels_have_one_singular_value_and_no_gap(build):
    net = build()
    for module, name in net.kernels():
        orthogonal_(getattr(module, name), gain=1.3)
    for spectrum in kernel_spectra(net).values():
        same(spectrum, torch.full_like(spectrum, 1.3))
    assert max(kernel_gaps(net, 1.3).values()) < 1e-14


def test_the_gap_of_a_single_matrix_goes_by_the_kernels_name():
    net = Rectangles(8, 5)
    orthogonal_(net.w, gain=2.0)
    same(kernel_gaps(net, gain=1.0), {"w": 3.0})


@pytest.mark.parametrize("build", networks())
def test_single_precision_is_measured_in_double(build):
    net = build().float()
    for module, name in net.kernels():
        found = kernel_spectra(net)[name]
        assert found.dtype == torch.float64 and not found.requires_grad
        same(found, torch.from_numpy(singular_values(getattr(module, name))))
