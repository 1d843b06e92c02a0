"""Commands: what a client may say to an SMTP server, as values (RFC 5321 4.1.1 and the extensions).

A command is checked when it is made and knows three things about itself: what it looks like on the wire (`encode`),
how it may stand in a group (`ends_group`, `stands_alone`, RFC 2920 3.1) and what a reply to it means (`parse`). To add
one (XCLIENT, say), derive from `Command`; the machine needs no other change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import ClassVar, Generic, TypeVar

from .._wire.text import LINE_END, check_argument, check_kind, printable
from ..sasl.exchange import Exchange
from ..sasl.mechanism import Mechanism, mechanism_problem
from .extensions import Extensions
from .parameters import NO_PARAMETERS, Parameters
from .paths import NULL_PATH, Mailbox, check_domain
from .reply import Reply

__all__ = [
    "Auth",
    "Bdat",
    "BdatLast",
    "Command",
    "Data",
    "Ehlo",
    "EndOfData",
    "Expn",
    "Greeting",
    "Helo",
    "Help",
    "Lhlo",
    "Mail",
    "Noop",
    "Quit",
    "Rcpt",
    "Rset",
    "StartTls",
    "Vrfy",
    "parameter_words",
]

T_co = TypeVar("T_co", covariant=True)


class Command(Generic[T_co]):
    """A command whose successful reply means a `T_co`. A command of your own defines `encode` and `parse`."""

    __slots__ = ()

    ends_group: ClassVar[bool] = True  # what follows waits for the reply: the safe choice for an unknown command
    stands_alone: ClassVar[bool] = False  # it waits itself until everything before it is answered

    def encode(self) -> bytes:
        """Return the command line, with the CRLF that ends it."""
        raise AssertionError(f"{type(self).__name__} does not say what it looks like on the wire")

    def parse(self, reply: Reply) -> T_co:
        """Return what the `reply`, a completion, means."""
        raise AssertionError(f"{type(self).__name__} does not say what its reply means")

    def __str__(self) -> str:
        """The command as a transcript shows it: one printable line, with secrets masked."""
        return printable(self.encode().removesuffix(LINE_END))

    def shown(self) -> Sequence[str]:
        """Return the lines of a transcript."""
        return (str(self),)


class _PlainReply(Command[Reply]):
    # A command whose reply means no more than it says.

    __slots__ = ()

    def parse(self, reply: Reply) -> Reply:
        return reply


@dataclass(frozen=True, slots=True)
class Greeting(_PlainReply):
    """No command, but what the server's greeting answers: that it was connected to (RFC 5321 3.1)."""

    def __str__(self) -> str:
        return "(the connection)"


def _check_own_name(domain: str) -> None:
    check_kind("our name", domain, str, "text")
    # What the server can do with other scripts is not known before it has answered.
    if not check_domain(domain).isascii():
        raise ValueError(f"expected our name in ASCII (A-labels for other scripts), got {domain!r}")


@dataclass(frozen=True, slots=True)
class Ehlo(Command[Extensions]):
    """EHLO (RFC 5321 4.1.1.1): `domain` is our name or address literal. Its reply lists the extensions."""

    verb: ClassVar[str] = "EHLO"

    domain: str

    def __post_init__(self) -> None:
        _check_own_name(self.domain)

    def encode(self) -> bytes:
        return f"{self.verb} {self.domain}\r\n".encode()

    def parse(self, reply: Reply) -> Extensions:
        return Extensions.parse(reply)


@dataclass(frozen=True, slots=True)
class Lhlo(Ehlo):
    """LHLO (RFC 2033 4.1): what EHLO is in SMTP, in LMTP."""

    verb = "LHLO"


@dataclass(frozen=True, slots=True)
class Helo(_PlainReply):
    """HELO (RFC 5321 4.1.1.1), for servers that know no EHLO."""

    domain: str

    def __post_init__(self) -> None:
        _check_own_name(self.domain)

    def encode(self) -> bytes:
        return f"HELO {self.domain}\r\n".encode()


@dataclass(frozen=True, slots=True)
class StartTls(_PlainReply):
    """STARTTLS (RFC 3207 4)."""

    stands_alone = True  # nothing may be unanswered when the handshake begins

    def encode(self) -> bytes:
        return b"STARTTLS\r\n"


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Auth(_PlainReply):
    """AUTH (RFC 4954 4) with a mechanism, which answers the server's challenges until the final reply.

    sends_initial_response: False lets the server ask for it first, as it does anyway where that would make the command
        too long.

    Raises ValueError for what is no mechanism, as its name is none.
    """

    mechanism: Mechanism = field(repr=False)
    sends_initial_response: bool = field(default=True, repr=False)
    exchange: Exchange = field(init=False, repr=False)

    # RFC 4954 4: a command line of AUTH with its initial response must not exceed RFC 5321's 512 octets.
    line_limit: ClassVar[int] = 512

    # The one that a dataclass makes would hold what may be a password where a traceback with locals shows it.
    def __init__(self, mechanism: Mechanism, sends_initial_response: bool = True) -> None:
        problem = mechanism_problem(mechanism)
        if problem is not None:
            del self, mechanism
            raise ValueError(problem)
        object.__setattr__(self, "mechanism", mechanism)
        object.__setattr__(self, "sends_initial_response", sends_initial_response)
        self.__post_init__()

    def __post_init__(self) -> None:
        exchange = Exchange(
            self.mechanism, b"AUTH", self.line_limit, sends_initial_response=self.sends_initial_response
        )
        object.__setattr__(self, "exchange", exchange)

    def encode(self) -> bytes:
        return self.exchange.command_line()

    def __str__(self) -> str:
        return self.exchange.shown_command()


def _path_line(verb: bytes, mailbox: Mailbox | None, parameters: Mapping[str, str | None]) -> bytes:
    path = NULL_PATH if mailbox is None else b"<%b>" % mailbox.encode()
    if parameters is NO_PARAMETERS or not parameters:
        return b"%b%b\r\n" % (verb, path)
    return b"%b%b%b\r\n" % (verb, path, parameter_words(parameters))


def parameter_words(parameters: Mapping[str, str | None]) -> bytes:
    """Return ESMTP `parameters` as they follow a path, each behind a space."""
    words = [f" {keyword}" if value is None else f" {keyword}={value}" for keyword, value in parameters.items()]
    return "".join(words).encode()


@dataclass(frozen=True, slots=True)
class Mail(_PlainReply):
    """MAIL (RFC 5321 4.1.1.2): `sender` is a mailbox, or None for the null reverse-path; ESMTP `parameters` follow.

    A parameter's value is None where the keyword stands alone (SMTPUTF8). Raises ValueError for a sender that is no
    Mailbox: text is nothing before `Mailbox.parse` has read it.
    """

    ends_group = False

    sender: Mailbox | None
    parameters: Mapping[str, str | None] = NO_PARAMETERS

    def __post_init__(self) -> None:
        check_kind("the sender", self.sender, (Mailbox, NoneType), "a Mailbox or None")
        if self.parameters is not NO_PARAMETERS:
            object.__setattr__(self, "parameters", Parameters.of(self.parameters))

    def encode(self) -> bytes:
        return _path_line(b"MAIL FROM:", self.sender, self.parameters)


@dataclass(frozen=True, slots=True)
class Rcpt(_PlainReply):
    """RCPT (RFC 5321 4.1.1.3), with ESMTP `parameters` like those of MAIL. Raises ValueError as Mail does."""

    ends_group = False

    recipient: Mailbox
    parameters: Mapping[str, str | None] = NO_PARAMETERS

    def __post_init__(self) -> None:
        check_kind("the recipient", self.recipient, Mailbox, "a Mailbox")
        if self.parameters is not NO_PARAMETERS:
            object.__setattr__(self, "parameters", Parameters.of(self.parameters))

    def encode(self) -> bytes:
        return _path_line(b"RCPT TO:", self.recipient, self.parameters)


@dataclass(frozen=True, slots=True)
class Data(_PlainReply):
    """DATA (RFC 5321 4.1.1.4); the mail data follow the reply 354."""

    def encode(self) -> bytes:
        return b"DATA\r\n"


@dataclass(slots=True, eq=False)
class Bdat(_PlainReply):
    """BDAT (RFC 3030 2): a chunk of so many `octets` of the message follows. `Connection.send_chunk` makes it.

    Each is one of its own, and knows whether it `has_left`: the connection has handed it out, with its chunk; and
    whether it `left_behind_others`, which were not answered: the number of replies alone tells its own from theirs.
    """

    ends_group = False

    octets: int
    has_left: bool = field(default=False, init=False, repr=False)
    left_behind_others: bool = field(default=False, init=False, repr=False)

    def encode(self) -> bytes:
        return b"BDAT %d\r\n" % self.octets


@dataclass(slots=True, eq=False)
class BdatLast(Bdat):
    """BDAT with LAST (RFC 3030 2): the last chunk, maybe of no octet. Its reply is the verdict on the message.

    As behind the end of mail data, the next message's MAIL may follow, and QUIT never does.

    It knows as well whether it `is_miscounted`: there was a reply too many, and which one is the verdict is not known.
    """

    is_miscounted: bool = field(default=False, init=False, repr=False)

    def encode(self) -> bytes:
        return b"BDAT %d LAST\r\n" % self.octets


@dataclass(slots=True, eq=False)
class EndOfData(_PlainReply):
    """No command, but what the final reply of a mail transaction answers: the end of mail data.

    Each is one of its own, and knows whether it `has_left`: the connection has handed the last dot out.

    It does not end a group (RFC 2920 3.1): the next message's MAIL may follow it. QUIT never does, for it stands alone:
    were a reply garbled, QUIT's could be taken for the message's.
    """

    ends_group = False

    has_left: bool = field(default=False, init=False, repr=False)

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Rset(_PlainReply):
    """RSET (RFC 5321 4.1.1.5): forget the mail transaction.

    is_afterwards: what has become of the mail is known already, and its reply tells no more than that the session is in
        order. That is no part of what is said, and does not count where commands are compared.
    """

    ends_group = False

    is_afterwards: bool = field(default=False, compare=False, repr=False)

    def encode(self) -> bytes:
        return b"RSET\r\n"


@dataclass(frozen=True, slots=True)
class Quit(_PlainReply):
    """QUIT (RFC 5321 4.1.1.10)."""

    stands_alone = True

    def encode(self) -> bytes:
        return b"QUIT\r\n"


@dataclass(frozen=True, slots=True)
class _StringCommand(_PlainReply):
    # RFC 5321 4.1.1.6 to 4.1.1.8: a verb and a string, which is sent as it is given.

    verb: ClassVar[str]

    argument: str

    def __post_init__(self) -> None:
        what = f"the argument of {self.verb}"
        check_kind(what, self.argument, str, "text")
        check_argument(what, self.argument.encode())

    def encode(self) -> bytes:
        return f"{self.verb} {self.argument}".rstrip(" ").encode() + LINE_END


@dataclass(frozen=True, slots=True)
class Vrfy(_StringCommand):
    """VRFY (RFC 5321 4.1.1.6): is there such a mailbox?"""

    verb = "VRFY"


@dataclass(frozen=True, slots=True)
class Expn(_StringCommand):
    """EXPN (RFC 5321 4.1.1.7): who is on this list?"""

    verb = "EXPN"


@dataclass(frozen=True, slots=True)
class Help(_StringCommand):
    """HELP (RFC 5321 4.1.1.8), on a command or in general."""

    verb = "HELP"

    argument: str = ""


@dataclass(frozen=True, slots=True)
class Noop(_StringCommand):
    """NOOP (RFC 5321 4.1.1.9), with any argument or none: the server is to say that it is there."""

    verb = "NOOP"

    argument: str = ""
