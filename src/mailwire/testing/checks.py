"""Checks: what a value that somebody gives must be, told where it is given and not where it would fail.

The field that holds it is named, the value is quoted, and what was expected is said. Of what may be a secret the type
alone is told.
"""

import os
from collections.abc import Collection
from math import inf
from typing import Final

__all__ = [
    "check_flag",
    "check_names",
    "check_number",
    "check_octets",
    "check_path",
    "check_text",
    "check_texts",
    "check_whole",
    "describe",
]

# Characters of a value that is quoted.
_QUOTED: Final = 120


def describe(value: object, *, is_secret: bool = False) -> str:
    """Return `value` as an error quotes it: of a long one the beginning, of what may be a secret its type."""
    if is_secret:
        return f"a value of the type {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}... ({type(value).__name__})"


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raise ValueError unless the `value` of the field `name` is a whole number from `least` to `most`."""
    # True is 1 to Python, and to nobody else.
    if isinstance(value, int) and not isinstance(value, bool) and value >= least and (most is None or value <= most):
        return
    limits = f"{least} at least" if most is None else f"from {least} to {most}"
    raise ValueError(f"expected {name} to be a whole number, {limits}, got {describe(value)}")


def check_number(name: str, value: object, least: float) -> None:
    """Raise ValueError unless the value is a finite number, `least` at least."""
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value < inf:
        return
    raise ValueError(f"expected {name} to be a number, {least:g} at least, got {describe(value)}")


def check_flag(name: str, value: object) -> None:
    """Raise ValueError unless the value is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"expected {name} to be True or False, got {describe(value)}")


def check_text(name: str, value: object, *, is_secret: bool = False) -> None:
    """Raise ValueError unless the value is text that can be written in UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"expected {name} to be text, got {describe(value, is_secret=is_secret)}")
    if value.encode("utf-8", "replace").decode("utf-8") != value:
        got = describe(value, is_secret=is_secret)
        raise ValueError(f"expected {name} to be text that UTF-8 can express, got {got}")


def check_texts(name: str, value: object, *, is_secret: bool = False) -> None:
    """Raise ValueError unless the value is a collection of texts: not one text, nor what can be looked at but once."""
    if isinstance(value, str | bytes) or not isinstance(value, Collection):
        got = describe(value, is_secret=is_secret)
        raise ValueError(f"expected {name} to be a collection of texts, in which one alone is [text], got {got}")
    for text in value:
        check_text(f"each of {name}", text, is_secret=is_secret)


def check_names(name: str, value: Collection[str], known: Collection[str]) -> None:
    """Raise ValueError unless the value is a collection of texts that are among `known`."""
    check_texts(name, value)
    for text in value:
        if text not in known:
            raise ValueError(f"expected {name} of {', '.join(known)}; got {describe(text)}")


def check_octets(name: str, value: object) -> None:
    """Raise ValueError unless the value is octets: bytes."""
    if not isinstance(value, bytes):
        raise ValueError(f"expected {name} to be bytes, got {describe(value)}")


def check_path(name: str, value: object) -> None:
    """Raise ValueError unless the value is a path: text that is not empty, or an object that stands for it."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value) or not isinstance(os.fspath(value), str):
        raise ValueError(f"expected {name} to be a path, got {describe(value)}")
