"""``docs/gallery``: its files are small, of no machine, shown by its page, and its pages need no network."""

import importlib.util
import re

import pytest

from conftest import ROOT
from latent_lab.command import read_command

GALLERY = ROOT / "docs" / "gallery"
spec = importlib.util.spec_from_file_location("gallery_make", GALLERY / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


def test_all_files_are_there_small_and_shown():
    page = (GALLERY / "README.md").read_text(encoding="utf-8")
    sizes = {name: (GALLERY / name).stat().st_size for name in make.FILES}
    assert {path.name for path in GALLERY.iterdir() if path.is_file()} == {*make.FILES, "make.py", "README.md"}
    assert max(sizes.values()) < make.MOST_BYTES and sum(sizes.values()) < make.MOST_IN_ALL
    assert set(re.findall(r"\]\((\w+\.(?:html|png))\)", page)) == set(make.FILES)


@pytest.mark.parametrize("name", [name for name in make.FILES if name.endswith(".html")])
def test_a_page_needs_no_network_and_tells_of_no_machine(name):
    text = (GALLERY / name).read_text(encoding="utf-8")
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:|//)|@import|url\([\"']?https?:", text)
    assert not re.search(r"/(home|root|tmp|work)/", text)


@pytest.mark.parametrize("words", make.COMMANDS, ids=" ".join)
def test_its_commands_are_commands(words):
    assert read_command("train", [*words, "logger=none"]).multirun


def test_what_is_not_there_once_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"\*\.png: 0 files, expects one"):
        make.one(tmp_path, "*.png")
