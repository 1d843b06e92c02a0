"""Parameters: what follows the path in MAIL and RCPT, keywords with or without a value (RFC 5321 4.1.1.11, 4.1.2)."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import NoneType
from typing import Final, Self

from .._wire.mapping import FrozenMapping
from .._wire.text import check_kind
from ..errors import NotSupported
from .extensions import Extensions
from .paths import NEVER

__all__ = [
    "MAIL_EXTENSIONS",
    "NO_PARAMETERS",
    "RCPT_EXTENSIONS",
    "Parameters",
    "check_offered",
    "mail_extensions",
    "needed_extensions",
]

# RFC 5321 4.1.2: esmtp-keyword, and esmtp-value "any CHAR excluding =, SP, and control characters"; octets beyond
# ASCII are let in by RFC 6531 3.3.
_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_VALUE: Final = re.compile(rf"[^\x00-\x20={NEVER}]+\Z")


class Parameters(FrozenMapping[str | None]):
    """ESMTP parameters, in the order in which they are sent. A value is None where the keyword stands alone.

    Raises ValueError for what is no keyword, for a keyword given twice (case does not count), and for spaces, controls
    and equals signs in a value.
    """

    __slots__ = ("is_binary", "keywords")

    def __init__(self, parameters: Mapping[str, str | None]) -> None:
        check_kind("parameters", parameters, Mapping, "a mapping of names to text or None")
        for keyword, value in parameters.items():
            check_kind("a parameter name", keyword, str, "text")
            check_kind(f"the value of {keyword}", value, (str, NoneType), "text or None")
            if not _KEYWORD.match(keyword):
                raise ValueError(f"expected a parameter name of letters, digits and hyphens, got {keyword!r}")
            if value is not None and not _VALUE.match(value):
                raise ValueError(f"the value of {keyword} must be printable, without spaces and '=', got {value!r}")
        if len({keyword.upper() for keyword in parameters}) < len(parameters):
            raise ValueError(f"expected each parameter once, got {', '.join(parameters)}")
        super().__init__(parameters)
        self.is_binary: bool = any(map(_says_binary, parameters.items()))
        """Whether these parameters of MAIL say that the message is binary (RFC 3030 3)."""
        self.keywords: tuple[str, ...] = tuple(parameters)
        """The keywords alone."""

    @classmethod
    def of(cls, parameters: Mapping[str, str | None]) -> Self:
        """Return `parameters` as Parameters: the same object if they are that already."""
        return parameters if type(parameters) is cls else cls(parameters)

    @classmethod
    def vouch(cls, parameters: Mapping[str, str | None]) -> Self:
        """Take `parameters` as they are. The caller knows that they are what they may be, and written in capitals."""
        whole = cls.__new__(cls)
        whole._items = dict(parameters)
        whole.is_binary = whole._items.get("BODY") == "BINARYMIME"
        whole.keywords = tuple(whole._items)
        return whole

    @classmethod
    def joined(cls, *parts: Mapping[str, str | None]) -> Self:
        """Return all `parts` as one. Raises ValueError if a keyword is in more than one of them."""
        whole = {keyword: value for part in parts for keyword, value in part.items()}
        if len(whole) < sum(map(len, parts)):
            raise ValueError(f"expected each parameter once, got {', '.join(word for part in parts for word in part)}")
        return cls(whole)

    def replaced(self, keyword: str, value: str) -> Self:
        """Return these with another value for `keyword`, which is among them and has nothing to do with BODY. The
        caller knows that it is what a value may be."""
        others = self.__new__(type(self))
        others._items = {**self._items, keyword: value}
        others.is_binary, others.keywords = self.is_binary, self.keywords
        return others


def _says_binary(parameter: tuple[str, str | None]) -> bool:
    keyword, value = parameter
    # RFC 5321 2.4: case counts neither in a keyword nor in the word that is its value.
    return value is not None and value.upper() == "BINARYMIME" and keyword.upper() == "BODY"


NO_PARAMETERS: Final = Parameters({})
"""None."""

MAIL_EXTENSIONS: Final[Mapping[str, str]] = {
    "SIZE": "SIZE",  # RFC 1870
    "BODY": "8BITMIME",  # RFC 6152; for BINARYMIME see RFC 3030
    "SMTPUTF8": "SMTPUTF8",  # RFC 6531
    "RET": "DSN",  # RFC 3461
    "ENVID": "DSN",
    "BY": "DELIVERBY",  # RFC 2852
    "HOLDFOR": "FUTURERELEASE",  # RFC 4865
    "HOLDUNTIL": "FUTURERELEASE",
    "MT-PRIORITY": "MT-PRIORITY",  # RFC 6710
    "REQUIRETLS": "REQUIRETLS",  # RFC 8689
    "AUTH": "AUTH",  # RFC 4954
}
"""The extension that a parameter of MAIL needs. One that is not listed is its user's own business."""
RCPT_EXTENSIONS: Final[Mapping[str, str]] = {
    "NOTIFY": "DSN",
    "ORCPT": "DSN",
    "RRVS": "RRVS",  # RFC 7293
}
"""The extension that a parameter of RCPT needs."""


def needed_extensions(keywords: Iterable[str], known: Mapping[str, str]) -> tuple[str, ...]:
    """Return the extensions that parameters with these `keywords` need, as far as `known` tells of them."""
    return tuple([known[keyword] for keyword in map(str.upper, keywords) if keyword in known])


@lru_cache
def mail_extensions(keywords: tuple[str, ...], is_binary: bool, is_chunked: bool) -> tuple[str, ...]:
    """Return the extensions that a mail needs with parameters of MAIL that have these `keywords`.

    is_binary: they say that the message is binary; is_chunked: it goes in chunks.
    """
    # Most mails have the same keywords as the one before.
    needed = needed_extensions(keywords, MAIL_EXTENSIONS)
    # RFC 3030 3: a binary message goes in chunks, and there is no other way.
    if is_binary:
        needed = ("BINARYMIME", "CHUNKING", *(extension for extension in needed if extension != "8BITMIME"))
    return (*needed, "CHUNKING") if is_chunked else needed


def check_offered(needed: Iterable[str], offered: Extensions) -> None:
    """Raise NotSupported, naming the extension, for the first that is `needed` and not `offered`."""
    for extension in needed:
        if extension not in offered.names:
            raise NotSupported(f"the server does not offer {extension}, and the mail needs it", extension=extension)
