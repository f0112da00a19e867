"""Checkpoints: the best is remembered wherever the folder is, a crash loses at most an epoch, no file runs code."""

import math
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from commands import same
from test_storage import Code
from torch.utils.data import DataLoader, TensorDataset

from callbacks.observers.loss_history import LossHistory
from latent_lab.checkpoints import AtomicCheckpointIO, Checkpoints, load_checkpoint
from latent_lab.opened import OpenFit
from latent_lab.storage import DamagedFile, write_json
from latent_lab.training import make_trainer

SCORES = [3.0, 1.0, 2.0, 4.0]


class Line(pl.LightningModule):
    """One weight that grows; it counts the batches it has seen."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = torch.nn.Linear(1, 1), 0

    def training_step(self, batch, batch_idx):
        self.seen += 1
        return -self.layer(batch[0]).mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.1)


class Chooser(pl.Callback):
    """Scores the epochs as it is told."""

    def __init__(self, scores):
        self.scores, self.score = scores, None

    def on_train_epoch_end(self, trainer, pl_module):
        self.score = self.scores[trainer.current_epoch]


class Dies(pl.Callback):
    """The machine goes down in the middle of an epoch, from 0."""

    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch:
            raise ConnectionError("power cut")


class Stops(pl.Callback):
    """As EarlyStopping: ends the fit with an epoch, from 0."""

    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch == self.epoch


def train(folder, scores=SCORES, *more: pl.Callback, epochs: int = 4, resume: bool = False) -> Line:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    model = Line()
    callbacks = [*([Chooser(scores)] if scores else []), *more]
    callbacks.append(Checkpoints(folder, callbacks[0] if scores else None))
    settings = {"max_epochs": epochs, "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    trainer = make_trainer(settings, folder, callbacks, logger=False)
    data = DataLoader(TensorDataset(torch.ones(6, 1)), batch_size=2)
    trainer.fit(model, data, ckpt_path=folder / "last.ckpt" if resume else None)
    return model


def kept(folder) -> dict:
    """The epochs, from 1, that the two checkpoints are of, and what the last remembers."""
    last = load_checkpoint(folder / "last.ckpt")
    best = load_checkpoint(folder / "best.ckpt")["epoch"] + 1 if (folder / "best.ckpt").exists() else None
    return {"last": last["epoch"] + 1, "best": best} | last["callbacks"]["Checkpoints"]


def assert_same_weights(one, other) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        a, b = (load_checkpoint(folder / name)["state_dict"] for folder in (one, other))
        assert all(torch.equal(a[key], b[key]) for key in a | b), name


def test_the_best_epoch_is_kept_beside_the_last(tmp_path):
    train(tmp_path)
    assert kept(tmp_path) == {"last": 4, "best": 2, "epoch": 2, "score": 1.0, "ended": False}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize("moved", ["renamed", "copied", "linked", "relative"])
def test_the_best_survives_a_folder_that_goes_by_another_name(tmp_path, monkeypatch, moved):
    """Lightning's own callback forgets the score with the path; the third epoch would become the best one."""
    whole, killed, there = tmp_path / "whole", tmp_path / "killed", tmp_path / "moved"
    train(whole)
    with pytest.raises(ConnectionError):
        train(killed, SCORES, Dies(2))
    assert kept(killed) == {"last": 2, "best": 2, "epoch": 2, "score": 1.0, "ended": False}
    if moved == "renamed":
        killed.rename(there)
    elif moved == "copied":
        shutil.copytree(killed, there)
    elif moved == "linked":
        there.symlink_to(killed)
    else:
        monkeypatch.chdir(tmp_path)
        there = killed.relative_to(tmp_path)
    assert train(there, resume=True).seen == 6
    assert kept(there) == kept(whole)
    assert_same_weights(there, whole)


def test_the_best_is_written_before_the_last(tmp_path, monkeypatch):
    order, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(b.name), replace(a, b))[1])
    train(tmp_path)
    assert order == ["best.ckpt", "last.ckpt", "best.ckpt", "last.ckpt", "last.ckpt", "last.ckpt"]


def test_a_crash_between_the_two_files_is_made_good(tmp_path, monkeypatch):
    """The epoch is trained again, from the last but one, and both are written anew."""
    train(tmp_path / "whole")
    replace, killed = os.replace, tmp_path / "killed"

    def dies_before_the_second_last(source, target):
        if target.name == "last.ckpt" and target.exists():
            raise ConnectionError("power cut")
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(os, "replace", dies_before_the_second_last)
        train(killed)
    assert kept(killed) == {"last": 1, "best": 2, "epoch": 1, "score": 3.0, "ended": False}
    train(killed, resume=True)
    assert kept(killed) == kept(tmp_path / "whole")
    assert_same_weights(killed, tmp_path / "whole")


@pytest.mark.parametrize(
    ("scores", "best", "remembered"),
    [
        ([None, 2.0, None, 1.5], 4, (4, 1.5)),  # scored every second epoch
        ([2.0, 2.0, math.inf, None], 1, (1, 2.0)),  # the first of equals
        ([math.inf, math.inf, 5.0, math.inf], 3, (3, 5.0)),
        ([math.inf, math.nan, math.inf, None], 3, (None, math.inf)),  # none was a number: the newest that was scored
        ([None] * 4, None, (None, math.inf)),
        (None, None, (None, math.inf)),  # nobody chooses
    ],
)
def test_which_epoch_is_the_best(tmp_path, scores, best, remembered):
    train(tmp_path, scores)
    assert (kept(tmp_path)["best"], (kept(tmp_path)["epoch"], kept(tmp_path)["score"])) == (best, remembered)


def test_a_fit_ended_by_a_callback_is_not_continued(tmp_path):
    """Killed after its last checkpoint, before it was written down as finished, it has nothing left to train."""
    assert train(tmp_path, SCORES, Stops(1)).seen == 6
    assert kept(tmp_path)["ended"] is True
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert train(tmp_path, SCORES, Stops(1), resume=True).seen == 0
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_fit_that_was_not_ended_is(tmp_path):
    with pytest.raises(ConnectionError):
        train(tmp_path, SCORES, Dies(1), Stops(2))
    assert train(tmp_path, SCORES, Stops(2), resume=True).seen == 6
    assert kept(tmp_path)["last"] == 3 and kept(tmp_path)["ended"] is True


@pytest.fixture
def opened(tmp_path) -> OpenFit:
    """A fit that was scored, opened; its model is the line."""
    train(tmp_path)
    write_json(tmp_path / "identity.json", {"model": {}, "data": {"fingerprint": ""}})
    fit = OpenFit(tmp_path, config={"trainer": {"accelerator": "cpu"}})
    fit.fresh_model = Line
    return fit


def test_the_best_weights_are_opened_beside_the_last(opened):
    last, best = opened.model.layer.weight.item(), opened.best().layer.weight.item()
    assert last == pytest.approx(best + 6 * 0.1, abs=1e-4)  # two epochs of three steps later
    assert opened.model.layer.weight.item() == last


def test_a_best_checkpoint_that_is_not_the_best_epochs_is_refused(opened, tmp_path):
    shutil.copy(tmp_path / "last.ckpt", tmp_path / "best.ckpt")
    with pytest.raises(ValueError, match="best.ckpt: of epoch 4, where epoch 2 scored best; fresh=true trains anew"):
        opened.best()
    (tmp_path / "best.ckpt").unlink()
    with pytest.raises(ValueError, match="best.ckpt: absent, no epoch was scored; fresh=true trains anew"):
        opened.best()


def test_what_an_observer_kept_is_asked_for_by_its_class(opened):
    assert opened.observed(Checkpoints) == {"epoch": 2, "score": 1.0, "ended": False}
    with pytest.raises(
        ValueError, match="last.ckpt: trained without the callback LossHistory; fresh=true trains anew, "
    ):
        opened.observed(LossHistory)


def test_a_crash_while_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path, step = tmp_path / "best.ckpt", {"state_dict": {}, "epoch": 0}
    io = AtomicCheckpointIO()
    io.save_checkpoint(step | {"global_step": 1}, path)

    def half_written(temporary, content):
        with open(temporary, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("power cut")

    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises(OSError, match="power cut"):
        io.save_checkpoint(step | {"global_step": 2}, path)
    assert load_checkpoint(path)["global_step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["best.ckpt"]


def test_a_changed_byte_is_noticed_wherever_it_is(tmp_path):
    """In a weight it would be another weight; torch reads no checksum."""
    train(tmp_path)
    path = tmp_path / "last.ckpt"
    whole, expected = path.read_bytes(), torch.load(path, weights_only=True)
    weight = whole.index(expected["state_dict"]["layer.weight"].numpy().tobytes())
    for at in [weight, *range(60, len(whole), len(whole) // 40)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert same(load_checkpoint(path), expected), at  # a byte between the parts, of which nothing is read
        except DamagedFile as error:
            assert "last.ckpt: damaged checkpoint (" in str(error) and "; fresh=true" in str(error)
        else:
            assert at != weight
    path.write_bytes(whole)
    assert same(load_checkpoint(path), expected)


@pytest.mark.parametrize(
    "content", [{}, [], None, {"state_dict": {}}, {"state_dict": [], "epoch": 1, "global_step": 2}], ids=repr
)
def test_a_checkpoint_of_something_else_is_damaged(tmp_path, content):
    for name in ("last.ckpt", "best.ckpt"):
        torch.save(content, tmp_path / name)
        with pytest.raises(DamagedFile, match=rf"{name}: damaged checkpoint \(.* (missing|not .*)\); fresh=true sets"):
            load_checkpoint(tmp_path / name)


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    for fit in ("1" * 64, "2" * 64):
        AtomicCheckpointIO(fit).save_checkpoint({"state_dict": {}, "epoch": 0, "global_step": 1}, tmp_path / fit)
    assert load_checkpoint(tmp_path / ("1" * 64), fit="1" * 64)["epoch"] == 0
    with pytest.raises(DamagedFile, match=r"damaged checkpoint \(of another fit\); fresh=true"):
        load_checkpoint(tmp_path / ("2" * 64), fit="1" * 64)


def test_a_bomb_and_a_pipe_are_no_checkpoints(tmp_path):
    with zipfile.ZipFile(tmp_path / "best.ckpt", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", bytes(10**7))
    with pytest.raises(DamagedFile, match="best.ckpt: damaged checkpoint .it is packed"):
        load_checkpoint(tmp_path / "best.ckpt")
    os.mkfifo(tmp_path / "last.ckpt")
    with pytest.raises(DamagedFile, match="last.ckpt: damaged checkpoint .*no regular file"):
        load_checkpoint(tmp_path / "last.ckpt")


def test_a_damaged_checkpoint_is_named_with_the_way_out(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DamagedFile, match=r"last.ckpt: damaged checkpoint \(.*\); fresh=true"):
        load_checkpoint(path)


def test_a_checkpoint_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Code()}, tmp_path / "evil.ckpt")
    with pytest.raises(DamagedFile):
        load_checkpoint(tmp_path / "evil.ckpt")
    with pytest.raises(DamagedFile):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "evil.ckpt", weights_only=False)
    assert not (tmp_path / "should-not-exist").exists()
