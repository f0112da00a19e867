"""What a terminal can show."""

import codecs
import sys

PLAIN = {"±": "+-", "×": "x", "…": "...", "λ": "lambda", "–": "-", "·": "."}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


def speak_plainly() -> None:
    """Standard output and errors take any letter: what the terminal's encoding does not have is written in others."""
    codecs.register_error("latent_lab", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="latent_lab")
