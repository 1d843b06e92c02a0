"""The POP3 client against a model of the maildrop: whatever is called in whatever order, what it says is true.

The server is the testing server; time is moved by a rule, so that NOOP is said between and behind whatever is asked.
"""

import asyncio
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mailwire import ConnectionLost, MailwireError, POP3Client, POP3Settings, ResponseError, UnknownMessage
from mailwire.pop3 import Window
from mailwire.testing import POP3Quirk, Quirk
from mailwire.testing.turns import turns
from tests.aio.true_maildrop import TrueServer
from tests.clock import Clock
from tests.model_settings import model_settings

PIPELINED = Quirk("pipelined", pop3=POP3Quirk())
LOCKSTEP = Quirk("lockstep", pop3=POP3Quirk(withheld_capabilities=frozenset({"PIPELINING"})))
HANGING_UP = Quirk("hanging up", pop3=POP3Quirk(pipelining_limit=3))
SPLITTING = Quirk("splitting", pop3=POP3Quirk(dot_apart=True, uid_separator="  "))

# Dots and answers where they would be taken for what they are not.
PIECES = [b".", b"..", b"x", b"\r\n", b"\r\n.", b"\r\n..\r\n", b"+OK\r\n", b".\r\n+OK", b".\r\n-ERR", b"y" * 5000]
MESSAGES = st.lists(st.sampled_from(PIECES), max_size=6).map(
    lambda pieces: b"A: b\r\n\r\n" + b"".join(pieces) + b"\r\n"
)
WINDOWS = st.sampled_from([POP3Settings().window, Window(3, 1000), Window(2, 10**6), Window(1, 1)])
UIDS = st.lists(st.sampled_from([f"u{number}" for number in range(1, 8)]), unique=True, max_size=7)
# What becomes of one message of a run after the other; what is behind the last is left.
DEEDS = st.lists(st.sampled_from(["read", "blocks", "half", "pass", "delete"]), max_size=7)


class MaildropMachine(RuleBasedStateMachine):
    """A client of one maildrop, which gets mail of its own besides."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()

    def run(self, what: Any) -> Any:
        return self.runner.run(what)

    @initialize(
        quirk=st.sampled_from([PIPELINED, LOCKSTEP, HANGING_UP, SPLITTING]),
        window=WINDOWS,
        messages=st.lists(MESSAGES, max_size=4),
    )
    def begin(self, quirk: Quirk, window: Window, messages: list[bytes]) -> None:
        self.quirk = quirk

        async def begin() -> None:
            self.clock = Clock()
            self.server = TrueServer(quirk, window=(window.commands, window.octets))
            self.client = POP3Client(self.server.client().endpoint, settings=POP3Settings(window=window))

        self.run(begin())
        self.begin_session()
        self.mail = {message.uid: message.content for message in self.server.maildrop.messages("bob")}
        for message in messages:
            self.arrive(message)

    @rule(message=MESSAGES)
    def arrive(self, message: bytes) -> None:
        uid = f"u{len(self.mail) + 1}"
        self.mail[uid] = self.server.maildrop.put("bob", message, uid=uid).content
        self.arrived.add(uid)

    # What is asked

    async def connect(self) -> None:
        # A server that has gone is found out by the next call.
        if not self.client.is_connected:
            await self.client.connect()
            self.begin_session()

    def begin_session(self) -> None:
        self.wanted: set[str] = set()  # to be deleted, some of them only perhaps...
        self.marked: set[str] = set()  # ...and these for certain
        self.arrived: set[str] = set()
        self.was_dropped = False

    async def ask(self, call: Any) -> Any:
        """Return what the call returns; None if the server has gone."""
        try:
            return await call
        except ConnectionLost:
            assert self.was_dropped or self.quirk is HANGING_UP
            self.begin_session()
            return None

    @rule()
    def listing(self) -> None:
        async def ask() -> None:
            await self.connect()
            found = await self.ask(self.client.listing())
            if found is not None:
                uids = {entry.uid for entry in found}
                assert not uids & self.marked
                assert uids <= self.server.uids <= uids | self.wanted | self.arrived

        self.run(ask())

    @rule(uids=UIDS, deeds=DEEDS, closes=st.booleans())
    def retrieve(self, uids: list[str], deeds: list[str], closes: bool) -> None:
        async def ask() -> None:
            await self.connect()
            run = self.client.retrieve(uids)
            left = iter(deeds)
            deleted: set[str] = set()  # by items: marked when the run goes on
            while (item := await self.ask(anext(run, None))) is not None:
                self.wanted |= deleted
                uid = item.entry.uid or ""
                if item.error is not None:
                    assert isinstance(item.error, ResponseError | UnknownMessage)
                    assert uid in self.wanted | self.arrived or uid not in self.server.uids
                    continue
                match next(left, None):
                    case None:
                        break
                    case "read" | "delete" as deed:
                        content = await self.ask(item.read())
                        assert content is None or content == self.mail[uid]
                        if deed == "delete" and content is not None:
                            item.delete()
                            deleted.add(uid)
                    case "blocks" | "half" as deed:
                        content, blocks = b"", aiter(item)
                        while block := await self.ask(anext(blocks, b"")):
                            content += block
                            await turns(3)
                            if deed == "half":
                                break
                        assert self.mail[uid].startswith(content)
                        assert not item.is_complete or content == self.mail[uid]
            else:
                self.wanted |= deleted
            if closes:
                await run.aclose()

        self.run(ask())

    @rule(uids=UIDS, count=st.integers(0, 60))
    def break_off(self, uids: list[str], count: int) -> None:
        async def ask() -> None:
            await self.connect()
            run = self.client.retrieve(uids)

            async def read() -> None:
                while (item := await self.ask(anext(run, None))) is not None:
                    if item.error is None:
                        content = await self.ask(item.read())
                        assert content is None or content == self.mail[item.entry.uid or ""]

            reading = asyncio.ensure_future(read())
            await turns(count)
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

        self.run(ask())

    @rule(uids=UIDS)
    def delete(self, uids: list[str]) -> None:
        async def ask() -> None:
            await self.connect()
            report = await self.ask(self.client.delete(uids))
            if report is not None:
                assert not report.refused.keys() - {entry for entry in report.refused if entry.uid in self.wanted}
                assert set(report.missing) <= self.arrived | (set(uids) - self.server.uids) | self.wanted
                self.marked |= {entry.uid for entry in report.marked}
                self.wanted |= self.marked

        self.run(ask())

    @rule()
    def rollback(self) -> None:
        async def ask() -> None:
            await self.connect()
            await self.ask(self.client.rollback())
            self.wanted, self.marked = set(), set()

        self.run(ask())

    @rule(reconnects=st.booleans())
    def commit(self, reconnects: bool) -> None:
        async def ask() -> None:
            await self.connect()
            before, wanted, marked = self.server.uids, self.wanted, self.marked
            report = await self.client.commit(reconnect=reconnects)
            await self.server.wait_idle() if not reconnects else None
            committed = {entry.uid or "" for entry in report.committed}
            assert before - self.server.uids == committed
            assert committed <= wanted
            assert not report.refused.keys() - {entry for entry in report.refused if entry.uid in wanted}
            if not self.was_dropped:
                assert marked <= committed
                assert not report.unknown
            self.begin_session()

        self.run(ask())

    @rule()
    def noop(self) -> None:
        async def ask() -> None:
            await self.connect()
            await self.ask(self.client.noop())

        self.run(ask())

    # What happens besides

    @rule(seconds=st.sampled_from([10, 31, 100]))
    def let_time_pass(self, seconds: int) -> None:
        self.run(self.clock.advance(seconds))

    @rule()
    def drop(self) -> None:
        self.was_dropped = True
        self.run(self.server.drop())

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.server.uids <= self.mail.keys()

    def teardown(self) -> None:
        async def end() -> None:
            with suppress(MailwireError):
                await self.client.quit()
            await self.server.wait_idle()
            await turns(3)
            assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"

        if hasattr(self, "client"):
            self.run(end())
        self.runner.close()


MaildropMachine.TestCase.settings = model_settings(examples=40, steps=15)
TestMaildrop = MaildropMachine.TestCase
