"""A target: a client program and the SMTP machine, before a server that says anything at any time."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from mailwire import Delivery, InjectedData, MailwireError, Password
from mailwire.sasl import Login, Plain
from mailwire.smtp import (
    LOCKSTEP,
    PIPELINING_WINDOW,
    Connection,
    Ehlo,
    EndOfData,
    Event,
    GroupsAnswered,
    Lhlo,
    Rcpt,
    Receipt,
    ReplyReceived,
    State,
)
from mailwire.smtp import BdatLast as Last
from mailwire.smtp.group import Replies
from tests.fuzzing.pieces import TURN, Cutter, kind_of, octets, whole
from tests.smtp.sessions import B, C, Mail, Sender

__all__ = ["run"]

_CREDENTIALS: Final = Password("bob", "kanarienvogel")
_CHUNKING: Final = (False, False, True, "eager")


def run(data: bytes, cut: Cutter = octets) -> None:
    """Play a session: two octets choose what the client does, the rest is the server's turns.

    However the turns arrive, and whether commands leave in groups, the client hears the same of them and knows the same
    of its mails; and what it knows is no more than what was said.
    """
    choice, turns = int.from_bytes(data[:2].ljust(2, b"\0"), "big"), data[2:].split(TURN)
    one, other = _Play(choice, groups=bool(choice & 2048)), _Play(choice, groups=bool(choice & 4096))
    one.run(turns, whole)
    other.run(turns, cut)
    assert kind_of(one.error) == kind_of(other.error)
    if isinstance(one.error, InjectedData):
        # What lies behind the agreement to TLS is seen together with it, or after it.
        assert len(one.events) <= len(other.events)
        assert all(map(_alike, one.events, other.events))
        other.check()
    else:
        assert len(one.events) == len(other.events)
        assert all(map(_alike, one.events, other.events))
        assert one.words() == other.words()
        assert one.sent == other.sent
    one.check()


def _singly(event: Event) -> Iterable[Event]:
    # Each reply by itself.
    if not isinstance(event, GroupsAnswered):
        return (event,)
    return [
        ReplyReceived(command, reply)
        for group in event.groups
        for command, reply in zip(group.commands, Replies(group.answer or b"").read(), strict=True)
    ]


def _alike(one: Event, other: Event) -> bool:
    if not isinstance(one, ReplyReceived) or not isinstance(other, ReplyReceived):
        return one == other
    return one[1:3] == other[1:3] and all(
        itself == same or str(itself) == str(same)  # what is one of its own, says the same
        for itself, same in zip((one.command, *one.discarded), (other.command, *other.discarded), strict=True)
    )


@lru_cache(maxsize=128)
def _mails(choice: int) -> tuple[Mail, ...]:
    return tuple(
        Mail(
            (b"Subject: %d\r\n" % number, b"\r\n.mail-%d\r\n" % number),
            recipients=(B, C) if choice & 4 else (B,),
            chunking=_CHUNKING[choice >> 3 & 3],
            on_refused="abort" if choice & 32 and choice >> 3 & 3 != 3 else "send",
        )
        for number in range(1 + (choice >> 6 & 1))
    )


@dataclass(slots=True)
class _Play:
    choice: int
    groups: bool
    events: list[Event] = field(default_factory=list)
    sent: bytes = b""
    error: MailwireError | None = None
    connection: Connection = field(init=False)
    mails: tuple[Mail, ...] = field(init=False)
    sender: Sender = field(init=False)
    _receipts: list[Receipt] = field(default_factory=list)

    def __post_init__(self) -> None:
        choice = self.choice
        lmtp = bool(choice & 1)
        self.connection = Connection(
            lmtp=lmtp, window=LOCKSTEP if choice & 2 else PIPELINING_WINDOW, groups=self.groups
        )
        self.mails = _mails(choice & 0x7F)
        mechanism = (None, None, Plain(_CREDENTIALS), Login(_CREDENTIALS))[choice >> 7 & 3]
        self.sender = Sender(
            self.connection,
            self.mails,
            hello=Lhlo if lmtp else Ehlo,
            starttls=bool(choice & 512),
            mechanism=mechanism,
            in_a_row=bool(choice & 1024),
        )

    def run(self, turns: list[bytes], cut: Cutter) -> None:
        try:
            for turn in turns:
                self._hear(turn, cut)
                self.sent += b"".join(self.connection.data_to_send())
            self.connection.receive_eof()
            self._hear(b"", whole)
        except MailwireError as error:
            self.error = error

    def _hear(self, turn: bytes, cut: Cutter) -> None:
        # The client takes what it hears at once, and what it says of it leaves behind the turn: how fast it is, is not
        # what is tried here. TLS alone begins behind the turn, or what is injected would come too late.
        agreed: Event | None = None
        try:
            for piece in cut(turn):
                self.connection.receive_data(piece)
                while (event := self.connection.next_event()) is not None:
                    self.events += _singly(event)
                    if self.connection.state is State.TLS:
                        agreed = event
                    else:
                        self.sender.take(event)
        finally:
            if agreed is not None:
                self.sender.take(agreed)

    def receipts(self) -> list[Receipt]:
        if not self._receipts:
            self._receipts = [transaction.receipt() for transaction in self.sender.transactions]
        return self._receipts

    def words(self) -> list[list[Delivery]]:
        return [[recipient.delivery for recipient in receipt.recipients] for receipt in self.receipts()]

    def check(self) -> None:
        for number, receipt in enumerate(self.receipts()):
            mail = self.mails[number]
            dot = b"\r\n..mail-%d\r\n.\r\n" % number in self.sent
            ended = dot or b"LAST\r\nSubject: %d\r\n\r\n.mail-%d\r\n" % (number, number) in self.sent
            for recipient in receipt.recipients:
                word = recipient.delivery
                if word in (Delivery.UNKNOWN, Delivery.ACCEPTED):
                    assert ended, "nobody can have what was not sent"
                elif word is Delivery.NOT_SENT:
                    assert not ended, "it may have arrived"
                if word is Delivery.ACCEPTED:
                    assert self._is_said(Rcpt)
                    assert self._is_said((EndOfData, Last))
            assert receipt.delivery in {recipient.delivery for recipient in receipt.recipients}
            assert len(receipt.recipients) == len(mail.recipients)

    def _is_said(self, kind: type | tuple[type, ...]) -> bool:
        # Whether it was answered "yes".
        return any(
            isinstance(event, ReplyReceived)
            and isinstance(event.command, kind)
            and event.reply.is_completion
            and (isinstance(event.command, Rcpt) or event.reply.code not in (220, 221))
            for event in self.events
        )
