"""SASLprep (RFC 4013): one form for user names and passwords that look or mean the same.

It is a profile of stringprep (RFC 3454), whose tables are in the standard library, and knows Unicode 3.2 and nothing
later, so that all who prepare a text for ever get the same octets: the normalization is that of Unicode 3.2 too.
"""

import stringprep
from collections.abc import Callable
from typing import Final
from unicodedata import ucd_3_2_0

__all__ = ["saslprep"]

# RFC 4013 2.3, table by table.
_PROHIBITED: Final[tuple[tuple[Callable[[str], bool], str], ...]] = (
    (stringprep.in_table_c12, "a space other than SPACE"),
    (stringprep.in_table_c21_c22, "a control character"),
    (stringprep.in_table_c3, "a private use character"),
    (stringprep.in_table_c4, "a non-character code point"),
    (stringprep.in_table_c5, "a surrogate"),
    (stringprep.in_table_c6, "a character inappropriate for plain text"),
    (stringprep.in_table_c7, "a character inappropriate for canonical representation"),
    (stringprep.in_table_c8, "a character that changes how text is displayed, or is deprecated"),
    (stringprep.in_table_c9, "a tagging character"),
)


def saslprep(text: str, *, is_query: bool = False, name: str = "the text") -> str:
    """Return `text` prepared by SASLprep.

    is_query: whether code points are let through that Unicode 3.2 had not assigned. RFC 4013 2.5 leaves this to the
        protocol (RFC 3454 7: "queries" may hold them, "stored strings" must not), and SCRAM decides it: a user name
        is a query (RFC 5802 5.1), a password is a stored string (RFC 5802 2.2). A password with a newer character,
        an emoji say, is therefore refused: servers that obey the same sentence can never have stored it.
    name: what the text is, for the error.

    Raises ValueError, which never quotes the text, for what RFC 4013 2.3 and 2.4 prohibit. The result may be empty.
    """
    mapped = "".join(map(_map, text))
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    problem = _find_problem(prepared, is_query)
    if problem is None:
        return prepared
    del text, mapped, prepared  # a traceback may show locals
    raise ValueError(f"{name} cannot be prepared by SASLprep: it holds {problem}")


def _map(character: str) -> str:
    # RFC 4013 2.1. ZERO WIDTH SPACE (U+200B) stands in both tables; it becomes a space, as in the order of the RFC's
    # sentence, and as libidn and PostgreSQL have it.
    if stringprep.in_table_c12(character):
        return " "
    return "" if stringprep.in_table_b1(character) else character


def _find_problem(prepared: str, is_query: bool) -> str | None:
    for is_prohibited, description in _PROHIBITED:
        if any(map(is_prohibited, prepared)):
            return f"{description} (RFC 4013 2.3)"
    # RFC 3454 6, requirements 2 and 3; the first is table C.8 above.
    if any(map(stringprep.in_table_d1, prepared)):
        if any(map(stringprep.in_table_d2, prepared)):
            return "both right-to-left and left-to-right characters (RFC 4013 2.4)"
        if not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1])):
            return "right-to-left characters, and does not both begin and end with one (RFC 4013 2.4)"
    if not is_query and any(map(stringprep.in_table_a1, prepared)):
        return "a character that Unicode 3.2 does not have (RFC 4013 2.5)"
    return None
