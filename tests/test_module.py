"""What this project's LightningModules have beside Lightning's own."""

import pytest
import torch
from torch import nn

from lightning_modules.module import Module


def test_lightnings_note_is_no_module_and_all_else_is_kept_as_ever():
    """``nn.Module`` refuses a string in the place of a module: only the note may pass that by."""
    module = Module()
    module._current_fx_name = "training_step"
    assert module._current_fx_name == vars(module)["_current_fx_name"] == "training_step"
    module.weight, module.layer = nn.Parameter(torch.ones(2)), nn.Linear(2, 3)
    assert [name for name, _ in module.named_parameters()] == ["weight", "layer.weight", "layer.bias"]
    with pytest.raises(TypeError, match="cannot assign 'str' as child module 'layer'"):
        module.layer = "training_step"
