"""What a pool says of mails against a model of it: the server does with each mail what its sender's name asks for, on
whatever connection it comes, and the pool must find the word for just that.
"""

import asyncio
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mailwire import (
    ConnectionLost,
    DataRefused,
    Delivery,
    Endpoint,
    Mailing,
    MailwireError,
    Receipt,
    RecipientsRefused,
    RemoteProtocolError,
    SenderRefused,
    ServiceNotAvailable,
    SMTPPool,
)
from mailwire.testing.turns import drain_events
from tests.model_settings import model_settings
from tests.watched_peer import open_watched
from tests.window import SMTP_WINDOW, SMTPDialogue

RECIPIENTS: Final = ("b@example.org", "c@example.org")
LONG: Final = b"0123456789abcdef\r\n" * 200_000
"""More than the sockets at both ends hold: its end cannot have left before the server has read most of it."""


@dataclass(frozen=True)
class Fate:
    """What the server does with a mail, and what is to be said of it.

    at: the step at which it does something else than to say yes: the verb, or "." behind the message, or "text" in it.
    says: the replies there; "": it closes instead. What closes, closes behind its reply.
    """

    at: str
    says: str
    delivery: Delivery
    error: type[MailwireError] | None
    once: bool = False
    closes: bool = False
    stores: bool = False


def refusing(at: str, error: type[MailwireError], code: int = 550) -> Fate:
    return Fate(at, f"{code} no", Delivery.REFUSED, error)


def cutting(at: str, delivery: Delivery, **how: Any) -> Fate:
    return Fate(at, "", delivery, ConnectionLost, closes=True, **how)


FATES: Final = {
    "taken": Fate("", "", Delivery.ACCEPTED, None, stores=True),
    "mail-refused": refusing("MAIL", SenderRefused),
    "mail-deferred": refusing("MAIL", SenderRefused, 451),
    "rcpt-refused": refusing("RCPT", RecipientsRefused),
    "one-refused": Fate("RCPT", "550 no", Delivery.ACCEPTED, None, once=True, stores=True),
    "data-refused": refusing("DATA", DataRefused, 554),
    "refused-at-the-end": refusing(".", DataRefused, 554),
    "deferred-at-the-end": refusing(".", DataRefused, 452),
    "421-to-mail": Fate("MAIL", "421 busy", Delivery.REFUSED, SenderRefused, closes=True),
    "421-to-mail-once": Fate("MAIL", "421 busy", Delivery.REFUSED, SenderRefused, once=True, closes=True, stores=True),
    "421-to-rcpt": Fate("RCPT", "421 busy", Delivery.NOT_SENT, ServiceNotAvailable, closes=True),
    "421-to-data": Fate("DATA", "421 busy", Delivery.REFUSED, DataRefused, closes=True),
    "421-at-the-end": Fate(".", "421 busy", Delivery.UNKNOWN, DataRefused, closes=True),
    "cut-at-mail": cutting("MAIL", Delivery.NOT_SENT),
    "cut-at-mail-once": cutting("MAIL", Delivery.NOT_SENT, once=True, stores=True),
    "cut-at-rcpt": cutting("RCPT", Delivery.NOT_SENT),
    "cut-at-data": cutting("DATA", Delivery.NOT_SENT),
    "cut-in-the-text": cutting("text", Delivery.NOT_SENT),
    "cut-behind-the-dot": cutting(".", Delivery.UNKNOWN),
    "cut-behind-what-is-stored": cutting(".", Delivery.UNKNOWN, stores=True),
    "noise-at-the-end": Fate(".", "what", Delivery.UNKNOWN, RemoteProtocolError, stores=True),
    "taken-and-closed": Fate(".", "250 ok", Delivery.ACCEPTED, None, closes=True, stores=True),
}
# These may move to another connection: nothing was said of the mail but goodbye.
MOVING: Final = ("421-to-mail", "421-to-mail-once", "cut-at-mail", "cut-at-mail-once")
# In a run that may as well be a goodbye at a later step, before the server can have the message.
MOVING_IN_RUN: Final = tuple(kind for kind, fate in FATES.items() if fate.closes and fate.at != ".")
# So many connections may end while a mail of a run is the one to be answered; then it moves no more.
TRIES: Final = 2
# And where so many new ones end in a row before they have settled a mail, no other mail of the run is begun.
FUTILE: Final = 3
# By which a connection ends that has had as many mails as the server wants: the next one is not to have that.
ENOUGH: Final = "enough"
# What the client hangs up on by itself, while the server reads on.
NOISE: Final = "noise-at-the-end"


@dataclass
class Server:
    """The server.

    most: how many mails it takes over a connection, of which it says nothing before; None: any number.
    attempts: of each mail, on which of them the connection had had another mail.
    endings: the mails that each ended a connection, or made the client end it, in their order.
    left: the client's ends of what was closed while it had nothing to do.
    dialogues: one for each connection there was.
    """

    pipelines: bool = False
    most: int | None = None
    attempts: dict[str, list[bool]] = field(default_factory=dict)
    endings: list[str] = field(default_factory=list)
    clients: dict[asyncio.StreamWriter, socket.socket] = field(default_factory=dict)
    left: list[socket.socket] = field(default_factory=list)
    stored: Counter[str] = field(default_factory=Counter)
    idle: set[asyncio.StreamWriter] = field(default_factory=set)
    serving: set[asyncio.Task[None]] = field(default_factory=set)
    dialogues: list[SMTPDialogue] = field(default_factory=list)

    async def connect(self) -> socket.socket:
        """Return the client's end of a new connection."""
        client, ours = socket.socketpair()
        dialogue = SMTPDialogue(*SMTP_WINDOW)
        self.dialogues.append(dialogue)
        reader, writer = await open_watched(ours, dialogue)
        self.clients[writer] = client
        task = asyncio.create_task(self._serve(reader, writer))
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
        return client

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (ConnectionError, EOFError):
            pass
        finally:
            self.idle.discard(writer)
            del self.clients[writer]
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx\r\n")
        name, mails, step = "", 0, Step(writer)
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            verb = line.partition(" ")[0]
            self.idle.discard(writer)
            if verb == "EHLO":
                writer.write(b"250-mx\r\n250 PIPELINING\r\n" if self.pipelines else b"250 mx\r\n")
            elif verb == "MAIL" and mails == self.most:
                self.endings.append(ENOUGH)
                writer.write(b"421 enough\r\n")
                await writer.drain()
                return
            elif verb == "MAIL":
                name = line.partition("<")[2].partition("@")[0]
                attempts = self.attempts.setdefault(name, [])
                attempts.append(mails > 0)
                mails += 1
                step = Step(writer, FATES[name.partition(".")[0]], is_again=len(attempts) > 1)
                step.take("MAIL", "250 ok")
            elif verb == "RCPT":
                step.take("RCPT", "250 ok")
            elif verb == "DATA":
                step.take("DATA", "354 go" if step.accepted else "503 nobody")
                if step.code == "354" and not step.has_begun:
                    self.endings.append(name)  # no client ends a message that would go to those who were accepted
                if step.reads_on and step.accepted and step.code == "354":
                    await self._read_text(reader, step, name)
            else:
                writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")
            if not step.reads_on or step.is_noisy:
                self.endings.append(name)
                step.is_noisy = False
            if not step.reads_on or verb == "QUIT":
                await writer.drain()
                return
            if verb == "RSET" or step.is_over:
                self.idle.add(writer)

    async def _read_text(self, reader: asyncio.StreamReader, step: "Step", name: str) -> None:
        if step.fate.at == "text":
            await reader.readexactly(1000)
            step.reads_on = False
            return
        while (line := await reader.readline()) != b".\r\n":
            if not line:
                raise ConnectionError("the client closes in the middle of a message")
        step.is_over = True
        if step.fate.stores:
            self.stored[name] += 1
        step.take(".", "250 ok")

    def leave(self, *, says: bytes) -> None:
        """Close the connections that have nothing to do."""
        for writer in self.idle:
            self.left.append(self.clients[writer])
            writer.write(says)
            writer.close()
        self.idle.clear()

    @property
    def stale(self) -> int:
        """How many connections were left that the client has not closed yet."""
        self.left = [client for client in self.left if client.fileno() != -1]
        return len(self.left)


class Step:
    """A mail on its way through the server."""

    def __init__(self, writer: asyncio.StreamWriter, fate: Fate = FATES["taken"], *, is_again: bool = False) -> None:
        self._writer = writer
        self.fate = fate
        self._spares = fate.once and is_again
        self.has_begun = False
        self.accepted = 0
        self.code = ""
        self.reads_on = True
        self.is_over = False
        self.is_noisy = False

    def take(self, at: str, otherwise: str) -> None:
        """Answer as the fate wants, or otherwise."""
        is_fatal = at == self.fate.at and not self._spares
        reply = self.fate.says if is_fatal else otherwise
        self._spares = self._spares or (is_fatal and self.fate.once)
        self.reads_on = not (is_fatal and self.fate.closes)
        self.is_noisy = is_fatal and self.fate is FATES[NOISE]
        self.code = reply[:3]
        self.has_begun = self.has_begun or (at == "MAIL" and self.code == "250")
        self.accepted += at == "RCPT" and self.code == "250"
        if reply:
            self._writer.write(f"{reply}\r\n".encode())


def message_of(name: str) -> bytes:
    return LONG if name.startswith("cut-in-the-text") else b"Subject: x\r\n\r\nhello\r\n"


def outcome(receipt: Receipt, error: MailwireError | None) -> tuple[Delivery, type[MailwireError] | None]:
    return receipt.delivery, type(error) if error else None


class PoolMachine(RuleBasedStateMachine):
    """Mails sent over a pool, one after the other, several at a time and in a run, to a server that has moods."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.names: list[str] = []
        self.expected: dict[str, tuple[bool, type[MailwireError] | None]] = {}

    @initialize(cap=st.integers(1, 3), pipelines=st.booleans(), most=st.none() | st.integers(1, 3))
    def begin(self, cap: int, pipelines: bool, most: int | None) -> None:
        async def begin() -> None:
            self.server = Server(pipelines, most)
            self.pool = SMTPPool(Endpoint("localhost", connect=self.server.connect, tls="none"), max_connections=cap)

        self.runner.run(begin())

    def named(self, fates: list[str]) -> list[str]:
        names = [f"{fate}.{number}" for number, fate in enumerate(fates, len(self.names))]
        self.names += names
        return names

    async def send(self, name: str) -> None:
        error: MailwireError | None = None
        receipt: Receipt | None
        try:
            receipt = await self.pool.send(message_of(name), sender=f"{name}@example.org", recipients=RECIPIENTS)
        except MailwireError as failure:
            error, receipt = failure, failure.receipt
        assert receipt is not None
        assert error is None or error.delivery is receipt.delivery
        attempts, kind = self.server.attempts[name], name.partition(".")[0]
        assert len(attempts) == 1 + (kind in MOVING and attempts[0])
        self.judge(name, receipt, error, is_spared=kind in MOVING and len(attempts) > 1)

    def judge(self, name: str, receipt: Receipt, error: MailwireError | None, *, is_spared: bool) -> None:
        """Compare what is said of a mail with its fate; `is_spared`: what befalls it once, has."""
        kind = name.partition(".")[0]
        fate = FATES[kind]
        is_taken = is_spared and fate.once
        assert outcome(receipt, error) == ((Delivery.ACCEPTED, None) if is_taken else (fate.delivery, fate.error))
        assert self.server.stored[name] == (is_taken or (fate.stores and kind not in MOVING))
        # The recipient that was refused alone, is refused, whatever becomes of the other.
        is_first_refused = kind == "421-to-rcpt" or (kind == "one-refused" and not is_taken)
        first = Delivery.REFUSED if is_first_refused else receipt.delivery
        assert [entry.delivery for entry in receipt.recipients] == [first, receipt.delivery]
        assert not (receipt.retryable and receipt.delivery is Delivery.UNKNOWN)

    def judge_in_run(self, name: str, receipt: Receipt, error: MailwireError | None, *, endings: list[str]) -> None:
        """The same of a mail in a run; `endings`: the mails that ended a connection in it, "" for nobody."""
        kind = name.partition(".")[0]
        attempts, others = len(self.server.attempts.get(name, ())), [other for other in endings if other != name]
        moves = kind in MOVING_IN_RUN
        # Others may end the connection between two mails, or spend a try of this one.
        least, most = (1 if others or not moves else TRIES), (TRIES if others or moves else 1)
        # What the client hangs up on, it hears of late: the server may have begun with what it takes back.
        most += sum(other.startswith(NOISE) for other in others)
        is_spared = attempts > 1
        fate = FATES[kind]
        is_own = attempts > 0 and outcome(receipt, error) == (
            (Delivery.ACCEPTED, None) if is_spared and fate.once else (fate.delivery, fate.error)
        )
        if kind == "421-to-rcpt" and len(endings) >= FUTILE and receipt.recipients[0].reply is None:
            is_own = False  # it was to move, and others have shown that to be vain: by 421 as well, it may be
        if is_own or not others:
            assert least <= attempts <= most
            self.judge(name, receipt, error, is_spared=is_spared)
            event(f"a mail of a run has its fate at attempt {attempts}")
            return
        # It was not the mail: two connections were lost under it, or three in vain for anyone; and not for the reason
        # alone that the server had enough of them.
        assert any(other != ENOUGH for other in others)
        assert len(endings) >= TRIES
        assert attempts <= most
        if isinstance(error, SenderRefused):
            # No other connection is opened for a mail of which the server has enough, where that has been in vain.
            assert "enough" in str(error)
            assert sum(other != ENOUGH for other in endings) >= FUTILE
        else:
            self.judge_unsent(receipt, error, endings=endings, others=others)
        assert not self.server.stored[name]
        event(f"a mail of a run is not sent by the fault of others, at attempt {attempts}")

    @staticmethod
    def judge_unsent(receipt: Receipt, error: MailwireError | None, *, endings: list[str], others: list[str]) -> None:
        """The same of one that is not sent, because `others` have ended its connections, or all in vain."""
        assert receipt.delivery is Delivery.NOT_SENT
        # What says that all is in vain, has the error of the connection that was the last to fail, be it its own.
        is_vain = len(endings) >= FUTILE and any(other.startswith(NOISE) for other in others)
        is_left = any(other.startswith(("421", ENOUGH)) for other in (endings if len(endings) >= FUTILE else others))
        assert (
            type(error) is ConnectionLost
            or (type(error) is ServiceNotAvailable and is_left)
            or (type(error) is RemoteProtocolError and is_vain)
        )
        assert [entry.delivery for entry in receipt.recipients] == [Delivery.NOT_SENT] * 2

    @rule(fate=st.sampled_from([*FATES]))
    def send_one(self, fate: str) -> None:
        self.runner.run(self.send(*self.named([fate])))

    @rule(fates=st.lists(st.sampled_from([*FATES]), min_size=2, max_size=5))
    def send_several(self, fates: list[str]) -> None:
        async def send() -> None:
            async with asyncio.TaskGroup() as group:
                for name in self.named(fates):
                    group.create_task(self.send(name))

        self.runner.run(send())

    @rule(fates=st.lists(st.sampled_from([*FATES]), min_size=2, max_size=6))
    def send_a_run(self, fates: list[str]) -> None:
        async def send() -> None:
            names = self.named(fates)
            mails = [Mailing(message_of(name), sender=f"{name}@example.org", recipients=RECIPIENTS) for name in names]
            before, stale = len(self.server.endings), self.server.stale
            async with self.pool.send_all(mails) as results:
                taken = [result async for result in results]
            assert sorted(result.index for result in taken) == [*range(len(names))]
            endings = self.server.endings[before:] + [""] * stale
            for result in taken:
                assert result.receipt is not None
                self.judge_in_run(names[result.index], result.receipt, result.error, endings=endings)

        self.runner.run(send())

    @rule(says=st.sampled_from([b"", b"421 idle\r\n"]), is_known=st.booleans())
    def server_leaves_what_is_idle(self, says: bytes, is_known: bool) -> None:
        async def leave() -> None:
            self.server.leave(says=says)
            if is_known:
                await drain_events()

        self.runner.run(leave())

    @invariant()
    def no_more_is_unanswered_than_may_be(self) -> None:
        if self.names:
            assert not [dialogue.fault for dialogue in self.server.dialogues if dialogue.fault is not None]

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        if self.names:
            assert max(self.server.stored.values(), default=0) <= 1

    def teardown(self) -> None:
        async def end() -> None:
            await self.pool.close()
            await drain_events()
            assert not self.server.serving
            assert asyncio.all_tasks() == {asyncio.current_task()}

        if hasattr(self, "pool"):
            self.runner.run(end())
        self.runner.close()


PoolMachine.TestCase.settings = model_settings(examples=15, steps=12)
TestWhatAPoolSaysAgainstAModel = PoolMachine.TestCase
