"""A hostile case, as data: what a server does, by a script, what a client does meanwhile, and what must come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from mailwire import Delivery, MailwireError, Password
from mailwire.maildrop import CautionKind
from mailwire.pop3 import FindingKind
from mailwire.testing import Step
from tests.sasl.secrecy import CANARY

__all__ = [
    "AT_PORTS",
    "EVERYWHERE",
    "MESSAGE",
    "ONCE",
    "PASSWORD",
    "TAKEN_OF_A_LINE",
    "TAKEN_OF_MANY_LINES",
    "TAKEN_WHILE_NOBODY_WAITS",
    "Case",
    "Deed",
    "Fate",
    "Link",
    "Octets",
    "Outcome",
    "Surroundings",
    "lines",
]

Deed: TypeAlias = (
    Literal["connect", "send", "client.send", "retrieve", "client.retrieve"]
    | Literal["client.listing", "client.top", "client.delete", "run"]
)
"""What the client does: it connects; it sends a mail, or retrieves the maildrop, by the function of that name, or by a
client that was connected a while before.

By a client, too: it only lists the maildrop; it asks for the top of the first message before it retrieves; it deletes
what it has retrieved, and commits. A run over the maildrop does the same with a ledger and a sink. Of these two there
is a second session where the case has a sequel, in which what is not known to be deleted is deleted again."""

Fate: TypeAlias = Literal["deleted", "refused", "unknown", "kept"]

Link: TypeAlias = Literal["socket", "streams", "port"]
"""As what the client is given its connection: a connected socket, a pair of streams, or a port to connect to."""

Surroundings: TypeAlias = tuple[Link, Literal["asyncio", "uvloop"]]

ONCE: Final[tuple[Surroundings, ...]] = (("socket", "asyncio"),)
EVERYWHERE: Final[tuple[Surroundings, ...]] = (
    *ONCE,
    ("streams", "asyncio"),
    ("port", "asyncio"),
    ("socket", "uvloop"),
    ("streams", "uvloop"),
)
AT_PORTS: Final[tuple[Surroundings, ...]] = (*EVERYWHERE, ("port", "uvloop"))
"""Also where a client by uvloop reads of the system's own buffers."""

PASSWORD: Final = Password("bob", CANARY)
TAKEN_OF_A_LINE: Final = 64 * 1024
"""Octets that are taken at most of a server that goes on and on in a line, or in short lines. 8,192 of a line are held,
and 512 lines; the rest is what is underway where buffers are small, and what a record of TLS holds."""
TAKEN_OF_MANY_LINES: Final = 128 * 1024
"""The same of one whose lines are of the length that is allowed, or are capabilities: of these 64 KiB are held."""
TAKEN_WHILE_NOBODY_WAITS: Final = 128 * 1024
"""The same of one that begins while it was asked nothing: 64 KiB are held until somebody looks."""
MESSAGE: Final = b"Subject: x\r\n\r\nhello\r\n"


class Octets(bytes):
    """Many octets: where all that a frame holds is shown, in search of secrets, they are not shown one by one."""

    def __repr__(self) -> str:
        return f"<{len(self)} octets>"


def lines(*texts: str) -> bytes:
    """Return what is said by these lines."""
    return "".join(f"{text}\r\n" for text in texts).encode()


@dataclass(frozen=True)
class Outcome:
    """What must come of a case.

    error: the class of the error, exactly; None where all ends well.
    in_clear: every octet that the client says in the clear.
    message: of this it says behind that, in the clear or under TLS, as much as it likes.
    hello: whether it begins a TLS handshake behind that; None where it may or may not.
    under_tls: every octet that it says under TLS.
    delivery: what became of the mail, if one was to be sent.
    words: the same for each recipient; by default all have the same.
    deferred: of the recipients that are refused, those that are so for now: they and whoever was not sent to can be
        tried again, and nobody else.
    messages: those that are retrieved whole, whether an error ends it or not; a sink gets each of them once.
    listed, last_uid: how many messages are listed, and the unique id of the last, where nothing else is done.
    told: what a listing, or the report of a run, tells of what is wrong with the maildrop; None where it is no matter.
    failed: of the messages that a run could not retrieve, a regular expression for why not, by their unique ids.
    broken_off: how many messages a run had begun to store when it learnt that they do not come whole.
    fates: what is known of each message that was to be deleted, by its unique id.
    settled: the same at the end of the sequel.
    under_tls_later: every octet that the client says under TLS in the sequel.
    attributes: of the error, by their names; a name may be a path ("reply.code").
    text: a regular expression for something that the error says.
    hidden: what must not be shown anywhere, besides the canary in all its spellings.
    growth: by so many MiB the most that the process ever had may grow, at both ends together.
    work: at most so many seconds of the processor's time it takes, at both ends together, but for the garbage
        collector's; None where that is no matter.
    turn: at most so many of them pass between two turns of the event loop.
    taken: at most so many octets are taken from a server that goes on and on, which needs a `buffer_size` for it, and a
        link whose buffers are not the system's own; None where it is known to stop.
    """

    error: type[MailwireError] | None
    in_clear: bytes = b""
    message: bytes = b""
    hello: bool | None = False
    under_tls: bytes = b""
    delivery: Delivery = Delivery.NOT_SENT
    words: tuple[Delivery, ...] = ()
    deferred: tuple[str, ...] = ()
    messages: tuple[bytes, ...] = ()
    listed: int | None = None
    last_uid: str | None = None
    told: frozenset[FindingKind | CautionKind] | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
    broken_off: int = 0
    fates: Mapping[str, Fate] = field(default_factory=dict)
    settled: Mapping[str, Fate] = field(default_factory=dict)
    under_tls_later: bytes = b""
    attributes: Mapping[str, object] = field(default_factory=dict)
    text: str = ""
    hidden: tuple[str, ...] = ()
    growth: int = 16
    work: float | None = None
    turn: float = 0.05
    taken: int | None = None


@dataclass(frozen=True)
class Case:
    """A server, a client, and what must come of it.

    name: what the server does.
    script: the same, step by step; sequel: what it does when the client comes again.
    settings: those of the endpoint; its password is a canary unless they say otherwise.
    deeds: what the client does, each in a play of its own.
    seconds: after which it must end, by the client's own deadline; 0 where it ends without one.
    message, recipients, arguments: what is sent, to whom, and how.
    buffer_size: of the sockets at both ends, in octets.
    logged: whether all that is logged is kept, in search of secrets; it takes more memory than what is tried.
    surroundings: in which the first deed is done; the others are done in the first of them.
    """

    name: str
    script: tuple[Step, ...]
    outcome: Outcome
    settings: Mapping[str, Any]
    deeds: tuple[Deed, ...]
    seconds: float = 0
    message: bytes = MESSAGE
    recipients: tuple[str, ...] = ("b@example.org",)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    buffer_size: int | None = None
    surroundings: tuple[Surroundings, ...] = EVERYWHERE
    sequel: tuple[Step, ...] = ()
    logged: bool = True
