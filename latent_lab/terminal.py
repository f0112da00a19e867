"""What a terminal can show, and that nothing depends on whether somebody reads it."""

import codecs
import errno
import io
import os
import sys

PLAIN = {"±": "+-", "×": "x", "…": "...", "λ": "lambda", "–": "-", "·": "."}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


class Unheard(io.FileIO):
    """A stream whose reader may be gone (``| head -1``), or whose disk may be full: what it can't take is dropped."""

    def write(self, data) -> int:
        """Writes bytes, or does not; returns how many it was given, where it did not."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EPIPE:  # for good, and for the processes that are started from here too
                _send_to_nowhere(self.fileno())
            return len(data)


def _send_to_nowhere(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing != descriptor:
        os.dup2(nothing, descriptor)
        os.close(nothing)


def speak_plainly() -> None:
    """Standard output and errors take any letter: what the terminal's encoding does not have is written in others. No
    write to them fails, and where they are closed (``>&-``) no file is opened in their place."""
    codecs.register_error("latent_lab", _in_ascii)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # Python's sign that it was closed
            _send_to_nowhere(descriptor)
            setattr(sys, name, open(os.devnull, "w" if descriptor else "r"))  # noqa: SIM115
        elif descriptor and stream is getattr(sys, f"__{name}__"):  # else a notebook's or a test's
            stream.flush()
            raw = io.BufferedWriter(Unheard(descriptor, "w", closefd=False))
            at_once = stream.line_buffering or stream.write_through  # the latter with PYTHONUNBUFFERED
            setattr(sys, name, io.TextIOWrapper(raw, stream.encoding, "latent_lab", line_buffering=at_once))
        elif descriptor and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="latent_lab")
