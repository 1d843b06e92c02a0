"""What the tests of the SMTP machine share: a program that sends mail, and a server that it can be put in front of."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from mailwire import smtp
from mailwire._wire.dots import MailText
from mailwire.errors import MailwireError
from mailwire.sasl import Mechanism
from mailwire.smtp import (
    CHUNK_SIZE,
    Auth,
    Command,
    Connection,
    Ehlo,
    Event,
    Greeting,
    GroupsAnswered,
    Helo,
    Lhlo,
    Mailbox,
    Parameters,
    Quit,
    Receipt,
    Reply,
    ReplyReceived,
    StartTls,
    State,
    Transaction,
)
from mailwire.smtp.parcel import Parcel
from mailwire.smtp.receipt import NO_TIMINGS
from mailwire.smtp.shortcut import END_COST, Shortcut, shortcut
from tests.smtp.model_server import Script, Server

A, B, C, D, E = (Mailbox(name, "example.org") for name in "abcde")


@dataclass
class Mail:
    """A mail to be sent."""

    body: Sequence[bytes] = (b"hello\r\n",)
    recipients: Sequence[Mailbox] = (B,)
    sender: Mailbox | None = A
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    chunking: bool | Literal["eager"] = False
    on_refused: Literal["send", "abort"] = "send"
    is_whole: bool = False  # the body is one block, and written in one step


class Sender:
    """A client program: says hello, starts TLS, authenticates, sends mails one after the other, quits.

    chunk_size: that of its transactions.
    at_once: a message that need not wait is written when its mail begins, and a mail begins when all that was said
        has left.
    parcels: mails that are whole go as parcels, where they can, until something else is heard than was expected.
    hears: such a one is given what the server says before the connection is.
    shortcuts: they take shortcuts, where they can, and are parcels from there on; with "row", those of a row begin in
        one with the end of the one before.
    """

    def __init__(
        self,
        connection: Connection,
        mails: Iterable[Mail] = (),
        *,
        hello: Callable[[str], Command[object]] = Ehlo,
        name: str = "client.example.org",
        starttls: bool = False,
        mechanism: Mechanism | None = None,
        in_a_row: bool = False,
        chunk_size: int = CHUNK_SIZE,
        at_once: bool = False,
        parcels: bool = False,
        hears: bool = False,
        shortcuts: bool | Literal["row"] = False,
    ) -> None:
        self.connection = connection
        self.shortcuts = 0
        """How many were taken to their end."""
        self.begun_in_row = 0
        """How many began in one with the end of the one before."""
        self._takes_shortcuts = shortcuts is not False
        self._goes_in_row = shortcuts == "row"
        self._leaving: list[bytes] = []
        self._postponed: tuple[Mail, Transaction | Parcelled | None] | None = None
        self._hears = hears
        self._at_once = at_once
        self._begun: list[Transaction | Parcelled] = []
        self._parcels = parcels
        self._mails = list(mails)
        self._bodies: list[Iterator[bytes]] = []  # of the transactions, in their order
        self._is_whole: list[bool] = []  # those bodies
        self._in_a_row = in_a_row
        self._chunk_size = chunk_size
        self._hello = hello
        self._name = name
        self._starttls = starttls
        self._mechanism = mechanism

    @property
    def transactions(self) -> list[Transaction]:
        """Those that were begun, in their order."""
        return [each.known() if isinstance(each, Parcelled) else each for each in self._begun]

    @property
    def transaction(self) -> Transaction:
        """The last one."""
        return self.transactions[-1]

    @property
    def receipt(self) -> Receipt:
        """Of the last mail."""
        return self.receipts[-1]

    @property
    def receipts(self) -> list[Receipt]:
        """What is known of each mail."""
        return [each.receipt() for each in self._begun]

    @property
    def _last(self) -> "Transaction | Parcelled":
        return self._begun[-1]

    def begin(self) -> None:
        """Nothing is asked for before the greeting."""

    def take(self, event: Event) -> None:
        """Go on."""
        if isinstance(event, GroupsAnswered):
            self._sending(event)
            return
        self.unfold()
        if not isinstance(event, ReplyReceived) or self.connection.state is State.CLOSED:
            if isinstance(event, ReplyReceived):
                any(transaction.receive(event) for transaction in self._begun)
            return
        command, reply = event.command, event.reply
        if isinstance(command, Greeting):
            self.connection.send(self._hello(self._name) if reply.is_completion else Quit())
        elif isinstance(command, Ehlo) and reply.is_permanent:
            self.connection.send(Helo(self._name))
        elif isinstance(command, StartTls):
            self._starttls = False
            if reply.is_completion:
                self.connection.tls_established()
                self.connection.send(self._hello(self._name))
        elif isinstance(command, (Ehlo, Helo, Auth)):
            self._go_on()
        else:
            self._sending(event)

    def hear(self, data: bytes) -> GroupsAnswered | None:
        """Give what the server says to the parcel that is on its way, or to those that take shortcuts; return the event
        that tells of it, if it was taken."""
        if self._takes_shortcuts:
            return self._hear_past(data)
        begun = [each for each in self._begun if not each.finished] if self._hears else []
        parcels = [each.parcel for each in begun if isinstance(each, Parcelled)]
        groups = tuple(each.group for each in parcels if each.group is not None)
        if not len(groups) == len(begun) == 1 or not parcels[0].hear(data):
            return None
        self._behind_answer()
        return GroupsAnswered(groups)

    def _hear_past(self, data: bytes) -> GroupsAnswered | None:
        unfinished = [each for each in self._begun if not each.finished]
        newest = unfinished[-1] if unfinished else None
        if not isinstance(newest, Parcelled) or not isinstance(way := newest.way, Shortcut):
            return None
        if len(unfinished) == 1:
            is_heard = way.hear(data)
        else:
            older = unfinished[-2]
            if isinstance(older, Parcelled) and isinstance(older.way, Shortcut):
                is_heard = older.way.hear_with(way, data)
                self.shortcuts += is_heard
            elif is_heard := (found := way.parted(data)) is not None:
                verdict, answers = found or (b"", b"")
                self.connection.receive_data(verdict)
                while (event := self.connection.next_event()) is not None:
                    self.take(event)
                if newest.way is not way:
                    raise AssertionError("a verdict that was to be expected has consequences")
                way.follow(answers)
        if not is_heard:
            self.leave_shortcuts()
            return None
        self.shortcuts += newest.finished
        self._behind_answer()
        return GroupsAnswered(())

    def leave_shortcuts(self) -> None:
        """Let the connection know all that was said past it."""
        for each in self._begun:
            if isinstance(each, Parcelled) and not each.finished:
                assert each.parcel is each.way

    def data_to_send(self) -> list[bytes]:
        """What is to be written."""
        leaving, self._leaving = self._leaving, []
        return [*leaving, *self.connection.data_to_send()]

    def _takes_shortcut(self, mail: Mail, behind: "Transaction | Parcelled | None") -> bool:
        if not self._takes_shortcuts or (mail.chunking == "eager" and self._in_a_row):
            return False
        if behind is None:
            return self.connection.is_free
        unfinished = [each for each in self._begun if not each.finished]
        if len(unfinished) > 1:
            return False
        if isinstance(behind, Parcelled) and isinstance(behind.way, Shortcut):
            return True
        return self.connection.awaits_verdict_alone(END_COST)

    def _go_on(self) -> None:
        if self._starttls:
            self.connection.send(StartTls())
        elif self._mechanism is not None:
            self.connection.send(Auth(self._mechanism))
            self._mechanism = None
        elif self._mails:
            self._begin(self._mails.pop(0))
        else:
            self.connection.send(Quit())

    def unfold(self) -> None:
        """Go on with every parcel that is not at its end as with a transaction."""
        self._begun = [
            each.unfolded() if isinstance(each, Parcelled) and not each.finished else each for each in self._begun
        ]

    def begin_postponed(self) -> None:
        """Begin the mail that was to begin while there was more to be heard: there no shortcut could be taken."""
        postponed, self._postponed = self._postponed, None
        if postponed is not None:
            self._leaving += self.connection.data_to_send()  # the end of the one before
            self._begin(*postponed)
            self.write()

    def _begin(self, mail: Mail, behind: "Transaction | Parcelled | None" = None) -> None:
        if self._takes_shortcuts and self.connection.has_news:
            self._postponed = mail, behind
            return
        self._bodies.append(iter(mail.body))
        self._is_whole.append(mail.is_whole)
        takes_parcels = self._parcels and self.connection.takes_groups and not self.connection.is_lmtp
        if takes_parcels and mail.is_whole and mail.on_refused == "send":
            takes_shortcut = self._takes_shortcut(mail, behind)
            if not takes_shortcut:
                self.leave_shortcuts()
            begun = Parcelled(self.connection, mail, behind, takes_shortcut=takes_shortcut)
            if isinstance(begun.way, Shortcut):
                self._leaving += begun.way.beginning
            self._begun.append(begun)
            return
        if isinstance(behind, Parcelled):
            behind = behind.unfolded()
        self._begun.append(
            Transaction(
                self.connection,
                mail.sender,
                mail.recipients,
                parameters=mail.parameters,
                chunking=mail.chunking,
                on_refused=mail.on_refused,
                chunk_size=self._chunk_size,
                behind=behind,
            )
        )
        if self._at_once:
            self.write()

    def _sending(self, event: ReplyReceived | GroupsAnswered) -> None:
        for transaction in self._begun:
            if transaction.receive(event) and isinstance(event, ReplyReceived):
                break
        self._behind_answer()

    def _behind_answer(self) -> None:
        self.write()
        if self._last.finished and self._postponed is None and self.connection.state is not State.CLOSED:
            self._go_on()

    def write(self) -> bool:
        """Write what is wanted of the messages; return whether anything was."""
        wrote = False
        while self._begun and (self._last.wants_data or self._may_begin_behind):
            wrote = True
            if not self._last.wants_data:
                self._begin(self._mails.pop(0), self._last)
                continue
            block = next(self._bodies[-1], None)
            if isinstance(self._last, Parcelled):
                if self._goes_in_row and self._mails and self._last.can_be_followed_by(self._mails[0]):
                    self._go_in_row(self._last, self._mails.pop(0))
                else:
                    self._leaving += self._last.write()
                continue
            if block is None:
                self._last.end_data()
            elif self._is_whole[-1]:
                self._last.send_whole(block)
            else:
                self._last.send_data(block)
        return wrote

    def _go_in_row(self, last: "Parcelled", mail: Mail) -> None:
        self.begun_in_row += 1
        self._bodies.append(iter(mail.body))
        self._is_whole.append(True)
        leaving, another = last.end_with(mail)
        self._leaving.append(leaving)
        self._begun.append(another)

    @property
    def _may_begin_behind(self) -> bool:
        last = self._last
        has_room = not (self._at_once and self.connection.has_queued)
        if self._postponed is not None:
            return False
        return self._in_a_row and bool(self._mails) and last.is_ended and not last.finished and has_room


class Parcelled:
    """A `mail` that goes as a parcel, or by a shortcut, begun `behind` another; as a transaction is seen."""

    def __init__(
        self,
        connection: Connection,
        mail: Mail,
        behind: "Transaction | Parcelled | None",
        *,
        takes_shortcut: bool = False,
    ) -> None:
        wishes = Parameters(mail.parameters), None, mail.on_refused, mail.chunking, False
        (message,) = mail.body
        what = connection.opening_for(wishes), mail.sender, tuple(mail.recipients), MailText(message)
        begins_anew = behind is not None and behind.chunking is not False
        self._mail = mail
        self._is_like_behind = behind is not None and behind.chunking == mail.chunking
        self.chunking: bool | Literal["eager"] = mail.chunking
        taken = shortcut(connection, *what, behind is not None, begins_anew) if takes_shortcut else None
        self.way = taken or Parcel(connection, *what, is_first=behind is None, begins_anew=begins_anew)

    @property
    def parcel(self) -> Parcel:
        """It as a parcel."""
        if isinstance(self.way, Shortcut):
            self.way = self.way.as_parcel()
        return self.way

    def write(self) -> list[bytes]:
        """Write its message."""
        return self.way.write()

    def can_be_followed_by(self, mail: Mail) -> bool:
        """Whether a `mail` may begin in one with its end."""
        alike = replace(mail, body=self._mail.body) == self._mail and mail.on_refused == "send" and mail.is_whole
        return alike and isinstance(self.way, Shortcut) and self._is_like_behind

    def end_with(self, mail: Mail) -> "tuple[bytes, Parcelled]":
        """Write its message, and let a `mail` begin behind; return what leaves, and that one."""
        assert isinstance(self.way, Shortcut)
        (message,) = mail.body
        another = copy(self)
        leaving, another.way = self.way.end_with(MailText(message))
        return leaving, another

    def receive(self, event: ReplyReceived | GroupsAnswered) -> bool:
        """Take the answers to its group."""
        return isinstance(event, GroupsAnswered) and isinstance(self.way, Parcel) and self.way.receive(event)

    @property
    def wants_data(self) -> bool:
        """Whether its message is to be written."""
        return self.way.wants_message

    @property
    def is_ended(self) -> bool:
        """Whether another may begin behind it."""
        return self.way.is_ended

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.way.is_taken

    def receipt(self) -> Receipt:
        """What is known of it."""
        return self.way.receipt(NO_TIMINGS) if self.finished else self.unfolded().receipt()

    def unfolded(self) -> Transaction:
        """The same as a transaction, which goes on."""
        return self.parcel.as_transaction()

    def known(self) -> Transaction:
        """What can be asked of it."""
        is_unknown = self.finished and isinstance(self.way, Shortcut)
        return cast(Transaction, Taken()) if is_unknown else self.unfolded()


@dataclass
class Taken:
    """A mail that was taken past its connection, which knows nothing of it: what a transaction says of such a one."""

    must_close: bool = False
    finished: bool = True
    is_ended: bool = True
    wants_data: bool = False
    sender_refusal: None = None
    recipients_refusal: None = None
    data_refusal: None = None


@dataclass
class Outcome:
    """What came of a session, seen from the client."""

    events: list[Event]
    sent: bytes  # handed out to be written
    heard: bytes  # fed to the machine
    error: MailwireError | None
    sender: Sender
    server: Server


def run(
    script: Script | Sequence[Script],
    mails: Sequence[Mail],
    connection: Connection,
    *,
    in_a_row: bool = False,
    chunk: int = 1_000_000,
    chunk_size: int = CHUNK_SIZE,
    server_cut: int | None = None,
    client_cut: int | None = None,
    at_once: bool = False,
    parcels: bool = False,
    hears: bool = False,
    shortcuts: bool | Literal["row"] = False,
    says: Callable[[bytes, int], bytes] = lambda answer, _: answer,
) -> Outcome:
    """Let a `Sender` and a `Server` talk until neither has anything left to say.

    in_a_row: each mail begins behind the end of the one before, while that is not answered.
    chunk: at most so many of the server's octets are fed at a time, events are taken behind each.
    chunk_size: that of the transactions.
    server_cut: the connection is cut behind so many octets of the server.
    client_cut: no more than so many octets of the client reach the server, then the connection is cut.
    at_once, parcels, hears, shortcuts: as of the Sender.
    says: is given what the server would answer, and how often it has answered, and returns what it does.
    """
    scripts = [script] if isinstance(script, Script) else script
    server = Server(*scripts, lmtp=connection.is_lmtp)
    hello = Lhlo if connection.is_lmtp else Ehlo
    how: Any = {"in_a_row": in_a_row, "chunk_size": chunk_size, "at_once": at_once}
    how |= {"parcels": parcels or shortcuts is not False, "hears": hears, "shortcuts": shortcuts}
    sender = Sender(connection, mails, hello=hello, **how)
    outcome = Outcome([], b"", b"", None, sender, server)
    sender.begin()
    answers, answered = server.greet(), 0
    try:
        while True:
            wire = b"".join(sender.data_to_send())
            reaches = wire
            if client_cut is not None:
                reaches = wire[: max(0, client_cut - len(outcome.sent))]
            outcome.sent += wire
            if answer := server.receive(reaches):
                answers += says(answer, answered)
                answered += 1
            if server_cut is not None:
                answers = answers[: server_cut - len(outcome.heard)]
            piece, answers = answers[:chunk], answers[chunk:]
            outcome.heard += piece
            if piece and (told := sender.hear(piece)) is not None:
                outcome.events.append(told)
            elif piece:
                connection.receive_data(piece)
            else:
                is_cut = server_cut is not None or client_cut is not None
                if not wire and (is_cut or server.closed):
                    sender.leave_shortcuts()
                    connection.receive_eof()
            progress = bool(piece or wire) or sender.write()
            while (event := connection.next_event()) is not None:
                progress = True
                outcome.events.append(event)
                sender.take(event)
            sender.begin_postponed()
            if not progress:
                return outcome
    except MailwireError as error:
        outcome.error = error
        return outcome


class Talkative(Mechanism):
    """A mechanism that always has an answer, and is complete at any time."""

    name = "X-TALKATIVE"

    def initial_response(self) -> None:
        """The server speaks first."""

    def respond(self, challenge: bytes) -> bytes:
        """Say something."""
        return b"answer to " + challenge


def events_of(connection: Connection) -> list[Event]:
    """All events there are."""
    events = []
    while (event := connection.next_event()) is not None:
        events.append(event)
    return events


def hear(connection: Connection, *lines: str) -> list[Event]:
    """Let the server say `lines`; return what comes of it."""
    connection.receive_data("".join(f"{line}\r\n" for line in lines).encode("latin-1"))
    return events_of(connection)


def ask(connection: Connection, command: Command[object], *lines: str) -> list[Event]:
    """Send `command`, let the server answer with `lines`; return what comes of it."""
    connection.send(command)
    connection.data_to_send()
    return hear(connection, *lines)


OFFERED = ("SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN")

STEPS: Mapping[State, tuple[State | None, Callable[[Connection], object]]] = {
    State.GREETING: (None, lambda connection: hear(connection, "554 no service")),
    State.INITIATION: (None, lambda connection: hear(connection, "220 hello")),
    State.READY: (
        State.INITIATION,
        lambda connection: ask(
            connection,
            Lhlo("c") if connection.is_lmtp else Ehlo("c"),
            "250-hello",
            *(f"250-{keyword}" for keyword in OFFERED),
            "250 PIPELINING",
        ),
    ),
    State.TRANSACTION: (State.READY, lambda connection: ask(connection, smtp.Mail(A), "250 ok")),
    State.MAIL_DATA: (
        State.TRANSACTION,
        lambda connection: [ask(connection, smtp.Rcpt(B), "250 ok"), ask(connection, smtp.Data(), "354 go")],
    ),
    State.CHUNKS: (
        State.TRANSACTION,
        lambda connection: [
            ask(connection, smtp.Rcpt(B), "250 ok"),
            connection.send_chunk(b"text\r\n"),
            connection.data_to_send(),
            hear(connection, "250 ok"),
        ],
    ),
    State.SPOILED: (
        State.CHUNKS,
        lambda connection: [connection.send_chunk(b"text"), connection.data_to_send(), hear(connection, "552 big")],
    ),
    State.AUTHENTICATION: (State.READY, lambda connection: ask(connection, Auth(Talkative()), "334 aGVsbG8=")),
    State.TLS: (State.READY, lambda connection: ask(connection, StartTls(), "220 go")),
    State.CLOSED: (State.READY, lambda connection: ask(connection, Quit(), "221 bye")),
}


def at(state: State, connection: Connection | None = None) -> Connection:
    """A connection that stands in `state`, with nothing unanswered but what that state means."""
    connection = connection or Connection()
    before, step = STEPS[state]
    if before is not None:
        at(before, connection)
    step(connection)
    connection.data_to_send()
    assert connection.state is state
    return connection


def reply(code: int, text: bytes = b"") -> Reply:
    """A reply in one line."""
    return Reply(code, (text,))


def told(events: Iterable[Event]) -> list[tuple[str, ...]]:
    """The events in a form that can be compared between sessions: every EndOfData is one of its own."""
    return [
        (repr(event),)
        if not isinstance(event, ReplyReceived)
        else (str(event.command), str(event.reply), str(event.is_early), *map(str, event.discarded))
        for event in events
    ]
