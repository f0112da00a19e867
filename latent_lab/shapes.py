"""What a stored text must look like: a few words for types, and the first thing that is not as they say.

A shape is a type or a union of types; ``[shape]``, a list of such; ``{str: shape}``, any names, each with such, or
``{int: shape}``, any that are whole numbers; a dictionary of names to shapes, where ``"name?"`` may be absent, and
names that it does not list may be there; or a tuple of shapes, any of which will do.
"""

import types

WORDS = {dict: "settings by name", list: "a list", str: "text", int: "a whole number", float: "a number",
         bool: "true or false", types.NoneType: "null"}  # fmt: skip


def mismatch(content, shape, name: str = "") -> str:
    """What of plain values is not of a shape, in words; empty if all is."""
    if isinstance(shape, tuple):
        wrong = [mismatch(content, one, name) for one in shape]
        return "" if "" in wrong else wrong[-1]
    kind = list if isinstance(shape, list) else dict if isinstance(shape, dict) else shape
    kinds = kind.__args__ if isinstance(kind, types.UnionType) else (kind,)
    if not any(_is(content, kind) for kind in kinds):
        return f"{name or 'its content'} is not {' or '.join(WORDS[kind] for kind in kinds)}"
    if isinstance(shape, list):
        parts = ((value, shape[0], f"{name}[{number}]") for number, value in enumerate(content))
    elif not isinstance(shape, dict):
        return ""
    elif len(shape) == 1 and (named := next(iter(shape))) in (str, int):
        if odd := [key for key in content if named is int and not (key.isascii() and key.isdecimal())]:
            return f"{name}.{odd[0]:.40} is named by no whole number"
        parts = ((value, shape[named], f"{name}.{key:.40}".lstrip(".")) for key, value in content.items())
    else:
        if lacking := [key for key in shape if not key.endswith("?") and key not in content]:
            return f"{name}.{lacking[0]}".lstrip(".") + " is missing"
        named = {key.removesuffix("?"): of for key, of in shape.items()}
        parts = ((content[key], of, f"{name}.{key}".lstrip(".")) for key, of in named.items() if key in content)
    return next((wrong for part in parts if (wrong := mismatch(*part))), "")


def _is(content, kind: type) -> bool:
    if type(content) is bool:  # which is no number here
        return kind is bool
    return isinstance(content, (int, float) if kind is float else kind)
