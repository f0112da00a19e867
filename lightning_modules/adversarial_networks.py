"""Convolutional generators and critics for small grey images of any side, sized by their arguments.

Both go through the sides that halving gives, rounded up (28, 14, 7, 4 in three stages), with strided 5x5 convolutions,
as the released MNIST script of the WGAN-GP paper and Radford et al. 2015 do. ``channels=64`` without norms is that
script's pair: 1,554,177 parameters in the generator and 1,030,145 in the critic.
"""

import itertools
import math

import torch
from torch import Tensor, nn

from datamodules.checks import require_one_of, require_positive
from lightning_modules.checks import require_image_shape

NORMS = ("none", "batch", "layer")
OUTPUT_RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


def normalization(name: str, channels: int) -> list[nn.Module]:
    """The layer called ``name`` for maps ``(B, channels, H, W)``, in a list that is empty for ``none``.

    ``layer`` takes its statistics over all of one image's channels and pixels (Ba et al. 2016), with a gain a channel.

    Raises:
        ValueError: if there is none of that name.
    """
    require_one_of(NORMS, norm=name)
    return {"none": [], "batch": [nn.BatchNorm2d(channels)], "layer": [nn.GroupNorm(1, channels)]}[name]


def init_normal(module: nn.Module, std: float = 0.02) -> None:
    """Weights from N(0, std^2), norms' gains from N(1, std^2), biases zero (Radford et al. 2015, section 4)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
        elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(layer.weight, 1.0, std)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def init_scaled(module: nn.Module) -> None:
    """Uniform weights of variance 4 / (fan in + fan out) in convolutions, 2 / (fan in + fan out) in linear layers, and
    zero biases: the WGAN-GP script's (tflib). A fan counts the taps that a pixel really has: a stride divides it."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            taps, strides = math.prod(layer.kernel_size), math.prod(layer.stride)
            fan_in, fan_out = layer.in_channels * taps, layer.out_channels * taps
            up = isinstance(layer, nn.ConvTranspose2d)
            variance = 4 / (fan_in / (strides if up else 1) + fan_out / (1 if up else strides))
        elif isinstance(layer, nn.Linear):
            variance = 2 / (layer.in_features + layer.out_features)
        else:
            continue
        nn.init.uniform_(layer.weight, -math.sqrt(3 * variance), math.sqrt(3 * variance))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


INITS = {"normal": init_normal, "scaled": init_scaled}


def _initialize(module: nn.Module, init: str) -> None:
    require_one_of(INITS, init=init)
    INITS[init](module)


def _halved(side: int, stages: int) -> list[int]:
    sides = [side]
    for _ in range(stages):
        sides.append((sides[-1] + 1) // 2)
    return sides


class Crop(nn.Module):
    """The first rows and columns of maps ``(B, C, H, W)``: a doubled 4 becomes the 7 that halves to it."""

    def __init__(self, height: int, width: int):
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : self.height, : self.width]


class ConvGenerator(nn.Module):
    """Noise ``(B, z_dim)`` to images ``(B, *image_shape)``.

    Args:
        image_shape: ``(C, H, W)``.
        z_dim: of the noise.
        channels: of the last hidden map; each map before it has twice the next one's.
        norm: after each hidden layer: ``none``, ``batch`` or ``layer``.
        output: ``sigmoid`` for images in [0, 1] or ``tanh`` for [-1, 1].
        init: ``normal`` as DCGAN, or ``scaled`` as the WGAN-GP script.
        stages: how often the side is halved.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        z_dim: int,
        channels: int,
        norm: str = "none",
        output: str = "sigmoid",
        init: str = "scaled",
        stages: int = 3,
    ):
        super().__init__()
        require_positive(z_dim=z_dim, channels=channels, stages=stages)
        require_one_of(OUTPUT_RANGES, output=output)
        require_image_shape(image_shape)
        self.output_range = OUTPUT_RANGES[output]
        heights, widths = _halved(image_shape[1], stages)[::-1], _halved(image_shape[2], stages)[::-1]
        widest = channels * 2 ** (stages - 1)
        plain = norm == "none"  # a norm's shift makes the bias before it redundant
        layers: list[nn.Module] = [
            nn.Linear(z_dim, widest * heights[0] * widths[0], bias=plain),
            nn.Unflatten(1, (widest, heights[0], widths[0])),
            *normalization(norm, widest),
            nn.ReLU(),
        ]
        maps = [widest // 2**i for i in range(stages)] + [image_shape[0]]
        for stage, (c_in, c_out) in enumerate(itertools.pairwise(maps), start=1):
            last = stage == stages
            layers.append(nn.ConvTranspose2d(c_in, c_out, 5, 2, padding=2, output_padding=1, bias=plain or last))
            if (heights[stage], widths[stage]) != (2 * heights[stage - 1], 2 * widths[stage - 1]):
                layers.append(Crop(heights[stage], widths[stage]))
            if not last:
                layers += [*normalization(norm, c_out), nn.ReLU()]
        layers.append(nn.Sigmoid() if output == "sigmoid" else nn.Tanh())
        self.net = nn.Sequential(*layers)
        _initialize(self, init)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z).contiguous()


class ConvCritic(nn.Module):
    """Images ``(B, *image_shape)`` to one score each, ``(B,)``: a critic's value or a discriminator's logit.

    Args:
        image_shape: ``(C, H, W)``.
        channels: of the first map; each map after it has twice the one before.
        norm: after each hidden convolution but the first: ``none``, ``batch`` or ``layer``.
        init: ``normal`` as DCGAN, or ``scaled`` as the WGAN-GP script.
        stages: how often the side is halved.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        channels: int,
        norm: str = "none",
        init: str = "scaled",
        stages: int = 3,
    ):
        super().__init__()
        require_positive(channels=channels, stages=stages)
        require_image_shape(image_shape)
        maps = [image_shape[0]] + [channels * 2**i for i in range(stages)]
        layers: list[nn.Module] = []
        for stage, (c_in, c_out) in enumerate(itertools.pairwise(maps)):
            normed = norm if stage else "none"
            layers.append(nn.Conv2d(c_in, c_out, 5, 2, padding=2, bias=normed == "none"))
            layers += [*normalization(normed, c_out), nn.LeakyReLU(0.2)]
        sides = _halved(image_shape[1], stages)[-1] * _halved(image_shape[2], stages)[-1]
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(maps[-1] * sides, 1))
        _initialize(self, init)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.contiguous(memory_format=torch.channels_last)).squeeze(1)
