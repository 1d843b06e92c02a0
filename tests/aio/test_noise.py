"""Servers that say whatever they like: what comes out is a result or an error of our tree, and it does come out."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import mailwire
from mailwire import Delivery, MailwireError
from mailwire.testing import FIN, LISTEN, NO_READING, PACKET, ScriptedPeer, Step
from tests.aio.dialogues import CREDENTIALS, MESSAGE, once
from tests.aio.test_cuts import POP3, SMTP, Session, spoken, word_for
from tests.model_settings import property_settings

# Long enough for a client to answer before the next words come.
PAUSE: tuple[Step, ...] = (PACKET,) * 5

ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": "b@example.org"}

_text = st.binary(max_size=12)
_line_end = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""])
_code = st.sampled_from([b"220", b"250", b"250", b"354", b"334", b"235", b"221", b"421", b"452", b"550", b"999", b"25"])
_keyword = st.sampled_from(
    [b"PIPELINING", b"STARTTLS", b"AUTH PLAIN LOGIN", b"SIZE 10", b"8BITMIME", b"SMTPUTF8", b"AUTH=", b"SIZE"]
)
_reply = st.one_of(
    st.builds(lambda code, text, end: code + b" " + text + end, _code, _text, _line_end),
    st.builds(
        lambda code, word, end: code + b"-" + word + b"\r\n" + code + b" " + word + end, _code, _keyword, _line_end
    ),
    st.sampled_from([b"220 mx\r\n", b"250 ok\r\n", b"354 go\r\n", b"250-mx\r\n250-PIPELINING\r\n250 AUTH LOGIN\r\n"]),
)
_status = st.sampled_from([b"+OK", b"+OK", b"+OK", b"-ERR", b"+", b"+OKAY", b""])
_entries = st.lists(
    st.sampled_from(
        [b"1 7", b"2 7", b"1 u1", b"2 u2", b"0 1", b"3", b"..", b"PIPELINING", b"SASL PLAIN", b"STLS", b"x"]
    ),
    max_size=4,
)
_answer = st.one_of(
    st.builds(lambda status, text, end: status + b" " + text + end, _status, _text, _line_end),
    st.builds(lambda status, entries, end: b"\r\n".join([status, *entries, b"."]) + end, _status, _entries, _line_end),
    st.sampled_from([b"+OK\r\n", b"-ERR\r\n", b"+OK\r\n1 7\r\n.\r\n", b"+OK\r\n1 u1\r\n.\r\n", b"+ \r\n", b".\r\n"]),
)
_settings = st.sampled_from(
    [
        {"tls": "none"},
        {"tls": "none", "pipelining": False},
        {"tls": "none", "auth": CREDENTIALS, "allow_cleartext_auth": True},
        {"tls": "starttls", "auth": CREDENTIALS},
        {"tls": "implicit"},
    ]
)


def saying(words: list[bytes]) -> tuple[Step, ...]:
    return (NO_READING, *(step for word in words for step in (word, *PAUSE)), FIN)


def send_to(script: tuple[Step, ...], **settings: Any) -> MailwireError | mailwire.Receipt:
    async def run() -> MailwireError | mailwire.Receipt:
        async with ScriptedPeer(*script, lenient=True) as peer:
            try:
                return await mailwire.send(MESSAGE, peer.endpoint(connect=once(peer), **settings), **ENVELOPE)
            except MailwireError as error:
                return error

    return asyncio.run(run())


def retrieve_from(script: tuple[Step, ...], **settings: Any) -> MailwireError | list[mailwire.RetrievedMessage]:
    async def run() -> MailwireError | list[mailwire.RetrievedMessage]:
        async with ScriptedPeer(*script, lenient=True) as peer:
            endpoint = peer.endpoint(protocol="pop3", **settings).replace(connect=once(peer))
            try:
                return await mailwire.retrieve(endpoint, max_octets=100)
            except MailwireError as error:
                return error

    return asyncio.run(run())


@property_settings(100)
@given(st.lists(st.one_of(_reply, st.binary(max_size=40)), max_size=10), _settings)
def test_whatever_an_smtp_server_says_ends_in_our_tree(words: list[bytes], chosen: dict[str, Any]) -> None:
    outcome = send_to(saying(words), **chosen)
    assert outcome.delivery is not None
    if isinstance(outcome, mailwire.Receipt):
        assert outcome.delivery is Delivery.ACCEPTED
        assert any(b"250" in word for word in words)


@property_settings(100)
@given(st.lists(st.one_of(_answer, st.binary(max_size=40)), max_size=12), _settings)
def test_whatever_a_pop3_server_says_ends_in_our_tree(words: list[bytes], chosen: dict[str, Any]) -> None:
    outcome = retrieve_from(saying(words), **chosen)
    assert isinstance(outcome, (MailwireError, list))


@st.composite
def _turn_of(draw: st.DrawFn, sessions: dict[str, Session]) -> tuple[Session, int]:
    session = sessions[draw(st.sampled_from(sorted(sessions)))]
    return session, draw(st.sampled_from(sorted(session.turns)))


@property_settings(100)
@given(_turn_of(SMTP), st.lists(st.one_of(_reply, st.binary(max_size=40)), max_size=4))
def test_an_smtp_server_that_loses_its_mind_ends_in_our_tree(turn: tuple[Session, int], words: list[bytes]) -> None:
    session, place = turn
    said = tuple(step for word in words for step in (word, *PAUSE))
    outcome = send_to((*session.script[:place], *said, FIN, LISTEN), **session.settings)
    if word_for(session, sum(map(spoken, session.script[:place]))) is Delivery.ACCEPTED:
        assert outcome.delivery is Delivery.ACCEPTED  # only the farewell was left


@property_settings(100)
@given(_turn_of(POP3), st.lists(st.one_of(_answer, st.binary(max_size=40)), max_size=4))
def test_a_pop3_server_that_loses_its_mind_ends_in_our_tree(turn: tuple[Session, int], words: list[bytes]) -> None:
    session, place = turn
    said = tuple(step for word in words for step in (word, *PAUSE))
    outcome = retrieve_from((*session.script[:place], *said, FIN, LISTEN), **session.settings)
    assert isinstance(outcome, (MailwireError, list))
