"""How often a client waits for the server: counted by a server that answers only when the client waits."""

from typing import Any, Literal

import pytest

import mailwire
from mailwire import Endpoint, LMTPClient, Password, POP3Client, POP3Settings, SMTPClient, pop3
from mailwire.pop3 import Window
from mailwire.smtp import PIPELINING_WINDOW
from mailwire.testing import Account, MailServer, Policy, client_context, server_context
from tests.aio.dialogues import MESSAGE

RECIPIENTS = [f"user{number:04}@example.org" for number in range(5000)]
ACCOUNTS = [Account("crowd", "secret", tuple(RECIPIENTS)), Account("a", "secret", ("a@example.org",))]
LARGE = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 30_000
HUGE = LARGE * 4

DATA = ("PIPELINING", "SIZE", "8BITMIME", "AUTH", "STARTTLS", "ENHANCEDSTATUSCODES")
BDAT = (*DATA, "CHUNKING")


def patient(*extensions: str, **settings: Any) -> MailServer:
    return MailServer(ACCOUNTS, policy=Policy(extensions=extensions), patient=True, **settings)


def endpoint_of(server: MailServer, **settings: Any) -> Endpoint:
    settings = {"tls": "none", "auth": Password("a", "secret"), "allow_cleartext_auth": True, **settings}
    if settings["tls"] != "none":
        settings["tls_context"] = client_context()
    return Endpoint("localhost", server.smtp_port, **settings)


async def flights(
    server: MailServer,
    message: bytes = MESSAGE,
    /,
    count: int = 100,
    on_refused: Literal["send", "abort"] = "send",
    **settings: Any,
) -> int:
    async with server:
        receipt = await mailwire.send(
            message,
            endpoint_of(server, **settings),
            sender="a@example.org",
            recipients=RECIPIENTS[:count],
            on_refused=on_refused,
        )
        assert len(receipt.accepted) == count
        await server.wait_idle()
    return server.smtp_sessions[0].flights


@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
async def test_a_mail_to_a_hundred_takes_five(message: bytes) -> None:
    # EHLO; AUTH; MAIL, RCPTs and DATA; the message; QUIT.
    assert await flights(patient(*DATA), message) == 5
    # EHLO; AUTH; MAIL and RCPTs; the chunks; QUIT.
    assert await flights(patient(*BDAT), message) == 5


async def test_chunks_wait_for_the_server_once_for_each_window() -> None:
    # A window has room for two chunks, and is filled again when half of it is answered.
    assert await flights(patient(*BDAT), HUGE) in (6, 7)
    assert await flights(patient(*DATA), HUGE) == 5


async def test_all_or_nobody_takes_one_more_over_data() -> None:
    # The replies to RCPT are waited for before DATA; before a chunk they are in any case.
    assert await flights(patient(*DATA), on_refused="abort") == 6
    assert await flights(patient(*BDAT), on_refused="abort") == 5


async def test_an_eager_client_takes_four() -> None:
    assert await flights(patient(*BDAT), use_chunking="eager") == 4


async def test_a_client_that_does_not_log_in_takes_one_less() -> None:
    assert await flights(patient(*DATA), auth=None) == 4


async def test_starttls_takes_two_more() -> None:
    # STARTTLS, and EHLO again; the handshake is not counted.
    server = patient(*DATA, tls_context=server_context())
    assert await flights(server, tls="starttls") == 7


async def test_under_tls_from_the_first_byte_it_is_the_same() -> None:
    server = patient(*DATA, tls_context=server_context(), implicit_tls=True)
    assert await flights(server, LARGE, tls="implicit") == 5


async def test_without_pipelining_each_command_takes_one() -> None:
    # EHLO, AUTH, MAIL, DATA, the message and QUIT, besides the recipients.
    assert await flights(patient(*DATA), pipelining=False) == 106
    assert await flights(patient(*DATA), ignored_extensions=["PIPELINING"]) == 106


async def test_thousands_of_recipients_take_one_for_each_window() -> None:
    commands = [f"RCPT TO:<{address}>\r\n" for address in RECIPIENTS]
    window = min(PIPELINING_WINDOW.commands, PIPELINING_WINDOW.octets // len(commands[0]))
    # A window is filled again when half of it is answered: here all of it is, at once.
    assert await flights(patient(*DATA), count=5000) <= 4 + -(-5002 // window) + 1


async def test_several_mails_take_two_each() -> None:
    async with patient(*DATA) as server:
        async with SMTPClient(endpoint_of(server)) as client:
            for _ in range(5):
                await client.send(MESSAGE, sender="a@example.org", recipients=RECIPIENTS[:10])
        await server.wait_idle()
    assert server.smtp_sessions[0].flights == 2 + 2 * 5 + 1


async def test_lmtp_takes_no_more() -> None:
    async with patient(*DATA) as server:
        async with LMTPClient(f"lmtp://{server.host}:{server.lmtp_port}") as client:
            await client.send(MESSAGE, sender="a@example.org", recipients=RECIPIENTS[:10])
        await server.wait_idle()
    assert server.lmtp_sessions[0].flights == 4


# Retrieving

MESSAGES = 400


async def listing_flights(**settings: Any) -> int:
    async with MailServer(ACCOUNTS, patient=True) as server:
        for number in range(MESSAGES):
            server.maildrop.put("a", b"Subject: %d\r\n" % number)
        settings = {"tls": "none", "auth": Password("a", "secret"), "allow_cleartext_auth": True, **settings}
        async with POP3Client(Endpoint("localhost", server.pop3_port, "pop3", **settings)) as client:
            listing = await client.listing()
            assert len(listing) == MESSAGES
            assert listing[0].uid is not None
        await server.wait_idle()
    return server.pop3_sessions[0].flights


async def retrieving_flights(*, deletes: bool = False, window: Window | None = None, **settings: Any) -> int:
    async with MailServer(ACCOUNTS, patient=True) as server:
        for number in range(MESSAGES):
            server.maildrop.put("a", b"Subject: %d\r\n\r\n" % number + b"0123456789abcde\r\n" * 120)
        settings = {"tls": "none", "auth": Password("a", "secret"), "allow_cleartext_auth": True, **settings}
        endpoint = Endpoint("localhost", server.pop3_port, "pop3", **settings)
        async with POP3Client(endpoint, settings=POP3Settings(window=window or pop3.PIPELINING_WINDOW)) as client:
            listing = await client.listing()
            retrieved = 0
            async for item in client.retrieve(listing):
                retrieved += len(await item.read()) > 2000
                if deletes:
                    item.delete()
            assert retrieved == MESSAGES
            if deletes:
                assert len((await client.commit()).committed) == MESSAGES
        await server.wait_idle()
    return server.pop3_sessions[0].flights


# CAPA; AUTH; CAPA; STAT, LIST and UIDL; QUIT.
AROUND = 5


def most_retrieving() -> int:
    """Two for each window at most: at 10 ms from one end to the other and back that is 0.13 s, besides the work."""
    return AROUND + 2 * MESSAGES // min(pop3.PIPELINING_WINDOW.commands, pop3.PIPELINING_WINDOW.octets // 2100)


def most_deleting() -> int:
    return AROUND + 3 * MESSAGES // pop3.PIPELINING_WINDOW.commands


async def test_stat_list_and_uidl_take_one() -> None:
    assert await listing_flights() == AROUND
    assert await listing_flights(pipelining=False) == AROUND + 2


async def test_four_hundred_messages_take_two_for_each_window_at_most() -> None:
    assert await retrieving_flights() <= most_retrieving()


async def test_large_messages_take_one_for_each_window_of_octets() -> None:
    # Four of them fit, and are asked for again when two are left.
    flights = await retrieving_flights(window=Window(commands=100, octets=9000)) - AROUND
    assert MESSAGES // 4 <= flights <= MESSAGES // 2


async def test_to_delete_them_meanwhile_takes_hardly_more() -> None:
    assert await retrieving_flights(deletes=True) <= most_deleting()


async def test_without_pipelining_each_message_takes_one() -> None:
    assert await retrieving_flights(pipelining=False) == 2 + AROUND + MESSAGES
