"""The extensions that the SMTP server knows, and their parameters of MAIL and RCPT, read exactly as they are defined.

The grammar is written out here once more, apart from the client's, so that neither can hide a mistake of the other.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from .refusal import Refusal

__all__ = ["EXTENSIONS", "HOLD_LIMIT", "HOLD_UNTIL_LIMIT", "check_parameters"]

EXTENSIONS: Final = (
    "PIPELINING",
    "SIZE",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
    "CHUNKING",
    "BINARYMIME",
    "DSN",
    "DELIVERBY",
    "FUTURERELEASE",
    "MT-PRIORITY",
    "REQUIRETLS",
    "RRVS",
    "LIMITS",
    "STARTTLS",
    "AUTH",
)
"""What the SMTP server can offer, in the order of its reply to EHLO."""

HOLD_LIMIT: Final = 30 * 24 * 3600
"""For how many seconds FUTURERELEASE can hold a message..."""
HOLD_UNTIL_LIMIT: Final = "2100-01-01T00:00:00Z"
"""...and until when (RFC 4865 3)."""

# RFC 3461 4: what is neither a "+" nor a "=" stands for itself, anything can be written in hexadecimal digits.
_XCHAR: Final = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})"
# RFC 6533 3: the same for addresses beyond ASCII, in which a backslash begins a character by its number.
_UNITEXT: Final = r"(?:[!-*,-<>-\[\]-~\x80-\U0010ffff]|\\x\{[0-9A-F]{2,6}\})"
_DATE_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
_HEX_PAIR: Final = re.compile(r"\+[0-9A-F]{2}")
_ENVID_LIMIT: Final = 100  # RFC 3461 4.4, decoded


class _Parameter(NamedTuple):
    extension: str
    value: re.Pattern[str]  # "" where the keyword stands alone


def _parameter(extension: str, value: str) -> _Parameter:
    return _Parameter(extension, re.compile(value, re.IGNORECASE))


_OF_MAIL: Final[Mapping[str, _Parameter]] = {
    "SIZE": _parameter("SIZE", r"[0-9]{1,20}"),  # RFC 1870 6.1
    "BODY": _parameter("8BITMIME", r"7BIT|8BITMIME"),  # RFC 6152 2
    "SMTPUTF8": _parameter("SMTPUTF8", r""),  # RFC 6531 3.4
    "AUTH": _parameter("AUTH", rf"<>|{_XCHAR}+"),  # RFC 4954 5
    "RET": _parameter("DSN", r"FULL|HDRS"),  # RFC 3461 4.3
    "ENVID": _Parameter("DSN", re.compile(rf"{_XCHAR}+")),  # RFC 3461 4.4
    "BY": _parameter("DELIVERBY", r"(?:[+-]?[0-9]{1,9};N|\+?(?!0+;)[0-9]{1,9};R)T?"),  # RFC 2852 4
    "HOLDFOR": _parameter("FUTURERELEASE", r"[1-9][0-9]{0,8}"),  # RFC 4865 3
    "HOLDUNTIL": _Parameter("FUTURERELEASE", re.compile(_DATE_TIME)),  # RFC 4865 3
    "MT-PRIORITY": _parameter("MT-PRIORITY", r"-?[1-9]|0"),  # RFC 6710 4.1
    "REQUIRETLS": _parameter("REQUIRETLS", r""),  # RFC 8689 2
}
_OF_RCPT: Final[Mapping[str, _Parameter]] = {
    # RFC 3461 4.1: NEVER alone, or each of the others at most once.
    "NOTIFY": _parameter("DSN", r"NEVER|(?:(SUCCESS|FAILURE|DELAY)(?!.*,\1)(?:,(?=.)|\Z))+"),
    "ORCPT": _Parameter("DSN", re.compile(rf"(?:[Uu][Tt][Ff]-8;{_UNITEXT}+|(?!utf-8;)[A-Za-z0-9-]+;{_XCHAR}+)")),
    "RRVS": _Parameter("RRVS", re.compile(rf"{_DATE_TIME}(?:;[CRcr])?")),  # RFC 7293 3.1
}
_PARAMETERS: Final = MappingProxyType({"MAIL": _OF_MAIL, "RCPT": _OF_RCPT})


def check_parameters(
    verb: str, parameters: Mapping[str, str | None], is_offered: Callable[[str], bool], *, utf8: bool = False
) -> None:
    """Raise Refusal if one of the `parameters` of MAIL or RCPT is not offered, or has a value that is none.

    is_offered: whether an extension is. utf8: whether SMTPUTF8 was given to MAIL.
    """
    for keyword, value in parameters.items():
        # RFC 3030 3: this value is an extension of its own, which needs no 8BITMIME.
        if keyword == "BODY" and (value or "").upper() == "BINARYMIME" and is_offered("BINARYMIME"):
            continue
        parameter = _PARAMETERS[verb].get(keyword)
        if parameter is None or not is_offered(parameter.extension):
            raise Refusal("parameter", parameter=keyword)  # RFC 5321 4.1.1.11
        if not _is_valid(parameter, keyword, value or "", utf8=utf8):
            raise Refusal("syntax", expected=f"another value of {keyword}")
    if "HOLDFOR" in parameters and "HOLDUNTIL" in parameters:
        raise Refusal("syntax", expected="HOLDFOR or HOLDUNTIL, not both")  # RFC 4865 3


def _is_valid(parameter: _Parameter, keyword: str, value: str, *, utf8: bool) -> bool:
    if not parameter.value.fullmatch(value) or not (value.isascii() or utf8):
        return False
    match keyword:
        case "ENVID":
            return len(_HEX_PAIR.sub("?", value)) <= _ENVID_LIMIT
        case "HOLDFOR":
            return int(value) <= HOLD_LIMIT
        case "HOLDUNTIL":
            moment = _moment(value)
            return moment is not None and moment <= datetime.fromisoformat(HOLD_UNTIL_LIMIT)
        case "RRVS":
            return _moment(value.partition(";")[0]) is not None
    return True


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None  # the 31st of February
