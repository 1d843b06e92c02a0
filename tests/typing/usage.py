"""The public API as a typed program uses it: for type checkers in strict mode, never run."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from typing import assert_type

import mailwire
from mailwire import pop3, sasl, smtp
from mailwire.testing import Account, MailServer, server_context


async def sends() -> None:
    message = mailwire.compose(sender="a@example.org", to=["b@example.org"], subject="Hello", text="Hello world")
    assert_type(message, EmailMessage)
    receipt = await mailwire.send(message, "smtps://a:secret@smtp.example.org")
    assert_type(receipt, mailwire.Receipt)
    assert_type(receipt.delivery, mailwire.Delivery)
    assert_type(receipt.accepted, tuple[str, ...])

    async def blocks() -> AsyncIterator[bytes]:
        yield b"Subject: Hello\r\n\r\n"

    endpoint = mailwire.Endpoint(
        "smtp.example.org",
        tls="starttls",
        auth=mailwire.Password("a", "secret"),
        timeouts=mailwire.Timeouts(connect=5),
    )
    async with mailwire.SMTPClient(endpoint) as client:
        await client.send(blocks(), sender="a@example.org", recipients=["b@example.org"], on_refused="abort")
        assert_type(await client.execute(smtp.Noop()), smtp.Reply)
        assert_type(await client.execute(smtp.Ehlo("client.example.org")), smtp.Extensions)
        assert_type(client.last_receipt, mailwire.Receipt | None)


async def sends_many() -> None:
    def letters() -> Iterator[mailwire.Mailing]:
        yield mailwire.Mailing("Subject: x\r\n\r\n", sender="a@example.org", recipients="b@example.org")

    async def produced() -> AsyncIterator[EmailMessage]:
        yield EmailMessage()

    async with mailwire.SMTPClient("smtps://a:secret@smtp.example.org") as client:
        run = client.send_all(letters(), order="input", look_ahead=8)
        assert_type(run, mailwire.BulkSending)
        async with run as results:
            assert_type(results, mailwire.BulkSending)
            async for result in results:
                assert_type(result, mailwire.SendResult)
                assert_type(result.index, int)
                assert_type(result.delivery, mailwire.Delivery)
                assert_type(result.receipt, mailwire.Receipt | None)
                assert_type(result.error, mailwire.MailwireError | None)
            assert_type(results.remaining, tuple[mailwire.SendResult, ...])

    async with mailwire.SMTPPool(
        mailwire.Endpoint("smtp.example.org"), max_connections=10, max_idle=None, rate_limit=5
    ) as pool:
        receipts = await asyncio.gather(pool.send(EmailMessage()), pool.send("x", sender="", recipients=["b@c.d"]))
        assert_type(receipts, tuple[mailwire.Receipt, mailwire.Receipt])
        async with pool.send_all(produced()) as lane:
            assert_type(lane, mailwire.PoolSending)
            async for result in lane:
                assert_type(result, mailwire.SendResult)
        assert_type(pool.statistics, mailwire.PoolStatistics)
        assert_type(pool.statistics.in_use, int)
        await pool.close(timeout=30)
        pool.abort()


async def delivers() -> None:
    async with mailwire.LMTPClient("lmtp+unix:///run/dovecot/lmtp") as client:
        receipt = await client.send(b"Subject: x\r\n\r\n", sender="a@example.org", recipients=("b@example.org",))
        for entry in receipt.recipients:
            assert_type(entry, mailwire.RecipientReceipt)
            assert_type(entry.reply, smtp.Reply | None)
            assert_type(entry.final_reply, smtp.Reply | None)
        assert_type(client.send_all([EmailMessage()]), mailwire.BulkSending)


async def fails() -> None:
    try:
        await mailwire.send(b"", "smtps://smtp.example.org", sender="", recipients="b@example.org")
    except mailwire.ReplyError as error:
        assert_type(error.reply, smtp.Reply)
    except mailwire.MailwireError as error:
        assert_type(error.is_transient, bool)
        assert_type(error.delivery, mailwire.Delivery | None)
        assert_type(error.receipt, mailwire.Receipt | None)
        assert_type(error.transcript, tuple[str, ...])


async def retrieves() -> None:
    endpoint = mailwire.Endpoint.parse("pop3s://b:secret@pop.example.org")
    assert_type(endpoint, mailwire.Endpoint)
    assert_type(await mailwire.retrieve(endpoint), list[mailwire.RetrievedMessage])
    report = await mailwire.retrieve(
        endpoint, into=mailwire.Maildir("Mail"), ledger="state.db", keep=timedelta(days=14)
    )
    assert_type(report, mailwire.RetrievalReport)
    async with mailwire.POP3Client(endpoint) as client:
        assert_type(await client.execute(pop3.Stat()), pop3.DropListing)
        assert_type(await client.execute(pop3.Uidl()), pop3.UniqueIdListing)
        listing = await client.listing()
        assert_type(listing, mailwire.Listing)
        async for item in client.retrieve(listing):
            assert_type(item, mailwire.RetrievedItem)
            async for block in item:
                assert_type(block, bytes)


@dataclass(frozen=True, slots=True)
class Etrn(smtp.Command[str]):
    """A command of one's own."""

    domain: str

    def encode(self) -> bytes:
        return f"ETRN {self.domain}\r\n".encode()

    def parse(self, reply: smtp.Reply) -> str:
        return reply.text


async def asks_what_is_its_own() -> None:
    async with mailwire.SMTPClient("smtp://smtp.example.org") as client:
        assert_type(await client.execute(Etrn("example.org")), str)


def drives_the_core() -> None:
    connection = smtp.Connection()
    connection.send(smtp.Auth(sasl.Plain(sasl.Password("a", "secret"))))
    assert_type(connection.data_to_send(), list[bytes])
    event = connection.next_event()
    assert_type(event, smtp.Event | None)
    match event:
        case smtp.ReplyReceived(command, reply):
            assert_type(reply, smtp.Reply)
            print(command)
        case smtp.GroupsAnswered() | smtp.ServerClosing() | smtp.ConnectionClosed() | smtp.ComputationDue() | None:
            pass


async def tests() -> None:
    account = Account("a", "secret", ("a@example.org",))
    async with MailServer([account], tls_context=server_context()) as server:
        assert_type(server, MailServer)
        assert_type(server.smtp_port, int)
