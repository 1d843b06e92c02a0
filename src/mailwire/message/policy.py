"""MessagePolicy: how a message is taken, and what may be done to it on its way out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Final, Literal

from .._wire.dots import LineEndPolicy
from .._wire.text import TRUTH, Kind, check_choice, check_function, check_kinds

__all__ = ["DEFAULT_POLICY", "EncodeDomain", "MessagePolicy"]

EncodeDomain = Callable[[str], str]
"""Returns the A-labels of a domain beyond ASCII (RFC 5891)."""

_KINDS: Final[Mapping[str, Kind]] = {
    "binary": TRUTH,
    "eight_bit": ((bool, NoneType), "True, False or None"),
    "smtputf8": TRUTH,
    "fold_duplicates": TRUTH,
}


@dataclass(frozen=True, slots=True)
class MessagePolicy:
    """How a message is taken, where it must be changed or refused.

    line_ends: "normalise" makes CRLF of every line end; "reject" refuses a message with any other, for those who relay
        or sign. In neither case does a bare CR or LF leave. The end of the last line is added where it is missing.
    long_lines: "refuse" or "allow" lines of more than 998 octets (RFC 5321 4.5.3.1.6). A text in an EmailMessage that
        has them is encoded anew, under "refuse".
    binary: the octets are sent as they are, whatever their line ends. The server must offer CHUNKING and BINARYMIME
        (RFC 3030). In an EmailMessage, that are those of parts which are no text, or say that they are binary.
    eight_bit: whether a message has octets beyond ASCII, where it cannot be looked at before it is sent: where it comes
        from an iterable or a pipe. None: it may have; that is declared if the server offers 8BITMIME (RFC 6152), else
        the first such octet ends the attempt before it leaves.
    smtputf8: demand SMTPUTF8 (RFC 6531), where it is not known beforehand that the header has characters beyond ASCII.
    encode_domain: makes A-labels of a domain beyond ASCII, as the `idna` package does. With it, an address of which
        nothing else is beyond ASCII needs no SMTPUTF8.
    fold_duplicates: a recipient that is given several times gets the mail once. Local parts are compared as they are.

    Raises ValueError for what makes no sense.
    """

    line_ends: LineEndPolicy = "normalise"
    long_lines: Literal["refuse", "allow"] = "refuse"
    binary: bool = False
    eight_bit: bool | None = None
    smtputf8: bool = False
    encode_domain: EncodeDomain | None = None
    fold_duplicates: bool = False

    def __post_init__(self) -> None:
        check_choice("line_ends", self.line_ends, "normalise", "reject")
        check_choice("long_lines", self.long_lines, "refuse", "allow")
        check_kinds(self, _KINDS)
        check_function("encode_domain", self.encode_domain)


DEFAULT_POLICY: Final = MessagePolicy()
"""How a message is taken if nothing else is said."""
