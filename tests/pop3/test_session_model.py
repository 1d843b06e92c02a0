"""The POP3 machine and the marks of a session against a maildrop, in any order of events: what is retrieved is what is
there, and what is said of deletions is true; and no more is unanswered than may be.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mailwire.aio.deletion import CommitReport, Marks
from mailwire.errors import MailwireError
from mailwire.pop3 import (
    LOCKSTEP,
    Capa,
    Command,
    Connection,
    Dele,
    Entry,
    List,
    MessageData,
    MessageEnd,
    Noop,
    Pass,
    Quit,
    ResponseReceived,
    Retr,
    Rset,
    ScanListing,
    Stat,
    State,
    Uidl,
    UniqueIdListing,
    User,
    Window,
)
from mailwire.testing import Account, Maildrop, POP3Server
from tests.model_settings import model_settings
from tests.window import POP3Dialogue

MAIL = {f"u{number}": b"Subject: %d\r\n\r\n%b" % (number, b"..\r\n.\r\n" * number) for number in range(1, 5)}
WINDOWS = [
    LOCKSTEP,
    Window(commands=3, octets=200),
    Window(commands=8, octets=80),
    Window(commands=100, octets=100_000),
]
PIECES = st.sampled_from([1, 2, 7, 30, 1000])


class POP3Session(RuleBasedStateMachine):
    """A client that asks, a server that has a maildrop, and a way between them that may be slow, or be cut."""

    @initialize(window=st.sampled_from(WINDOWS))
    def open(self, window: Window) -> None:
        self.maildrop = Maildrop([Account("tim", "secret")])
        for uid, message in MAIL.items():
            self.maildrop.put("tim", message, uid=uid)
        self.entries = [Entry(number, uid, len(message)) for number, (uid, message) in enumerate(MAIL.items(), 1)]
        self.connection = Connection(window=window)
        self.server = POP3Server(self.maildrop)
        sizes = {entry.number: entry.size or 0 for entry in self.entries}
        self.dialogue = POP3Dialogue(window.commands, window.octets, sizes)
        self.marks = Marks()
        self.report: CommitReport | None = None
        self.is_lost = False
        self.to_server = self.to_client = b""
        self.blocks: list[bytes] = []
        self.answers = 0
        for command in (Capa(), User("tim"), Pass("secret")):
            self.connection.send(command)
        for _ in range(10):
            self.go_on(1, 0)
        assert self.connection.state is State.TRANSACTION

    # What the client does

    def say(self, command: Command[object]) -> bool:
        if self.connection.state is not State.TRANSACTION or self.has_quit:
            return False
        self.connection.send(command)
        return True

    @property
    def has_quit(self) -> bool:
        return any(isinstance(c, Quit) for c in (*self.connection.in_flight, *self.connection.queued))

    @rule(number=st.integers(1, len(MAIL)))
    def retrieve(self, number: int) -> None:
        self.say(Retr(number, size=self.entries[number - 1].size))

    @rule(number=st.integers(1, len(MAIL)))
    def delete(self, number: int) -> None:
        if self.say(Dele(number)):
            self.marks.ask(self.entries[number - 1])

    @rule(which=st.integers(0, 4))
    def ask(self, which: int) -> None:
        self.say((List(), Uidl(), Stat(), Noop(), Rset())[which])

    @precondition(lambda self: self.answers > 3)
    @rule(seldom=st.integers(0, 3))
    def quit(self, seldom: int) -> None:
        if not seldom:
            self.say(Quit())

    # What happens on the way

    @rule()
    def hand_out(self) -> None:
        said = b"".join(self.connection.data_to_send())
        self.dialogue.hear(said)
        self.to_server += said

    @rule(count=PIECES)
    def transmit(self, count: int) -> None:
        if not self.is_lost:
            octets, self.to_server = self.to_server[:count], self.to_server[count:]
            self.server.receive_data(octets)
            self.to_client += b"".join(self.server.data_to_send())

    @rule(count=PIECES)
    def feed(self, count: int) -> None:
        octets, self.to_client = self.to_client[:count], self.to_client[count:]
        if octets and self.connection.state is not State.CLOSED:
            self.dialogue.say(octets)
            self.connection.receive_data(octets)
            self.take_events()

    @rule(rounds=st.integers(1, 5), rest=st.sampled_from([0, 0, 0, 1, 3, 9]))
    def go_on(self, rounds: int, rest: int) -> None:
        """Let them talk, until the last octets, it may be, of what the server says."""
        for _ in range(rounds):
            self.hand_out()
            self.transmit(1000)
            self.feed(len(self.to_client) - rest if rest < len(self.to_client) else 0)

    @precondition(lambda self: self.answers > 3)
    @rule(seldom=st.integers(0, 4), is_heard=st.booleans())
    def lose(self, seldom: int, is_heard: bool) -> None:
        if not seldom and self.connection.state is not State.CLOSED:
            if is_heard:
                self.hand_out()
                self.transmit(10_000)
            self.is_lost = True
            self.to_client = b""
            self.server.receive_eof()
            self.connection.receive_eof()
            self.take_events()

    def take_events(self) -> None:
        error: MailwireError | None = None
        try:
            while (event := self.connection.next_event()) is not None:
                self.take(event)
        except MailwireError as caught:
            error = caught
        if self.connection.state is State.CLOSED and self.report is None:
            self.marks.forget_unsaid(self.connection.in_flight)
            self.report = self.marks.in_doubt(error)

    def take(self, event: object) -> None:
        if isinstance(event, MessageData):
            self.blocks.append(event.data)
        elif isinstance(event, MessageEnd):
            assert isinstance(event.command, Retr)
            message, self.blocks = b"".join(self.blocks), []
            assert message == MAIL[f"u{event.command.number}"]
            self.answers += 1
        elif isinstance(event, ResponseReceived):
            command, response = event.command, event.response
            self.answers += 1
            self.marks.observe(event)
            if isinstance(command, Quit):
                self.report = self.marks.committed(response) if response.ok else self.marks.in_doubt(None, response)
            elif isinstance(command, List | Uidl) and response.ok:
                listing = command.parse(response)
                assert isinstance(listing, ScanListing | UniqueIdListing)
                for number, value in listing.items():
                    entry = self.entries[number - 1]
                    assert value == (entry.size if isinstance(command, List) else entry.uid)

    # What is known

    @invariant()
    def what_is_said_of_deletions_is_true(self) -> None:
        if getattr(self, "report", None) is None:
            return
        report = self.report
        assert report is not None
        there = {message.uid for message in self.maildrop.messages("tim")}
        gone = {*MAIL} - there
        assert report.committed_uids <= gone, "what is said to be deleted is there"
        assert gone <= report.committed_uids | report.unknown_uids, "what is gone was not said to be, or in doubt"
        assert not report.committed_uids & report.unknown_uids
        assert report.remaining_uids <= there - report.unknown_uids, "what is said to be there is gone, or in doubt"

    @invariant()
    def nothing_is_deleted_before_quit(self) -> None:
        if hasattr(self, "maildrop") and not any(b"QUIT" in command for command in self.server.commands):
            assert len(self.maildrop.messages("tim")) == len(MAIL)


POP3Session.TestCase.settings = model_settings(examples=60, steps=30)
TestPOP3SessionAgainstItsModel = POP3Session.TestCase
