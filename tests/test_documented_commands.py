"""Every command in the README and the documentation is taken by a shell as it stands, and by its program."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from latent_lab.command import read_command

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = {"train.py": "train", "evaluate.py": "evaluate", "-m latent_lab.clean": "clean"}  # and their configurations
SHELLS = [pytest.param(shell, marks=pytest.mark.skipif(not shutil.which(shell), reason=f"there is no {shell}"))
          for shell in ("bash", "zsh")]  # fmt: skip


def commands(pages: list[Path] = PAGES) -> list[str]:
    """Lines of ``python ...`` in blocks of code, those that a backslash breaks as one."""
    text = "\n".join(page.read_text(encoding="utf-8").replace("\\\n", " ") for page in pages)
    programs = "|".join(map(re.escape, PROGRAMS))
    return sorted(set(re.findall(rf"^(?:    |\$ )(python (?:{programs})(?!\S).*)$", text, re.MULTILINE)))


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


@pytest.mark.parametrize("line", commands(AS_IT_IS))
def test_the_program_takes_them_too(line):
    (words,) = as_words("bash", [line])
    program = next(name for name in PROGRAMS if line.startswith(f"python {name}"))
    settings = [word for word in words[len(program.split()) :] if word != "..."]
    try:
        command = read_command(PROGRAMS[program], settings)
    except ValueError as error:
        pytest.fail(f"{line}: {error}")
    assert command.jobs


def test_other_scripts_that_are_named_are_there_and_so_are_make_s_targets():
    text = "\n".join(page.read_text(encoding="utf-8") for page in (*PAGES, ROOT / "CONTRIBUTING.md"))
    scripts = set(re.findall(r"python ((?:benchmarks|docs)/\S+?\.py)", text))
    assert len(scripts) > 5 and not [script for script in scripts if not (ROOT / script).is_file()]
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= set(re.findall(r"^    .*\bmake (\w+)", text, re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        path, _, anchor = "".join(link).partition("#")
        if path.startswith("http"):
            continue
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {path}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\s-]", "", title.lower()).replace(" ", "-") for title in titles}, anchor
