"""ANONYMOUS (RFC 4505): nobody logs in, and may leave a word about it."""

import stringprep
from typing import Final

from .fields import encode_field
from .identities import Anonymous
from .mechanism import Mechanism, MechanismFailed

__all__ = ["TRACE_LIMIT", "AnonymousMechanism"]

TRACE_LIMIT: Final = 255
"""The characters, not octets, that a trace may have (RFC 4505 2: "token = 1*255TCHAR"). It allows an address to be
longer; we do not."""

# RFC 4505 3, the stringprep profile "trace". Of the bidirectional text that it also refuses nothing is checked here:
# the trace means nothing to the protocol, and the server prepares it for itself.
_PROHIBITED: Final = (
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class AnonymousMechanism(Mechanism):
    """ANONYMOUS. Raises ValueError for a trace of more than TRACE_LIMIT characters, or one with a control character or
    another that RFC 4505 3 prohibits."""

    name = "ANONYMOUS"
    exposes_password = False

    def __init__(self, credentials: Anonymous) -> None:
        trace = credentials.trace
        if len(trace) > TRACE_LIMIT:
            raise ValueError(f"a trace is at most {TRACE_LIMIT} characters long (RFC 4505 2), this one {len(trace)}")
        if any(is_prohibited(character) for is_prohibited in _PROHIBITED for character in trace):
            raise ValueError("a trace is plain text without control characters (RFC 4505 3)")
        self._message = encode_field("trace", trace)
        self._said = False

    def initial_response(self) -> bytes:
        self._said = True
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        # Where no initial response may be sent, the server asks for it with an empty challenge.
        if self._said or challenge:
            raise MechanismFailed("ANONYMOUS expects no challenge behind its one message")
        return self.initial_response()

    @property
    def is_complete(self) -> bool:
        return self._said
