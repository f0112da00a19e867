"""Adam with and without clipped gradients, and the cosine."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from contracts_model import batches, trainer
from lightning_modules.networks import MLPDecoder, MLPEncoder
from lightning_modules.optimizers import adam, cosine_decay, set_gradients
from lightning_modules.scorer import Scorer
from lightning_modules.vae import VAE

SHAPE = (1, 8, 8)
MODELS = {
    "vae": lambda: VAE(MLPEncoder(SHAPE, 4, [16]), MLPDecoder(SHAPE, 4, [16]), 4, lr=0.1, lr_decay="none"),
    "scorer": lambda: Scorer(SHAPE, 10, channels=4, features=8),
}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_clipped_in_either_precision(name, precision):
    """With a fused Adam, bf16-mixed and a clipping value every such fit died in its first step."""
    model = MODELS[name]()
    fit = trainer(max_epochs=1, precision=precision, gradient_clip_val=1e-9, limit_val_batches=0)
    norms = []
    model.on_before_zero_grad = lambda _: norms.extend(
        p.grad.norm() for p in model.parameters() if p.grad is not None
    )  # as clipped in the update before
    fit.fit(model, DataLoader(batches(model, SHAPE), batch_size=None))
    assert fit.global_step == 3 and norms and max(norms) <= 1e-9
    assert not fit.optimizers[0].param_groups[0]["fused"]


@pytest.mark.parametrize(("clip", "fused"), [(None, True), (0, True), (0.0, True), (1.0, False)])
def test_adam_is_fused_unless_gradients_are_clipped(clip, fused):
    model = MODELS["vae"]()
    assert adam(model, model.parameters(), 0.1).param_groups[0]["fused"]  # without a trainer
    model._trainer = trainer(gradient_clip_val=clip)
    assert adam(model, model.parameters(), 0.1).param_groups[0]["fused"] == fused


def test_gradients_are_laid_out_as_their_parameters():
    weight = nn.Parameter(torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last))
    gradient = torch.randn(4, 3, 5, 5)
    set_gradients([weight], [gradient])
    assert weight.grad.stride() == weight.stride() != gradient.stride() and torch.equal(weight.grad, gradient)


def test_the_cosine_falls_from_all_to_nothing():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule, found = cosine_decay(optimizer, 4)["scheduler"], []
    for _ in range(6):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert found == pytest.approx([2, 1 + 0.5**0.5, 1, 1 - 0.5**0.5, 0, 0])
