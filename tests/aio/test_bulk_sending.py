"""Many messages on one connection: round trips, results, failures in the middle, and what becomes of the rest."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mailwire import (
    Delivery,
    Endpoint,
    SendResult,
    SMTPClient,
)
from mailwire.testing import Account, MailServer, Policy

RECIPIENTS = [f"user{number}@example.org" for number in range(60)]
ACCOUNTS = [Account("crowd", "", tuple(RECIPIENTS)), Account("b", "", ("b@example.org",))]
DATA = ("PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES")
BDAT = (*DATA, "CHUNKING")
ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": ["b@example.org"]}

WAYS = pytest.mark.parametrize("use_chunking", [False, True, "eager"])


def server_with(*extensions: str, patient: bool = False, **settings: Any) -> MailServer:
    return MailServer(ACCOUNTS, policy=Policy(extensions=extensions or BDAT, **settings), patient=patient)


def endpoint_of(server: MailServer, **settings: Any) -> Endpoint:
    return Endpoint("localhost", server.smtp_port, tls="none", **settings)


def octets(number: int) -> bytes:
    return b"Subject: %d\r\n\r\nhello\r\n" % number


def many(count: int) -> list[bytes]:
    return [octets(number) for number in range(count)]


async def run(server: MailServer, messages: Any, **settings: Any) -> list[SendResult]:
    """Send all, to a client of its own; return the results."""
    async with SMTPClient(endpoint_of(server)) as client:
        results = [result async for result in client.send_all(messages, **{**ENVELOPE, **settings})]
        assert client.is_connected
    await server.wait_idle()
    return results


def taken(server: MailServer) -> list[bytes]:
    """The messages that the server has taken for b, in the order in which they came."""
    return [message.content for message in server.maildrop.messages("b")]


async def flights(server: MailServer, count: int, recipients: int, **settings: Any) -> int:
    async with server:
        results = await run(server, many(count), recipients=RECIPIENTS[:recipients], **settings)
        assert [result.error for result in results] == [None] * count
        assert all(result.receipt and len(result.receipt.accepted) == recipients for result in results)
    (session,) = server.smtp_sessions
    return session.flights


@pytest.mark.parametrize("use_chunking", [False, True])
async def test_forty_mails_in_a_row_take_one_flight_each(use_chunking: bool) -> None:
    # EHLO; the first envelope; each message with the envelope of the next; QUIT.
    assert await flights(server_with(patient=True), 40, 3, use_chunking=use_chunking) == 1 + 1 + 40 + 1


async def test_eager_mails_take_one_flight_for_each_window() -> None:
    assert await flights(server_with(patient=True), 40, 3, use_chunking="eager") <= 5


async def test_without_pipelining_mails_go_one_by_one() -> None:
    server = server_with("SIZE", "CHUNKING", patient=True)
    # EHLO, then MAIL, RCPT, DATA and the message of each, then QUIT.
    assert await flights(server, 5, 1, use_chunking=False) == 1 + 5 * 4 + 1


@WAYS
@pytest.mark.parametrize("order", ["completion", "input"])
async def test_every_message_has_a_result_and_arrives_once(use_chunking: Any, order: Any) -> None:
    async with server_with() as server:
        results = await run(server, many(150), use_chunking=use_chunking, order=order)
        assert [result.index for result in results] == list(range(150))
        assert [result.message for result in results] == many(150)
        assert {result.delivery for result in results} == {Delivery.ACCEPTED}
        assert all(result.raise_error() is result.receipt for result in results)
        assert taken(server) == many(150)


async def feed(messages: list[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        await asyncio.sleep(0)
        yield message


@WAYS
async def test_messages_may_come_from_an_asynchronous_iterable(use_chunking: Any) -> None:
    async with server_with() as server:
        results = await run(server, feed(many(20)), use_chunking=use_chunking, look_ahead=3)
        assert [result.index for result in results] == list(range(20))
        assert taken(server) == many(20)
