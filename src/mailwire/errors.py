"""Every error that mailwire raises, in one tree.

::

    MailwireError
    ├── ProtocolError
    │   ├── LocalProtocolError             your call was out of place; nothing was changed by it
    │   │   └── AmbiguousMessage               ... several messages have the unique id that it names; `.uid`
    │   └── RemoteProtocolError            the server's bytes make no sense here; the connection is dead
    │       ├── LimitExceeded                  ... they go on for longer than any honest server's
    │       ├── Desynchronised                 ... they answer nothing that was asked; `.suspect`
    │       └── InjectedData                   ... they came before they could be asked for (also SecurityError)
    ├── ConnectionFailed                   no connection could be made (also ConnectionError)
    ├── ConnectionLost                     it was there and is gone (also ConnectionError); `.in_flight`
    │   ├── MessageTruncated                   ... in the middle of a message; `.octets`
    │   └── ServiceNotAvailable                ... by 421, with which an SMTP server closes (also ReplyError)
    ├── DeadlineExceeded                   the server took too long (also TimeoutError); `.phase`
    ├── SecurityError                      going on would have been unsafe
    │   ├── TLSFailed                          no TLS session, or with a server that did not prove its name; `.answer`
    │   ├── ServerUnproven                     the server did not prove that it knows us (also AuthenticationFailed)
    │   └── InjectedData
    ├── NotSupported                       the server does not offer what this mail or call needs; `.extension`
    ├── InvalidMessage                     this message cannot be sent as it is (also ValueError)
    ├── MessageUnreadable                  this message cannot be parsed within limits (also ValueError)
    ├── MessageEmpty                       nothing came of a message that has a size
    ├── SourceFailed                       the message could not be read from where it is; `.__cause__`
    ├── BudgetExceeded                     more mail than the caller allowed; `.messages`
    ├── UnknownMessage                     no message has this unique id (also LookupError); `.uid`
    ├── RetrievalIncomplete                some messages were refused; `.refusals`, `.missing`, `.messages`
    ├── LedgerError                        the ledger of what was retrieved could not be written
    │   ├── LedgerUnreadable                   ... or read: nothing is deleted on its word
    │   └── LedgerBusy                         ... or held: another run is at work on the account; `.account`
    ├── MaildropRenumbered                 messages have other unique ids than they had; `.known`, `.listed`
    ├── SinkFailed                         retrieved mail could not be stored; the reason is its `__cause__`
    └── CommandRefused                     the server said no; `.command`
        ├── AuthenticationFailed               ... to the credentials; `.answer`, `.oauth`
        │   └── ServerUnproven
        ├── ReplyError                         an SMTP reply 4yz or 5yz; `.reply`
        │   ├── SenderRefused
        │   ├── RecipientsRefused
        │   ├── DataRefused
        │   └── ServiceNotAvailable
        └── ResponseError                      a POP3 -ERR; `.response`
            └── MaildropLocked                     ... to a login: somebody else has the maildrop open

Blame decides the class: `LocalProtocolError` is the caller's mistake, `RemoteProtocolError` the server's. A server's
plain "no" is neither. Arguments that could never be right (a line feed in an address) are a ValueError.

Every error says by `is_transient` whether the same may go well later with nothing changed. If so, another `send` brings
no mail twice, nor does another `retrieve` with a ledger, which remembers what has come.

Errors can be pickled and copied, and hold nothing secret: a command is quoted as a transcript shows it. The `__cause__`
goes with a copy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from .maildrop.report import RetrievalReport
    from .message.retrieved import RetrievedMessage
    from .pop3.response import Response
    from .sasl.oauth import OAuthFailure
    from .smtp.delivery import Delivery
    from .smtp.receipt import Receipt, RecipientReceipt
    from .smtp.reply import Reply

__all__ = [
    "AmbiguousMessage",
    "AuthenticationFailed",
    "BudgetExceeded",
    "CommandRefused",
    "ConnectionFailed",
    "ConnectionLost",
    "DataRefused",
    "DeadlineExceeded",
    "Desynchronised",
    "InjectedData",
    "InvalidMessage",
    "LedgerBusy",
    "LedgerError",
    "LedgerUnreadable",
    "LimitExceeded",
    "LocalProtocolError",
    "MaildropLocked",
    "MaildropRenumbered",
    "MailwireError",
    "MessageEmpty",
    "MessageTruncated",
    "MessageUnreadable",
    "NotSupported",
    "ProtocolError",
    "RecipientsRefused",
    "RemoteProtocolError",
    "ReplyError",
    "ResponseError",
    "RetrievalIncomplete",
    "SecurityError",
    "SenderRefused",
    "ServerUnproven",
    "ServiceNotAvailable",
    "SinkFailed",
    "SourceFailed",
    "TLSFailed",
    "UnknownMessage",
]


E = TypeVar("E", bound="MailwireError")


def _restore(cls: type[E], args: tuple[object, ...]) -> E:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class MailwireError(Exception):
    """The root of the tree.

    Where the error ended a `send`, `delivery` says what became of the mail and `receipt` holds every reply that did
    arrive; otherwise both are None. Where it ended a `retrieve` into a sink, `report` says what had been done by then;
    where it ended one into memory, `messages` are those retrieved whole by then, of which Desynchronised has none.
    `transcript` holds the last lines of the dialogue, with secrets masked.
    """

    delivery: Delivery | None = None
    receipt: Receipt | None = None
    report: RetrievalReport | None = None
    messages: tuple[RetrievedMessage, ...] = ()
    transcript: tuple[str, ...] = ()

    @property
    def recipients(self) -> tuple[RecipientReceipt, ...]:
        """What is known about each recipient, in their order: those of the `receipt`. Empty where there is none."""
        return () if self.receipt is None else self.receipt.recipients

    @property
    def retryable(self) -> tuple[RecipientReceipt, ...]:
        """The recipients to whom another attempt may bring the mail, and cannot bring it twice. Never one for whom the
        word is UNKNOWN. Empty where there is no `receipt`: then nothing was begun that could be tried again."""
        return () if self.receipt is None else self.receipt.retryable

    @property
    def is_transient(self) -> bool:
        """Whether the same may go well later with nothing changed; and, of a `send`, brings no mail twice.

        The server refused for now, was not there, went away or took too long, or another run has the account; and by
        `delivery` nobody has the mail, or may have it. Where some may, `retryable` says who has not. What a retrieval
        has stored by then comes again where no ledger remembers it, also where this is True.
        """
        return self._is_for_now and not (self.delivery is not None and self.delivery.may_be_there)

    @property
    def _is_for_now(self) -> bool:
        return False

    @property
    def last_reply(self) -> Reply | None:
        """The last reply to this mail that counts: the one that decided about it as a whole, or else the last that a
        recipient has, to the message or to RCPT; of a ReplyError, the one that refused. None if there is none of these.
        The yes to MAIL, the one to DATA (354) and those to chunks before the last decide nothing."""
        if self.receipt is None:
            return None
        backwards = self.recipients[::-1]
        replies = (*(entry.final_reply for entry in backwards), *(entry.reply for entry in backwards))
        return self.receipt.reply or next((reply for reply in replies if reply is not None), None)

    def __copy__(self) -> Self:
        copied = _restore(type(self), self.args)
        copied.__setstate__(self.__dict__)
        copied.__cause__ = self.__cause__
        return copied

    def __reduce__(self) -> tuple[object, ...]:
        # The attributes come last, for one of them may hold this error in turn: a report does.
        return _restore, (type(self), self.args), self.__dict__

    def __setstate__(self, attributes: Mapping[str, object] | None) -> None:
        self.__dict__.update(attributes or {})
        if hasattr(self, "__notes__"):
            self.__notes__: list[str] = list(self.__notes__)  # what is added to a copy is not added to the error


class ProtocolError(MailwireError):
    """A rule of the protocol was broken, by either side."""


class LocalProtocolError(ProtocolError):
    """The caller asked for something that this state does not allow. The call changed nothing."""


class AmbiguousMessage(LocalProtocolError):
    """Several messages of the maildrop have the unique id `uid`, or had it in another session (RFC 1939 7 forbids it):
    which one is meant cannot be told, and the wrong one would be lost."""

    def __init__(self, message: str, *, uid: str) -> None:
        super().__init__(message)
        self.uid = uid


class RemoteProtocolError(ProtocolError):
    """The server sent what it may not send here. Nothing it says can be trusted to answer what was asked: the
    connection is dead."""


class LimitExceeded(RemoteProtocolError):
    """The server sent a line, a reply or a listing longer than the limit for it: 64 KiB for a reply of SMTP,
    `pop3.Limits` in POP3."""


class Desynchronised(RemoteProtocolError):
    """What a POP3 server says while the maildrop is open is no answer to what was asked. `messages` holds none: any of
    those that came before it showed may be cut off, or be a part of another.

    suspect: the command whose answer is likely to have gone wrong, as text: a message that it gave may be cut off; None
        if there is none.
    """

    def __init__(self, message: str, *, suspect: str | None = None) -> None:
        super().__init__(message)
        self.suspect = suspect


class ConnectionFailed(MailwireError, ConnectionError):
    """No connection could be made: no such host, nothing listening, no way there, or none to whom gives out our access
    token. The `__cause__` is what the system said."""

    @property
    def _is_for_now(self) -> bool:
        return True


class ConnectionLost(MailwireError, ConnectionError):
    """The connection was there and is gone. `in_flight` are the commands that will never be answered, as text."""

    def __init__(self, message: str, *, in_flight: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.in_flight: tuple[str, ...] = tuple(in_flight)

    @property
    def _is_for_now(self) -> bool:
        return True


class MessageTruncated(ConnectionLost):
    """The connection was lost in the middle of a message. `octets` counts what came of it."""

    def __init__(self, message: str, *, in_flight: Sequence[str] = (), octets: int = 0) -> None:
        super().__init__(message, in_flight=in_flight)
        self.octets = octets


class DeadlineExceeded(MailwireError, TimeoutError):
    """The server did not do in time what was waited for, as the text says.

    phase: the field of `Timeouts` that has run out: "connect", "greeting", "command", "verdict"...
    """

    def __init__(self, message: str, *, phase: str) -> None:
        super().__init__(message)
        self.phase = phase

    @property
    def _is_for_now(self) -> bool:
        return True


class SecurityError(MailwireError):
    """Going on would have given something away, or trusted somebody unproven."""


class TLSFailed(SecurityError):
    """There is no TLS session, or the server's certificate does not prove that it is the server that was asked for.

    answer: what the server said, where it offers STARTTLS (RFC 3207 4) or STLS (RFC 2595 4) and refuses it; else None.
        There may be TLS later by what it says: 454, say.
    """

    answer: Reply | Response | None = None

    def __init__(self, message: str, *, answer: Reply | Response | None = None) -> None:
        super().__init__(message)
        self.answer = answer

    @property
    def _is_for_now(self) -> bool:
        return self.answer is not None and self.answer.is_transient


class InjectedData(RemoteProtocolError, SecurityError):
    """Bytes arrived in the clear that would have been taken for the server's first words under TLS (CVE-2011-0411)."""


class NotSupported(MailwireError):
    """The server does not offer what is needed; `extension` names it ("8BITMIME", "SMTPUTF8", "AUTH PLAIN", ...)."""

    def __init__(self, message: str, *, extension: str) -> None:
        super().__init__(message)
        self.extension = extension


class InvalidMessage(MailwireError, ValueError):
    """This message cannot be sent as it is: it holds a NUL, has no recipient, no octet, an address that is none, ..."""


class MessageUnreadable(MailwireError, ValueError):
    """A message that was retrieved goes beyond what is parsed, or breaks the parser. Its octets are there anyway."""


class MessageEmpty(MailwireError):
    """The server gave nothing of a message for which it lists a size (Exchange 2003 does). A run over a maildrop does
    not take it for stored, and does not delete it."""


class SourceFailed(MailwireError):
    """The message could not be read to its end: its file is not there or has changed, or what yields its octets raised;
    the error is the `__cause__`. Where a part of it was sent, the connection was cut, and the server must forget it."""


class BudgetExceeded(MailwireError):
    """There is more mail, in messages or octets, than the caller allowed. `messages` holds those retrieved whole before
    that showed."""

    def __init__(self, message: str, *, messages: Sequence[RetrievedMessage] = ()) -> None:
        super().__init__(message)
        self.messages: tuple[RetrievedMessage, ...] = tuple(messages)


class UnknownMessage(MailwireError, LookupError):
    """No message in the maildrop has the unique id `uid`: it was deleted, or hidden by the server. Or one has it, of
    another size than the entry that was named: it is another message."""

    def __init__(self, message: str, *, uid: str) -> None:
        super().__init__(message)
        self.uid = uid


class RetrievalIncomplete(MailwireError):
    """Some of the messages asked for are not to be had. `refusals` are the server's answers by message number,
    `missing` the unique ids of those that were gone in the meantime, `messages` those retrieved whole."""

    def __init__(
        self,
        message: str,
        *,
        refusals: Mapping[int, Response],
        messages: Sequence[RetrievedMessage],
        missing: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.refusals: dict[int, Response] = dict(refusals)
        self.missing: tuple[str, ...] = tuple(missing)
        self.messages: tuple[RetrievedMessage, ...] = tuple(messages)


class LedgerError(MailwireError):
    """The ledger that says what was retrieved could not be written. What it said before, it says still."""


class LedgerUnreadable(LedgerError):
    """The ledger cannot be read: it is damaged, or something else. It was left as it is."""


class LedgerBusy(LedgerError):
    """Another run, of this process or another, is at work on the same `account`."""

    def __init__(self, message: str, *, account: str) -> None:
        super().__init__(message)
        self.account = account

    @property
    def _is_for_now(self) -> bool:
        return True


class MaildropRenumbered(MailwireError):
    """The server has most likely given its messages other unique ids: of those that are `listed`, none is one of the
    so many `known` that were there before; or at least ten of them, and half of what has the unique id of a stored
    message, have another size than that, and more than half of the headers that could be compared are others.

    Nothing was fetched or deleted; `maildrop.Policy.when_all_new` is the answer."""

    def __init__(self, message: str, *, known: int, listed: int) -> None:
        super().__init__(message)
        self.known = known
        self.listed = listed


class SinkFailed(MailwireError):
    """Retrieved mail could not be stored, and the next would not be either: the disk is full, say. What was not stored
    is on the server still, and the message at which it showed comes last in the next run. `__cause__` is what the sink
    has raised."""


class CommandRefused(MailwireError):
    """The server said no. `command` is what it said no to, as text, with secrets masked."""

    def __init__(self, message: str, *, command: str) -> None:
        super().__init__(message)
        self.command = command


class AuthenticationFailed(CommandRefused):
    """The server did not accept the credentials, or the exchange about them went wrong.

    answer: what the server said in the end; None if the exchange did not get there. The same credentials may be
        accepted later where it says that it is not their fault.
    oauth: what it said against an access token, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        command: str,
        answer: Reply | Response | None = None,
        oauth: OAuthFailure | None = None,
    ) -> None:
        super().__init__(message, command=command)
        self.answer = answer
        self.oauth = oauth

    @property
    def _is_for_now(self) -> bool:
        return self.answer is not None and self.answer.is_transient


class ServerUnproven(AuthenticationFailed, SecurityError):
    """The server did not prove that it knows the password, or what was derived from it (RFC 5802 3): it may be
    somebody else."""


class ReplyError(CommandRefused):
    """An SMTP reply 4yz, which is a refusal for now, or 5yz (RFC 5321 4.2.1)."""

    def __init__(self, message: str, *, command: str, reply: Reply) -> None:
        super().__init__(message, command=command)
        self.reply = reply

    @property
    def last_reply(self) -> Reply:
        """The `reply`."""
        return self.reply

    @property
    def _is_for_now(self) -> bool:
        return self.reply.is_transient


class SenderRefused(ReplyError):
    """MAIL was refused: nothing was sent to anyone."""


class RecipientsRefused(ReplyError):
    """Every RCPT was refused; `reply` is the last of them, `receipt.recipients` has them all. A reply 552 says "too
    many", and is one for now (RFC 5321 4.5.3.1.10).

    `is_transient` is True only where all of them are for now; where some are, `retryable` says whose.
    """

    @property
    def _is_for_now(self) -> bool:
        if self.receipt is not None and (refused := self.receipt.refused):
            return all(entry.is_transient for entry in refused)
        return self.reply.is_transient or self.reply.code == 552


class DataRefused(ReplyError):
    """DATA or the message itself was refused. By 421 to the end of the message it was not: the server closes, and may
    have the mail; `delivery` is UNKNOWN then, and `is_transient` False."""


class ServiceNotAvailable(ReplyError, ConnectionLost):
    """The server said 421, "service not available, closing transmission channel" (RFC 5321 3.8, 4.2.2): in place of a
    greeting, while nothing was asked, or to a command. It is a refusal for now, and the connection is gone.

    `command` is "" where nothing was asked. Where 421 answers MAIL, every RCPT, DATA, the end of a message, STARTTLS or
    a login, the error is the one of that, which tells more: SenderRefused, RecipientsRefused, DataRefused, TLSFailed,
    AuthenticationFailed. In LMTP, where the end of a message has several answers, it is this one.
    """

    def __init__(self, message: str, *, command: str, reply: Reply, in_flight: Sequence[str] = ()) -> None:
        super().__init__(message, command=command, reply=reply)
        self.in_flight: tuple[str, ...] = tuple(in_flight)


class ResponseError(CommandRefused):
    """A POP3 -ERR (RFC 1939 3). It is for now as far as the server tells, by a code or by words that are known."""

    def __init__(self, message: str, *, command: str, response: Response) -> None:
        super().__init__(message, command=command)
        self.response = response

    @property
    def _is_for_now(self) -> bool:
        return self.response.is_transient

    @property
    def retry_after(self) -> int | None:
        """The seconds after which it may be tried again, as far as the server tells; otherwise None."""
        return self.response.retry_after


class MaildropLocked(ResponseError):
    """The credentials are right, and another session has the maildrop open (RFC 2449 8.1.2): the code is IN-USE."""
