"""The SMTP machine and its transactions against a model server, in any order of events: whatever has passed between the
two, the word for each recipient is the oracle's, and agrees with what the server has. No more is unanswered than the
window has room for.
"""

from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mailwire.errors import LocalProtocolError, MailwireError
from mailwire.smtp import LOCKSTEP, Connection, Delivery, Ehlo, Lhlo, Mailbox, ReplyReceived, State, Transaction, Window
from tests.model_settings import model_settings
from tests.smtp.model_server import Script, Server
from tests.smtp.oracle import accounts_of, word_for, words_for
from tests.smtp.sessions import A
from tests.window import SMTPDialogue

RECIPIENTS = [Mailbox(name, "example.org") for name in ("b", "c", "d")]
YES_OR_NO = st.sampled_from([250, 250, 250, 250, 250, 451, 550])
SCRIPTS = st.builds(
    Script,
    mail=st.sampled_from([250] * 10 + [550, 421]),
    recipients=st.lists(YES_OR_NO, min_size=1, max_size=3).map(tuple),
    data=st.sampled_from([354] * 10 + [451, 421]),
    end=st.sampled_from([250] * 5 + [552, 451, 421]),
    ends=st.lists(YES_OR_NO, max_size=3).map(tuple),
    chunks=st.lists(st.sampled_from([250, 250, 552]), max_size=2).map(tuple),
    accepts_empty=st.booleans(),
)
CHUNKING: list[bool | Literal["eager"]] = [False, False, True, "eager"]
WINDOWS = [LOCKSTEP, Window(commands=3, octets=90), Window(commands=8, octets=90), Window(commands=100, octets=4096)]


class SMTPSession(RuleBasedStateMachine):
    """A client that sends mails, a server that takes them as scripts say, and a way between them that may be slow."""

    @initialize(
        lmtp=st.booleans(),
        window=st.sampled_from(WINDOWS),
        script=SCRIPTS,
        second=SCRIPTS,
        chunking=st.sampled_from(CHUNKING),
        aborts=st.booleans(),
    )
    def open(
        self,
        lmtp: bool,
        window: Window,
        script: Script,
        second: Script,
        chunking: bool | Literal["eager"],
        aborts: bool,
    ) -> None:
        self.connection = Connection(lmtp=lmtp, window=window)
        self.server = Server(script, lmtp=lmtp)
        self.dialogue = SMTPDialogue(window.commands, window.octets, lmtp=lmtp)
        self.scripts = [script]  # of the mails so far, and of the next one
        self.transactions: list[Transaction] = []
        self.blocks: list[list[bytes]] = []
        self.aborts: list[bool] = []
        self.sent = self.heard = b""  # handed out, and fed
        self.to_server, self.to_client = b"", self.server.greet()
        self.is_lost = False
        self.feed(1000)
        self.connection.send(Lhlo("client") if lmtp else Ehlo("client"))
        self.hand_out()
        self.transmit(1000)
        self.feed(1000)
        assert self.connection.state is State.READY
        self.begin(second, chunking=chunking, aborts=aborts, size=1, in_a_row=False)

    # What the client does

    @rule(
        script=SCRIPTS,
        chunking=st.sampled_from(CHUNKING),
        aborts=st.booleans(),
        size=st.integers(0, 3),
        in_a_row=st.booleans(),
    )
    def begin(self, script: Script, chunking: bool | Literal["eager"], aborts: bool, size: int, in_a_row: bool) -> None:
        number = len(self.transactions)
        behind = self.transactions[-1] if in_a_row and number and not self.transactions[-1].finished else None
        mine, aborts = self.scripts[-1], aborts and chunking != "eager"
        queued = self.connection.queued
        try:
            transaction = Transaction(
                self.connection,
                A,
                RECIPIENTS[: len(mine.recipients)],
                chunking=chunking,
                on_refused="abort" if aborts else "send",
                behind=behind,
            )
        except LocalProtocolError:
            assert self.connection.queued == queued, "a refused call has changed something"
            return
        self.transactions.append(transaction)
        self.aborts.append(aborts)
        self.blocks.append([b"mail %d\r\n" % number, *[b".line\r\n"] * size])
        self.scripts.append(script)
        # The server is always one script ahead: it takes the next one at MAIL.
        self.server.follow(self.scripts)

    @precondition(lambda self: self.transactions and self.transactions[-1].wants_data)
    @rule(count=st.integers(1, 5))
    def write(self, count: int) -> None:
        transaction, blocks = self.transactions[-1], self.blocks[-1]
        while count and transaction.wants_data:
            count -= 1
            if blocks:
                transaction.send_data(blocks.pop(0))
            else:
                transaction.end_data()

    @rule()
    def hand_out(self) -> None:
        wire = b"".join(self.connection.data_to_send())
        self.dialogue.hear(wire)
        self.sent += wire
        self.to_server += wire

    # What happens on the way

    @rule(count=st.sampled_from([1, 2, 7, 30, 1000]))
    def transmit(self, count: int) -> None:
        if not self.is_lost:
            octets, self.to_server = self.to_server[:count], self.to_server[count:]
            self.to_client += self.server.receive(octets)

    @rule(count=st.sampled_from([1, 2, 7, 30, 1000]))
    def feed(self, count: int) -> None:
        octets, self.to_client = self.to_client[:count], self.to_client[count:]
        if octets and self.connection.state is not State.CLOSED:
            self.heard += octets
            self.dialogue.say(octets)
            self.connection.receive_data(octets)
            self.take_events()

    @rule(rounds=st.integers(1, 8), rest=st.sampled_from([0, 0, 0, 1, 3, 9]))
    def go_on(self, rounds: int, rest: int) -> None:
        """Let them talk, until the last octets, it may be, of what the server says."""
        for _ in range(rounds):
            if self.transactions and self.transactions[-1].wants_data:
                self.write(5)
            self.hand_out()
            self.transmit(1000)
            self.feed(len(self.to_client) - rest if rest < len(self.to_client) else 0)

    @precondition(lambda self: len(self.sent) > 100)
    @rule(seldom=st.integers(0, 4))
    def lose(self, seldom: int) -> None:
        if not seldom and self.connection.state is not State.CLOSED:
            self.is_lost = True
            self.to_client = b""
            self.connection.receive_eof()
            self.take_events()
            assert self.connection.state is State.CLOSED

    def take_events(self) -> None:
        try:
            while (event := self.connection.next_event()) is not None:
                if isinstance(event, ReplyReceived):
                    any(transaction.receive(event) for transaction in self.transactions)
        except MailwireError:
            assert self.connection.state is State.CLOSED

    # What is known

    @invariant()
    def every_word_is_the_oracle_s(self) -> None:
        if not hasattr(self, "transactions"):
            return
        lmtp = self.connection.is_lmtp
        accounts = accounts_of(self.sent, self.heard, lmtp=lmtp)
        for number, transaction in enumerate(self.transactions):
            receipt = transaction.receipt()
            words = [recipient.delivery for recipient in receipt.recipients]
            if number < len(accounts):
                assert words == words_for(accounts[number], len(words), lmtp=lmtp), (number, self.sent, self.heard)
                assert receipt.delivery is word_for(words, all_or_nothing=self.aborts[number])
            else:
                assert {*words} == {Delivery.NOT_SENT}

    @invariant()
    def no_word_is_against_what_the_server_has(self) -> None:
        if not hasattr(self, "transactions"):
            return
        for number, transaction in enumerate(self.transactions):
            taken = [message for _, message in self.server.accepted if message.startswith(b"mail %d\r\n" % number)]
            assert len(taken) <= 1
            word = transaction.receipt().delivery
            assert word is not Delivery.ACCEPTED or taken
            assert not taken or word in (Delivery.ACCEPTED, Delivery.UNKNOWN)


SMTPSession.TestCase.settings = model_settings(examples=100, steps=30)
TestSMTPSessionAgainstItsModel = SMTPSession.TestCase
