import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from mailwire import (
    AuthenticationFailed,
    Budget,
    ConnectionLost,
    Entry,
    LocalProtocolError,
    NotSupported,
    POP3Client,
    POP3Settings,
    ResponseError,
    UnknownMessage,
)
from mailwire.aio.preview import Beginning
from mailwire.pop3 import Dele, Fingerprint
from mailwire.testing import STALL, Answers, Endless, ScriptedPeer, Step
from tests.aio.dialogues import (
    CANARY,
    LISTED,
    LISTED_TOGETHER,
    LOGIN,
    OPENED,
    PIPELINED,
    POP3_ANSWERS,
    POP3_QUIT,
    POP3_READY,
    TWO_MESSAGES,
    announced,
    capabilities,
    once,
)
from tests.aio.pop3_clients import ONE, TWO, client_for, connect
from tests.aio.test_replay import client_of
from tests.clock import Clock

MAIL = "+OK\nSubject: x\n\none\n..two\nthree\n."


def answers(**others: str) -> Mapping[str, str]:
    return {**POP3_ANSWERS, **{name.replace("_", " "): text for name, text in others.items()}}


async def test_the_top_of_a_message_is_what_the_server_gives() -> None:
    async with ScriptedPeer("S: +OK pop", Answers(answers(TOP="+OK\nSubject: x\n\none\n."))) as peer:
        client = await connect(peer)
        assert await client.top(ONE, 1) == b"Subject: x\r\n\r\none\r\n"
        assert "TOP 1 1" in peer.commands
        await client.quit()


async def test_of_a_top_no_more_is_read_than_allowed() -> None:
    async with ScriptedPeer("S: +OK pop", Answers(answers(TOP=MAIL))) as peer:
        client = await connect(peer)
        assert await client.top(ONE, limit=9) == b"Subject: "
        await client.quit()


@pytest.mark.parametrize(
    ("message", "lines", "preview"),
    [
        (MAIL, 0, b"Subject: x\r\n\r\n"),
        (MAIL, 2, b"Subject: x\r\n\r\none\r\n.two\r\n"),
        (MAIL, 9, b"Subject: x\r\n\r\none\r\n.two\r\nthree\r\n"),
        ("+OK\nfirst\n.", 0, b"first\r\n"),
        ("+OK\n\nno header\n.", 0, b"\r\n"),
        ("+OK\n.", 0, b""),
    ],
)
async def test_where_top_is_refused_the_message_is_retrieved(message: str, lines: int, preview: bytes) -> None:
    async with ScriptedPeer("S: +OK pop", Answers(answers(TOP="-ERR no", RETR_1=message))) as peer:
        client = await connect(peer)
        with pytest.raises(ResponseError):
            await client.top(ONE, lines)
        assert await client.preview(ONE, lines) == preview
        await client.quit()


async def test_where_top_is_not_announced_it_is_not_said() -> None:
    script: tuple[Step, ...] = (*capabilities("USER", "UIDL"), *LOGIN, *announced("USER", "UIDL"), *LISTED)
    async with ScriptedPeer(*script, *TWO_MESSAGES[:4], "C: QUIT", "S: +OK") as peer:
        client = await connect(peer)
        with pytest.raises(NotSupported, match="TOP"):
            await client.top(ONE)
        assert await client.preview(ONE) == b"first\r\n"
        await client.quit()


async def test_what_the_retrieving_is_refused_for_is_told() -> None:
    async with ScriptedPeer("S: +OK pop", Answers(answers(TOP="-ERR no", RETR_1="-ERR gone"))) as peer:
        client = await connect(peer)
        with pytest.raises(ResponseError, match="gone"):
            await client.preview(ONE)
        await client.quit()


@pytest.mark.parametrize("login", ["-ERR no", "+OK"])
async def test_only_a_refusal_of_top_itself_leads_to_retr(login: str) -> None:
    refusing = answers(LIST="-ERR no list", UIDL="-ERR no list", PASS=login)
    async with ScriptedPeer("S: +OK pop", Answers(refusing), lenient=True) as peer:
        client = client_for(peer)
        with pytest.raises((ResponseError, AuthenticationFailed)):
            async with client:
                await client.preview(ONE)
        assert peer.commands.count("RETR 1") == peer.commands.count("TOP 1 0") == 0
        assert peer.commands.count("LIST") == (login == "+OK")


async def test_a_message_that_is_not_there_has_no_preview() -> None:
    async with ScriptedPeer("S: +OK pop", Answers(POP3_ANSWERS)) as peer:
        client = await connect(peer)
        for preview in (client.preview, client.top):
            with pytest.raises(UnknownMessage):
                await preview("u9")
        await client.quit()


async def test_the_preview_of_a_message_in_a_listing_of_the_session_asks_for_none() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: TOP 1 0", "S: +OK", "S: first", "S: .", "C: QUIT", "S: +OK") as peer:
        client = await connect(peer)
        entries = await client.listing()
        assert await client.preview(entries[0]) == b"first\r\n"
        await client.quit()


@pytest.mark.parametrize(
    ("message", "lines", "preview"),
    [
        (b"a: b\r\n\r\none\r\ntwo\r\n", 1, b"a: b\r\n\r\none\r\n"),
        (b"a: b\n\none\ntwo\n", 0, b"a: b\n\n"),
        (b"a: b\n\none\ntwo\n", 1, b"a: b\n\none\n"),
        (b"\nbody\n", 0, b"\n"),
        (b"\r\nbody\r\n", 1, b"\r\nbody\r\n"),
        (b"a: b\r\n\r\n\r\n\r\nc\r\n", 2, b"a: b\r\n\r\n\r\n\r\n"),
        (b"a: b\r\nc: d\r\n", 3, b"a: b\r\nc: d\r\n"),
        (b"a: " + b"b" * 40 + b"\r\n\r\n", 0, b"a: " + b"b" * 27),
    ],
)
def test_a_preview_ends_where_it_should_however_the_message_comes(message: bytes, lines: int, preview: bytes) -> None:
    for size in range(1, len(message) + 1):
        beginning = Beginning(lines, 30)
        pieces = [message[place : place + size] for place in range(0, len(message), size)]
        is_enough = [beginning.add(piece) for piece in pieces]
        assert beginning.octets == preview
        # It is as soon as it can be.
        assert is_enough == sorted(is_enough)
        assert is_enough.count(False) == (len(preview) - 1) // size or not any(is_enough)


@pytest.mark.parametrize(
    ("lines", "limit", "told"),
    [
        (-1, 1, "lines to be 0 at least, got -1"),
        (0, -1, "limit to be 0 at least, got -1"),
        ("1", 1, "lines to be a whole number, got '1' (str)"),
        (0, None, "limit to be a whole number, got None (NoneType)"),
    ],
)
async def test_what_is_no_size_of_a_preview_is_told_before_anything_is_asked(lines: Any, limit: Any, told: str) -> None:
    async with ScriptedPeer(*OPENED, "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        for look in (client.top, client.preview):
            with pytest.raises(ValueError) as caught:
                await look("u1", lines, limit=limit)
            assert str(caught.value) == f"expected {told}"
        await client.noop()
        await client.quit()


async def test_nothing_of_a_message_is_a_preview_as_well() -> None:
    async with ScriptedPeer("S: +OK pop", Answers(answers())) as peer:
        client = await connect(peer)
        assert await client.top(ONE, 0, limit=0) == b""
        await client.quit()


# What is left of a message


def listed_with(size: int, uid: str = "u1") -> tuple[Step, ...]:
    """The listing of two messages, the first of which has this size and this unique id."""
    sizes, uids = (f"S: 1 {size}", "S: 2 7", "S: ."), (f"S: 1 {uid}", "S: 2 u2", "S: .")
    return ("C: STAT", "S: -ERR no", "C: LIST", "S: +OK", *sizes, "C: UIDL", "S: +OK", *uids)


HEADER: tuple[Step, ...] = ("S: +OK", "S: Subject: x", "S: ")
ENDLESS: tuple[Step, ...] = (*HEADER, Endless(b"0123456789abcdef\r\n"))
MARKED: tuple[Step, ...] = ("C: DELE 2", "S: +OK")
SMALL = POP3Settings(drain=Budget(200_000, 5))
BEGINNING = b"Subject: x\r\n\r\n"


@pytest.mark.parametrize("size", [7, 6_000_000])
@pytest.mark.parametrize("asked", [("C: TOP 1 0",), ("C: TOP 1 0", "S: -ERR no", "C: RETR 1")], ids=["TOP", "RETR"])
async def test_behind_a_preview_of_a_message_that_is_too_long_to_be_read_another_connection_is_gone_on_with(
    size: int, asked: tuple[Step, ...]
) -> None:
    # What was marked is marked there, by the number that it has there.
    marked_again = ("C: DELE 1", "S: +OK", "C: STAT", "S: +OK 1 7", *POP3_QUIT)
    there = ("C: STAT", "S: +OK 1 7", "C: LIST", "S: +OK", "S: 1 7", "S: .", "C: UIDL", "S: +OK", "S: 1 u2", "S: .")
    async with (
        ScriptedPeer(*OPENED, *listed_with(size), *MARKED, *asked, *ENDLESS) as first,
        ScriptedPeer(*OPENED, *there, *marked_again) as second,
    ):
        client = client_of(first, second, settings=SMALL)
        await client.connect()
        one, two = await client.listing()
        await client.delete(two)
        assert await client.preview(one) == BEGINNING
        assert (await client.stat()).count == 1
        report = await client.commit()
        assert report.committed == (Entry(1, "u2", 7),)
        assert first.sent < 3_000_000


async def test_what_is_left_of_a_previewed_message_is_read_within_the_budget() -> None:
    rest = (b"0123456789abcdef\r\n" * 10_000, b".\r\n")
    async with ScriptedPeer(*OPENED, *LISTED, "C: TOP 1 0", *HEADER, *rest, "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer, settings=SMALL)
        assert await client.top("u1") == BEGINNING
        await client.noop()
        await client.quit()


async def test_a_previewed_message_of_which_the_end_does_not_come_is_not_waited_for() -> None:
    clock = Clock()
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: TOP 1 0", *HEADER, STALL, guard=None) as first,
        ScriptedPeer(*OPENED, *LISTED, *POP3_QUIT, guard=None) as second,
    ):
        client = client_of(first, second, settings=SMALL)
        await client.connect()
        looking = asyncio.create_task(client.top("u1"))
        await clock.advance(5)
        assert await looking == BEGINNING
        await client.quit()


LOGIN_DELAY = (*capabilities("USER", "UIDL"), *LOGIN, *announced("USER", "UIDL", "TOP", "LOGIN-DELAY 901"))


@pytest.mark.parametrize(
    "begun",
    [
        # The message could not be named again, nor the one that is marked, nor can there be another login before long.
        (*OPENED, *listed_with(7, "u2"), "C: TOP 1 0"),
        (*OPENED, *LISTED[:8], "S: -ERR no", "C: TOP 1 0"),
        (*OPENED, *LISTED, "C: DELE 3", "S: +OK", "C: TOP 1 0"),
        (*LOGIN_DELAY, *LISTED, "C: TOP 1 0"),
    ],
    ids=["shared", "no unique ids", "marked by its number", "LOGIN-DELAY"],
)
async def test_where_no_other_connection_would_do_what_is_left_of_a_previewed_message_ends_this_one(
    begun: tuple[Step, ...],
) -> None:
    async with ScriptedPeer(*begun, *ENDLESS) as peer:
        client = await connect(peer, settings=SMALL)
        listing = await client.listing()
        if "C: DELE 3" in begun:
            await client.execute(Dele(3))
        assert await client.top(listing[0]) == BEGINNING
        with pytest.raises(ConnectionLost, match="more than 200000 octets"):
            await client.noop()


REFUSED: tuple[Step, ...] = (*POP3_READY, "C: USER bob", "S: +OK", f"C: PASS {CANARY}", "S: -ERR [SYS/TEMP] later")


@pytest.mark.parametrize("again", [[], REFUSED], ids=["nobody is there", "refused"])
@pytest.mark.parametrize("call", [POP3Client.noop, POP3Client.commit, POP3Client.listing])
async def test_where_there_is_no_other_connection_behind_a_preview_the_next_call_is_told(
    again: tuple[Step, ...], call: Callable[[POP3Client], Awaitable[object]]
) -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: TOP 1 0", *ENDLESS) as first,
        ScriptedPeer(*again, optional=not again) as second,
    ):
        client = client_of(first, second, settings=SMALL)
        if not again:
            client = client_for(first, connect=once(first), settings=SMALL)
        await client.connect()
        assert await client.top("u1") == BEGINNING
        assert not client.is_connected
        error, told = (ResponseError, "later") if again else (ConnectionLost, "more than 200000 octets")
        with pytest.raises(error, match=told):
            await call(client)
        with pytest.raises(LocalProtocolError, match="not connected"):
            await call(client)
        await client.quit()


async def quit_it(client: POP3Client) -> None:
    await client.quit()


async def abort_it(client: POP3Client) -> None:
    client.abort()


async def leave_by_an_error(client: POP3Client) -> None:
    await client.__aexit__(KeyError, KeyError("x"), None)


@pytest.mark.parametrize("leave", [quit_it, abort_it, leave_by_an_error])
async def test_why_there_was_no_other_connection_is_no_news_behind_the_end(
    leave: Callable[[POP3Client], Awaitable[None]],
) -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: TOP 1 0", *ENDLESS) as peer:
        client = client_for(peer, connect=once(peer), settings=SMALL)
        await client.connect()
        assert await client.top("u1") == BEGINNING
        await leave(client)
        with pytest.raises(LocalProtocolError, match="not connected"):
            await client.noop()


async def test_why_there_was_no_other_connection_is_no_news_where_there_is_one() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: TOP 1 0", *ENDLESS) as first,
        ScriptedPeer(*REFUSED) as second,
        ScriptedPeer(*OPENED, "C: NOOP", "S: +OK") as third,
    ):
        client = client_of(first, second, third, settings=SMALL)
        await client.connect()
        assert await client.top("u1") == BEGINNING
        await client.connect()
        await client.noop()
        client.abort()
        with pytest.raises(LocalProtocolError, match="not connected"):
            await client.noop()


async def test_where_there_is_no_other_connection_for_what_is_marked_the_preview_says_so() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *MARKED, "C: TOP 1 0", *ENDLESS) as first,
        ScriptedPeer(*REFUSED) as second,
    ):
        client = client_of(first, second, settings=SMALL)
        await client.connect()
        _, two = await client.listing()
        await client.delete(two)
        with pytest.raises(ResponseError, match="later"):
            await client.top("u1")
        assert client.last_commit is not None
        assert client.last_commit.unknown == (TWO,)
        with pytest.raises(LocalProtocolError, match="not connected"):
            await client.noop()


# Fingerprints


def fingerprint(header: bytes) -> str:
    made = Fingerprint()
    made.feed(header)
    return made.digest()


async def test_a_message_without_a_unique_id_is_known_by_its_header() -> None:
    heads = answers(UIDL="-ERR no", TOP_1_0="+OK\nSubject: x\n\n.", TOP_2_0="+OK\nSubject: y\n\nand a body\n.")
    async with ScriptedPeer("S: +OK pop", Answers(heads)) as peer:
        client = await connect(peer)
        listing = await client.listing()
        assert await client.fingerprints(listing) == {
            Entry(1, None, 7): fingerprint(b"Subject: x\r\n"),
            Entry(2, None, 7): fingerprint(b"Subject: y\r\n"),
        }
        await client.quit()


async def test_fingerprints_are_asked_for_in_one_flight_where_the_server_pipelines() -> None:
    told: tuple[Step, ...] = ("S: -ERR gone", "S: +OK", "S: a: b", "S: .", "S: +OK", "S: ", "S: no header", "S: .")
    asked: tuple[Step, ...] = ("C: TOP 1 0", "C: TOP 2 0", "C: TOP 3 0")
    async with ScriptedPeer(*PIPELINED, *LISTED_TOGETHER, *asked, *told, *POP3_QUIT) as peer:
        client = await connect(peer)
        # The first is refused, the third has no header, and one is not there.
        assert await client.fingerprints([ONE, TWO, "u9", "u3"]) == {TWO: fingerprint(b"a: b\r\n")}
        await client.quit()


async def test_of_a_message_that_top_gives_without_end_no_more_than_the_header_makes_its_fingerprint() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, "C: TOP 1 0", *ENDLESS) as first,
        ScriptedPeer(*OPENED, *LISTED, "C: TOP 2 0", "S: +OK", "S: a: b", "S: .", *POP3_QUIT) as second,
    ):
        client = client_of(first, second, settings=SMALL)
        await client.connect()
        assert await client.fingerprints(await client.listing()) == {
            ONE: fingerprint(b"Subject: x\r\n"),
            TWO: fingerprint(b"a: b\r\n"),
        }
        assert first.sent < 3_000_000
        await client.quit()


async def test_a_whole_message_that_top_gives_is_passed_over_where_no_other_connection_would_do() -> None:
    nameless = (*listed_with(300_000)[:8], "S: -ERR no")
    whole = (*HEADER, b"0123456789abcdef\r\n" * 16_000, b".\r\n")
    async with ScriptedPeer(
        *(*OPENED, *nameless, "C: TOP 1 0", *whole, "C: TOP 2 0", "S: +OK", "S: a: b", "S: .", *POP3_QUIT)
    ) as peer:
        client = await connect(peer, settings=POP3Settings(drain=Budget(1000, 5)))
        assert await client.fingerprints(await client.listing()) == {
            Entry(1, None, 300_000): fingerprint(b"Subject: x\r\n"),
            Entry(2, None, 7): fingerprint(b"a: b\r\n"),
        }
        await client.quit()


async def test_without_top_there_are_no_fingerprints() -> None:
    script: tuple[Step, ...] = (*capabilities("USER", "UIDL"), *LOGIN, *announced("USER", "UIDL"), *POP3_QUIT)
    async with ScriptedPeer(*script) as peer:
        client = await connect(peer)
        with pytest.raises(NotSupported, match="TOP"):
            await client.fingerprints([ONE])
        await client.quit()
