"""Generators and critics for points: fully connected, sized by their arguments."""

import torch
from torch import Tensor, nn

from datamodules.checks import require_one_of, require_positive
from datamodules.distributions import Distribution
from lightning_modules.networks import mlp

INITS = ("default", "he")


def _hidden(sizes: list[int], act: str, init: str) -> nn.Sequential:
    require_positive(**{f"hidden[{i}]": size for i, size in enumerate(sizes[1:-1])})
    require_one_of(INITS, init=init)
    net = mlp(sizes, act)
    if init == "he":
        for layer in net:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    return net


class MLPGenerator(nn.Module):
    """Noise ``(B, z_dim)`` to points ``(B, 2)``.

    Args:
        z_dim: of the noise.
        hidden: widths of the hidden layers; none makes the generator linear.
        act: ``relu``, ``leaky_relu``, ``softplus`` or ``silu``.
        init: ``default``, torch's, or ``he``: He-uniform, zero biases, as the toy script of Gulrajani et al. 2017.
        output_range: what [0, 1] of the data is to the network; its outputs are not confined to it.
    """

    def __init__(
        self,
        z_dim: int,
        hidden: list[int],
        act: str = "relu",
        init: str = "default",
        output_range: tuple[float, float] = (0.0, 1.0),
    ):
        super().__init__()
        require_positive(z_dim=z_dim)
        self.output_range = tuple(output_range)
        self.net = _hidden([z_dim, *hidden, 2], act, init)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


class MLPCritic(nn.Module):
    """Points ``(B, 2)`` to one score each, ``(B,)``: a critic's value or a discriminator's logit.

    Args:
        hidden: widths of the hidden layers; none makes the critic linear.
        act: as :class:`MLPGenerator`.
        init: as :class:`MLPGenerator`.
    """

    def __init__(self, hidden: list[int], act: str = "relu", init: str = "default"):
        super().__init__()
        self.net = _hidden([2, *hidden, 1], act, init)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).squeeze(1)


class DataPlusNoise(nn.Module):
    """A generator that has nothing to learn: the data themselves, plus normal noise (Gulrajani et al. 2017, figure 1).

    Noise ``(B, 5)`` from N(0, I) becomes points ``(B, 2)``: the first number chooses the place on the curve or the
    mode, two more the point there, and the last two are added to it.

    Args:
        distribution: of the data.
        std: of what is added, in the networks' units.
        z_dim: of the noise: 5.
        noise: its kind: normal.
        output_range: as :class:`MLPGenerator`.
    """

    def __init__(
        self,
        distribution: Distribution,
        std: float = 1.0,
        z_dim: int = 5,
        noise: str = "normal",
        output_range: tuple[float, float] = (0.0, 1.0),
    ):
        super().__init__()
        require_positive(std=std)
        if (z_dim, noise) != (5, "normal"):
            raise ValueError(f"model.z_dim={z_dim} model.noise={noise}: data plus noise takes five normal numbers")
        self.distribution, self.output_range = distribution, tuple(output_range)
        self.std = nn.Parameter(torch.tensor(float(std)))

    def forward(self, z: Tensor) -> Tensor:
        low, high = self.output_range
        points = self.distribution.transport(torch.special.ndtr(z[:, 0]), z[:, 1:3])
        return points * (high - low) + low + self.std * z[:, 3:5]
