"""The latent classifier as a notebook would use it: no Hydra, no folders."""

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn import metrics as sk

from callbacks.analyses import latent_classifier
from callbacks.analyses.base import InTraining
from callbacks.analyses.latent_classifier import LatentClassifier, classification_metrics
from callbacks.analyses.latent_codes import latent_codes
from callbacks.drawing.confusion import CELL, confusion_image
from classifiers.linear_svc import LinearSVCHead
from conftest import ROOT
from datamodules.digits import Digits
from datamodules.labels import draw_labels
from latent_lab.command import read_command
from latent_lab.targets import build
from lightning_modules.networks import MLPDecoder, MLPEncoder
from lightning_modules.vae import VAE


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


class Kept:
    """A fit whose codes were made before."""

    def __init__(self, module: VAE | None, data: Digits, codes: dict | None = None):
        self.name, self.model, self.datamodule, self.codes = "kept", module, data, codes

    def derived(self, name: str, make, by=()):
        if name != "codes":
            return make()
        self.codes = self.codes or make()
        return self.codes


def test_it_classifies_after_the_fit_without_hydra():
    callback = LatentClassifier(LinearSVCHead(C=10.0), n_labels=300)
    vae, module = fit(callback, epochs=15)
    assert callback.metrics["accuracy"] > 0.75
    facts = callback.outcome.facts
    assert np.asarray(facts["confusion"]).sum() == 500
    assert facts["supervision"] == "supervised" and facts["unlabelled"] == 0
    assert facts["labels"] == "equal" and facts["code_dims"] == 8
    # the same predictions from the stored arrays, on codes made anew
    stored = callback.outcome.artefacts
    assert set(stored["classifier.safetensors"]) == {"coef", "intercept", "classes", "shift", "divisor"}
    stale = Kept(vae, module, codes={"test_codes": np.zeros((500, 8)), "test_targets": np.zeros(500)})
    again = LatentClassifier(LinearSVCHead(), n_labels=300)
    assert again.reload(stale, stored.__getitem__) == callback.metrics


def digits_as_codes() -> dict[str, np.ndarray]:
    """The digits' pixels, scaled, in place of a VAE's codes."""
    module = Digits()
    module.setup()
    codes = {"active": np.ones(64, dtype=bool)}
    for name, (images, targets) in {"train": module.labelled, "val": module.val, "test": module.test}.items():
        codes[f"{name}_codes"] = (images.flatten(1).float() / 64).numpy()
        codes[f"{name}_targets"] = targets.numpy()
    return codes


QUICK = {"tsvm": ["classifier.features=100", "classifier.stages=2"]}


def head_named(name: str):
    words = QUICK.get(name, [])
    return build(read_command("train", [f"classifier={name}", *words]).jobs[0].config["classifier"])


class Shelf:
    """A fit whose codes are given; it keeps what is derived of them, as a fit's folder does."""

    name = "vae-digits-01234567"

    def __init__(self, codes: dict[str, np.ndarray]):
        self.kept, self.made = {"codes": codes}, []
        self.model, self.datamodule = SimpleNamespace(device="cpu"), Digits()
        self.datamodule.setup()

    def derived(self, name: str, make, by=()) -> dict[str, np.ndarray]:
        if name not in self.kept:
            self.made.append(name)
            self.kept[name] = make()
        return self.kept[name]


HEADS = sorted(path.stem for path in (ROOT / "conf" / "classifier").glob("*.yaml"))


@pytest.mark.parametrize("transductive", [False, True], ids=["", "transductive"])
@pytest.mark.parametrize("name", HEADS)
def test_labels_that_were_not_given_decide_nothing(name, transductive, monkeypatch):
    """All labels but the drawn ones become others; the trained head and what it says of the test images do not."""
    if transductive and "transductive" not in head_named(name).supervision:
        with pytest.raises(ValueError, match="transductive=true: .* is supervised, it makes no use of the images"):
            LatentClassifier(head_named(name), 100, transductive=True)
        return
    codes = digits_as_codes()
    drawn = draw_labels(codes["train_targets"], 100, 0)
    honest = Shelf(codes)
    first = LatentClassifier(head_named(name), 100, transductive=transductive, pictures="none").run(honest)
    monkeypatch.setattr(latent_classifier, "draw_labels", lambda *_: drawn)
    targets = [f"{split}_targets" for split in ("train", "val", "test")]
    garbled = codes | {name: (codes[name] * 7 + 3) % 10 for name in targets}
    garbled["train_targets"][drawn] = codes["train_targets"][drawn]
    second = LatentClassifier(head_named(name), 100, transductive=transductive, pictures="none").run(Shelf(garbled))
    then, now = first.artefacts["classifier.safetensors"], second.artefacts["classifier.safetensors"]
    assert then.keys() == now.keys() and all(then[key].tobytes() == now[key].tobytes() for key in then)
    said = (np.array(outcome.facts["confusion"]).sum(0) for outcome in (first, second))
    assert np.array_equal(*said), "as many images of each class were predicted"
    assert first.metrics["accuracy"] > 0.7 > 0.3 > second.metrics["accuracy"]


@pytest.mark.parametrize("name", [name for name in HEADS if "transductive" in head_named(name).supervision])
def test_what_a_head_sees_is_what_its_word_says(name, monkeypatch):
    codes = digits_as_codes()
    for transductive, score_on in ((False, "test"), (True, "test"), (True, "validation")):
        head, seen = head_named(name), []

        def fit(*given, fit_head=head.fit, seen=seen, **nearest):
            seen.append(given)
            return fit_head(*given, **nearest)

        head.fit = fit
        outcome = LatentClassifier(head, 50, 0, "equal", score_on, transductive, pictures="none").run(Shelf(codes))
        split = {"test": "test", "validation": "val"}[score_on]
        expected = [codes["train_codes"], *[codes[f"{split}_codes"]] * transductive]
        assert np.array_equal(seen[0][0], np.concatenate(expected)), "the very codes, in this order"
        assert (seen[0][1] != -1).sum() == 50 and (seen[0][1][1100:] == -1).all()
        word = "transductive" if transductive else "semi-supervised"
        assert outcome.facts["supervision"] == word and outcome.facts["unlabelled"] == len(seen[0][0]) - 50


@pytest.mark.parametrize("transductive", [False, True])
def test_a_graph_is_made_once_for_all_draws_and_counts(transductive):
    shelf = Shelf(digits_as_codes())
    for name in ("poisson", "spreading"):
        for n_labels in (50, 100):
            job = {"n_labels": n_labels, "label_seed": n_labels, "transductive": transductive, "pictures": "none"}
            LatentClassifier(head_named(name), **job).run(shelf)
    among, of = "nearest_20_in_train", "nearest_20_in_train_of_test"
    assert shelf.made == (["nearest_20_in_train_and_test"] if transductive else [among, of])


@pytest.mark.parametrize("name", HEADS)
def test_a_stored_head_scores_the_same_on_codes_made_anew(name, monkeypatch):
    codes = digits_as_codes()
    monkeypatch.setattr(latent_classifier, "latent_codes", lambda *_: codes)
    for transductive in {False, "transductive" in head_named(name).supervision}:
        job = {"n_labels": 100, "label_seed": 1, "transductive": transductive, "pictures": "none"}
        outcome = LatentClassifier(head_named(name), **job).run(Shelf(codes))
        stored = {k: v.copy() for k, v in outcome.artefacts["classifier.safetensors"].items()}
        again = LatentClassifier(head_named(name), **job).reload(Shelf(codes), lambda _, s=stored: s)
        assert again == outcome.metrics


def test_a_linear_machine_learns_from_spread_labels():
    shelf = Shelf(digits_as_codes())
    alone = LatentClassifier(LinearSVCHead(), 50, pictures="none").run(shelf)
    spread = LatentClassifier(LinearSVCHead(), 50, spread=head_named("spreading"), pictures="none").run(shelf)
    assert spread.facts["supervision"] == "semi-supervised" and spread.facts["unlabelled"] == 1050
    assert spread.metrics["accuracy"] > alone.metrics["accuracy"] + 0.02


def test_a_fit_is_encoded_once():
    vae, module = fit(LatentClassifier(LinearSVCHead(), 10), epochs=1)
    kept = Kept(vae, module)
    first = LatentClassifier(LinearSVCHead(), 50, label_seed=1).run(kept)
    kept.model = None  # nothing to encode with
    assert LatentClassifier(LinearSVCHead(), 50, label_seed=1).run(kept).metrics == first.metrics
    assert LatentClassifier(LinearSVCHead(), 50, label_seed=2).run(kept).metrics != first.metrics


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


def test_labels_in_proportion_to_the_classes():
    """Of classes of unequal sizes, as the data set has them: what each is labelled with, and what the facts say."""
    vae, module = fit(LatentClassifier(LinearSVCHead(), 10), epochs=1)
    codes = latent_codes(vae, module)
    few = (codes["train_targets"] > 1) | (np.arange(1100) % 4 == 0)  # of 0 and 1 a quarter
    for name in ("train_codes", "train_targets"):
        codes[name] = codes[name][few]
    seen = []
    head = LinearSVCHead()
    head.fit = lambda codes, labels: seen.append(labels) or LinearSVCHead.fit(head, codes, labels)
    outcome = LatentClassifier(head, 95, labels="proportional").run(Kept(vae, module, codes))
    shares = np.bincount(codes["train_targets"]) / len(codes["train_targets"])
    assert np.abs(np.bincount(seen[0]) - 95 * shares).max() <= 1 and np.bincount(seen[0])[:2].max() <= 4
    assert outcome.facts["labels"] == "proportional"


def test_a_confusion_matrix_is_an_image_of_its_counts():
    """Each cell has the colour of its share; counts and names are there; 26 classes as well as ten."""
    counts = np.array([[8, 2, 0], [0, 0, 0], [1, 0, 3]])
    image = confusion_image(counts, ["T-shirt", "bag", "boot"])
    assert image.dtype == np.uint8 and image.shape[2] == 3

    def corner(row, column):  # away from the number in the middle
        top, left = np.argwhere((image == [247, 251, 255]).all(2)).min(0)  # row 0 and column 0 have a cell of no share
        return image[top + row * CELL + 3, left + column * CELL + 3].tolist()

    assert corner(0, 0) == [56, 89, 137] and corner(0, 1) == [199, 210, 225] and corner(2, 2) == [68, 99, 144]
    assert corner(1, 1) == corner(2, 1) == [247, 251, 255], "no image of a class: no share"
    many = confusion_image(np.full((26, 26), 1135), [chr(65 + i) for i in range(26)])
    assert many.shape[0] > 26 * CELL and many.shape[1] > 26 * CELL


def test_a_head_is_asked_before_training():
    head = LinearSVCHead()
    asked = []
    head.check = lambda n_labels, num_classes: asked.append((n_labels, num_classes))
    module = Digits()
    module.setup()
    LatentClassifier(head, 40).check(module)
    assert asked == [(40, 10)]
    with pytest.raises(ValueError, match="tells two classes or more apart, there is 1"):
        LinearSVCHead().check(10, 1)


def test_impossible_draws_are_found_before_training():
    module = Digits()
    module.setup()
    with pytest.raises(ValueError, match="n_labels=1105: the training set has only 1100 images"):
        LatentClassifier(LinearSVCHead(), 1105).check(module)
    with pytest.raises(ValueError, match="n_labels=0: expects a positive whole number"):
        LatentClassifier(LinearSVCHead(), 0)
    with pytest.raises(ValueError, match="labels=most: accepted are equal, proportional"):
        LatentClassifier(LinearSVCHead(), 10, labels="most")


def test_settings_can_be_chosen_without_the_test_set():
    """Scored on the validation images, and the test images' classes change nothing."""
    vae, module = fit(LatentClassifier(LinearSVCHead(), 10), epochs=1)
    module.test = module.test._replace(targets=torch.zeros_like(module.test.targets))
    callback = LatentClassifier(LinearSVCHead(), n_labels=100, score_on="validation")
    callback.on_fit_end(SimpleNamespace(datamodule=module, callbacks=[]), vae)
    facts = callback.outcome.facts
    assert np.asarray(facts["confusion"]).sum() == len(module.val.images) == 197
    assert callback.metrics["accuracy"] > 0.3 and facts["scored_on"] == "validation"
    with pytest.raises(ValueError, match="score_on=train: accepted are test, validation"):
        LatentClassifier(LinearSVCHead(), n_labels=100, score_on="train")


def test_a_notebooks_fit_knows_its_observers_by_their_class(tmp_path):
    class Counting(pl.Callback):
        def state_dict(self):
            return {"epochs": 3}

    checkpoint = pl.callbacks.ModelCheckpoint(tmp_path, monitor="val/elbo", mode="min")  # of the worst epoch, the first
    torch.manual_seed(0)
    vae = VAE(MLPEncoder((1, 8, 8), 8, [64]), MLPDecoder((1, 8, 8), 8, [64]), 8, lr=3e-3, beta=0.2)
    trainer = pl.Trainer(max_epochs=2, logger=False, enable_progress_bar=False, enable_model_summary=False,
                         accelerator="cpu", callbacks=[Counting(), checkpoint])  # fmt: skip
    trainer.fit(vae, Digits())
    fitted = InTraining(trainer, vae)
    assert fitted.observed(Counting) == {"epochs": 3} and fitted.files("*") == []
    with pytest.raises(ValueError, match="VAE: trained without the callback LatentClassifier; give the trainer one"):
        fitted.observed(LatentClassifier)
    first = torch.load(checkpoint.best_model_path, weights_only=True)["state_dict"]
    best = fitted.best().state_dict()
    assert all(torch.equal(best[name], value) for name, value in first.items())
    assert not torch.equal(vae.state_dict()["decoder.net.0.weight"], first["decoder.net.0.weight"])
