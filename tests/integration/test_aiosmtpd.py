"""Mail sent to aiosmtpd, a server that nobody here has written: https://aiosmtpd.aio-libs.org/.

Without aiosmtpd these tests are skipped; with MAILWIRE_REQUIRE_SERVERS=1 in the environment they fail instead.
"""

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import mailwire
from mailwire import DataRefused, Delivery, Endpoint, NotSupported, Password, SMTPClient
from mailwire.endpoint import TLSMode
from mailwire.testing import client_context, server_context
from tests.integration.conftest import demand

MESSAGE = b"Subject: hello\r\n\r\n.\r\n..dots\r\nand the end\r\n"
SIZE_LIMIT = 100_000


@pytest.fixture(autouse=True)
def needs_aiosmtpd() -> None:
    demand(None if importlib.util.find_spec("aiosmtpd") else "aiosmtpd is not installed")


class Handler:
    """Takes mail for everybody but nobody@example.org."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address == "nobody@example.org":
            return "550 5.1.1 no such recipient"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if b"spam" in envelope.content:
            return "554 5.7.1 no spam"
        self.taken.append(envelope)
        return "250 2.0.0 Ok: queued as 4BXYZ"


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
    result: Callable[..., Any] = importlib.import_module("aiosmtpd.smtp").AuthResult
    return result(success=(data.login, data.password) == (b"bob", b"secret"), handled=False)


@asynccontextmanager
async def serving(handler: Handler, tls: TLSMode = "none") -> AsyncIterator[Endpoint]:
    """aiosmtpd, listening; yield the endpoint that leads there."""
    made: Callable[..., asyncio.Protocol] = importlib.import_module("aiosmtpd.smtp").SMTP
    context = server_context()

    def protocol() -> asyncio.Protocol:
        return made(
            handler,
            hostname="localhost",
            data_size_limit=SIZE_LIMIT,
            enable_SMTPUTF8=True,
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            authenticator=authenticate,
            auth_require_tls=False,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if tls == "implicit" else None)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        yield Endpoint("localhost", port, tls=tls, tls_context=client_context() if tls != "none" else None)


ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": ["b@example.org", "nobody@example.org"]}


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_a_mail_arrives_octet_for_octet_and_who_was_refused_is_told(tls: TLSMode) -> None:
    handler = Handler()
    async with serving(handler, tls) as endpoint:
        receipt = await mailwire.send(MESSAGE, endpoint, **ENVELOPE)
    (envelope,) = handler.taken
    assert envelope.original_content == MESSAGE
    assert (envelope.mail_from, envelope.rcpt_tos) == ("a@example.org", ["b@example.org"])
    assert [entry.delivery for entry in receipt.recipients] == [Delivery.ACCEPTED, Delivery.REFUSED]
    assert receipt.refused[0].reply is not None
    assert receipt.refused[0].reply.code == 550


async def test_one_logs_in() -> None:
    handler = Handler()
    async with serving(handler, "starttls") as endpoint:
        async with SMTPClient(endpoint.replace(auth=Password("bob", "secret"))) as client:
            assert client.mechanism == "PLAIN"
        with pytest.raises(mailwire.AuthenticationFailed):
            await SMTPClient(endpoint.replace(auth=Password("bob", "wrong"))).connect()


async def test_a_composed_message_arrives_in_utf_8() -> None:
    handler = Handler()
    message = mailwire.compose(sender="ä@example.org", to="ö@example.org", subject="Grüße", text="Voilà\n")
    async with serving(handler) as endpoint:
        receipt = await mailwire.send(message, endpoint)
    assert receipt.accepted == ("ö@example.org",)
    (envelope,) = handler.taken
    assert "SMTPUTF8" in envelope.mail_options
    assert "Subject: Grüße".encode() in envelope.original_content


async def test_a_message_that_is_too_big_is_not_begun() -> None:
    handler = Handler()
    async with serving(handler) as endpoint:
        with pytest.raises(NotSupported) as caught:
            await mailwire.send(MESSAGE + b"x" * 70 + b"\r\n" * SIZE_LIMIT, endpoint, **ENVELOPE)
    assert caught.value.extension == "SIZE"
    assert caught.value.delivery is Delivery.NOT_SENT
    assert not handler.taken


async def test_a_message_of_which_the_size_was_not_told_is_refused_where_it_is_too_big() -> None:
    handler = Handler()
    async with serving(handler) as endpoint:
        endpoint = endpoint.replace(ignored_extensions=["SIZE"])
        async with SMTPClient(endpoint) as client:
            with pytest.raises(DataRefused) as caught:
                await client.send(MESSAGE + b"\r\n" * SIZE_LIMIT, **ENVELOPE)
            assert caught.value.reply.code == 552
            # The session is as good as before.
            assert (await client.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED
    assert len(handler.taken) == 1


async def test_a_refused_message_leaves_the_session_good_for_the_next() -> None:
    handler = Handler()
    async with serving(handler) as endpoint, SMTPClient(endpoint) as client:
        with pytest.raises(DataRefused, match="no spam"):
            await client.send(b"Subject: spam\r\n\r\n", **ENVELOPE)
        await client.send(MESSAGE, **ENVELOPE)
    assert len(handler.taken) == 1
