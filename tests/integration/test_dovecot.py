"""Dovecot as POP3Client has it: many messages at once, each kind of unique id, and what it says when it says no."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from mailwire import AuthenticationFailed, Batch, Endpoint, MaildropLocked, Password, POP3Client, Timeouts, pop3
from mailwire.testing import client_context
from tests.integration.dovecot import MISERLY_ADDRESS, Dovecot
from tests.integration.mail_host import UIDL_FORMATS, MailHost
from tests.integration.mailbox import Mailbox
from tests.integration.relay import Relay

# Dots and octets beyond ASCII, and a number to know it by. Maildirs hold lines that end in LF.
TEXT = b"Subject: %d\n\n.\n..\n.x\n\xc3\xa9\xff\n"


def written(number: int) -> bytes:
    """What comes of message `number`."""
    return (TEXT % number).replace(b"\n", b"\r\n")


def fill(mailbox: Mailbox, numbers: Iterable[int]) -> None:
    """Store messages with these numbers."""
    mailbox.put((number, TEXT % number) for number in numbers)


def client_for(dovecot: Dovecot, mailbox: Mailbox, **settings: Any) -> POP3Client:
    """Return a client of the account."""
    settings = {"port": dovecot.port, "tls": "none", "allow_cleartext_auth": True, **settings}
    if settings["tls"] != "none":
        settings["tls_context"] = client_context()
    auth = Password(mailbox.user, settings.pop("password", mailbox.password))
    return POP3Client(Endpoint("localhost", protocol="pop3", auth=auth, **settings))


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_mail_is_listed_retrieved_and_deleted(dovecot: Dovecot, mailbox: Mailbox, tls: str) -> None:
    fill(mailbox, range(5))
    port = dovecot.tls_port if tls == "implicit" else dovecot.port
    async with client_for(dovecot, mailbox, tls=tls, port=port) as client:
        assert {"PIPELINING", "UIDL", "TOP", "RESP-CODES"} <= {*client.capabilities}
        listing = await client.listing()
        assert not listing.findings
        assert [entry.size for entry in listing] == [len(written(number)) for number in range(5)]
        assert await client.top(listing[0]) == b"Subject: 0\r\n\r\n"
        texts = [await item.read() async for item in client.retrieve(listing)]
        assert texts == [written(number) for number in range(5)]
        await client.delete(listing[:3])
        await client.rollback()
        await client.delete([entry.uid or "" for entry in listing[1:]])
        report = await client.commit()
        assert report.committed == tuple(listing[1:])
    (left,) = mailbox.messages()
    assert left.read_bytes() == TEXT % 0


async def test_ten_thousand_messages_are_retrieved_and_deleted(dovecot: Dovecot, mailbox: Mailbox) -> None:
    count = 10_000
    fill(mailbox, range(count))
    # It deletes ten thousand files before it answers QUIT.
    settings = {"timeouts": Timeouts(response=600)}
    async with Relay(dovecot.port) as relay, client_for(dovecot, mailbox, port=relay.port, **settings) as client:
        listing = await client.listing()
        assert len({entry.uid for entry in listing}) == len(listing) == count
        number = 0
        async for item in client.retrieve(listing):
            assert await item.read() == written(number)
            item.delete()
            number += 1
        assert number == count
        report = await client.commit()
        assert report.committed == tuple(listing)
        # Many commands go in one packet: at least half a window of them, DELE and RETR alike.
        assert relay.packets <= 2 * count // (client.settings.window.commands // 2) + 20
    assert mailbox.messages() == []


async def test_batches_are_committed_while_the_run_goes_on(dovecot: Dovecot, mailbox: Mailbox) -> None:
    fill(mailbox, range(10))
    async with client_for(dovecot, mailbox) as client:
        items = client.retrieve(await client.listing(), batch=Batch(messages=4))
        texts = []
        async for item in items:
            texts.append(await item.read())
            item.delete()
        assert texts == [written(number) for number in range(10)]
        assert [len(report.committed) for report in items.commits] == [4, 4]
        assert len((await client.commit()).committed) == 2
    assert mailbox.messages() == []


async def test_without_a_commit_nothing_is_deleted(dovecot: Dovecot, mailbox: Mailbox) -> None:
    fill(mailbox, range(3))
    client = client_for(dovecot, mailbox)
    await client.connect()
    await client.delete(await client.listing())
    client.abort()
    assert client.last_commit is not None
    assert len(client.last_commit.unknown) == 3
    await client.connect()
    listing = await client.listing()
    assert client.last_commit.kept == tuple(listing)
    await client.quit()
    assert len(mailbox.messages()) == 3


@pytest.mark.parametrize("uidl_format", UIDL_FORMATS.values(), ids=UIDL_FORMATS)
async def test_every_kind_of_unique_id_names_its_message(mail_host: MailHost, uidl_format: str) -> None:
    mailbox = mail_host.by_uidl_format[uidl_format]
    fill(mailbox, range(4))
    async with client_for(mail_host.dovecot, mailbox) as client:
        listing = await client.listing()
        assert not listing.findings
        uids = [entry.uid or "" for entry in listing]
        assert len(set(uids)) == 4
        check_format(uidl_format, uids, mailbox.messages())
        await client.delete(uids[0])
    async with client_for(mail_host.dovecot, mailbox) as client:
        # Their numbers are other ones now.
        assert [entry.uid for entry in await client.listing()] == uids[1:]
        assert [await item.read() async for item in client.retrieve(uids[2:])] == [written(2), written(3)]
        report = await client.delete(uids)
        assert report.missing == (uids[0],)
    assert mailbox.messages() == []


def check_format(uidl_format: str, uids: list[str], files: list[Path]) -> None:
    # That it is the format that was asked for.
    if uidl_format == "%u":
        assert uids == ["1", "2", "3", "4"]
    elif uidl_format == "%v-%u":
        assert [uid.partition("-")[2] for uid in uids] == ["1", "2", "3", "4"]
    elif uidl_format == "%f":
        assert uids == [file.name.partition(":")[0] for file in files]
    else:
        assert {len(uid) for uid in uids} <= {16, 18, 32, len(files[0].name.partition(":")[0])}


async def test_a_mailbox_that_is_locked_is_told_to_be_in_use(mail_host: MailHost) -> None:
    async with client_for(mail_host.dovecot, mail_host.locked) as client:
        await client.listing()
        other = client_for(mail_host.dovecot, mail_host.locked)
        # Dovecot waits for the lock before it says so.
        with pytest.raises(MaildropLocked) as caught:
            await other.connect()
        assert caught.value.is_transient
        assert caught.value.response.code == "IN-USE"
        assert not other.is_connected
        # It did the one who has it no harm.
        await client.noop()


async def test_too_many_connections_are_told_to_be_for_now(dovecot: Dovecot, mailbox: Mailbox) -> None:
    here: dict[str, Any] = {"local_address": MISERLY_ADDRESS}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(client_for(dovecot, mailbox, **here))
        other = client_for(dovecot, mailbox, **here)
        with pytest.raises(MaildropLocked, match="Maximum number of connections") as caught:
            await other.connect()
        assert caught.value.is_transient
        assert caught.value.response.cause is pop3.RefusalCause.IN_USE
        await client.noop()
        # From elsewhere there may be more.
        elsewhere = await stack.enter_async_context(client_for(dovecot, mailbox))
        await elsewhere.noop()


async def test_a_wrong_password_is_tried_once(dovecot: Dovecot, mailbox: Mailbox) -> None:
    async with Relay(dovecot.port) as relay:
        client = client_for(dovecot, mailbox, port=relay.port, password="wrong")
        with pytest.raises(AuthenticationFailed) as caught:
            await client.connect()
    assert not caught.value.is_transient
    assert sum("AUTH" in line or "PASS" in line for line in caught.value.transcript if line.startswith("C: ")) == 1


async def test_a_consumer_that_is_cancelled_can_go_on(dovecot: Dovecot, mailbox: Mailbox) -> None:
    fill(mailbox, range(50))
    async with client_for(dovecot, mailbox) as client:
        listing = await client.listing()
        items = client.retrieve(listing)
        first = await (await anext(items)).read()
        waiting = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await client.noop()  # which reads what was on its way
        assert first == written(0)
        assert [await item.read() async for item in client.retrieve(listing)] == [written(n) for n in range(50)]
