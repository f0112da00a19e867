"""The scorer: a classifier whose features are one layer below its classes."""

import pytest
import pytorch_lightning as pl
import torch

from contracts_model import check_model
from datamodules.digits import Digits
from datamodules.images import to_unit_range
from lightning_modules.scorer import Scorer


def test_it_learns_the_digits_and_describes_what_it_classifies_by():
    torch.manual_seed(0)
    scorer, data = Scorer((1, 8, 8), 10, channels=8, features=16, lr=5e-3), Digits(batch_size=32, n_labels="all")
    trainer = pl.Trainer(max_epochs=15, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False, accelerator="cpu")  # fmt: skip
    trainer.fit(scorer, data)
    accuracy = trainer.test(scorer, data, verbose=False)[0]["test/accuracy"]
    images = to_unit_range(data.test.images)
    features, probabilities = scorer.train().describe(images, batch_size=77)
    assert features.shape == (500, 16) and probabilities.shape == (500, 10) and scorer.training
    torch.testing.assert_close(probabilities.sum(1), torch.ones(500))
    torch.testing.assert_close(scorer.head(features).softmax(1), probabilities)  # without dropout
    assert (probabilities.argmax(1) == data.test.targets).float().mean().item() == pytest.approx(accuracy)
    assert accuracy > 0.9


def test_it_keeps_the_contract_and_has_the_datas_classes():
    check_model(lambda: Scorer((1, 8, 8), 10, channels=4, features=8))
    assert Scorer((1, 16, 16), 26)(torch.rand(3, 1, 16, 16)).shape == (3, 26)
    with pytest.raises(TypeError, match="num_classes"):  # no number of classes that it would have by itself
        Scorer((1, 8, 8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_shape": (1, 9, 8)}, r"image_shape=\[1, 9, 8\]: this network needs sides that divide by 4"),
        ({"dropout": 1.0}, "model.dropout=1.0: expects a number from 0 to below 1"),
        ({"features": 0}, "model.features=0: expects a positive number"),
        ({"image_shape": (2,)}, r"image_shape=\[2\]: expects channels, height and width"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Scorer(**{"image_shape": (1, 8, 8), "num_classes": 10} | settings)
