"""Refusals: why a server said -ERR, by its response code or, where it has none, by its words.

The codes are RFC 2449 8.1's, RFC 3206 4's and RFC 6856 5's. Most servers have none, so a small table knows the words of
those that many people meet (`PHRASES`). It errs on the side of knowing nothing: what may as well be a wrong password is
not called a passing trouble, for who tries a wrong password again and again has the account locked.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

__all__ = ["PHRASES", "Phrase", "RefusalCause", "ResponseCode", "cause_of_code", "find_phrase"]


class ResponseCode(StrEnum):
    """The response codes that are registered. A code is a str: `response.code == "IN-USE"` is true of any case."""

    IN_USE = "IN-USE"
    LOGIN_DELAY = "LOGIN-DELAY"
    SYS_TEMP = "SYS/TEMP"
    SYS_PERM = "SYS/PERM"
    AUTH = "AUTH"
    UTF8 = "UTF8"


class RefusalCause(Enum):
    """Why something was refused."""

    IN_USE = "another session has the maildrop open"
    LOGIN_DELAY = "the last login was too short a time ago, or there were too many"
    TEMPORARY = "the server has a trouble that passes"
    QUOTA = "the server has given as much as it gives for now"
    PERMANENT = "the server has a trouble that somebody must mend"
    CREDENTIALS = "the credentials are wrong, or were not accepted"
    UTF8 = "the message can be retrieved after the command UTF8 only"

    @property
    def is_transient(self) -> bool:
        """Whether the same may be accepted later."""
        return self in _TRANSIENT

    def __repr__(self) -> str:
        return f"RefusalCause.{self.name}"


_TRANSIENT: Final = frozenset(
    {RefusalCause.IN_USE, RefusalCause.LOGIN_DELAY, RefusalCause.TEMPORARY, RefusalCause.QUOTA}
)

_CAUSES: Final = {
    ResponseCode.IN_USE: RefusalCause.IN_USE,
    ResponseCode.LOGIN_DELAY: RefusalCause.LOGIN_DELAY,
    ResponseCode.SYS_TEMP: RefusalCause.TEMPORARY,
    ResponseCode.SYS_PERM: RefusalCause.PERMANENT,
    ResponseCode.AUTH: RefusalCause.CREDENTIALS,
    ResponseCode.UTF8: RefusalCause.UTF8,
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that tell the cause of a refusal.

    words: all of them stand in the text, in lower case.
    servers: who says so.
    retry_after: seconds after which it may be tried again, where the words tell.
    is_specific: they mean one thing whatever else is said; if not, they count only where no word speaks of credentials.
    """

    words: tuple[bytes, ...]
    cause: RefusalCause
    servers: str
    retry_after: int | None = None
    is_specific: bool = True


# The first that fits counts. Exchange's "Logon failure: unknown user name or bad password" is none of them: it says so
# of a wrong password, and of too many requests, and nobody can tell which. The same with QQ's "Login fail. [...]
# password is incorrect, login frequency limited, or system is busy".
PHRASES: Final = (
    Phrase((b"exceeded the login limit", b"15 minute"), RefusalCause.LOGIN_DELAY, "Outlook.com", retry_after=900),
    Phrase((b"server unavailable",), RefusalCause.TEMPORARY, "Office 365, when it throttles"),
    Phrase((b"temporary system problem",), RefusalCause.TEMPORARY, "Gmail"),
    Phrase((b"bandwidth limit",), RefusalCause.QUOTA, "Gmail"),
    Phrase((b"temporary error",), RefusalCause.TEMPORARY, "GoDaddy"),
    Phrase((b"temporary authentication failure",), RefusalCause.TEMPORARY, "Dovecot, when its own servers are down"),
    Phrase((b"download exceed",), RefusalCause.QUOTA, "163, 126, QQ"),
    Phrase((b"can't get the letter",), RefusalCause.TEMPORARY, "163, 126"),
    Phrase((b"duplicate login",), RefusalCause.IN_USE, "Sina, QQ"),
    Phrase((b"too many ",), RefusalCause.TEMPORARY, "many: too many connections, sessions, bad login attempts"),
    Phrase((b"lock busy",), RefusalCause.IN_USE, "qpopper"),
    Phrase((b"maildrop", b" lock"), RefusalCause.IN_USE, "RFC 1939 7's examples: already locked, unable to lock"),
    Phrase((b"mailbox", b" lock"), RefusalCause.IN_USE, "VPOP3 and others: mailbox is locked, unable to lock mailbox"),
    Phrase((b"try again later",), RefusalCause.TEMPORARY, "many", is_specific=False),
    Phrase((b"temporarily",), RefusalCause.TEMPORARY, "many", is_specific=False),
)
"""What servers that know no response codes say; the first that fits counts."""
_OF_CREDENTIALS: Final = (b"password", b"passwd", b"credential", b"username", b"user name", b"logon", b"login", b"auth")

# Octets of a text that are looked at: RFC 2449 4's limit of a response.
_LOOKED_AT: Final = 512


def cause_of_code(code: str) -> RefusalCause | None:
    """Return the cause that a response code in upper case tells; None if it is not one of those registered.

    Codes have levels (RFC 2449 8): of one whose last level is unknown, such as SYS/TEMP/DISK, the others count.
    """
    while code:
        if code in _CAUSES:
            return _CAUSES[ResponseCode(code)]
        code, _, _ = code.rpartition("/")
    return None


def find_phrase(text: bytes) -> Phrase | None:
    """Return the phrase of `PHRASES` that is in `text`, the words of a refusal without a code; None if none is."""
    words = text[:_LOOKED_AT].lower()
    names_credentials = any(word in words for word in _OF_CREDENTIALS)
    for phrase in PHRASES:
        if all(word in words for word in phrase.words) and (phrase.is_specific or not names_credentials):
            return phrase
    return None
