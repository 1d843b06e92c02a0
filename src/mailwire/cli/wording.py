"""Wording: what an error of the library advises, said in the words of the command line.

The library knows nothing of commands: its errors name arguments of Python.
"""

import re
from collections.abc import Mapping
from typing import Final

from ..errors import MaildropRenumbered

__all__ = ["ADVICE_ON_NO_UIDS", "ADVICE_ON_SKIPPED", "in_our_words"]

ADVICE_ON_SKIPPED: Final = "it has failed too often; give --retry-failed to have it tried again"
"""What is said of a message that was not asked for any more."""
ADVICE_ON_NO_UIDS: Final = "give --probe UIDL if the server has unique ids, and does not announce that"
"""What is said where messages have none."""

_ADVICE_ON_ALL_NEW: Final = (
    "Give --when-all-new match to retrieve what is new by its header, or --when-all-new fetch to retrieve all of it"
)

_OURS: Final[Mapping[str, str]] = {
    "write allow_cleartext_auth=True": "give --allow-cleartext-auth",
    'set tls="starttls" in the endpoint': "+starttls in the URL asks for it",
    'tls="starttls"': "+starttls in the URL",
    'tls="implicit"': "smtps, lmtps or pop3s in the URL",
    'with tls="none"': "where the URL asks for no TLS",
    'Policy(when_all_new="fetch")': "--when-all-new fetch",
}
_QUIRK: Final = re.compile(r"Quirks\.([a-z_]+)")


def in_our_words(text: object) -> str:
    """Return `text`, an error say, with options and URLs in place of the arguments that it names, and with the option
    that answers it."""
    told = f"{text} {_ADVICE_ON_ALL_NEW}" if isinstance(text, MaildropRenumbered) else str(text)
    for theirs, ours in _OURS.items():
        told = told.replace(theirs, ours)
    return _QUIRK.sub(lambda found: f"fetch --quirk {found[1].replace('_', '-')}", told)
