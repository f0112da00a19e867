"""The latent classifier as a notebook would use it: no Hydra, no folders."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn import metrics as sk

from callbacks.latent_classifier import LatentClassifier, classification_metrics, latent_codes
from classifiers.linear_svc import LinearSVCHead
from datamodules.images import Digits
from lightning_modules.networks import MLPDecoder, MLPEncoder
from lightning_modules.vae import VAE
from storage import load_arrays


def fit(callback: pl.Callback, epochs: int = 3) -> tuple[VAE, Digits]:
    torch.manual_seed(0)
    vae = VAE(MLPEncoder((1, 8, 8), 8, [64]), MLPDecoder((1, 8, 8), 8, [64]), 8, lr=3e-3, beta=0.2)
    module = Digits()
    pl.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
               enable_model_summary=False, accelerator="cpu", callbacks=[callback]).fit(vae, module)  # fmt: skip
    return vae, module


def test_metrics_are_scikit_learns():
    rng = np.random.default_rng(0)
    targets, predicted = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    ours, confusion = classification_metrics(predicted, targets, 4)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(targets, predicted, average="macro")
    expected = {"accuracy": (targets == predicted).mean(), "precision": precision, "recall": recall, "f1": f1}
    assert ours == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(confusion, sk.confusion_matrix(targets, predicted))


def test_it_classifies_after_the_fit_without_hydra(tmp_path):
    callback = LatentClassifier(LinearSVCHead(C=10.0), n_labels=300, folder=tmp_path)
    vae, module = fit(callback, epochs=15)
    assert callback.metrics["accuracy"] > 0.75
    assert np.asarray(callback.facts["confusion"]).sum() == 500
    assert callback.facts["inductive"] is True
    # the same predictions from the stored arrays
    again = LatentClassifier(LinearSVCHead(), n_labels=300, folder=tmp_path)
    again.reload(vae, module)
    assert again.metrics == callback.metrics
    assert set(load_arrays(tmp_path / "classifier.safetensors")) >= {"coef", "intercept"}


def test_codes_are_the_means_of_the_active_dimensions():
    vae, module = fit(LatentClassifier(LinearSVCHead(), 10), epochs=1)
    with torch.no_grad():
        vae.encoder.net[-1].weight[2] = 0  # the mean of dimension 2 no longer depends on the image
    codes = latent_codes(vae, module)
    assert codes["active"].tolist() == [i != 2 for i in range(8)]
    vae.eval()
    expected = vae.encode(module.test.images.float() / 255).detach().numpy()[:, codes["active"]]
    np.testing.assert_allclose(codes["test_codes"], expected, rtol=1e-4, atol=1e-5)
    assert codes["train_codes"].shape == (1100, 7)


def test_labels_come_from_the_training_images_only():
    callback = LatentClassifier(LinearSVCHead(), n_labels=50, label_seed=2)
    seen = {}
    callback.classifier.fit = lambda codes, labels: (
        seen.update(codes=codes, labels=labels) or LinearSVCHead.fit(callback.classifier, codes, labels)
    )
    vae, module = fit(callback, epochs=1)
    assert np.bincount(seen["labels"]).tolist() == [5] * 10
    train = {tuple(code) for code in latent_codes(vae, module)["train_codes"].round(4).tolist()}
    assert all(tuple(code) in train for code in seen["codes"].round(4).tolist())


def test_impossible_draws_are_found_before_training():
    module = Digits()
    module.setup()
    with pytest.raises(ValueError, match="n_labels=1105: the training set has only 1100 images"):
        LatentClassifier(LinearSVCHead(), 1105).check(module)
    with pytest.raises(ValueError, match="n_labels=0: expects a positive whole number"):
        LatentClassifier(LinearSVCHead(), 0)


def test_settings_can_be_chosen_without_the_test_set():
    """Scored on the validation images, and the test images' classes change nothing."""
    vae, module = fit(LatentClassifier(LinearSVCHead(), 10), epochs=1)
    module.test = module.test._replace(targets=torch.zeros_like(module.test.targets))
    callback = LatentClassifier(LinearSVCHead(), n_labels=100, score_on="validation")
    callback.on_fit_end(type("Trainer", (), {"datamodule": module}), vae)
    assert np.asarray(callback.facts["confusion"]).sum() == len(module.val.images) == 197
    assert callback.metrics["accuracy"] > 0.3 and callback.facts["scored_on"] == "validation"
    with pytest.raises(ValueError, match="score_on=train: accepted are test, validation"):
        LatentClassifier(LinearSVCHead(), n_labels=100, score_on="train")
