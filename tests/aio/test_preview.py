from collections.abc import Mapping

import pytest

from mailwire import NotSupported, POP3Settings, ResponseError
from mailwire.testing import Answers, ScriptedPeer, Step
from tests.aio.dialogues import LISTED, LOGIN, OPENED, POP3_ANSWERS, TWO_MESSAGES, announced, capabilities
from tests.aio.pop3_clients import ONE, connect

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


async def test_the_preview_of_a_message_in_a_listing_of_the_session_asks_for_none() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, "C: TOP 1 0", "S: +OK", "S: first", "S: .", "C: QUIT", "S: +OK") as peer:
        client = await connect(peer)
        entries = await client.listing()
        assert await client.preview(entries[0]) == b"first\r\n"
        await client.quit()


def test_probes_are_not_one_text() -> None:
    with pytest.raises(ValueError, match="probes are a collection"):
        POP3Settings(probes="TOP")
