"""Encoders and decoders, sized by their arguments, for images whose height and width divide by four."""

import itertools
import math

import torch
from torch import Tensor, nn

from datamodules.checks import require_one_of, require_positive
from lightning_modules.checks import require_image_shape

ACTIVATIONS = {"relu": nn.ReLU, "softplus": nn.Softplus, "silu": nn.SiLU, "leaky_relu": nn.LeakyReLU}


def activation(name: str) -> nn.Module:
    """The activation called ``name``.

    Raises:
        ValueError: if there is none of that name.
    """
    require_one_of(ACTIVATIONS, activation=name)
    return ACTIVATIONS[name]()


def init_xavier(module: nn.Module) -> None:
    """Xavier-uniform weights (Glorot & Bengio 2010) and zero biases for every linear and convolutional layer."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def mlp(sizes: list[int], act: str) -> nn.Sequential:
    """Linear layers between the given sizes with an activation after each but the last."""
    layers: list[nn.Module] = []
    for size_in, size_out in itertools.pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), activation(act)]
    return nn.Sequential(*layers[:-1])


class MLPEncoder(nn.Module):
    """Fully connected, ``(B, *image_shape)`` to ``(B, 2 * latent_dim)``: means, then log variances."""

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, hidden: list[int], act: str = "softplus"):
        super().__init__()
        require_positive(latent_dim=latent_dim, **{f"hidden[{i}]": h for i, h in enumerate(hidden)})
        require_image_shape(image_shape)
        self.net = mlp([math.prod(image_shape), *hidden, 2 * latent_dim], act)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(1))


class MLPDecoder(nn.Module):
    """Fully connected, ``(B, latent_dim)`` to the likelihood's parameter ``(B, *image_shape)``."""

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, hidden: list[int], act: str = "softplus"):
        super().__init__()
        require_positive(latent_dim=latent_dim, **{f"hidden[{i}]": h for i, h in enumerate(hidden)})
        require_image_shape(image_shape)
        self.net = mlp([latent_dim, *hidden, math.prod(image_shape)], act)
        self.image_shape = tuple(image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z).unflatten(1, self.image_shape)


class ConvEncoder(nn.Module):
    """Overlapping patches, a strided convolution and a hidden linear layer; shapes as :class:`MLPEncoder`.

    Large patches first are what processors are quick at: at a stride of 4 the first map has a sixteenth of the image's
    positions, and what follows has little left to do.

    Args:
        image_shape: channels, height and width.
        latent_dim: of the code.
        channels: of the patches; twice as many after the second convolution.
        hidden: units of the linear layer.
        stride: of the patches, whose sides are twice as long; even.
        act: of all layers but the last.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        channels: int,
        hidden: int,
        stride: int = 4,
        act: str = "relu",
    ):
        super().__init__()
        require_positive(latent_dim=latent_dim, channels=channels, hidden=hidden)
        require_one_of((2, 4, 8), stride=stride)
        require_image_shape(image_shape, divisor=stride)
        positions = math.prod(math.ceil(side / stride / 2) for side in image_shape[1:])
        self.net = nn.Sequential(
            nn.Conv2d(image_shape[0], channels, 2 * stride, stride=stride, padding=stride // 2),
            activation(act),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            activation(act),
            nn.Flatten(),
            nn.Linear(2 * channels * positions, hidden),
            activation(act),
            nn.Linear(hidden, 2 * latent_dim),
        ).to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.contiguous(memory_format=torch.channels_last))
