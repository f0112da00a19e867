"""Names and paths on a command line are what they are, whatever characters are in them."""

import pytest

from latent_lab.command import read_command
from latent_lab.mistakes import Mistake
from latent_lab.words import as_text, quoted

NAMES = [
    "a${seed}", "${seed}", "$seed", "a${oc.env:HOME}", "a${", "a\\${seed}", "a\\\\${seed}", "/abs/a${seed}",
    "{a}", "a {b}", "a=b", "a==b=", "it's", "'", 'say "x"', "a\\b", "a\\", "\\'", "[x]", "(x)", "a:b", "a#b", "!x",
    "%x", "é", "5", "true", "  a  ", "a${seed}'b", "/it's ${x}", "x.png", "a b.png", "a${seed}.png",
]  # fmt: skip
KEYS = ["paths.outputs", "paths.data", "sweep", "dataset.distribution.path"]
PLANE = ["model=gan", "dataset=drawing"]


def value(config: dict, key: str):
    for part in key.split("."):
        config = config[part]
    return config


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_taken_as_it_is_written_in_quotes_and_without(name):
    words = [f"{key}={name}" for key in KEYS]
    in_quotes = [f"{key}='{name}'" for key in KEYS]
    for given in (words, in_quotes) if "\\" not in name else (words,):  # which in quotes is Hydra's escape
        config = read_command("train", [*PLANE, *given]).jobs[0].config
        assert [value(config, key) for key in KEYS] == [name] * 4


@pytest.mark.parametrize("name", NAMES)
def test_a_word_that_was_quoted_is_quoted_once(name):
    """As those are that name a required fit."""
    word = quoted(f"paths.data={name}")
    assert as_text(word) == word


@pytest.mark.parametrize("name", [name for name in NAMES if "$" in name])
def test_nor_is_it_resolved_where_others_are_made_of_it(name):
    config = read_command("train", ["dataset=mnist", f"paths.data={name}"]).jobs[0].config
    assert config["dataset"]["root"] == name
    for word in (f"run={name}", f"fit={name}"):
        config = read_command("evaluate", [word]).jobs[0].config
        assert config[word.partition("=")[0]] == name


def test_a_sweep_over_paths_has_each_as_it_is():
    def paths(words: str) -> list[tuple[str, str]]:
        jobs = read_command("train", ["-m", *PLANE, f"dataset.distribution.path={words}"]).jobs
        return [(job.config["dataset"]["distribution"]["path"], job.name.partition(",model")[0]) for job in jobs]

    (one, first), (two, second) = paths("/x/a.png,/x/b${seed}.png")
    assert (one, two) == ("/x/a.png", "/x/b${seed}.png") and first != second
    assert [path for path, _ in paths("'a b.png','c,d.png'")] == ["a b.png", "c,d.png"]
    assert paths("a.png,b.csv") == [
        (name, f"dataset.distribution.path={name},dataset=drawing") for name in ("a.png", "b.csv")
    ]


def test_other_settings_are_hydras():
    config = read_command("train", [*PLANE, "seed=3", "model.z_dim=${seed}"]).jobs[0].config
    assert config["model"]["z_dim"] == 3
    with pytest.raises(Mistake, match="one value for a whole sweep"):
        read_command("train", ["-m", *PLANE, "sweep=a,b"])
