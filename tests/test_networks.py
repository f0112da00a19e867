"""The VAE's networks: sizes, first weights, what they refuse."""

import math

import pytest
import torch

from lightning_modules.networks import ConvEncoder, MLPDecoder, MLPEncoder
from lightning_modules.vae import VAE


def test_m1_has_the_released_networks_size():
    """784-500-500-50 and back: weights and biases counted by hand."""
    shape = (1, 28, 28)
    vae = VAE(MLPEncoder(shape, 50, [500, 500]), MLPDecoder(shape, 50, [500, 500]), 50)
    encoder = 784 * 500 + 500 + 500 * 500 + 500 + 500 * 100 + 100
    decoder = 50 * 500 + 500 + 500 * 500 + 500 + 500 * 784 + 784
    assert sum(p.numel() for p in vae.parameters()) == encoder + decoder == 1_361_884


def test_linear_layers_are_xavier_uniform():
    vae = VAE(MLPEncoder((1, 28, 28), 50, [500, 500]), MLPDecoder((1, 28, 28), 50, [500, 500]), 50)
    layer = vae.encoder.net[0]
    bound = math.sqrt(6 / (784 + 500))
    assert layer.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=1e-2)
    assert not layer.bias.any()


@pytest.mark.parametrize("shape, stride", [((1, 8, 8), 2), ((1, 28, 28), 4), ((3, 32, 16), 8), ((1, 28, 8), 4)])
def test_a_convolutional_encoder_takes_images_whose_sides_its_stride_divides(shape, stride):
    encoder = ConvEncoder(shape, 5, 4, 16, stride)
    assert encoder(torch.rand(3, *shape)).shape == (3, 10)


def test_a_patch_reaches_half_a_stride_beyond_what_is_its_own():
    """Of 8 x 8 patches at a stride of 4, the first map's place (2, 3) sees rows 6 to 13 and columns 10 to 17."""
    first = ConvEncoder((1, 28, 28), 5, 4, 16).net[0]
    image = torch.zeros(1, 1, 28, 28, requires_grad=True)
    first(image)[0, :, 2, 3].sum().backward()
    rows, columns = (torch.nonzero(image.grad[0, 0].abs().sum(d))[:, 0].tolist() for d in (1, 0))
    assert (rows, columns) == (list(range(6, 14)), list(range(10, 18)))


def test_sizes_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match=r"image_shape=\[1, 9, 8\]: .* divide by 4"):
        ConvEncoder((1, 9, 8), 5, 4, 16)
    with pytest.raises(ValueError, match="stride=3: accepted are 2, 4, 8"):
        ConvEncoder((1, 9, 9), 5, 4, 16, stride=3)
    with pytest.raises(ValueError, match="channels=-3: expects a positive number"):
        ConvEncoder((1, 8, 8), 5, -3, 16)
    with pytest.raises(ValueError, match=r"hidden\[1\]=0: expects a positive number"):
        MLPEncoder((1, 8, 8), 5, [4, 0])
    with pytest.raises(ValueError, match=r"image_shape=\[64\]: expects channels, height and width"):
        MLPDecoder((64,), 5, [4])
