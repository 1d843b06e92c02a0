"""Paths: the addresses of an envelope as they stand between < and > (RFC 5321 4.1.2).

An address is parsed into a local part and a domain and written again by our own rules. Nothing is copied from the
caller's text to the wire: what a quoted string may hide (`"a@x> ORCPT=b"@y`) is a local part and stays one.

Stricter than the grammar: no source routes, no comments, no folding, no controls even inside quotes. Looser: a local
part may be longer than 64 octets (gateways make such), and dots may stand anywhere in it (real addresses have them);
it is then sent as a quoted string, which is always right.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from .._wire.text import check_argument, described, quote

__all__ = ["NEVER", "NULL_PATH", "Mailbox", "check_domain"]

NULL_PATH: Final = b"<>"
"""The null reverse-path (RFC 5321 4.5.5)."""

# RFC 6531 3.3 lets what is beyond ASCII into atoms and labels, under SMTPUTF8. Not DEL and C1, and not the halves of
# surrogate pairs. Patterns say what is left out, for those that say what is let in take 6 ms each to compile.
NEVER: Final = r"\x7f-\x9f\ud800-\udfff"
"""What no atom and no label may hold, as the inside of a pattern's brackets."""

_ATEXT: Final = rf"[^\x00-\x20\"(),.:;<>@\[\\\]{NEVER}]"
_DOT_STRING: Final = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*\Z")
_LET_DIG: Final = rf"[^\x00-/:-@\[-`{{-~{NEVER}]"
_LET_DIG_HYPHEN: Final = rf"[^\x00-,./:-@\[-^`{{-~{NEVER}]"  # and the underscore
_LABEL: Final = re.compile(rf"{_LET_DIG}(?:{_LET_DIG_HYPHEN}*{_LET_DIG})?\Z")
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL: Final = re.compile(r'(["\\])')
_GENERAL_LITERAL: Final = re.compile(r"[A-Za-z0-9-]*[A-Za-z0-9]:[!-Z^-~]+\Z")

# RFC 1035 2.3.4: 255 octets of a domain name on the DNS's wire are 253 in text.
_DOMAIN_LIMIT: Final = 253
_LABEL_LIMIT: Final = 63
_PATH_LIMIT: Final = 2048  # octets; far beyond RFC 5321's 256, short of what fills a command window
# An error says back this much of an address: as long as one may be (RFC 5321 4.5.3.1), not a list in one field.
_QUOTE_LIMIT: Final = 320

# How many addresses are remembered as parsed: senders, and those who get much mail, come again and again.
_REMEMBERED: Final = 1024


def check_domain(domain: str) -> str:
    """Return `domain` if it is a Domain or an address literal (RFC 5321 4.1.2, 4.1.3). Raises ValueError."""
    if len(domain.encode("utf-8")) > _DOMAIN_LIMIT:
        raise ValueError(f"a domain has at most {_DOMAIN_LIMIT} octets, got {len(domain)}: {domain[:80]!r}...")
    if domain.startswith("["):
        if not _is_literal(domain):
            raise ValueError(f"expected an address literal such as [192.0.2.1] or [IPv6:2001:db8::1], got {domain!r}")
        return domain
    for label in domain.split("."):
        if not _LABEL.match(label) or len(label.encode("utf-8")) > _LABEL_LIMIT:
            raise ValueError(
                f"expected a domain name (labels of letters, digits and hyphens, at most {_LABEL_LIMIT} octets each, "
                f"with dots between), got {domain!r}"
            )
    return domain


def _is_literal(text: str) -> bool:
    if not text.endswith("]"):
        return False
    inside = text[1:-1]
    try:
        if inside[:5].upper() == "IPV6:":
            ipaddress.IPv6Address(inside[5:])
            return "%" not in inside
        if ":" in inside:
            return _GENERAL_LITERAL.match(inside) is not None
        ipaddress.IPv4Address(inside)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address: the local part as it is meant, without quoting, and the domain.

    Raises ValueError when there is no such mailbox in any spelling: an empty local part, controls, a domain that is
    none.
    """

    local: str
    domain: str
    _octets: bytes = field(init=False, repr=False, compare=False)  # on the wire

    def __post_init__(self) -> None:
        for part in (self.local, self.domain):
            if not isinstance(part, str):
                raise ValueError(f"expected a local part and a domain as text, got {described(part)}")
        if not self.local:
            raise ValueError(f"expected a local part before @{self.domain}, got none")
        check_domain(self.domain)
        octets = check_argument("an address", _path(self.local, self.domain).encode("utf-8"))
        if len(octets) > _PATH_LIMIT:
            raise ValueError(f"an address has at most {_PATH_LIMIT} octets, got {len(octets)}")
        object.__setattr__(self, "_octets", octets)

    @classmethod
    def parse(cls, address: str) -> "Mailbox":
        """Parse an address as it stands in an envelope: `local@domain` or `"quoted local"@domain`, no display name.

        The domain is what follows the first @ outside quotes; a second one is refused, and so are spaces, comments and
        source routes. Raises ValueError that quotes the address, for what is no text as well.
        """
        if not isinstance(address, str):
            raise ValueError(f"expected an address as text, like name@example.org, got {described(address)}")
        return _parsed(address)

    @property
    def is_ascii(self) -> bool:
        """Whether it can be sent without SMTPUTF8 (RFC 6531)."""
        return self._octets.isascii()

    def with_a_labels(self, encode: Callable[[str], str]) -> "Mailbox":
        """Return the mailbox with its domain in A-labels (RFC 5890 2.3.2.1) by `encode`; itself if it is in ASCII.

        Raises ValueError if `encode` fails, or gives no A-labels for just these labels: a mapping to other names (of
        "faß.de" to "fass.de") might send the mail to somebody else.
        """
        if self.domain.isascii():
            return self
        try:
            encoded = encode(self.domain)
            labels, a_labels = self.domain.split("."), encoded.split(".")
        except Exception as error:
            raise ValueError(f"{self.domain!r} cannot be written in A-labels: {error}") from error
        if len(labels) != len(a_labels) or not all(map(_is_a_label_of, labels, a_labels)):
            raise ValueError(f"expected A-labels for {self.domain!r}, got {encoded!r}")
        return Mailbox(self.local, encoded)

    def encode(self) -> bytes:
        """Return it as on the wire, without the angle brackets."""
        return self._octets

    def __str__(self) -> str:
        return self._octets.decode("utf-8")


def _path(local: str, domain: str) -> str:
    if _DOT_STRING.match(local):
        return f"{local}@{domain}"
    quoted = _SPECIAL.sub(r"\\\1", local)
    return f'"{quoted}"@{domain}'


@lru_cache(_REMEMBERED)
def _parsed(address: str) -> Mailbox:
    try:
        if address.startswith('"'):
            local, domain = _split_quoted(address)
        else:
            local, at, domain = address.partition("@")
            if not at or not _is_unquoted_local(local):
                raise ValueError("a local part with other characters must stand in double quotes")
        return Mailbox(local, domain)
    except ValueError as error:
        got = quote(address, _QUOTE_LIMIT)
        raise ValueError(f"expected an address like name@example.org, got {got}: {error}") from None


def _is_a_label_of(label: str, encoded: str) -> bool:
    if label.isascii():
        return encoded.lower() == label.lower()
    return encoded.isascii() and encoded[:4].lower() == "xn--"


def _is_unquoted_local(local: str) -> bool:
    # Dots in odd places ("a..b", "a.") are no Dot-string, yet such mailboxes exist; they are quoted when written.
    return _DOT_STRING.match(local.replace(".", "")) is not None


def _split_quoted(address: str) -> tuple[str, str]:
    place = 1
    while place < len(address) and address[place] != '"':
        place += 2 if address[place] == "\\" else 1
    if address[place : place + 2] != '"@':
        raise ValueError("the quoted local part does not end in a double quote followed by @")
    return _QUOTED_PAIR.sub(r"\1", address[1:place]), address[place + 2 :]
