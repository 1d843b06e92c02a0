"""GroupKind: what a group of commands is made of, and what it is answered if all goes as is to be expected.

What is expected is one pattern over the octets that have come: a line for each command, with the code that lets the
transaction go on, and a text of ordinary length. A refusal, a reply of several lines, a reply of which the end has not
come, are not.
"""

import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import ClassVar, Final

from .states import State

__all__ = [
    "CHUNK",
    "DATA",
    "DONE_ALONE",
    "ENVELOPE",
    "GO_AHEAD",
    "LAST_CHUNK",
    "RECIPIENT",
    "RESET",
    "SENDER",
    "VERDICT",
    "GroupKind",
    "expected",
    "expected_in_row",
]


class GroupKind(Enum):
    """What a group is made of, and where it leads from where if it is answered as expected; and whether it is a step,
    one of the commands that go together elsewhere."""

    ENVELOPE = State.READY, State.TRANSACTION
    """MAIL and each RCPT."""
    DATA = State.READY, State.MAIL_DATA
    """The same, and DATA."""
    CHUNK = State.READY, State.READY
    """The same, and the one chunk that the message is."""
    LAST_CHUNK = State.TRANSACTION, State.READY
    """The one chunk that the message is, alone."""
    VERDICT = State.MAIL_DATA, State.READY
    """The end of mail data."""
    RESET = State.READY, State.READY, True
    """RSET alone, before MAIL."""
    SENDER = State.READY, State.TRANSACTION, True
    """MAIL alone."""
    RECIPIENT = State.TRANSACTION, State.TRANSACTION, True
    """One RCPT alone."""
    GO_AHEAD = State.TRANSACTION, State.MAIL_DATA, True
    """DATA alone."""

    __hash__: ClassVar[Callable[[object], int]] = object.__hash__  # as that of State

    def __init__(self, begins_in: State, leads_to: State, is_step: bool = False) -> None:
        self.begins_in = begins_in
        self.leads_to = leads_to
        self.is_step = is_step


# As in `states`: names for what every mail asks for.
ENVELOPE: Final = GroupKind.ENVELOPE
"""`GroupKind.ENVELOPE`, found at once."""
CHUNK: Final = GroupKind.CHUNK
"""`GroupKind.CHUNK`, found at once."""
DATA: Final = GroupKind.DATA
"""`GroupKind.DATA`, found at once."""
LAST_CHUNK: Final = GroupKind.LAST_CHUNK
"""`GroupKind.LAST_CHUNK`, found at once."""
VERDICT: Final = GroupKind.VERDICT
"""`GroupKind.VERDICT`, found at once."""
RESET: Final = GroupKind.RESET
"""`GroupKind.RESET`, found at once."""
SENDER: Final = GroupKind.SENDER
"""`GroupKind.SENDER`, found at once."""
RECIPIENT: Final = GroupKind.RECIPIENT
"""`GroupKind.RECIPIENT`, found at once."""
GO_AHEAD: Final = GroupKind.GO_AHEAD
"""`GroupKind.GO_AHEAD`, found at once."""


# RFC 5321 4.2: a reply of one line. Its text has no limit of its own here, but one that is longer is read with care.
_TEXT: Final = rb"(?: [^\0\r\n]{0,506}+)?+\r\n"
_DONE: Final = rb"2(?!2[01])[0-9][0-9]" + _TEXT  # 220 and 221 are out of place (`rules.fault`)
_GO_ON: Final = rb"3[0-9][0-9]" + _TEXT


@lru_cache
def expected(kind: GroupKind, count: int) -> re.Pattern[bytes]:
    """Return what the replies to a group of so many commands look like, if all goes as is to be expected."""
    # Nothing in it is tried twice.
    last = _GO_ON if kind is DATA or kind is GO_AHEAD else _DONE
    return re.compile(rb"(?:%b){%d}+%b" % (_DONE, count - 1, last) if count > 1 else last)


DONE_ALONE: Final = expected(SENDER, 1)
"""What MAIL alone is answered, as RSET is, RCPT, the end of a message, and a chunk that is alone."""


@lru_cache
def expected_in_row(older: re.Pattern[bytes], newer: re.Pattern[bytes]) -> re.Pattern[bytes]:
    """Return what the replies to two groups look like, of which each is expected to have such ones; they are the two
    groups of the match."""
    return re.compile(rb"(%b)(%b)" % (older.pattern, newer.pattern))
