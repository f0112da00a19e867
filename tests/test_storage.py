"""Files survive a crash at any moment, and none can run code."""

import os
import pickle

import numpy as np
import pytest
import torch

from latent_lab.storage import AtomicCheckpointIO, DamagedFile, load_arrays, load_checkpoint, read_json, save_arrays, write_json


def test_a_crash_while_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    io = AtomicCheckpointIO()
    io.save_checkpoint({"step": torch.tensor(1)}, path)

    def half_written(checkpoint, temporary):
        with open(temporary, "wb") as file:
            file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(OSError, match="no space left"):
        io.save_checkpoint({"step": torch.tensor(2)}, path)
    assert load_checkpoint(path)["step"].item() == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_the_file_is_durable_before_it_takes_the_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b))[1])
    write_json(tmp_path / "x.json", {"a": 1})
    assert order == ["fsync", "replace", "fsync"]
    assert read_json(tmp_path / "x.json") == {"a": 1}


def test_a_damaged_checkpoint_is_named_with_the_way_out(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DamagedFile, match=r"last.ckpt: damaged checkpoint \(.*\); fresh=true"):
        load_checkpoint(path)


class Code:
    def __reduce__(self):
        return os.system, ("touch should-not-exist",)


def test_a_checkpoint_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Code()}, tmp_path / "evil.ckpt")
    with pytest.raises(DamagedFile):
        load_checkpoint(tmp_path / "evil.ckpt")
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Code()))
    with pytest.raises(DamagedFile):
        load_arrays(tmp_path / "evil.safetensors")
    assert not (tmp_path / "should-not-exist").exists()


def test_arrays_come_back_bit_for_bit(tmp_path):
    arrays = {"a": np.random.default_rng(0).normal(size=(3, 4)).T, "b": np.array([True, False])}
    save_arrays(tmp_path / "a.safetensors", arrays)
    loaded = load_arrays(tmp_path / "a.safetensors")
    assert all(np.array_equal(arrays[k], loaded[k]) and arrays[k].dtype == loaded[k].dtype for k in arrays)
