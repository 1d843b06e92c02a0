"""Wording: what an error of the library advises, said in the words of the command line.

The library knows nothing of commands: its errors name arguments of Python.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["in_our_words"]

_OURS: Final[Mapping[str, str]] = {
    "write allow_cleartext_auth=True": "give --allow-cleartext-auth",
    'set tls="starttls" in the endpoint': "+starttls in the URL asks for it",
    'tls="starttls"': "+starttls in the URL",
    'tls="implicit"': "smtps, lmtps or pop3s in the URL",
    'with tls="none"': "where the URL asks for no TLS",
}


def in_our_words(text: object) -> str:
    """Return `text`, an error say, with options and URLs in place of the arguments that it names."""
    told = str(text)
    for theirs, ours in _OURS.items():
        told = told.replace(theirs, ours)
    return told
