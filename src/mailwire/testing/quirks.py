"""Quirks: how real servers differ from the standards, as data.

A quirk changes what the server objects say and offer: it is lines instead of lines, commands it does not know,
extensions it keeps to itself, and facts about its answers and its mail. The profiles of real servers are in `profiles`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Final

from .checks import check_flag, check_names, check_octets, check_text, check_texts, check_whole, describe
from .phrases import check_lines
from .pop3_responses import RESPONSES
from .smtp_extensions import EXTENSIONS
from .smtp_replies import REPLIES

__all__ = ["CAPABILITIES", "STANDARD", "Defect", "POP3Quirk", "Quirk", "SMTPQuirk"]

CAPABILITIES: Final = (
    "TOP",
    "UIDL",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "PIPELINING",
    "USER",
    "SASL",
    "STLS",
    "UTF8",
    "LANG",
    "IMPLEMENTATION",
)
"""What the POP3 server offers, in the order of its response to CAPA."""

_VERB: Final = re.compile(r"[A-Z][A-Z0-9-]*")


def _check_verbs(verbs: frozenset[str]) -> None:
    check_texts("unknown_commands", verbs)
    for verb in verbs:
        if not _VERB.fullmatch(verb):
            raise ValueError(f"expected unknown_commands to be verbs in capitals, got {describe(verb)}")


@dataclass(frozen=True, slots=True)
class SMTPQuirk:
    """How an SMTP server differs.

    replies: reply lines by the situations of `smtp_replies.REPLIES`, instead of those there.
    unknown_commands: verbs that it does not know.
    withheld_extensions: keywords of `EXTENSIONS` that it does not offer, nor honour. Without ENHANCEDSTATUSCODES the
        replies of the table go without their codes.
    takes_bare_hello: HELO and EHLO without a name are accepted (RFC 5321 4.1.1.1 wants one).
    takes_bare_paths: MAIL and RCPT accept a path without angle brackets (RFC 5321 4.1.2 wants them).

    Raises ValueError for a situation, a name in braces, a keyword and a value of another kind that are none.
    """

    replies: Mapping[str, str] = field(default_factory=dict)
    unknown_commands: frozenset[str] = frozenset()
    withheld_extensions: frozenset[str] = frozenset()
    takes_bare_hello: bool = False
    takes_bare_paths: bool = False

    def __post_init__(self) -> None:
        check_lines("replies", self.replies, REPLIES)
        _check_verbs(self.unknown_commands)
        check_names("withheld_extensions", self.withheld_extensions, EXTENSIONS)
        check_flag("takes_bare_hello", self.takes_bare_hello)
        check_flag("takes_bare_paths", self.takes_bare_paths)


class Defect(Enum):
    """What is wrong with one message, wherever it came from."""

    EMPTY = "RETR gives nothing between +OK and the dot"
    UNTERMINATED = "its last line has no end, so that the dot behind it stands in no line of its own"
    UNAVAILABLE = "RETR is refused"
    BLANK_ANSWER = "DELE marks it, and is answered with an empty line"


@dataclass(frozen=True, slots=True)
class POP3Quirk:
    """How a POP3 server differs.

    What it says and announces:

    responses: status lines by the situations of `pop3_responses.RESPONSES`, instead of those there.
    encoding: of its status lines.
    unknown_commands: verbs that it does not know.
    unknown_command_closes: it hangs up on a verb that it does not know.
    withheld_capabilities: keywords of `CAPABILITIES` that it does not announce. STLS, AUTH, UTF8 and LANG are then not
        to be had, and messages come as they are; without RESP-CODES the responses of the table go without their codes.
    late_capabilities: those of `CAPABILITIES` that it announces only to who has logged in.
    further_capabilities: whole lines that it announces besides.
    refuses_initial_responses: it hangs up on an AUTH that has one.

    How it puts an answer together:

    line_end: what ends its lines, those of messages too.
    dot_apart: the dot that ends a multi-line response is a packet of its own.
    stuffs_dots: False sends lines that begin with a dot as they are.
    doubled_responses: situations in which the status line is said twice.
    uid_separator: what stands between the number and the unique id in the response to UIDL.

    What is not so, though it says so:

    retr_shortfall: by how many octets the response to RETR announces less than will come.
    list_surplus: by how many octets STAT and LIST announce more, for each message.
    octets_wrap: the octets of STAT are a number of 32 bits, with its sign.
    top_limit: at most so many octets come of TOP.
    pipelining_limit: it hangs up behind so many answers if more commands than that have come at once.

    What becomes of the mail:

    session_limit: it shows so many messages to a session, the oldest.
    retr_limit: it refuses RETR behind so many messages.
    retr_hides: what was retrieved is not shown to later sessions.
    large_message: it hangs up at the DELE of a message with more octets.
    defects: what is wrong with the messages of these numbers.

    Raises ValueError as an `SMTPQuirk` does, and for an encoding that is none, or in which a response cannot be said.
    """

    responses: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    unknown_commands: frozenset[str] = frozenset()
    unknown_command_closes: bool = False
    withheld_capabilities: frozenset[str] = frozenset()
    late_capabilities: frozenset[str] = frozenset()
    further_capabilities: tuple[str, ...] = ()
    refuses_initial_responses: bool = False
    line_end: bytes = b"\r\n"
    dot_apart: bool = False
    stuffs_dots: bool = True
    doubled_responses: frozenset[str] = frozenset()
    uid_separator: str = " "
    retr_shortfall: int = 0
    list_surplus: int = 0
    octets_wrap: bool = False
    top_limit: int | None = None
    pipelining_limit: int | None = None
    session_limit: int | None = None
    retr_limit: int | None = None
    retr_hides: bool = False
    large_message: int | None = None
    defects: Mapping[int, Defect] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_encoding(self.encoding)
        check_lines("responses", self.responses, RESPONSES, self.encoding)
        _check_verbs(self.unknown_commands)
        check_names("withheld_capabilities", self.withheld_capabilities, CAPABILITIES)
        check_names("late_capabilities", self.late_capabilities, CAPABILITIES)
        check_texts("further_capabilities", self.further_capabilities)
        check_names("doubled_responses", self.doubled_responses, RESPONSES)
        check_octets("line_end", self.line_end)
        if not self.line_end:
            raise ValueError("a line_end must not be empty")
        check_text("uid_separator", self.uid_separator)
        for name in ("top_limit", "pipelining_limit", "session_limit", "retr_limit", "large_message"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 0)
        for name in ("retr_shortfall", "list_surplus"):
            check_whole(name, getattr(self, name), 0)
        for attribute in fields(self):
            if isinstance(attribute.default, bool):
                check_flag(attribute.name, getattr(self, attribute.name))
        _check_defects(self.defects)


def _check_encoding(encoding: str) -> None:
    check_text("encoding", encoding)
    try:
        "x".encode(encoding)
    except LookupError as error:
        raise ValueError(f"expected the name of an encoding, got {encoding!r}") from error


def _check_defects(defects: object) -> None:
    if not isinstance(defects, Mapping):
        raise ValueError(f"expected defects to be a mapping of messages' numbers, got {describe(defects)}")
    for number, defect in defects.items():
        check_whole("each number of defects", number, 1)
        if not isinstance(defect, Defect):
            raise ValueError(f"expected a defect, such as Defect.EMPTY, got {describe(defect)}")


@dataclass(frozen=True, slots=True)
class Quirk:
    """The profile of one server product, called `name`."""

    name: str
    smtp: SMTPQuirk = field(default=SMTPQuirk(), repr=False)
    pop3: POP3Quirk = field(default=POP3Quirk(), repr=False)

    def __post_init__(self) -> None:
        check_text("name", self.name)
        if not isinstance(self.smtp, SMTPQuirk):
            raise ValueError(f"expected an SMTPQuirk, got {describe(self.smtp)}")
        if not isinstance(self.pop3, POP3Quirk):
            raise ValueError(f"expected a POP3Quirk, got {describe(self.pop3)}")


STANDARD: Final = Quirk("standard")
"""No quirk: what the standards say."""
