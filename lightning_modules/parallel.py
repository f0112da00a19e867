"""Several processes that train one model: each on its share of a batch, all taking the step of one on the whole.

Lightning's wrapper for that, DDP, expects one backward pass through all parameters; adversarial models have several
through some of them (pytorch-lightning#20328, #20866). So the model itself says what it exchanges, by the functions
here; they do nothing where there is one process. Shares of a batch are of equal size, in the order of the processes.
"""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm


def place() -> tuple[int, int]:
    """This process's number, from 0, and how many there are: 0 of 1 where no group was set up."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def own_share(draw: Callable[..., Tensor], count: int, *shape: int, **kwargs) -> Tensor:
    """This process's rows, ``(count, *shape)``, of what one process would draw for the whole batch.

    Each draws it all, so that their generators stay in step; ``draw`` is ``torch.randn`` or the like.
    """
    number, processes = place()
    return draw(count * processes, *shape, **kwargs)[number * count : (number + 1) * count]


@torch.no_grad()
def averaged(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The means over all processes of tensors of any shapes, in one exchange."""
    _, processes = place()
    if processes == 1:
        return list(tensors)
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    parts = flat.div_(processes).split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


@torch.no_grad()
def whole(shown: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is shown of the whole batch: 0-d means averaged over the processes, rows ``(B,)`` of all joined."""
    _, processes = place()
    if processes == 1:
        return shown
    scalars = {name: value for name, value in shown.items() if value.dim() == 0}
    joined = dict(zip(scalars, averaged(list(scalars.values())), strict=True))
    for name in shown.keys() - scalars.keys():
        parts = [torch.empty_like(shown[name]) for _ in range(processes)]
        dist.all_gather(parts, shown[name].contiguous())
        joined[name] = torch.cat(parts)
    return {name: joined[name] for name in shown}


class _Sum(torch.autograd.Function):
    """The sum over all processes. Each one's loss depends on every term, so gradients are summed as well."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable  # a penalty on the gradient raises rather than miss a term
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class SharedBatchNorm(_BatchNorm):
    """A batch norm whose statistics in training are the whole batch's: torch's ``SyncBatchNorm``, which is for GPUs
    only, on any device. Parameters and buffers are those of a batch norm."""

    def _check_input_dim(self, x: Tensor) -> None:
        """Any: :func:`share_batch_norms` makes it of a norm that knew its own."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        _, processes = place()
        over, channels = [d for d in range(x.dim()) if d != 1], (-1, *[1] * (x.dim() - 2))
        count = x.numel() // x.shape[1] * processes
        with torch.autocast(x.device.type, enabled=False):
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            mean = _Sum.apply(wide.sum(over)) / count
            # in two passes: E[x^2] - E[x]^2 would lose the digits that the two have in common
            centred = wide - mean.view(channels)
            variance = _Sum.apply(centred.square().sum(over)) / count
            self._track(mean.detach(), variance.detach() * (count / (count - 1)))
            scale = torch.rsqrt(variance + self.eps)
            if self.affine:
                normed = torch.addcmul(self.bias.view(channels), centred, (scale * self.weight).view(channels))
            else:
                normed = centred * scale.view(channels)
        return normed.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.track_running_stats:
            self.num_batches_tracked += 1
            share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
            self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def share_batch_norms(module: nn.Module) -> None:
    """Has the batch norms of the networks that learn, a module's children, take their statistics over all processes, in
    place. Of others, such as an averaged generator, each process makes the same by itself.

    Parameters, buffers and names stay: checkpoints are those of one process.
    """
    for name, network in module.named_children():
        if not any(parameter.requires_grad for parameter in network.parameters()):
            continue
        if next(network.parameters()).is_cuda:
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(network))
            continue
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                layer.__class__ = SharedBatchNorm  # as torch's lazy modules turn into what they stand for
