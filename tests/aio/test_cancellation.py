"""Cancelled, or out of time, at every turn of the event loop: what is left is clean or dead, and says what is known.

Each flow is run again and again, and interrupted one turn later each time, until it is faster than its interruption.
"""

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from mailwire import (
    DataRefused,
    DeadlineExceeded,
    Delivery,
    LMTPClient,
    LocalProtocolError,
    POP3Client,
    RecipientsRefused,
    SMTPClient,
)
from mailwire.pop3 import Noop as Pop3Noop
from mailwire.smtp import Noop, Reply
from mailwire.testing import LISTEN, Answers, ScriptedPeer, Step, Tls
from mailwire.testing.turns import turns
from tests.aio.dialogues import CREDENTIALS, MESSAGE, POP3_ANSWERS, SMTP_ANSWERS
from tests.aio.interruptions import INTERRUPTIONS, Interrupt, end_interrupted, skip_without_clock

ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": ["b@example.org", "c@example.org"]}
LONG = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 25_000


def smtp_script(*keywords: str, **answers: str) -> tuple[Step, ...]:
    table = {**SMTP_ANSWERS, "EHLO": "\n".join(["250-mx", *(f"250-{keyword}" for keyword in keywords), "250 HELP"])}
    return "S: 220 mx", Answers({**table, "AUTH": "235 ok", **answers}), LISTEN


def pop3_script(*keywords: str, **answers: str) -> tuple[Step, ...]:
    table = {**POP3_ANSWERS, "CAPA": "\n".join(["+OK", *keywords, "."]), "AUTH": "+OK", **answers}
    return "S: +OK pop", Answers(table), LISTEN


STARTTLS: tuple[Step, ...] = (
    *("S: 220 mx", "C: EHLO ...", "S: 250-mx", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go", Tls()),
    Answers({**SMTP_ANSWERS, "EHLO": "250-mx\n250 AUTH PLAIN", "AUTH": "235 ok"}),
)
STLS: tuple[Step, ...] = (
    *("S: +OK", "C: CAPA", "S: +OK", "S: STLS", "S: .", "C: STLS", "S: +OK", Tls(), Answers(POP3_ANSWERS)),
)
CLEARTEXT: dict[str, Any] = {"auth": CREDENTIALS, "allow_cleartext_auth": True}


async def interrupted(
    script: tuple[Step, ...],
    settings: dict[str, Any],
    client_class: type[SMTPClient | POP3Client],
    flow: Callable[[Any], Awaitable[object]],
    count: int,
    interrupt: Interrupt,
    *,
    connected: bool = True,
    listen: bool = False,
) -> tuple[ScriptedPeer, Any, BaseException | None]:
    """Run `flow` with a client and interrupt it after so many turns; return what is left, and what came out of it."""
    skip_without_clock(interrupt)
    async with ScriptedPeer(*script, lenient=True, listen=listen, guard=None, optional=True) as peer:
        client = client_class(peer.endpoint(**settings))
        if connected:
            await client.connect()
        outcome = await end_interrupted(flow(client), client, count, interrupt)
        await check_clean_or_dead(client)
    return peer, client, outcome


async def check_clean_or_dead(client: SMTPClient | POP3Client) -> None:
    was_connected = client.is_connected
    try:
        # No reply that was left lying about answers this.
        if isinstance(client, SMTPClient):
            assert await client.execute(Noop()) == Reply(250, (b"noop",))
        else:
            assert (await client.execute(Pop3Noop())).text == "noop"
    except LocalProtocolError as error:
        assert str(error).startswith("the client is not connected")  # noqa: PT017
        # A retrieval that its consumer has left is ended by the next call.
        assert not was_connected or isinstance(client, POP3Client)
        assert not client.is_connected
    else:
        assert was_connected
    await client.quit()
    await turns(3)


async def at_every_turn(
    run: Callable[[int], Awaitable[tuple[ScriptedPeer, Any, BaseException | None]]], stride: int
) -> None:
    count = 0
    while (await run(count))[2] is not None:
        count += stride
        assert count < 2000
    assert count > 3
    gc.collect()  # a transport or socket that was left open would complain now


@INTERRUPTIONS
@pytest.mark.parametrize(
    ("script", "settings", "client_class"),
    [
        (smtp_script(), {}, SMTPClient),
        (smtp_script("AUTH PLAIN"), CLEARTEXT, SMTPClient),
        (STARTTLS, {"tls": "starttls", "auth": CREDENTIALS}, SMTPClient),
        ((Tls(), *smtp_script("AUTH PLAIN")), {"tls": "implicit", "auth": CREDENTIALS}, SMTPClient),
        (pop3_script(), {"protocol": "pop3", **CLEARTEXT}, POP3Client),
        (pop3_script("SASL PLAIN"), {"protocol": "pop3", **CLEARTEXT}, POP3Client),
        (STLS, {"protocol": "pop3", "tls": "starttls", "auth": CREDENTIALS}, POP3Client),
        ((Tls(), *pop3_script()), {"protocol": "pop3", "tls": "implicit", "auth": CREDENTIALS}, POP3Client),
    ],
    ids=["SMTP", "SMTP AUTH", "STARTTLS", "SMTP TLS", "POP3", "POP3 AUTH", "STLS", "POP3 TLS"],
)
async def test_connecting_leaves_a_client_connected_or_not(
    script: tuple[Step, ...],
    settings: dict[str, Any],
    client_class: type[SMTPClient | POP3Client],
    interrupt: Interrupt,
    stride: int,
) -> None:
    async def connect(client: SMTPClient | POP3Client) -> None:
        await client.connect()

    async def run(count: int) -> tuple[ScriptedPeer, Any, BaseException | None]:
        return await interrupted(script, settings, client_class, connect, count, interrupt, connected=False)

    await at_every_turn(run, stride)


@INTERRUPTIONS
@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_connecting_to_an_address_leaves_a_client_connected_or_not(
    tls: str, interrupt: Interrupt, stride: int
) -> None:
    async def connect(client: SMTPClient) -> None:
        await client.connect()

    async def run(count: int) -> tuple[ScriptedPeer, Any, BaseException | None]:
        script = (Tls(), *smtp_script()) if tls == "implicit" else smtp_script()
        return await interrupted(
            script, {"tls": tls}, SMTPClient, connect, count, interrupt, connected=False, listen=True
        )

    await at_every_turn(run, stride)


@INTERRUPTIONS
@pytest.mark.parametrize("message", [MESSAGE, LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    ("script", "settings"),
    [
        (smtp_script(), {}),
        (smtp_script("PIPELINING"), {}),
        ((Tls(), *smtp_script()), {"tls": "implicit"}),
        (smtp_script(RCPT="550 no"), {}),
        (smtp_script("PIPELINING", DATA="550 no"), {}),
    ],
    ids=["lockstep", "pipelined", "TLS", "recipients refused", "DATA refused"],
)
async def test_sending_leaves_the_right_word(
    script: tuple[Step, ...], settings: dict[str, Any], message: bytes, interrupt: Interrupt, stride: int
) -> None:
    async def send(client: SMTPClient) -> None:
        with contextlib.suppress(RecipientsRefused, DataRefused):
            await client.send(message, **ENVELOPE)

    async def run(count: int) -> tuple[ScriptedPeer, Any, BaseException | None]:
        left = await interrupted(script, settings, SMTPClient, send, count, interrupt)
        check_word(*left)
        return left

    await at_every_turn(run, stride)


def chunking_script(**answers: str) -> tuple[Step, ...]:
    return smtp_script("CHUNKING", "PIPELINING", **{"BDAT": "250 chunk", **answers})


def lmtp_script(*keywords: str) -> tuple[Step, ...]:
    hello = "\n".join(["250-mx", *(f"250-{keyword}" for keyword in keywords), "250 HELP"])
    answers = {**SMTP_ANSWERS, "LHLO": hello, "BDAT": "250 chunk", ".": "250 taken\n552 full"}
    return "S: 220 mx", Answers(answers), LISTEN


class Later:
    """A message that comes in blocks, each after a turn, and that is closed by whoever has begun to read it."""

    def __init__(self) -> None:
        self.is_open = False

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        self.is_open = True
        try:
            for start in range(0, len(LONG), 100_000):
                await asyncio.sleep(0)
                yield LONG[start : start + 100_000]
        finally:
            self.is_open = False


EAGER: dict[str, Any] = {"use_chunking": "eager"}
ABORT: dict[str, Any] = {"on_refused": "abort"}
ACCEPTED, REFUSED = Delivery.ACCEPTED, Delivery.REFUSED

# How a mail goes, and how many of the server's words decide about it, and what they come to.
WAYS: dict[str, tuple[tuple[Step, ...], dict[str, Any], bytes | Later, int, Delivery]] = {
    "a chunk": (chunking_script(), {}, MESSAGE, 1, ACCEPTED),
    "chunks": (chunking_script(), {}, LONG, 1, ACCEPTED),
    "a chunk refused": (chunking_script(BDAT="552 big", **{".": "503 no message"}), {}, LONG, 1, REFUSED),
    "eager": (chunking_script(), EAGER, MESSAGE, 1, ACCEPTED),
    "eager, long": (chunking_script(), EAGER, LONG, 1, ACCEPTED),
    "eager, in vain": (chunking_script(RCPT="550 no", **{".": "554 nobody"}), EAGER, MESSAGE, 2, REFUSED),
    "all or nobody": (smtp_script("PIPELINING"), ABORT, MESSAGE, 1, ACCEPTED),
    "all or nobody, in chunks": (chunking_script(), ABORT, MESSAGE, 1, ACCEPTED),
    "all or nobody, refused": (smtp_script("PIPELINING", RCPT="550 no"), ABORT, MESSAGE, 1, REFUSED),
    "from a source": (smtp_script("PIPELINING"), {}, Later(), 1, ACCEPTED),
    "from a source, in chunks": (chunking_script(), {}, Later(), 1, ACCEPTED),
    "from a source, refused": (smtp_script(DATA="550 no"), {}, Later(), 1, REFUSED),
    "lmtp": (lmtp_script("PIPELINING"), {}, MESSAGE, 2, ACCEPTED),
    "lmtp, in chunks": (lmtp_script("PIPELINING", "CHUNKING"), {}, LONG, 2, ACCEPTED),
}


@INTERRUPTIONS
@pytest.mark.parametrize("name", WAYS)
async def test_sending_in_any_way_leaves_the_right_word(name: str, interrupt: Interrupt, stride: int) -> None:
    script, arguments, message, due, word = WAYS[name]
    client_class, protocol = (LMTPClient, "lmtp") if name.startswith("lmtp") else (SMTPClient, "smtp")

    async def send(client: SMTPClient) -> None:
        with contextlib.suppress(RecipientsRefused, DataRefused):
            await client.send(message, **ENVELOPE, **arguments)

    async def run(count: int) -> tuple[ScriptedPeer, Any, BaseException | None]:
        left = await interrupted(script, {"protocol": protocol}, client_class, send, count, interrupt)
        check_decision(left[1], due, word)
        assert not (isinstance(message, Later) and message.is_open)
        return left

    await at_every_turn(run, stride)


def check_decision(client: SMTPClient, due: int, word: Delivery) -> None:
    """Compare what the client says became of the mail with what it has said and heard of it."""
    lines = [line for entry in client.transcript for line in entry.lines()]
    if client.last_receipt is None:
        assert not any(line.startswith("C: MAIL") for line in lines)
        return
    decisive = sum(line.startswith(("S: 250 taken", "S: 55")) for line in lines)
    has_ended = any(line == "C: ." or line.endswith(" LAST") for line in lines)
    expected = word if decisive >= due else Delivery.UNKNOWN if has_ended else Delivery.NOT_SENT
    assert client.last_receipt.delivery is expected, lines


def check_word(peer: ScriptedPeer, client: SMTPClient, outcome: BaseException | None) -> None:
    """Compare what the client says became of the mail with what the peer heard of it."""
    receipt = client.last_receipt
    heard_all = b"\r\n.\r\n" in peer.heard
    if receipt is None:
        assert b"MAIL" not in peer.heard
    elif not isinstance(outcome, (asyncio.CancelledError, DeadlineExceeded)):
        assert receipt.delivery is (Delivery.ACCEPTED if heard_all else Delivery.REFUSED)
    elif heard_all:
        # The verdict may have come, and the task that waits for it been ended before it could go on.
        is_told = any("S: 250 taken" in entry.lines() for entry in client.transcript)
        assert receipt.delivery is (Delivery.ACCEPTED if is_told else Delivery.UNKNOWN)
    elif receipt.delivery is not Delivery.REFUSED:
        # What the transport was given and could not get rid of yet is in doubt too.
        held_back = b"DATA" in peer.heard and len(peer.heard) > 100_000
        assert receipt.delivery is Delivery.NOT_SENT or (receipt.delivery is Delivery.UNKNOWN and held_back)
    else:
        # It was refused, and only the session was still to be put in order.
        assert b"RSET" in peer.heard


@INTERRUPTIONS
@pytest.mark.parametrize("keywords", [(), ("PIPELINING",)], ids=["lockstep", "pipelined"])
async def test_listing_leaves_the_client_clean_or_dead(
    keywords: tuple[str, ...], interrupt: Interrupt, stride: int
) -> None:
    async def listing(client: POP3Client) -> None:
        assert len(await client.listing()) == 2

    async def run(count: int) -> tuple[ScriptedPeer, Any, BaseException | None]:
        settings = {"protocol": "pop3", **CLEARTEXT}
        return await interrupted(pop3_script(*keywords), settings, POP3Client, listing, count, interrupt)

    await at_every_turn(run, stride)


@INTERRUPTIONS
async def test_looking_at_beginnings_leaves_the_client_clean_or_dead(interrupt: Interrupt, stride: int) -> None:
    async def look(client: POP3Client) -> None:
        entries = await client.listing()
        assert await client.preview(entries[0]) == b"first\r\n"
        assert [*await client.fingerprints(entries)] == list(entries)
        assert await client.preview(entries[1], limit=3) == b"fir"

    async def look_by_retrieving(client: POP3Client) -> None:
        assert await client.preview((await client.listing())[1]) == b"other\r\n"

    for flow, answers in ((look, {}), (look_by_retrieving, {"TOP": "-ERR no"})):

        async def run(count: int) -> tuple[ScriptedPeer, Any, BaseException | None]:
            script = pop3_script("PIPELINING", "TOP", **answers)  # noqa: B023
            settings = {"protocol": "pop3", **CLEARTEXT}
            return await interrupted(script, settings, POP3Client, flow, count, interrupt)  # noqa: B023

        await at_every_turn(run, stride)


@INTERRUPTIONS
@pytest.mark.parametrize("keywords", [(), ("PIPELINING",)], ids=["lockstep", "pipelined"])
@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_retrieving_leaves_the_client_clean_or_dead(
    keywords: tuple[str, ...], tls: str, interrupt: Interrupt, stride: int
) -> None:
    async def retrieve(client: POP3Client) -> None:
        found = []
        async for item in client.retrieve(await client.listing()):
            await asyncio.sleep(0)  # a consumer that does something of its own
            found.append(await item.read())
        assert found == [b"first\r\n", b"other\r\n"]

    async def run(count: int) -> tuple[ScriptedPeer, Any, BaseException | None]:
        script = pop3_script(*keywords)
        if tls == "implicit":
            script = (Tls(), *script)
        settings = {"protocol": "pop3", "tls": tls, **CLEARTEXT}
        return await interrupted(script, settings, POP3Client, retrieve, count, interrupt)

    await at_every_turn(run, stride)


@INTERRUPTIONS
@pytest.mark.parametrize("tls", ["none", "implicit"])
@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_quitting_leaves_nothing_connected(protocol: str, tls: str, interrupt: Interrupt, stride: int) -> None:
    async def quit_(client: SMTPClient | POP3Client) -> None:
        await client.quit()

    async def run(count: int) -> tuple[ScriptedPeer, Any, BaseException | None]:
        script = smtp_script("AUTH PLAIN") if protocol == "smtp" else pop3_script()
        if tls == "implicit":
            script = (Tls(), *script)
        settings = {"protocol": protocol, "tls": tls, **CLEARTEXT}
        client_class = SMTPClient if protocol == "smtp" else POP3Client
        left = await interrupted(script, settings, client_class, quit_, count, interrupt)
        assert not left[1].is_connected
        return left

    await at_every_turn(run, stride)


@INTERRUPTIONS
async def test_a_call_leaves_those_that_wait_behind_it_in_order(interrupt: Interrupt, stride: int) -> None:
    async def run(count: int) -> tuple[ScriptedPeer, Any, BaseException | None]:
        async with ScriptedPeer(*smtp_script(), lenient=True, guard=None) as peer:
            client = SMTPClient(peer.endpoint())
            await client.connect()
            first = asyncio.create_task(client.send(MESSAGE, **ENVELOPE))
            second = asyncio.create_task(client.execute(Noop()))
            await turns(count)
            finished = first.done()
            if not finished:
                await interrupt(first, client)
            await asyncio.wait([first, second])
            if second.exception() is None:
                assert second.result() == Reply(250, (b"noop",))
            else:
                assert isinstance(second.exception(), (LocalProtocolError, DeadlineExceeded))
            outcome = asyncio.CancelledError() if first.cancelled() else first.exception()
            await check_clean_or_dead(client)
        return peer, client, None if finished else (outcome or asyncio.InvalidStateError("it was finished in time"))

    await at_every_turn(run, stride)
