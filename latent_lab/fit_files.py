"""What the files in a fit's folder say of it: ``fit.json`` and ``identity.json``, and how two identities differ."""

from pathlib import Path

from latent_lab.checkpoints import FRESH, LAST
from latent_lab.folders import is_name
from latent_lab.shapes import mismatch
from latent_lab.storage import damaged, read_json

AGAIN = "the command that trained it writes it again"
RECORD = {"status": str, "created": str, "identity?": str, "required?": {str: str}, "weights?": str | None}
FINISHED = {"epochs": int, "updates": int, "seconds": float}
IDENTITY = {"model": dict, "data": {"fingerprint": str}, "requires?": {str: str}}


def read_record(folder: Path, identity: str) -> dict:
    """A fit's ``fit.json``, held to the digest of its identity.

    Raises:
        DamagedFile: with what helps.
    """
    path, remedy = folder / "fit.json", f"remove it, and the same command makes it again from {LAST}; or {FRESH}"
    record = read_json(path, RECORD, remedy)
    if wrong := mismatch(record, FINISHED) if record["status"] == "finished" else "":
        raise damaged(path, wrong, remedy)
    if record.get("identity", identity) != identity:
        raise damaged(path, "of another fit", remedy)
    return record


def read_identity(folder: Path, remedy: str = AGAIN) -> dict:
    """A fit's ``identity.json``.

    Raises:
        DamagedFile: if it can't be read, or names as required what is no fit beside it.
    """
    identity = read_json(folder / "identity.json", IDENTITY, remedy)
    if named := [name for name in identity.get("requires", {}).values() if not is_name(name)]:
        raise damaged(folder / "identity.json", f"requires {named[0]}, which is no name", remedy)
    return identity


def _flatten(content, prefix: str = "") -> dict:
    if not isinstance(content, dict):
        return {prefix: content}
    return {k: v for key, value in content.items() for k, v in _flatten(value, f"{prefix}{key}\0").items()}


def differences(old: dict, new: dict) -> list[str]:
    """Of two identities, a line for each thing in which they differ."""
    before, after = _flatten(old), _flatten(new)
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) or type(before.get(key)) is not type(after.get(key)):
            group, _, rest = key.strip("\0").partition("\0")
            name = key.strip("\0").replace("\0", ".")
            if group == "code":
                if key in before and key in after:  # else other classes were named, or another file imports it
                    lines.append(f"the code of {rest} has changed")
            elif name == "data.fingerprint":
                lines.append("the data have changed")
            else:
                lines.append(f"{name} is {after.get(key, 'absent')}, was {before.get(key, 'absent')}")
    return lines
