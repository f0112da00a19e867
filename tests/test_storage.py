"""Files survive a crash at any moment, and none can run code."""

import itertools
import json
import os
import pickle
import time

import numpy as np
import pytest
import yaml

from latent_lab import storage
from latent_lab.shapes import mismatch
from latent_lab.storage import (
    DamagedFile,
    load_arrays,
    read_json,
    read_yaml,
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
    with pytest.raises(DamagedFile, match=r"evil.safetensors: damaged or unreadable \(.*\); do this"):
        load_arrays(tmp_path / "evil.safetensors", "do this")
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
    assert json.loads((tmp_path / "history.json").read_text())["rows"] == [1.5]
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


FILES = {
    "json": (lambda path: write_json(path, CONTENT), read_json),
    "yaml": (lambda path: write_yaml(path, CONTENT), read_yaml),
    "safetensors": (
        lambda path: save_arrays(path, {"a": np.arange(5.0)}),
        lambda path: load_arrays(path)["a"].tolist(),
    ),
}
CONTENT = {"lr": 1e-05, "n": 3, "deep": {"list": [1, 2.5, None, "7e8", True]}, "nan": -0.0}


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_byte_is_no_other_content(tmp_path, kind):
    """Each byte in turn by its lowest bit: what is read is what was written, or said to be damaged."""
    (write, read), path = FILES[kind], tmp_path / f"file.{kind}"
    write(path)
    whole, content = path.read_bytes(), read(path)
    assert kind == "safetensors" or content == CONTENT
    noticed = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            found = read(path)  # with the checksum, if it is by another name now, among the keys
            found = {key: found[key] for key in content} if isinstance(content, dict) else found
            assert repr(found) == repr(content), f"byte {at}: {whole[at : at + 1]}"
        except DamagedFile as error:
            assert str(error).startswith(f"{path}: damaged or unreadable (") and "\n" not in str(error)
            noticed += 1
    assert noticed > len(whole) // 2  # the others are blanks


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_was_cut_off_is_damaged(tmp_path, kind):
    (write, read), path = FILES[kind], tmp_path / f"file.{kind}"
    write(path)
    whole = path.read_bytes()
    for end in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:end])
        with pytest.raises(DamagedFile):
            read(path)


@pytest.mark.parametrize("read", [read_json, read_yaml, load_arrays], ids=lambda read: read.__name__)
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "endless", "absent"):
        with pytest.raises(DamagedFile, match=f"{name}: damaged or unreadable .(no regular file|No such file)"):
            read(tmp_path / name)


@pytest.mark.parametrize("read", [read_json, read_yaml], ids=lambda read: read.__name__)
def test_what_is_read_of_a_text_is_bounded(tmp_path, monkeypatch, read):
    monkeypatch.setattr(storage, "MOST", 1 << 20)
    assert storage.MOST_YAML == 256 << 10
    (tmp_path / "huge").write_bytes(b"{" + b" " * (2 << 20) + b"}")
    with pytest.raises(DamagedFile, match="huge: damaged or unreadable .more than (1 MiB|256 KiB)"):
        read(tmp_path / "huge")
    (tmp_path / "deep").write_bytes(b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(DamagedFile, match="deep: damaged or unreadable"):
        read(tmp_path / "deep")


BOMB = "a: &a [x, x]\n" + "\n".join(f"{b}: &{b} [*{a}, *{a}]" for a, b in itertools.pairwise("abcdefghijklmnopqrstuv"))


@pytest.mark.parametrize(
    "text",
    [BOMB, "a: &x {}\nb: *x", "a: &x 1", "a: 2020-01-01", "!!python/object/apply:os.system [id]", "a: !!binary aGk=",
     "a: !!set {b}", "[1, 2]", "", "3", "a: [", "a: \tb: c", "\x00"],
)  # fmt: skip
def test_yaml_that_is_none_of_ours_is_refused(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(DamagedFile, match=r"config.yaml: damaged or unreadable \(.*\); do this$"):
        read_yaml(tmp_path / "config.yaml", remedy="do this")


@pytest.mark.parametrize(
    "text, said",
    [
        (f"zz: [{'a,' * 20_000}]", "more than 10,000 names and values"),
        (f"zz: [{'a,' * 3_000_000}]", "more than 256 KiB"),
        ("1: 2", "1 is no name"),
        ("a: {b: [{null: 2}]}", "None is no name"),
    ],
    ids=["many", "huge", "number", "null"],
)
def test_yaml_of_more_values_than_a_configuration_has_is_refused_at_once(tmp_path, text, said):
    (tmp_path / "config.yaml").write_text(text)
    start = time.process_time()
    with pytest.raises(DamagedFile, match=f"config.yaml: damaged or unreadable .{said}.; do this$"):
        read_yaml(tmp_path / "config.yaml", remedy="do this")
    assert time.process_time() - start < 5


def test_a_value_met_twice_is_written_twice(tmp_path):
    shared = [1, 2]
    write_yaml(tmp_path / "config.yaml", {"a": shared, "b": shared})
    assert read_yaml(tmp_path / "config.yaml") == {"a": [1, 2], "b": [1, 2]}


def test_files_of_before_checksums_are_read(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1}')
    (tmp_path / "x.yaml").write_text("a: 1\n")
    assert read_json(tmp_path / "x.json") == read_yaml(tmp_path / "x.yaml") == {"a": 1}


def test_a_file_is_of_what_it_was_written_of(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1}, of="one")
    save_arrays(tmp_path / "x.safetensors", {"a": np.zeros(2)}, of="one")
    assert read_json(tmp_path / "x.json", of="one") == {"a": 1}
    assert load_arrays(tmp_path / "x.safetensors", of="one")["a"].tolist() == [0, 0]
    with pytest.raises(DamagedFile, match="x.json: .*not of here"):
        read_json(tmp_path / "x.json", of="other")
    with pytest.raises(DamagedFile, match="x.safetensors: .*not of here"):
        load_arrays(tmp_path / "x.safetensors", of="other")


SHAPES = [
    ({"a": 1}, {"a": int}, ""),
    ({"a": True}, {"a": int}, "a is not a whole number"),
    ({"a": 1}, {"a": float}, ""),
    ({"a": 1.0}, {"a": int | None}, "a is not a whole number or null"),
    ({}, {"a": int}, "a is missing"),
    ({"b": 1}, {"a?": int}, ""),
    ({"a": {"b": [1, "x"]}}, {"a": {"b": [int]}}, "a.b[1] is not a whole number"),
    ({"a": {"b": [1, "x"]}}, {str: {"b": [int]}}, "a.b[1] is not a whole number"),
    ([], dict, "its content is not settings by name"),
    (None, dict | None, ""),
]


@pytest.mark.parametrize(("content", "shape", "wrong"), SHAPES)
def test_the_first_thing_that_is_of_another_shape_is_named(content, shape, wrong):
    assert mismatch(content, shape) == wrong


def test_a_folder_in_a_files_place_is_set_aside(tmp_path):
    (tmp_path / "a.json" / "of somebody").mkdir(parents=True)
    write_json(tmp_path / "a.json", {"n": 1})
    assert read_json(tmp_path / "a.json") == {"n": 1}
    assert (tmp_path / "a.json-set-aside" / "of somebody").is_dir()
