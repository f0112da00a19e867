"""Every command in the README and the documentation is taken by a shell as it stands, and by ``train.py``."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from latent_lab.command import read_command

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELLS = [pytest.param(shell, marks=pytest.mark.skipif(not shutil.which(shell), reason=f"there is no {shell}"))
          for shell in ("bash", "zsh")]  # fmt: skip


def commands(pages: list[Path] = PAGES) -> list[str]:
    """Lines of ``python ...`` in blocks of code, those that a backslash breaks as one."""
    text = "\n".join(page.read_text(encoding="utf-8").replace("\\\n", " ") for page in pages)
    return sorted(set(re.findall(r"^(?:    |\$ )(python (?:train|evaluate)\.py\b.*)$", text, re.MULTILINE)))


def settings() -> list[str]:
    """``key=value`` in the text, which somebody will copy behind a command."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return sorted(set(re.findall(r"`(['\"]?[a-z_.~+]+=[^`\s]+)`", text)))


def as_words(shell: str, lines: list[str]) -> list[list[str]]:
    """What a shell hands to ``python`` for each line."""
    stub = r"""python() { for word in "$@"; do printf '%s\037' "$word"; done; printf '\n'; }"""
    said = subprocess.run([shell, "-f" if shell == "zsh" else "--norc", "-c", "\n".join(["set -e", stub, *lines])],
                          capture_output=True, text=True, cwd=ROOT / "tests")  # fmt: skip
    assert said.returncode == 0 and not said.stderr, said.stderr
    return [line.split("\037")[:-1] for line in said.stdout.splitlines()]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_them_as_they_stand(shell):
    lines = commands()
    assert len(lines) > 20
    for line, words in zip(lines, as_words(shell, lines), strict=True):
        plain = re.sub(r"\s#.*", "", line).replace("'", "").replace('"', "").split()
        assert words == plain[1:] or " " in "".join(words), line
    for setting, words in zip(settings(), as_words(shell, [f"python {s}" for s in settings()]), strict=True):
        assert words == [setting.strip("'\"")], setting


AS_IT_IS = [
    page for page in PAGES if page.name != "adding.md"
]  # whose commands name what is added there: test_adding.py


@pytest.mark.parametrize("line", [line for line in commands(AS_IT_IS) if line.startswith("python train.py")])
def test_the_program_takes_them_too(line):
    (words,) = as_words("bash", [line])
    try:
        command = read_command("train", [word for word in words[1:] if word != "..."])
    except ValueError as error:
        pytest.fail(f"{line}: {error}")
    assert command.jobs
