"""The arguments of MAIL and RCPT: a path and ESMTP parameters (RFC 5321 4.1.2), read as strictly as they are defined.

Stricter than RFC 5321 4.1.1.3: no source routes, and no <postmaster> without a domain. No client of today sends either.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["Arguments", "parse_arguments"]

# What stands between < and >, in which a quoted string may hold anything; then what follows.
_PATH: Final = re.compile(rb'<((?:"(?:[^"\\]|\\.)*+"|[^<>"])*+)>(.*)', re.DOTALL)
_BARE_PATH: Final = re.compile(rb"([^<> ]++)(.*)", re.DOTALL)
_PARAMETERS: Final = re.compile(rb"(?: [A-Za-z0-9][A-Za-z0-9-]*(?:=[!-<>-~\x80-\xff]+)?)*\Z")


class Arguments(NamedTuple):
    """What stands behind the colon: the `path` without brackets, and the parameters, keywords in upper case.

    A parameter's value is None where its keyword stands alone.
    """

    path: str
    parameters: Mapping[str, str | None]


def parse_arguments(argument: bytes, keyword: bytes, *, takes_bare_path: bool) -> Arguments | None:
    """Parse `FROM:<path> parameters` or `TO:<path> parameters`; None if it is not of that form.

    A parameter given twice is not of that form. takes_bare_path: whether the brackets may be missing.
    """
    rest = argument[len(keyword) :]
    found = _PATH.fullmatch(rest) or (_BARE_PATH.fullmatch(rest) if takes_bare_path else None)
    if found is None or argument[: len(keyword)].upper() != keyword or not _PARAMETERS.match(found[2]):
        return None
    try:
        path, words = found[1].decode("utf-8"), found[2].decode("utf-8").split(" ")[1:]
    except UnicodeDecodeError:
        return None
    parameters: dict[str, str | None] = {}
    for word in words:
        name, equals, value = word.partition("=")
        parameters[name.upper()] = value if equals else None
    return Arguments(path, MappingProxyType(parameters)) if len(parameters) == len(words) else None
