"""The VAE's networks: sizes, first weights, what they refuse."""

import math

import pytest
import torch

from lightning_modules.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
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


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (1, 32, 16)])
def test_convolutional_networks_mirror_each_other(shape):
    encoder, decoder = ConvEncoder(shape, 5, 4, 16), ConvDecoder(shape, 5, 4, 16)
    assert encoder(torch.rand(3, *shape)).shape == (3, 10)
    assert decoder(torch.rand(3, 5)).shape == (3, *shape)


def test_sizes_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match=r"image_shape=\[1, 9, 8\]: .* divide by 4"):
        ConvEncoder((1, 9, 8), 5, 4, 16)
    with pytest.raises(ValueError, match="channels=-3: expects a positive number"):
        ConvEncoder((1, 8, 8), 5, -3, 16)
    with pytest.raises(ValueError, match=r"hidden\[1\]=0: expects a positive number"):
        MLPEncoder((1, 8, 8), 5, [4, 0])
    with pytest.raises(ValueError, match=r"image_shape=\[64\]: expects channels, height and width"):
        MLPDecoder((64,), 5, [4])
