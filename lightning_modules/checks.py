"""What models and networks ask of their arguments, beside what all do (:mod:`datamodules.checks`)."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

NOT_IN_A_FIT = "it only raises"


def require_steps(**counts: int) -> None:
    """Raises ValueError for the first that is not a whole number, by its name."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int):
            raise ValueError(f"{name}={count}: expects a whole number of steps")


def require_betas(betas: tuple[float, float]) -> None:
    """Raises ValueError for decay rates that Adam can't take."""
    if len(betas) != 2 or not all(isinstance(b, int | float) and 0 <= b < 1 for b in betas):
        raise ValueError(f"model.betas={list(betas)}: expects two numbers from 0 to below 1")


def require_horizon(**shares: float) -> None:
    """Raises ValueError for the first that no average over updates can have as its horizon, by its name."""
    for name, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 0.5:
            raise ValueError(f"{name}={share}: expects a share of the updates, from 0 to 0.5")


def require_own_gradients(critic: nn.Module, penalty: str) -> None:
    """Raises ValueError for a critic with batch norms, of whose gradients a penalty is: ``the penalty is``."""
    if any(isinstance(layer, _BatchNorm) for layer in critic.modules()):
        raise ValueError(
            f"model.critic.norm=batch: a batch norm makes each image's gradient depend on the others', and {penalty} "
            "on each image's own; use layer or none"
        )


def require_image_shape(image_shape: tuple[int, int, int], divisor: int = 1) -> None:
    """Raises ValueError for what is not channels, height and width, or for sides that ``divisor`` does not divide."""
    if len(image_shape) != 3 or not all(type(side) is int and side > 0 for side in image_shape):
        raise ValueError(f"image_shape={list(image_shape)}: expects channels, height and width")
    if image_shape[1] % divisor or image_shape[2] % divisor:
        raise ValueError(f"image_shape={list(image_shape)}: this network needs sides that divide by {divisor}")
