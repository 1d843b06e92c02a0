"""What a session with Dovecot is besides retrieving and deleting: previews, limits, being kept alive, and being cut."""

import asyncio

import pytest

from mailwire import (
    BudgetExceeded,
    ConnectionLost,
    MessageTruncated,
    NotSupported,
    POP3Client,
    POP3Settings,
    ResponseError,
    UnknownMessage,
)
from mailwire.pop3 import Capa, Command, Entry, Fingerprint, Lang, Last
from mailwire.testing import Cut, FaultProxy
from mailwire.testing.turns import drain_events
from tests.integration.dovecot import Dovecot
from tests.integration.mailbox import Mailbox
from tests.integration.test_dovecot import client_for, fill, written

LARGE = b"Subject: large\n\n" + b"0123456789abcde\n" * 20_000


def with_settings(client: POP3Client, settings: POP3Settings) -> POP3Client:
    return POP3Client(client.endpoint, settings=settings)


async def test_beginnings_are_read_and_headers_known_again(dovecot: Dovecot, mailbox: Mailbox) -> None:
    fill(mailbox, range(3))
    async with client_for(dovecot, mailbox) as client:
        listing = await client.listing()
        header = b"Subject: 1\r\n\r\n"
        assert await client.top(listing[1]) == await client.preview(listing[1]) == header
        assert await client.preview(listing[1], 2) == header + b".\r\n..\r\n"
        assert await client.preview(listing[1], 99) == written(1)
        assert await client.top(listing[1], 99, limit=5) == header[:5]
        prints = await client.fingerprints(listing)
        made = {}
        async for item in client.retrieve(listing):
            fingerprint = Fingerprint()
            async for block in item:
                fingerprint.feed(block)
            made[item.entry] = fingerprint.digest()
        assert prints == made
        assert len({*prints.values()}) == 3
        with pytest.raises(UnknownMessage):
            await client.preview("nobody's")
    # To a server of which TOP is not to be known it is not said.
    settings = POP3Settings(asks_capabilities=False, probes=["UIDL"])
    async with with_settings(client_for(dovecot, mailbox), settings) as client:
        assert await client.preview(listing[1], 1) == header + b".\r\n"
        with pytest.raises(NotSupported):
            await client.top(listing[1])
        with pytest.raises(NotSupported):
            await client.fingerprints(listing)


async def test_what_is_not_announced_is_said_to_who_asks_for_it_alone(dovecot: Dovecot, mailbox: Mailbox) -> None:
    fill(mailbox, range(1))
    settings = POP3Settings(utf8=True, language="de")
    async with with_settings(client_for(dovecot, mailbox), settings) as client:
        assert not {"UTF8", "LANG"} & {*client.capabilities}
        assert not client.is_utf8
        with pytest.raises(NotSupported):
            await client.lang()
        commands: list[Command[object]] = [Lang(), Last()]
        for command in commands:
            with pytest.raises(ResponseError, match="Unknown command"):
                await client.execute(command)
        assert "PIPELINING" in await client.execute(Capa())
        assert [await item.read() async for item in client.retrieve(await client.listing())] == [written(0)]


async def test_a_session_that_nobody_uses_is_kept_alive(dovecot: Dovecot, mailbox: Mailbox) -> None:
    fill(mailbox, range(2))
    async with with_settings(client_for(dovecot, mailbox), POP3Settings(keep_alive=0.01)) as client:
        async with asyncio.timeout(60):
            while "C: NOOP" not in map(str, client.transcript.tail()):
                await drain_events()
        items = client.retrieve(await client.listing())
        assert [await item.read() async for item in items] == [written(0), written(1)]
        await client.noop()


async def test_limits_hold(dovecot: Dovecot, mailbox: Mailbox) -> None:
    fill(mailbox, range(2))
    mailbox.put([(2, LARGE)])
    fill(mailbox, [3])
    length = len(LARGE) + LARGE.count(b"\n")
    async with client_for(dovecot, mailbox) as client:
        listing = await client.listing()
        found: list[object] = []
        async for item in client.retrieve(listing, message_limit=1000):
            try:
                found.append(await item.read())
            except BudgetExceeded as error:
                found.append(str(error))
        assert found == [written(0), written(1), "message 3 is longer than 1000 octets", written(3)]
        items = client.retrieve(listing, total_limit=len(written(0)) * 2 + length - 1)
        with pytest.raises(BudgetExceeded, match="the messages of this run are longer than"):
            async for _ in items:
                pass
        items = client.retrieve(listing, total_limit=len(written(0)) * 3 + length)
        assert sum([len(await item.read()) async for item in items]) == len(written(0)) * 3 + length


async def test_a_link_that_is_cut_gives_no_message_and_deletes_none(dovecot: Dovecot, mailbox: Mailbox) -> None:
    mailbox.put([(0, LARGE)])
    faults: list[list[Cut]] = [[Cut(50_000, of="server")], [], []]
    async with FaultProxy(dovecot.port, faults) as proxy:
        client = client_for(dovecot, mailbox, port=proxy.port)
        await client.connect()
        item = await anext(client.retrieve(await client.listing()))
        with pytest.raises(MessageTruncated) as caught:
            await item.read()
        assert not item.is_complete
        assert 0 < caught.value.octets < 50_000
        assert not client.is_connected

        async def mark() -> tuple[Entry, ...]:
            await client.connect()
            return (await client.delete(await client.listing())).marked

        await mark()
        client.abort()
        # Behind as much as that comes QUIT: of that the server has no more than the first octet.
        faults[2].append(Cut(proxy.connections[1].passed["client"] + 1, of="client"))
        marked = await mark()
        report = await client.commit()
        assert (report.committed, report.unknown) == ((), marked)
        assert isinstance(report.error, ConnectionLost)
        await client.connect()
        await client.listing()
        assert client.last_commit is not None
        assert client.last_commit.kept == marked
        await client.quit()
    assert len(mailbox.messages()) == 1
