"""Files survive a crash at any moment, and none can run code."""

import json
import os
import pickle

import numpy as np
import pytest
import yaml

from latent_lab.storage import (
    DamagedFile,
    load_arrays,
    read_json,
    save_arrays,
    write_artefact,
    write_json,
    write_text,
    write_yaml,
)


def test_a_crash_while_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"step": 1})

    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_json(path, {"step": 2})
    assert read_json(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_the_file_is_durable_before_it_takes_the_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b))[1])
    write_json(tmp_path / "x.json", {"a": 1})
    assert order == ["fsync", "replace", "fsync"]
    assert read_json(tmp_path / "x.json") == {"a": 1}


class Code:
    def __reduce__(self):
        return os.system, ("touch should-not-exist",)


def test_stored_arrays_run_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Code()))
    with pytest.raises(DamagedFile, match=r"evil.safetensors: damaged or unreadable \(.*\); remove it"):
        load_arrays(tmp_path / "evil.safetensors")
    assert not (tmp_path / "should-not-exist").exists()


def test_arrays_come_back_bit_for_bit(tmp_path):
    arrays = {"a": np.random.default_rng(0).normal(size=(3, 4)).T, "b": np.array([True, False])}
    save_arrays(tmp_path / "a.safetensors", arrays)
    loaded = load_arrays(tmp_path / "a.safetensors")
    assert all(np.array_equal(arrays[k], loaded[k]) and arrays[k].dtype == loaded[k].dtype for k in arrays)


def test_a_damaged_or_absent_file_is_named(tmp_path):
    (tmp_path / "result.json").write_text("{half")
    with pytest.raises(DamagedFile, match="result.json: damaged or unreadable"):
        read_json(tmp_path / "result.json")
    with pytest.raises(DamagedFile, match="absent.json: damaged or unreadable"):
        read_json(tmp_path / "absent.json")


def test_an_artefact_is_written_by_what_it_is(tmp_path):
    write_text(tmp_path / "there.png", "pixels")
    write_artefact(tmp_path / "report.md", "# ± words")
    write_artefact(tmp_path / "history.json", {"rows": [1.5]})
    write_artefact(tmp_path / "classifier.safetensors", {"weights": np.arange(3)})
    write_artefact(tmp_path / "copied.png", tmp_path / "there.png")
    write_artefact(tmp_path / "view.gif", lambda path: path.write_bytes(b"GIF"))
    assert (tmp_path / "report.md").read_bytes() == "# ± words".encode()
    assert json.loads((tmp_path / "history.json").read_text()) == {"rows": [1.5]}
    assert load_arrays(tmp_path / "classifier.safetensors")["weights"].tolist() == [0, 1, 2]
    assert (tmp_path / "copied.png").read_text() == "pixels" and (tmp_path / "view.gif").read_bytes() == b"GIF"
    assert not list(tmp_path.glob(".*"))


def test_a_configuration_comes_back_as_it_was(tmp_path):
    config = {
        "lr": 1e-3,
        "whole": 1.0,
        "name": "7e85342",
        "path": "/tmp/José: [x]",
        "none": None,
        "nested": {"b": [1, 2]},
    }
    write_yaml(tmp_path / "config.yaml", config)
    loaded = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert loaded == config and list(loaded) == list(config) and type(loaded["whole"]) is float
