"""The convolutional networks: sizes, first weights, norms."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn

from conftest import ROOT
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator


@pytest.mark.parametrize("side", [8, 28, 30])
def test_networks_fit_any_side(side):
    images = ConvGenerator((1, side, side), 5, 2, norm="batch", output="tanh", init="normal")(torch.randn(3, 5))
    assert images.shape == (3, 1, side, side) and images.min() >= -1
    assert ConvCritic((1, side, side), 2)(images).shape == (3,)


def test_the_official_script_has_its_parameter_counts():
    shape = {f"+model.{network}.image_shape": "[1,28,28]" for network in ("generator", "critic")}
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        command = ["model=wgan_gp_official", "dataset=mnist", *(f"{key}={value}" for key, value in shape.items())]
        config = compose("train", command)
        module = instantiate(config.model, _convert_="all")
    assert sum(p.numel() for p in module.generator.parameters()) == 1_554_177
    assert sum(p.numel() for p in module.critic.parameters()) == 1_030_145
    assert (module.z_dim, module.n_critic, module.penalty_weight, module.betas) == (128, 5, 10.0, (0.5, 0.9))
    assert (module.lr_generator, config.dataset.batch_size, module.batches_per_step) == (1e-4, 50, 5)
    assert module.loss.meaning == "distance"


@pytest.mark.parametrize("name", ["non_saturating", "least_squares", "hinge", "wasserstein"])
@pytest.mark.parametrize("model", ["dcgan", "gan", "wgan_gp"])
def test_a_command_chooses_the_loss(model, name):
    data = "digits" if model == "dcgan" else "ring"
    shape = [f"+model.{network}.image_shape=[1,8,8]" for network in ("generator", "critic") if model == "dcgan"]
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        config = compose("train", [f"model={model}", f"dataset={data}", f"loss={name}", *shape])
        module = instantiate(config.model, _convert_="all")
    assert type(module.loss).__module__ == f"lightning_modules.losses.{name}"


def test_dcgan_starts_as_its_paper_says():
    torch.manual_seed(0)
    generator = ConvGenerator((1, 28, 28), 100, 16, norm="batch", output="tanh", init="normal")
    weights = torch.cat(
        [m.weight.flatten() for m in generator.modules() if isinstance(m, nn.Linear | nn.ConvTranspose2d)]
    )
    assert weights.std().item() == pytest.approx(0.02, rel=0.02) and abs(weights.mean().item()) < 1e-3
    gains = torch.cat([m.weight for m in generator.modules() if isinstance(m, nn.BatchNorm2d)])
    assert gains.mean().item() == pytest.approx(1, abs=0.01) and 0.01 < gains.std().item() < 0.03
