"""What the files in a fit's folder say of it: ``fit.json`` and ``identity.json``, and how two identities differ."""

import re
from pathlib import Path

from latent_lab.checkpoints import FRESH, LAST
from latent_lab.folders import is_name
from latent_lab.shapes import mismatch
from latent_lab.storage import checksum_of_file, damaged, read_json

PICTURES = "pictures"  # the folder that observers draw into
DIGEST = r"[0-9a-f]{16}"  # in an identity, for what a file holds, whose name the configuration has
AGAIN = "the command that trained it writes it again"
RECORD = {"status": str, "created": str, "identity?": str, "required?": {str: str}, "weights?": str | None,
          "drawn?": {str: str}}  # fmt: skip
FINISHED = {"epochs": int, "updates": int, "seconds": float}
IDENTITY = {"model": dict, "data": {"fingerprint": str}, "requires?": {str: str}}


def drawn(folder: Path) -> dict[str, str]:
    """Checksums of the pictures in a fit's folder, by their names: for its record."""
    return {path.name: checksum_of_file(path) for path in sorted((folder / PICTURES).glob("*")) if path.is_file()}


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


def differences(old: dict, new: dict, configs: tuple[dict, dict] = ({}, {})) -> list[str]:
    """Of two identities, a line for each thing in which they differ.

    Args:
        old: the one.
        new: the other.
        configs: the configurations that they are of, which name the files whose content stands in an identity.
    """
    before, after = _flatten(old), _flatten(new)
    were, are = (_flatten(config) for config in configs)
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
            elif key in are and re.fullmatch(DIGEST, str(after.get(key))) and are[key] != after[key]:
                was = were.get(key, "another")
                lines.append(f"{name} is {are[key]}, was {was}" if was != are[key] else f"{are[key]} has changed")
            else:
                lines.append(f"{name} is {after.get(key, 'absent')}, was {before.get(key, 'absent')}")
    return lines
