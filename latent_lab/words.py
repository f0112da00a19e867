"""One word of a command line, ``key=value``, in Hydra's grammar: names and paths are taken as they are written."""

import os
import re
from contextlib import suppress

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from latent_lab.mistakes import Mistake

TEXTS = ("sweep", "paths.data", "paths.outputs", "run", "fit")  # names and folders, whatever characters are in them
PATHS = ("dataset.distribution.path",)  # so are these, of which a sweep may name several


def is_text(word: str) -> bool:
    """Whether a file can hold it: the bytes of another encoding come as halves of letters."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def as_text(word: str) -> str:
    """``key=value`` of a name or a folder with the value in quotes: to Hydra a plain string, whatever is in it.

    In quotes already it is what Hydra reads, but for what ``${}`` would be resolved to.
    """
    key, equals, value = word.partition("=")
    if not equals or key not in TEXTS + PATHS or value == "null":
        return word
    if key in PATHS and re.search(r"""['"]\s*,\s*['"]|^\w+\(""", value):  # several, in Hydra's own words
        return word
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return quoted(f"{key}={_unquoted(value)}")
    if key in PATHS:
        return f"{key}={','.join(map(_path, value.split(',')))}"
    if key == "sweep" and "," in value:
        return word
    return quoted(f"{key}={os.path.expanduser(value)}")


def _unquoted(value: str) -> str:
    """What stands in quotes, without Hydra's escapes; as it is, if it is no string of Hydra's."""
    quote, text = value[0], value[1:-1]
    if re.search(rf"(?<!\\)(\\\\)*({quote}|\\$)", text):
        return text
    text = re.sub(rf"(\\+)({quote}|$)", lambda found: "\\" * (len(found[1]) // 2) + found[2], text)
    return re.sub(r"(?<!\\)((?:\\\\)*)\\\$\{", lambda found: found[1][::2] + "${", text)


def _path(path: str) -> str:
    """In quotes where it needs some: they would be in the name of a job's folder."""
    return path if re.fullmatch(r"[\w./+-]+\.[A-Za-z]+", path) else quoted(f"={os.path.expanduser(path)}")[1:]


def quoted(word: str) -> str:
    """``key=value`` with the value as a string of Hydra's grammar, of which OmegaConf resolves nothing."""
    key, _, value = word.partition("=")
    value = re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + "\\${", value)  # OmegaConf's escape, and Hydra's of that
    value = re.sub(r"(\\+)(?=$|')", r"\1\1", value)  # before a quote, a backslash would swallow it
    return f"{key}='" + value.replace("'", "\\'") + "'"


def parse(word: str) -> Override:
    """One override, in Hydra's grammar."""
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    if not word.startswith("="):
        with suppress(HydraException):
            return parser.parse_overrides([word])[0]
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise Mistake(f"can't read '{word}'; settings are given as key=value")
    if (
        re.fullmatch(r"[\w.@/+~-]+", key)
        and re.search(r"[/\\~]|[^\x00-\x7f]", value)
        and not re.search(r"['\"]", value)
    ):
        paths = [quoted(f"={os.path.expanduser(path)}")[1:] for path in value.split(",")]
        with suppress(HydraException):  # paths, whatever characters are in them but commas
            return parser.parse_overrides([f"{key}={','.join(paths)}"])[0]
    raise Mistake(
        f"can't read '{word}': a value with brackets, quotes, braces, colons or equal signs is put in quotes of its "
        f"own: \"{key}='...'\""
    )
