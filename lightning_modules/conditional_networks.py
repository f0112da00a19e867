"""Networks of an input and a class, and their pass over all classes at once."""

import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.checks import require_positive
from lightning_modules.networks import activation, mlp


class ClassConditionalMLP(nn.Module):
    """Fully connected, of an input and a one-hot class side by side.

    The first layer is linear in both, so that an input's part of it is computed once however many classes it is seen
    with: W [x; y] + b = (W_x x + b) + W_y y.

    Args:
        size_in: of an input.
        num_classes: K.
        hidden: units of each hidden layer.
        size_out: of the output.
        act: the activation (:func:`lightning_modules.networks.activation`).
    """

    def __init__(self, size_in: int, num_classes: int, hidden: list[int], size_out: int, act: str = "softplus"):
        super().__init__()
        sizes = {"size_in": size_in, "num_classes": num_classes, "size_out": size_out}
        require_positive(**sizes, **{f"hidden[{i}]": size for i, size in enumerate(hidden)})
        if not hidden:
            raise ValueError("hidden=[]: a class and an input meet in a hidden layer, so there must be one")
        self.size_in = size_in
        self.first = nn.Linear(size_in + num_classes, hidden[0])
        self.rest = nn.Sequential(activation(act), *mlp([*hidden, size_out], act))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Of inputs ``(B, size_in)`` with their classes ``(B,)``: ``(B, size_out)``.

        Without classes of every class, ``(B, K, size_out)``; an input may then be one for each, ``(B, K, size_in)``.
        """
        of_input, of_class = self.first.weight.split([self.size_in, self.first.in_features - self.size_in], dim=1)
        hidden = F.linear(x, of_input, self.first.bias)
        if y is not None:
            return self.rest(hidden + of_class.T[y])
        return self.rest((hidden if x.dim() == 3 else hidden[:, None]) + of_class.T)
