"""A target: a client program and the SMTP machine, before a server that says anything at any time."""

from dataclasses import dataclass, field
from typing import Final

from mailwire import Delivery, InjectedData, MailwireError, Password
from mailwire.sasl import Login, Plain
from mailwire.smtp import LOCKSTEP, PIPELINING_WINDOW, Connection, Ehlo, EndOfData, Event, Lhlo, Rcpt, ReplyReceived
from mailwire.smtp import BdatLast as Last
from tests.fuzzing.pieces import TURN, Cutter, kind_of, octets, whole
from tests.smtp.sessions import B, C, Mail, Sender, told

__all__ = ["run"]

_CREDENTIALS: Final = Password("bob", "kanarienvogel")
_CHUNKING: Final = (False, False, True, "eager")


def run(data: bytes) -> None:
    """Play a session: two octets choose what the client does, the rest is the server's turns.

    However the turns arrive, the client hears the same of them and knows the same of its mails; and what it knows is no
    more than what was said.
    """
    choice, turns = int.from_bytes(data[:2].ljust(2, b"\0"), "big"), data[2:].split(TURN)
    one, other = _Play(choice), _Play(choice)
    one.run(turns, whole)
    other.run(turns, octets)
    assert kind_of(one.error) == kind_of(other.error)
    if isinstance(one.error, InjectedData):
        # What lies behind the agreement to TLS is seen together with it, or after it.
        assert told(other.events)[: len(one.events)] == told(one.events)
    else:
        assert told(one.events) == told(other.events)
        assert one.words() == other.words()
        assert one.sent == other.sent
    one.check()
    other.check()


@dataclass
class _Play:
    choice: int
    events: list[Event] = field(default_factory=list)
    sent: bytes = b""
    error: MailwireError | None = None

    def __post_init__(self) -> None:
        choice = self.choice
        lmtp = bool(choice & 1)
        self.connection = Connection(lmtp=lmtp, window=LOCKSTEP if choice & 2 else PIPELINING_WINDOW)
        self.mails = [
            Mail(
                (b"Subject: %d\r\n" % number, b"\r\n.mail-%d\r\n" % number),
                recipients=(B, C) if choice & 4 else (B,),
                chunking=_CHUNKING[choice >> 3 & 3],
                on_refused="abort" if choice & 32 and choice >> 3 & 3 != 3 else "send",
            )
            for number in range(1 + (choice >> 6 & 1))
        ]
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
        # The client answers when it has heard the turn: how fast it is, is not what is tried here.
        heard = list[Event]()
        try:
            for piece in (*cut(turn), b""):
                self.connection.receive_data(piece)
                while (event := self.connection.next_event()) is not None:
                    heard.append(event)
        finally:
            for event in heard:
                self.events.append(event)
                self.sender.take(event)

    def words(self) -> list[list[Delivery]]:
        return [[of.delivery for of in sent.receipt().recipients] for sent in self.sender.transactions]

    def check(self) -> None:
        for number, transaction in enumerate(self.sender.transactions):
            mail, receipt = self.mails[number], transaction.receipt()
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
