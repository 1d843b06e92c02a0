"""The POP3 server of GNU Mailutils as POP3Client has it: another real server than Dovecot, with habits of its own."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from mailwire import AuthenticationFailed, Batch, Endpoint, MaildropLocked, Password, POP3Client
from mailwire.maildrop import Account, Policy, Run
from mailwire.testing import client_context
from tests.integration.mailutils import MailutilsPop3d, Spool
from tests.integration.relay import Relay
from tests.maildrop.runs import MemorySink

TEXT = b"Subject: %d\n\n.\n..\n.x\n\xc3\xa9\xff\n"


def written(number: int, uid: str | None) -> bytes:
    """What comes of message `number`: the server puts the unique id into the header, and leaves the rest alone."""
    header, blank, body = (TEXT % number).replace(b"\n", b"\r\n").partition(b"\r\n\r\n")
    return header + b"\r\nX-UIDL: " + (uid or "").encode() + blank + body


def endpoint_for(server: MailutilsPop3d, spool: Spool, **settings: Any) -> Endpoint:
    """Return the endpoint of the account."""
    settings = {"port": server.port, "tls": "none", "allow_cleartext_auth": True, **settings}
    if settings["tls"] != "none":
        settings["tls_context"] = client_context()
    auth = Password(spool.user, settings.pop("password", spool.password))
    return Endpoint("localhost", protocol="pop3", auth=auth, **settings)


async def connect_when_free(client: POP3Client) -> None:
    """Connect, once the server has noticed that the session before is over."""
    async with asyncio.timeout(120):
        while not client.is_connected:
            with suppress(MaildropLocked):
                await client.connect()


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_mail_is_listed_retrieved_and_deleted(mailutils: MailutilsPop3d, tls: str) -> None:
    spool = mailutils.new_spool()
    spool.put(*(TEXT % number for number in range(5)))
    port = mailutils.tls_port if tls == "implicit" else mailutils.port
    async with POP3Client(endpoint_for(mailutils, spool, tls=tls, port=port)) as client:
        listing = await client.listing()
        assert client.capabilities.implementation == "GNU Mailutils 3.15"
        # "EXPIRENEVER", it says.
        assert client.capabilities.expire is None
        assert not listing.findings
        assert len({entry.uid for entry in listing}) == len(listing) == 5
        texts = [await item.read() async for item in client.retrieve(listing)]
        assert texts == [written(number, entry.uid) for number, entry in enumerate(listing)]
        # It says less of a message than it sends.
        assert all(entry.size < len(text) for entry, text in zip(listing, texts, strict=True))
        assert (await client.top(listing[0])).startswith(b"Subject: 0\r\nX-UIDL: ")
        await client.delete(listing[:3])
        await client.rollback()
        await client.delete([entry.uid or "" for entry in listing[1:]])
        report = await client.commit()
        assert report.committed == tuple(listing[1:])
    assert spool.count() == 1
    kept = spool.file.read_bytes()
    assert kept.count(b"Subject: 0\n") == 1
    assert kept.endswith((TEXT % 0).partition(b"\n\n")[2] + b"\n")


async def test_many_messages_go_together(mailutils: MailutilsPop3d) -> None:
    count, spool = 1000, mailutils.new_spool()
    spool.put(*(TEXT % number for number in range(count)))
    async with (
        Relay(mailutils.port) as relay,
        POP3Client(endpoint_for(mailutils, spool, port=relay.port)) as client,
    ):
        assert "PIPELINING" in client.capabilities
        listing = await client.listing()
        number = 0
        async for item in client.retrieve(listing):
            assert await item.read() == written(number, item.entry.uid)
            item.delete()
            number += 1
        assert number == count
        assert (await client.commit()).committed == tuple(listing)
        assert relay.packets <= 2 * count // (client.settings.window.commands // 2) + 20
    assert spool.count() == 0


async def test_batches_are_committed_while_the_run_goes_on(mailutils: MailutilsPop3d) -> None:
    spool = mailutils.new_spool()
    spool.put(*(TEXT % number for number in range(10)))
    async with POP3Client(endpoint_for(mailutils, spool)) as client:
        items = client.retrieve(await client.listing(), batch=Batch(messages=4))
        async for item in items:
            await item.read()
            item.delete()
        assert [len(report.committed) for report in items.commits] == [4, 4]
        assert len((await client.commit()).committed) == 2
    assert spool.count() == 0


async def test_without_a_commit_nothing_is_deleted(mailutils: MailutilsPop3d) -> None:
    spool = mailutils.new_spool()
    spool.put(*(TEXT % number for number in range(3)))
    client = POP3Client(endpoint_for(mailutils, spool))
    await client.connect()
    await client.delete(await client.listing())
    client.abort()
    await connect_when_free(client)
    listing = await client.listing()
    assert client.last_commit is not None
    # Their sizes are other ones in a second session; their unique ids are not.
    assert client.last_commit.remaining_uids == {entry.uid for entry in listing}
    await client.quit()
    assert spool.count() == 3


async def test_a_mailbox_that_another_session_has_is_in_use(mailutils: MailutilsPop3d) -> None:
    spool = mailutils.new_spool()
    async with POP3Client(endpoint_for(mailutils, spool)) as client:
        other = POP3Client(endpoint_for(mailutils, spool))
        with pytest.raises(MaildropLocked) as caught:
            await other.connect()
        assert caught.value.response.code == "IN-USE"
        assert len(await client.listing()) == 0


async def test_a_wrong_password_is_refused(mailutils: MailutilsPop3d) -> None:
    client = POP3Client(endpoint_for(mailutils, mailutils.new_spool(), password="wrong"))
    with pytest.raises(AuthenticationFailed) as caught:
        await client.connect()
    assert not caught.value.is_transient


async def test_a_run_stores_all_and_then_deletes_it(mailutils: MailutilsPop3d) -> None:
    spool, sink = mailutils.new_spool(), MemorySink()
    spool.put(*(TEXT % number for number in range(20)))
    account = Account(endpoint_for(mailutils, spool), sink, policy=Policy(keep="until stored"))
    report = await Run(account).perform()
    assert report.is_complete
    assert sink.subjects == [str(number) for number in range(20)]
    assert (len(report.deleted), spool.count()) == (20, 0)
