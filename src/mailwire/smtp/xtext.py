"""xtext and its kin: how the values of some parameters write what no parameter may hold (RFC 3461 4, RFC 6533 3)."""

import re
from typing import Final

from .paths import NEVER

__all__ = ["encode_unitext", "encode_utf8_xtext", "encode_xtext"]

# RFC 3461 4: what stands for itself, "any ASCII CHAR between ! and ~ inclusive, except for + and =".
_NOT_XCHAR: Final = re.compile(rb"[^!-*,-<>-~]")
# RFC 6533 3: QCHAR excludes the backslash as well; QUCHAR lets in what lies beyond ASCII.
_NOT_QCHAR: Final = re.compile(r"[^!-*,-<>-\[\]-~]")
_NOT_QUCHAR: Final = re.compile(rf"[\x00-\x20+=\\{NEVER}]")


def encode_xtext(text: str) -> str:
    """Return `text` as xtext: `+` and two digits for each octet of UTF-8 that does not stand for itself."""
    return _NOT_XCHAR.sub(lambda found: b"+%02X" % found[0][0], text.encode()).decode("ascii")


def encode_utf8_xtext(address: str) -> str:
    r"""Return `address` as utf-8-addr-xtext, which is ASCII: `\x{...}` for what does not stand for itself."""
    return _NOT_QCHAR.sub(_embedded, address)


def encode_unitext(address: str) -> str:
    r"""Return `address` as utf-8-addr-unitext, for mail under SMTPUTF8: `\x{...}` for what must not stand there."""
    return _NOT_QUCHAR.sub(_embedded, address)


def _embedded(found: re.Match[str]) -> str:
    return f"\\x{{{ord(found[0]):02X}}}"
