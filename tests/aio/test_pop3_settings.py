"""What a client can be told about its server."""

import asyncio
import re
from typing import Any

import pytest

from mailwire import AuthenticationFailed, Desynchronised, LimitExceeded, NotSupported, POP3Settings, ResponseError
from mailwire.pop3 import Last, Limits, Quirks
from mailwire.testing import LISTEN, Answers, ScriptedPeer, Step
from tests.aio.dialogues import (
    LISTED,
    LISTED_TOGETHER,
    LOGIN,
    OPENED,
    PIPELINED,
    POP3_ANSWERS,
    POP3_QUIT,
    TWO_MESSAGES,
    announced,
    capabilities,
)
from tests.aio.pop3_clients import ONE, TWO, client_for, connect, everything
from tests.clock import Clock


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"keep_alive": 0}, "expected keep_alive to be more than 0, got 0"),
        ({"keep_alive": float("nan")}, "expected keep_alive to be more than 0, got nan"),
        ({"login_pause_limit": -0.5}, "expected login_pause_limit to be 0 at least, got -0.5"),
        ({"login_pause_limit": float("nan")}, "expected login_pause_limit to be 0 at least, got nan"),
        ({"probes": ["TOP", 42]}, "expected a command in probes to be text, got 42 (int)"),
        ({"keep_alive": "30"}, "expected keep_alive to be a number or None, got '30' (str)"),
        ({"login_pause_limit": None}, "expected login_pause_limit to be a number, got None (NoneType)"),
        ({"drain": 42}, "expected drain to be a Budget, got 42 (int)"),
        ({"window": 42}, "expected window to be a Window, got 42 (int)"),
        ({"limits": None}, "expected limits to be Limits, got None (NoneType)"),
        ({"asks_capabilities": "no"}, "expected asks_capabilities to be True or False, got 'no' (str)"),
        ({"probes": 42}, "expected probes to be a collection of commands or None, got 42 (int)"),
        ({"quirks": "plus_err"}, "expected quirks to be Quirks, got 'plus_err' (str)"),
        ({"utf8": None}, "expected utf8 to be True or False, got None (NoneType)"),
        ({"language": b"de"}, "expected language to be text or None, got b'de' (bytes)"),
        ({"resets_before_quit": 1}, "expected resets_before_quit to be True or False, got 1 (int)"),
        ({"initial_response": 0}, "expected initial_response to be True, False or None, got 0 (int)"),
        ({"probes": "TOP"}, "probes are a collection; one command alone is [command]"),
    ],
)
def test_what_is_no_setting_is_told(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(fault)}$"):
        POP3Settings(**settings)


@pytest.mark.parametrize(("name", "value"), [("keep_alive", 0.5), ("keep_alive", None), ("login_pause_limit", 0)])
def test_the_least_of_what_may_be_set_is_a_setting(name: str, value: float | None) -> None:
    settings: dict[str, Any] = {name: value}
    assert getattr(POP3Settings(**settings), name) == value


@pytest.mark.parametrize("language", ["", "d\u00e4nisch", "de DE", "de\r\nQUIT"])
def test_a_language_is_a_tag(language: str) -> None:
    with pytest.raises(ValueError, match="expected a language tag"):
        POP3Settings(language=language)


async def test_how_long_a_listing_may_be_can_be_set() -> None:
    settings = POP3Settings(limits=Limits(listing_lines=1))
    async with ScriptedPeer(*OPENED, "C: LIST", "S: +OK", "S: 1 7", "S: 2 7", "S: .", LISTEN) as peer:
        client = await connect(peer, settings=settings)
        with pytest.raises(LimitExceeded):
            await client.list()


# Quirks

FORGIVEN = [
    (Quirks(second_status=True), ("C: RETR 1", "S: +OK", "S: +OK 1 octets", "S: first", "S: .")),
    (Quirks(blank_lines=True), ("C: RETR 1", "S: ", "S: +OK", "S: first", "S: .")),
    (Quirks(cut_terminator=True), ("C: RETR 1", "S: +OK", b"first\r\n.\r")),
    (Quirks(bare_lf_bodies=True), ("C: RETR 1", "S: +OK", b"first\n.\n")),
]


@pytest.mark.parametrize(("quirks", "said"), FORGIVEN)
async def test_what_a_server_is_forgiven_is_a_setting(quirks: Quirks, said: tuple[Step, ...]) -> None:
    # With bare line ends in messages, listings have them, too.
    ends = b"\n" if quirks.bare_lf_bodies else b"\r\n"
    listed: tuple[Step, ...] = (
        *("C: STAT", "S: +OK 1 7", "C: LIST", b"+OK\r\n" + ends.join([b"1 7", b".", b""])),
        *("C: UIDL", b"+OK\r\n" + ends.join([b"1 u1", b".", b""])),
    )
    async with ScriptedPeer(*OPENED, *listed, *said, *POP3_QUIT) as peer:
        client = await connect(peer, settings=POP3Settings(quirks=quirks))
        first = b"first\n" if quirks.bare_lf_bodies else b"first\r\n"
        assert await everything(client.retrieve(await client.listing())) == [first]
        await client.quit()


async def test_a_wrong_word_at_the_login_is_forgiven() -> None:
    async with ScriptedPeer(*OPENED[:-1], "S: +ERR what") as peer:
        with pytest.raises(AuthenticationFailed, match="-ERR what"):
            await connect(peer, settings=POP3Settings(quirks=Quirks(plus_err=True)))


async def test_what_needs_lockstep_is_asked_one_by_one() -> None:
    script: tuple[Step, ...] = (
        *(*capabilities("PIPELINING", "USER", "UIDL"), *LOGIN, *announced("PIPELINING", "USER", "UIDL"), *LISTED),
        *("C: DELE 1", "S: ", "S: +OK", "C: DELE 2", "S: ", "S: +OK", *POP3_QUIT),
    )
    async with ScriptedPeer(*script) as peer:
        client = await connect(peer, settings=POP3Settings(quirks=Quirks(blank_lines=True)))
        report = await client.delete([ONE, TWO])
        assert report.marked == (ONE, TWO)
        assert (await client.commit()).committed == (ONE, TWO)


@pytest.mark.parametrize("opened", [(*OPENED, *LISTED), (*PIPELINED, *LISTED_TOGETHER)])
async def test_a_blank_answer_to_dele_leaves_what_was_marked_unknown(opened: tuple[Step, ...]) -> None:
    marked: tuple[Step, ...] = ("C: DELE 1", "S: +OK", "C: DELE 2", "S: ")
    async with ScriptedPeer(*opened, *marked) as peer:
        client = await connect(peer)
        await client.delete(ONE)
        with pytest.raises(Desynchronised, match="blank_lines"):
            await client.delete(TWO)
        assert not client.is_connected
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE, TWO)
        assert isinstance(client.last_commit.error, Desynchronised)


async def test_a_blank_answer_that_was_the_whole_answer_ends_at_the_deadline() -> None:
    clock = Clock()
    script: tuple[Step, ...] = (*OPENED, *LISTED, "C: DELE 1", "S: ")
    async with ScriptedPeer(*script, guard=None) as peer:
        client = await connect(peer, settings=POP3Settings(quirks=Quirks(blank_lines=True), keep_alive=None))
        deleting = asyncio.create_task(client.delete(ONE))
        await clock.advance(61)
        with pytest.raises(TimeoutError, match="the answer to DELE 1"):
            await deleting
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE,)


# RSET before QUIT


@pytest.mark.parametrize("answer", ["S: +OK", "S: -ERR what"])
async def test_rset_is_said_before_quit_where_nothing_is_marked(answer: str) -> None:
    script: tuple[Step, ...] = (*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: RSET", answer, *POP3_QUIT)
    async with ScriptedPeer(*script) as peer:
        client = await connect(peer, settings=POP3Settings(resets_before_quit=True))
        assert await everything(client.retrieve([ONE])) == [b"first\r\n"]
        await client.quit()


async def test_rset_is_not_said_where_anything_is_marked_or_nobody_is_logged_in() -> None:
    resetting = POP3Settings(resets_before_quit=True)
    async with ScriptedPeer(*OPENED, *LISTED, "C: DELE 1", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer, settings=resetting)
        await client.delete(ONE)
        assert (await client.commit()).committed == (ONE,)
    async with ScriptedPeer(*OPENED[:3], *POP3_QUIT) as peer, client_for(peer, auth=None, settings=resetting):
        pass


# Commands that few servers know


async def test_the_last_message_that_was_accessed_is_asked_for_where_the_caller_asks() -> None:
    async with ScriptedPeer(*OPENED, "C: LAST", "S: +OK 2", "C: LAST", "S: -ERR what", *POP3_QUIT) as peer:
        client = await connect(peer)
        assert await client.last() == 2
        with pytest.raises(ResponseError, match="LAST was refused"):
            await client.execute(Last())
        await client.quit()


PROBING = POP3Settings(probes=["UIDL", "LAST"])


@pytest.mark.parametrize(
    ("settings", "opened", "asked", "last"),
    [
        # Without CAPA, and with one that does not announce UIDL, which is said all the same, or not.
        (PROBING, OPENED, ("C: UIDL", "S: -ERR what", "C: LAST", "S: +OK 1"), 1),
        (PROBING, OPENED, ("C: UIDL", "S: -ERR what", "C: LAST", "S: -ERR what"), None),
        (PROBING, OPENED, ("C: UIDL", "S: -ERR what", "C: LAST", "S: +OK none"), None),
        (PROBING, OPENED, ("C: UIDL", "S: -ERR what", "C: LAST", "S: -ERR 2"), None),
        (POP3Settings(probes=["LAST"]), OPENED, ("C: LAST", "S: +OK 0"), 0),
        (PROBING, OPENED, LISTED[7:], None),  # there is UIDL: there is no need
        (POP3Settings(), OPENED, ("C: UIDL", "S: -ERR what"), None),  # nobody has told us to
        (POP3Settings(), (*capabilities("LAST"), *LOGIN, *announced("LAST")), ("C: LAST", "S: +OK 2"), 2),
    ],
)
async def test_last_is_asked_for_in_place_of_uidl_where_that_is_wanted_or_announced(
    settings: POP3Settings, opened: tuple[Step, ...], asked: tuple[Step, ...], last: int | None
) -> None:
    async with ScriptedPeer(*opened, *LISTED[:7], *asked, *POP3_QUIT) as peer:
        client = await connect(peer, settings=settings)
        listing = await client.listing()
        assert len(listing) == 2
        assert listing.last_accessed == last
        await client.quit()


async def test_languages_are_asked_for_where_they_are_announced() -> None:
    languages = "+OK\nen English\nde Deutsch\n."
    answers = {**POP3_ANSWERS, "CAPA": "+OK\nUSER\nLANG\n.", "LANG": languages, "LANG de": "+OK de Deutsch"}
    async with ScriptedPeer("S: +OK pop", Answers(answers)) as peer:
        client = await connect(peer)
        assert await client.lang() == {"en": "English", "de": "Deutsch"}
        assert await client.lang("de") == {"de": "Deutsch"}
        await client.quit()
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer:
        client = await connect(peer)
        with pytest.raises(NotSupported, match="LANG"):
            await client.lang()
        await client.quit()
