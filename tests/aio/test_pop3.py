import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest

import mailwire
from mailwire import (
    AuthenticationFailed,
    BudgetExceeded,
    ConnectionLost,
    DeadlineExceeded,
    Endpoint,
    InjectedData,
    LimitExceeded,
    LocalProtocolError,
    MaildropLocked,
    MailwireError,
    MessageTruncated,
    POP3Client,
    RemoteProtocolError,
    ResponseError,
    SecurityError,
    Timeouts,
    TLSFailed,
)
from mailwire.aio.pop3 import Entry, RetrievedItem
from mailwire.pop3 import Capa, Dele, DropListing, List, Noop, Quit, Response, Retr, Rset, Stat, Top, Uidl
from mailwire.testing import (
    CLOSE,
    FIN,
    LISTEN,
    NO_READING,
    PACKET,
    RST,
    STALL,
    WAIT,
    WITHHOLD,
    Answers,
    ScriptedPeer,
    Step,
    Tls,
)
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import (
    CANARY,
    CREDENTIALS,
    LISTED,
    LOGIN,
    OPENED,
    POP3_ANSWERS,
    POP3_GREETED,
    POP3_QUIT,
    POP3_READY,
    TWO_MESSAGES,
    capabilities,
)
from tests.clock import Clock

PLAIN = base64.b64encode(f"\0{CREDENTIALS.user}\0{CREDENTIALS.password}".encode()).decode()
STLS: tuple[Step, ...] = (*capabilities("STLS"), "C: STLS", "S: +OK go")
PIPELINED: tuple[Step, ...] = (
    *capabilities("PIPELINING", "USER"),
    "C: USER bob",
    f"C: PASS {CANARY}",
    "S: +OK",
    "S: +OK",
)
ONE, TWO, THREE = Entry(1, "u1", 7), Entry(2, "u2", 7), Entry(3, "u3", 7)


def client_for(peer: ScriptedPeer, **settings: Any) -> POP3Client:
    settings = {"protocol": "pop3", "auth": CREDENTIALS, "allow_cleartext_auth": True, **settings}
    return POP3Client(peer.endpoint(**settings))


async def connect(peer: ScriptedPeer, **settings: Any) -> POP3Client:
    client = client_for(peer, **settings)
    await client.connect()
    return client


async def everything(items: AsyncGenerator[RetrievedItem, None]) -> list[bytes | str]:
    """The messages, and in place of a refused one the refusal."""
    return [await item.read() if item.refusal is None else str(item.refusal) async for item in items]


# Connecting


async def test_a_server_without_capa_is_logged_in_to_with_user_and_pass() -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer:
        client = await connect(peer)
        assert client.capabilities == {}
        await client.quit()


async def test_what_the_server_can_do_can_be_read() -> None:
    async with ScriptedPeer(*capabilities("TOP", "user", "sasl X-OWN", "LOGIN-DELAY 900"), *LOGIN, *POP3_QUIT) as peer:
        client = client_for(peer)
        assert client.capabilities == {}
        await client.connect()
        assert "TOP" in client.capabilities
        assert client.capabilities.mechanisms == ("X-OWN",)
        assert client.capabilities.number("LOGIN-DELAY") == 900
        await client.quit()


async def test_sasl_is_preferred_where_it_is_offered() -> None:
    async with ScriptedPeer(
        *capabilities("SASL PLAIN", "USER"), f"C: AUTH PLAIN {PLAIN}", "S: +OK", *POP3_QUIT
    ) as peer:
        client = await connect(peer)
        await client.quit()


async def test_sasl_goes_by_challenges_too() -> None:
    user, password = (base64.b64encode(text.encode()).decode() for text in (CREDENTIALS.user, CREDENTIALS.password))
    async with ScriptedPeer(
        *capabilities("SASL LOGIN"),
        *("C: AUTH LOGIN", "S: + VXNlcm5hbWU6", f"C: {user}", "S: + ", f"C: {password}", "S: +OK", *POP3_QUIT),
    ) as peer:
        client = await connect(peer)
        await client.quit()


async def test_user_and_pass_go_together_where_the_server_pipelines() -> None:
    async with ScriptedPeer(*PIPELINED, *POP3_QUIT) as peer:
        client = await connect(peer)
        await client.quit()


async def test_an_anonymous_client_does_not_log_in_and_has_no_maildrop() -> None:
    async with ScriptedPeer(*POP3_READY, *POP3_QUIT) as peer, client_for(peer, auth=None) as client:
        with pytest.raises(LocalProtocolError, match="STAT cannot be sent now"):
            await client.execute(Stat())


@pytest.mark.parametrize("greeting", ["-ERR POP3 server ready", "-ERR [IN-USE] locked"])
async def test_a_greeting_that_refuses_us_is_believed(greeting: str) -> None:
    async with ScriptedPeer(f"S: {greeting}", STALL) as peer:
        with pytest.raises(ResponseError, match=r"\(the connection\) was refused: -ERR") as caught:
            await connect(peer)
    assert caught.value.response == Response(False, greeting[5:].encode())
    assert peer.wire == b""


@pytest.mark.parametrize(
    ("script", "text", "command"),
    [
        (("C: USER bob", "S: -ERR nobody"), "USER bob: -ERR nobody", "USER bob"),
        ((*LOGIN[:3], "S: -ERR [AUTH] wrong"), r"PASS \*\*\*\*: -ERR \[AUTH\] wrong", r"PASS ****"),
    ],
    ids=["USER", "PASS"],
)
async def test_a_refused_login_is_told_and_not_tried_again(script: tuple[Step, ...], text: str, command: str) -> None:
    async with ScriptedPeer(*POP3_READY, *script, STALL) as peer:
        with pytest.raises(AuthenticationFailed, match=text) as caught:
            await connect(peer)
    assert caught.value.command == command
    assert isinstance(caught.value.answer, Response)


@pytest.mark.parametrize("code", ["IN-USE", "LOGIN-DELAY", "sys/temp", "SYS/PERM"])
async def test_a_login_refused_for_another_reason_says_nothing_of_the_credentials(code: str) -> None:
    async with ScriptedPeer(*POP3_READY, *LOGIN[:3], f"S: -ERR [{code}] later", STALL) as peer:
        with pytest.raises(ResponseError, match="later") as caught:
            await connect(peer)
    assert caught.value.response.code == code.upper()
    assert caught.value.is_transient is (code != "SYS/PERM")
    assert isinstance(caught.value, MaildropLocked) is (code == "IN-USE")


async def test_a_refused_user_behind_which_pass_has_left_ends_the_connection() -> None:
    async with ScriptedPeer(*PIPELINED[:-2], "S: -ERR nobody", STALL) as peer:
        client = client_for(peer)
        with pytest.raises(AuthenticationFailed, match="USER bob: -ERR nobody"):
            await client.connect()
        assert not client.is_connected


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (("S: -ERR no",), r"^AUTH PLAIN \*\*\*\*: -ERR no$"),
        (("S: + !!!!", "C: *", "S: -ERR cancelled"), "expected a challenge in base64, got b'!!!!'; -ERR cancelled"),
        (("S: + !!!!", "C: *", "S: +OK"), "expected a challenge in base64"),
        (("S: + !!!!", "C: *", "S: + more"), "the server goes on after the cancel"),
    ],
    ids=["-ERR", "bad base64", "success behind the cancel", "challenge behind the cancel"],
)
async def test_a_sasl_login_that_fails_is_told(script: tuple[Step, ...], text: str) -> None:
    async with ScriptedPeer(*capabilities("SASL PLAIN"), f"C: AUTH PLAIN {PLAIN}", *script, STALL) as peer:
        with pytest.raises(AuthenticationFailed, match=text):
            await connect(peer)


async def test_a_client_cannot_be_used_by_the_hook_that_connects_it() -> None:
    async def hook() -> socket.socket:
        await client.listing()
        raise AssertionError("this is never reached")

    client = POP3Client(Endpoint("localhost", protocol="pop3", tls="none", connect=hook))
    with pytest.raises(LocalProtocolError, match="another call of this same task uses the connection"):
        await client.connect()


# TLS


async def test_mail_is_listed_under_implicit_tls() -> None:
    async with (
        ScriptedPeer(Tls(), *OPENED, *LISTED, *POP3_QUIT) as peer,
        client_for(peer, tls="implicit", allow_cleartext_auth=False) as client,
    ):
        assert len(await client.listing()) == 2
    assert b"USER" not in peer.wire


async def test_mail_is_listed_under_stls() -> None:
    async with (
        ScriptedPeer(*STLS, Tls(), "C: CAPA", "S: -ERR what", *LOGIN, *LISTED, *POP3_QUIT) as peer,
        client_for(peer, tls="starttls", allow_cleartext_auth=False) as client,
    ):
        assert len(await client.listing()) == 2
    assert b"USER" not in peer.wire


async def test_a_server_without_capa_may_know_stls() -> None:
    async with ScriptedPeer(
        *POP3_READY, "C: STLS", "S: +OK", Tls(), "C: CAPA", "S: -ERR what", *LOGIN, *POP3_QUIT
    ) as peer:
        client = await connect(peer, tls="starttls")
        await client.quit()


async def test_what_was_announced_in_the_clear_is_forgotten_under_tls() -> None:
    async with ScriptedPeer(
        *capabilities("STLS", "SASL PLAIN", "PIPELINING"),
        "C: STLS",
        "S: +OK",
        Tls(),
        "C: CAPA",
        "S: +OK",
        "S: .",
        *LOGIN,
        *POP3_QUIT,
    ) as peer:
        client = await connect(peer, tls="starttls")
        assert client.capabilities == {}
        await client.quit()


async def test_a_server_without_stls_is_left_in_peace() -> None:
    async with ScriptedPeer(*capabilities("SASL PLAIN"), STALL) as peer:
        with pytest.raises(SecurityError, match="does not offer STLS, and TLS is required"):
            await connect(peer, tls="starttls")


@pytest.mark.parametrize("hello", [POP3_READY, capabilities("STLS")], ids=["no CAPA", "CAPA"])
async def test_a_server_that_refuses_stls_hears_no_password(hello: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*hello, "C: STLS", "S: -ERR no", STALL) as peer:
        with pytest.raises(TLSFailed, match="refuses STLS, and TLS is required: -ERR no"):
            await connect(peer, tls="starttls")


@pytest.mark.parametrize("injected", [b"+OK\r\nPLAIN\r\n.\r\n", b"+", b"\n"])
async def test_octets_behind_the_go_ahead_are_an_attack(injected: bytes) -> None:
    async with ScriptedPeer(*STLS, injected, STALL) as peer:
        with pytest.raises(InjectedData, match="go-ahead to STLS"):
            await connect(peer, tls="starttls")
    assert b"\x16\x03" not in peer.wire


@pytest.mark.parametrize("certificate", ["other-host", "expired", "self-signed"])
async def test_nothing_is_said_to_a_server_that_cannot_prove_its_name(certificate: str) -> None:
    async with ScriptedPeer(*STLS, Tls(certificate)) as peer:
        with pytest.raises(TLSFailed, match="was not accepted"):
            await connect(peer, tls="starttls")
    assert peer.heard.endswith(b"STLS\r\n")


async def test_a_server_that_withholds_its_close_notify_is_closed_all_the_same() -> None:
    async with ScriptedPeer(Tls(), *OPENED, *POP3_QUIT, WITHHOLD) as peer:
        client = await connect(peer, tls="implicit", timeouts=Timeouts(close=0.01))
        await client.quit()
        assert not client.is_connected


# Listing


async def test_a_listing_joins_list_and_uidl() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *POP3_QUIT) as peer, client_for(peer) as client:
        assert await client.listing() == [Entry(1, "u1", 7), Entry(2, "u2", 7)]


async def test_list_and_uidl_go_together_where_the_server_pipelines() -> None:
    async with (
        ScriptedPeer(
            *PIPELINED, "C: LIST", "C: UIDL", "S: +OK", "S: 1 7", "S: .", "S: +OK", "S: 1 u1", "S: .", *POP3_QUIT
        ) as peer,
        client_for(peer) as client,
    ):
        assert await client.listing() == [ONE]


async def test_a_server_without_uidl_gives_entries_without_a_uid() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED[:5], "C: UIDL", "S: -ERR what", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert await client.listing() == [Entry(1, None, 7), Entry(2, None, 7)]


async def test_a_message_that_uidl_leaves_out_has_no_uid() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED[:5], "C: UIDL", "S: +OK", "S: 2 u2", "S: 9 u9", "S: .", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert await client.listing() == [Entry(1, None, 7), Entry(2, "u2", 7), Entry(9, "u9", 0)]


async def test_an_empty_maildrop_has_an_empty_listing() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: LIST", "S: +OK", "S: .", "C: UIDL", "S: +OK", "S: .", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert await client.listing() == []
        assert await everything(client.retrieve([])) == []


async def test_a_refused_list_leaves_the_session_clean() -> None:
    async with (
        ScriptedPeer(
            *OPENED, "C: LIST", "S: -ERR no", "C: UIDL", "S: +OK", "S: .", "C: NOOP", "S: +OK", *POP3_QUIT
        ) as peer,
        client_for(peer) as client,
    ):
        with pytest.raises(ResponseError, match="LIST was refused: -ERR no") as caught:
            await client.listing()
        assert caught.value.command == "LIST"
        await client.execute(Noop())


@pytest.mark.parametrize(
    "entry",
    ["0 7", "-1 7", "1_0 7", "1 -7", "1", "x", "", "1" * 5000 + " 7", "1 " + "7" * 21, "\uff11 7", "1 7\r\nS: 1 8"],
)
async def test_a_bad_line_spoils_what_it_is_about_and_not_the_listing(entry: str) -> None:
    lines = [f"S: {line.removeprefix('S: ')}" for line in entry.split("\r\n")]
    async with (
        ScriptedPeer(
            *OPENED, "C: LIST", "S: +OK", *lines, "S: 2 9", "S: .", "C: UIDL", "S: +OK", "S: 2 u2", "S: .", *POP3_QUIT
        ) as peer,
        client_for(peer) as client,
    ):
        first = {"1 -7": [Entry(1, None, 0)], "1": [Entry(1, None, 0)], "1 7\r\nS: 1 8": [Entry(1, None, 7)]}
        spoiled = [Entry(1, None, 0)] if entry == "1 " + "7" * 21 else first.get(entry, [])
        assert await client.listing() == [*spoiled, Entry(2, "u2", 9)]


async def test_a_long_listing_is_read_whole() -> None:
    count = 20_000
    listing = b"".join(b"%d 100\r\n" % number for number in range(1, count + 1))
    uids = b"".join(b"%d uid-%d\r\n" % (number, number) for number in range(1, count + 1))
    async with (
        ScriptedPeer(
            *(*OPENED, "C: LIST", b"+OK\r\n", listing, b".\r\n", "C: UIDL", b"+OK\r\n", uids, b".\r\n", *POP3_QUIT)
        ) as peer,
        client_for(peer) as client,
    ):
        entries = await client.listing()
    assert len(entries) == count
    assert entries[-1] == Entry(count, f"uid-{count}", 100)


# Retrieving


async def test_messages_are_retrieved_one_at_a_time_without_pipelining() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        assert await everything(client.retrieve(await client.listing())) == [b"first\r\n", b"other\r\n"]


async def test_messages_are_asked_for_together_with_pipelining() -> None:
    async with (
        ScriptedPeer(
            *PIPELINED,
            *(
                "C: RETR 1",
                "C: RETR 2",
                "C: RETR 3",
                "S: +OK",
                "S: first",
                "S: .",
                "S: +OK",
                "S: .",
                "S: +OK",
                "S: third",
                "S: .",
            ),
            *POP3_QUIT,
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([ONE, TWO, THREE])) == [b"first\r\n", b"", b"third\r\n"]


async def test_pipelining_can_be_switched_off() -> None:
    async with (
        ScriptedPeer(*capabilities("PIPELINING"), *LOGIN, *TWO_MESSAGES, *POP3_QUIT) as peer,
        client_for(peer, pipelining=False) as client,
    ):
        assert await everything(client.retrieve([ONE, TWO])) == [b"first\r\n", b"other\r\n"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("keyword", ["PIPELINING", "TOP"])
async def test_the_packets_in_which_messages_come_do_not_matter(keyword: str, size: int) -> None:
    table = {**POP3_ANSWERS, "CAPA": f"+OK\n{keyword}\n.", "RETR 1": "+OK\n..\n...\n..x\n\n..\n.", "RETR 2": "+OK\n."}
    async with ScriptedPeer("S: +OK", Answers(table), packet_size=size) as peer, client_for(peer) as client:
        found = await everything(client.retrieve(await client.listing()))
    assert found == [b".\r\n..\r\n.x\r\n\r\n.\r\n", b""]


async def test_a_server_that_ends_its_lines_in_lf_alone_is_understood() -> None:
    async with (
        ScriptedPeer(
            *(b"+OK\n", "C: CAPA", b"-ERR\n", "C: USER bob", b"+OK\n", f"C: PASS {CANARY}", b"+OK\n"),
            *("C: RETR 1", b"+OK\n..x\ny\n.\n", "C: QUIT", b"+OK\n"),
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([ONE])) == [b".x\ny\n"]


async def test_a_message_is_as_long_as_it_is_whatever_was_announced() -> None:
    body = b"0123456789\r\n" * 100_000
    async with (
        ScriptedPeer(
            *OPENED,
            "C: RETR 1",
            b"+OK 5 octets\r\n",
            body,
            b".\r\n",
            "C: RETR 2",
            "S: +OK 99999 octets",
            "S: .",
            *POP3_QUIT,
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([Entry(1, None, 5), Entry(2, None, 2**40)])) == [body, b""]


async def test_a_refused_message_does_not_end_the_run() -> None:
    async with (
        ScriptedPeer(
            *OPENED,
            *TWO_MESSAGES[:4],
            "C: RETR 2",
            "S: -ERR gone",
            "C: RETR 3",
            "S: +OK",
            "S: third",
            "S: .",
            *POP3_QUIT,
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([ONE, TWO, THREE])) == [b"first\r\n", "-ERR gone", b"third\r\n"]


async def test_a_refused_message_cannot_be_read() -> None:
    async with ScriptedPeer(*OPENED, "C: RETR 1", "S: -ERR gone", *POP3_QUIT) as peer, client_for(peer) as client:
        async for item in client.retrieve([ONE]):
            assert item.refusal == Response(False, b"gone")
            with pytest.raises(ResponseError, match="RETR 1 was refused: -ERR gone") as caught:
                await item.read()
            assert caught.value.command == "RETR 1"
            assert not item.is_complete


async def test_a_message_can_be_read_in_blocks() -> None:
    body = b"0123456789abcdef" * 40_000 + b"\r\n"
    async with (
        ScriptedPeer(*OPENED, "C: RETR 1", b"+OK\r\n", body, b".\r\n", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        blocks = []
        async for item in client.retrieve([ONE]):
            assert item.entry == ONE
            async for block in item:
                blocks.append(block)
                assert item.octets == sum(map(len, blocks))
                assert not item.is_complete
            assert item.is_complete
    assert b"".join(blocks) == body
    assert len(blocks) > 1


async def test_what_is_left_of_a_message_is_passed_over() -> None:
    body = b"0123456789abcdef" * 40_000 + b"\r\n"
    async with (
        ScriptedPeer(
            *(*OPENED, "C: RETR 1", b"+OK\r\n", body, b".\r\n", "C: RETR 2", "S: +OK", "S: other", "S: .", *POP3_QUIT)
        ) as peer,
        client_for(peer) as client,
    ):
        found = []
        async for item in client.retrieve([ONE, TWO]):
            async with contextlib.aclosing(aiter(item)) as blocks:  # type: ignore[type-var]
                found.append((await anext(blocks))[:5])
    assert found == [b"01234", b"other"]


async def test_a_message_that_is_not_read_at_all_is_passed_over() -> None:
    async with ScriptedPeer(*OPENED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        assert [item.entry.number async for item in client.retrieve([ONE, TWO])] == [1, 2]


async def test_a_message_that_was_passed_over_is_not_empty() -> None:
    # Nothing truncated is given out as a message.
    async with ScriptedPeer(*OPENED, *TWO_MESSAGES, *POP3_QUIT) as peer, client_for(peer) as client:
        items = [item async for item in client.retrieve([ONE, TWO])]
        for item in items:
            with pytest.raises(MailwireError):
                await item.read()
            assert not item.is_complete


async def test_a_message_is_read_once() -> None:
    async with ScriptedPeer(*OPENED, *TWO_MESSAGES[:4], *POP3_QUIT) as peer, client_for(peer) as client:
        async for item in client.retrieve([ONE]):
            assert await item.read() == b"first\r\n"
            with pytest.raises(MailwireError):
                await item.read()


async def test_a_message_of_which_blocks_were_taken_cannot_be_read_whole() -> None:
    body = b"0123456789abcdef" * 40_000 + b"\r\n"
    async with (
        ScriptedPeer(*OPENED, "C: RETR 1", b"+OK\r\n", body, b".\r\n", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        async for item in client.retrieve([ONE]):
            async for _ in item:
                break
            with pytest.raises(MailwireError):
                await item.read()


async def test_a_message_longer_than_allowed_is_not_read_on() -> None:
    async with ScriptedPeer(*OPENED, *TWO_MESSAGES[:4], LISTEN) as peer:
        client = await connect(peer)
        async for item in client.retrieve([ONE]):
            with pytest.raises(BudgetExceeded, match="message 1 is longer than 6 octets"):
                await item.read(limit=6)
        client.abort()


async def test_a_message_as_long_as_allowed_is_read() -> None:
    async with ScriptedPeer(*OPENED, *TWO_MESSAGES[:4], *POP3_QUIT) as peer, client_for(peer) as client:
        async for item in client.retrieve([ONE]):
            assert await item.read(limit=7) == b"first\r\n"


async def test_a_consumer_that_is_slow_holds_the_server_back() -> None:
    body = b"0123456789abcdef" * 500_000 + b"\r\n"
    async with (
        ScriptedPeer(*OPENED, "C: RETR 1", b"+OK\r\n", body, b".\r\n", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        octets = 0
        async for item in client.retrieve([ONE]):
            async for block in item:
                if octets == 0:
                    await peer.rest()
                    assert peer.sent < 2_000_000
                octets += len(block)
    assert octets == len(body)


async def test_pipelining_does_not_make_both_sides_wait_for_each_other() -> None:
    # A server that writes each answer before it reads on, with small buffers.
    body = "\n".join(["0123456789" * 7] * 50)
    numbers = range(1, 101)
    table = {**POP3_ANSWERS, "CAPA": "+OK\nPIPELINING\n."}
    table.update({f"RETR {number}": f"+OK\n{body}\n." for number in numbers})
    async with ScriptedPeer("S: +OK", Answers(table), buffer_size=4096) as peer, client_for(peer) as client:
        found = await everything(client.retrieve(Entry(number, None, 3600) for number in numbers))
    assert found == [body.replace("\n", "\r\n").encode() + b"\r\n"] * 100


# Breaking off


async def test_breaking_off_behind_the_last_message_leaves_the_session_clean() -> None:
    async with (
        ScriptedPeer(*OPENED, *TWO_MESSAGES[:4], "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        async for item in client.retrieve([ONE]):
            await item.read()
            break
        await client.execute(Noop())


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize("opened", [OPENED, PIPELINED], ids=["lockstep", "pipelined"])
async def test_breaking_off_in_the_middle_cuts_the_connection(opened: tuple[Step, ...], read: bool) -> None:
    commands = ("C: RETR 1",) if opened is OPENED else ("C: RETR 1", "C: RETR 2")
    async with ScriptedPeer(*opened, *commands, "S: +OK", "S: first", "S: .", LISTEN) as peer:
        client = await connect(peer)
        async for item in client.retrieve([ONE, TWO]):
            if read:
                assert await item.read() == b"first\r\n"
            break
        await client.quit()
        assert not client.is_connected
    assert b"QUIT" not in peer.wire


@pytest.mark.parametrize(
    "call",
    [lambda client: client.listing(), lambda client: client.execute(Noop())],
    ids=["listing", "execute"],
)
async def test_a_call_of_the_same_task_ends_a_retrieval_that_was_broken_off(call: Callable[[POP3Client], Any]) -> None:
    async with ScriptedPeer(*OPENED, "C: RETR 1", "S: +OK", "S: first", "S: .", LISTEN) as peer:
        client = await connect(peer)
        async for _ in client.retrieve([ONE, TWO]):
            break
        with pytest.raises(LocalProtocolError, match="not connected"):
            await call(client)
        assert not client.is_connected


async def test_a_call_inside_a_retrieval_ends_it() -> None:
    async with ScriptedPeer(*OPENED, "C: RETR 1", "S: +OK", "S: first", "S: .", LISTEN) as peer:
        client = await connect(peer)
        with pytest.raises(LocalProtocolError):  # noqa: PT012
            async for item in client.retrieve([ONE, TWO]):
                await item.read()
                await client.execute(Dele(item.entry.number))
        assert not client.is_connected


async def test_a_retrieval_that_another_task_makes_is_waited_for() -> None:
    async with (
        ScriptedPeer(*OPENED, *TWO_MESSAGES, "C: NOOP", "S: +OK", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        retrieving = asyncio.create_task(everything(client.retrieve([ONE, TWO])))
        await asyncio.sleep(0)
        await client.execute(Noop())
        assert await retrieving == [b"first\r\n", b"other\r\n"]


async def test_a_retrieval_that_is_never_begun_asks_for_nothing() -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer, client_for(peer) as client:
        items = client.retrieve([ONE])
        await items.aclose()


async def test_entries_that_are_none_are_refused_and_change_nothing() -> None:
    async with ScriptedPeer(*OPENED, "C: NOOP", "S: +OK", *POP3_QUIT) as peer, client_for(peer) as client:
        with pytest.raises(ValueError, match="a message number is a positive int"):
            await everything(client.retrieve([ONE, Entry(0, None, 5)]))
        await client.execute(Noop())


async def test_a_blocked_consumer_that_is_cancelled_cuts_the_connection() -> None:
    async def consume(client: POP3Client) -> None:
        async for item in client.retrieve([ONE]):
            await item.read()

    async with ScriptedPeer(*OPENED, "C: RETR 1", "S: +OK", "S: fir", STALL) as peer:
        client = await connect(peer)
        consuming = asyncio.create_task(consume(client))
        await drain_events()
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
        assert not client.is_connected


# The end of the connection


@pytest.mark.parametrize("end", [FIN, RST, CLOSE])
async def test_a_message_that_is_cut_is_truncated(end: Step) -> None:
    async with ScriptedPeer(*OPENED, "C: RETR 1", "S: +OK", "S: first", end) as peer:
        client = await connect(peer)
        with pytest.raises(MessageTruncated, match="in the middle of its answer to RETR 1") as caught:
            await everything(client.retrieve([ONE, TWO]))
        assert caught.value.octets == 7
        assert caught.value.in_flight == ("RETR 1",)
        assert caught.value.transcript[-1] == "S: +OK"
        assert not client.is_connected


async def test_a_message_that_is_cut_under_tls_without_close_notify_is_truncated() -> None:
    async with ScriptedPeer(Tls(), *OPENED, "C: RETR 1", "S: +OK", "S: first", FIN) as peer:
        client = await connect(peer, tls="implicit")
        with pytest.raises(MessageTruncated):
            await everything(client.retrieve([ONE]))


async def test_a_message_that_is_cut_is_never_complete() -> None:
    async with ScriptedPeer(*OPENED, "C: RETR 1", "S: +OK", "S: first", FIN) as peer:
        client = await connect(peer)
        with pytest.raises(MessageTruncated):  # noqa: PT012
            async for item in client.retrieve([ONE]):
                assert item.refusal is None
                async for block in item:
                    assert b"first\r\n".startswith(block)
                    assert not item.is_complete


async def test_the_end_instead_of_the_next_message_is_a_connection_lost() -> None:
    async with ScriptedPeer(*OPENED, *TWO_MESSAGES[:4], "C: RETR 2", FIN) as peer:
        client = await connect(peer)
        with pytest.raises(ConnectionLost, match="instead of answering RETR 2") as caught:
            await everything(client.retrieve([ONE, TWO]))
        assert not isinstance(caught.value, MessageTruncated)


# Other commands


async def test_a_command_gives_what_its_answer_means() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: STAT", "S: +OK 2 14", "C: UIDL 2", "S: +OK 2 u2", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert await client.execute(Stat()) == DropListing(2, 14)
        assert await client.execute(Uidl(2)) == {2: "u2"}


async def test_a_refused_command_names_itself() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: LIST 9", "S: -ERR no such message", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        with pytest.raises(ResponseError, match="LIST 9 was refused: -ERR no such message") as caught:
            await client.execute(List(9))
    assert caught.value.command == "LIST 9"
    assert caught.value.response == Response(False, b"no such message")


@pytest.mark.parametrize("command", [Retr(1), Top(1, 0)])
async def test_a_message_is_no_answer_to_a_command(command: Retr | Top) -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer, client_for(peer) as client:
        with pytest.raises(LocalProtocolError, match=r"has a message for an answer: use retrieve\(\)"):
            await client.execute(command)


async def test_capabilities_can_be_asked_for_again() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: CAPA", "S: +OK", "S: EXPIRE NEVER", "S: .", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        assert "EXPIRE" in await client.execute(Capa())
        assert "EXPIRE" in client.capabilities


# Taking leave


async def test_what_was_marked_is_deleted_when_quit_is_answered() -> None:
    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        await client.execute(Dele(1))
        await client.quit()
        assert not client.is_connected


@pytest.mark.parametrize(
    ("farewell", "error"),
    [
        (("S: -ERR some were not deleted",), ResponseError),
        ((FIN,), ConnectionLost),
        ((RST,), ConnectionLost),
        (("S: what",), RemoteProtocolError),
    ],
    ids=["-ERR", "FIN", "RST", "garbage"],
)
async def test_a_quit_that_fails_matters_only_where_something_was_marked(
    farewell: tuple[Step, ...], error: type[MailwireError]
) -> None:
    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", "C: QUIT", *farewell) as peer:
        client = await connect(peer)
        await client.execute(Dele(1))
        with pytest.raises(error):
            await client.quit()
        assert not client.is_connected
    async with ScriptedPeer(*OPENED, "C: QUIT", *farewell) as peer:
        client = await connect(peer)
        await client.quit()
        assert not client.is_connected


@pytest.mark.parametrize(
    "script",
    [
        ((Dele(9), "-ERR no such message"),),
        ((Dele(1), "+OK"), (Rset(), "+OK")),
    ],
    ids=["DELE was refused", "RSET"],
)
async def test_where_nothing_is_marked_any_more_a_quit_that_fails_does_not_matter(
    script: Sequence[tuple[Dele | Rset, str]],
) -> None:
    steps = [step for command, answer in script for step in (f"C: {command}", f"S: {answer}")]
    async with ScriptedPeer(*OPENED, *steps, "C: QUIT", "S: -ERR no") as peer:
        client = await connect(peer)
        for command, _ in script:
            with contextlib.suppress(ResponseError):
                await client.execute(command)
        await client.quit()


async def test_what_was_marked_in_a_session_that_was_cut_is_not_marked_in_the_next() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", STALL) as first,
        ScriptedPeer(*OPENED, "C: QUIT", "S: -ERR no") as second,
    ):
        ways = iter((first, second))

        async def way() -> Any:
            return await next(ways).connect()

        client = POP3Client(client_for(first).endpoint.replace(connect=way))
        await client.connect()
        await client.execute(Dele(1))
        client.abort()
        await client.connect()
        await client.quit()


async def test_an_unanswered_quit_is_waited_for_longer_where_something_was_marked() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", "C: QUIT", STALL, guard=None) as peer:
        client = await connect(peer)
        await client.execute(Dele(1))
        quitting = asyncio.create_task(client.quit())
        await clock.advance(59)
        assert not quitting.done()
        await clock.advance(1)
        with pytest.raises(DeadlineExceeded, match="the answer to QUIT"):
            await quitting
    async with ScriptedPeer(*OPENED, "C: QUIT", STALL, guard=None) as peer:
        client = await connect(peer)
        quitting = asyncio.create_task(client.quit())
        await clock.advance(0.5)
        assert not quitting.done()
        await clock.advance(0.5)
        await quitting


async def test_leaving_by_an_error_deletes_nothing() -> None:
    async def fail(client: POP3Client) -> None:
        async with client:
            await client.execute(Dele(1))
            raise LookupError

    async with ScriptedPeer(*OPENED, "C: DELE 1", "S: +OK", STALL) as peer:
        with pytest.raises(LookupError):
            await fail(client_for(peer))


async def test_quitting_by_a_command_closes_the_client() -> None:
    async with ScriptedPeer(*OPENED, *POP3_QUIT) as peer:
        client = await connect(peer)
        await client.execute(Quit())
        assert not client.is_connected
        await client.quit()


# Deadlines


@pytest.mark.parametrize(
    ("script", "settings", "seconds", "phase"),
    [
        ((), {}, 300, "the greeting"),
        ((b"+O",), {}, 300, "the greeting"),
        (POP3_GREETED, {}, 60, "the answer to CAPA"),
        ((*POP3_GREETED, "S: +OK", "S: TOP"), {}, 60, "the answer to CAPA"),
        (STLS[:-1], {"tls": "starttls"}, 60, "the answer to STLS"),
        ((*STLS, LISTEN), {"tls": "starttls"}, 30, "the TLS handshake with pop3+starttls://localhost:110"),
        ((*POP3_READY, *LOGIN[:1]), {}, 60, "the answer to USER bob"),
        ((*POP3_READY, *LOGIN[:3]), {}, 60, "the answer to PASS ****"),
        ((*capabilities("SASL PLAIN"), f"C: AUTH PLAIN {PLAIN}"), {}, 60, "the answer to AUTH PLAIN ****"),
        ((*OPENED, "C: LIST"), {}, 60, "the answer to LIST"),
        ((*OPENED, *LISTED[:6]), {}, 60, "the answer to UIDL"),
        ((*OPENED, *LISTED, "C: RETR 1"), {}, 60, "the answer to RETR 1"),
        ((*OPENED, *LISTED, "C: RETR 1", "S: +OK"), {}, 180, "message 1"),
        ((*OPENED, *LISTED, "C: RETR 1", "S: +OK", "S: fir"), {}, 180, "message 1"),
        ((*OPENED, *LISTED, *TWO_MESSAGES[:5]), {}, 60, "the answer to RETR 2"),
    ],
    ids=[
        *(
            "greeting",
            "half a greeting",
            "CAPA",
            "half of CAPA",
            "STLS",
            "handshake",
            "USER",
            "PASS",
            "AUTH",
            "LIST",
            "UIDL",
        ),
        *("RETR", "message", "half a message", "next RETR"),
    ],
)
async def test_a_server_that_does_not_answer_ends_at_the_deadline_of_the_phase(
    script: tuple[Step, ...], settings: dict[str, Any], seconds: float, phase: str
) -> None:
    clock = Clock()
    async with ScriptedPeer(*script, STALL, guard=None) as peer:
        client = client_for(peer, **settings)

        async def connect_and_retrieve() -> None:
            await client.connect()
            await everything(client.retrieve(await client.listing()))

        retrieving = asyncio.create_task(connect_and_retrieve())
        await clock.advance(seconds - 1)
        assert not retrieving.done()
        await clock.advance(1)
        assert retrieving.done()
        with pytest.raises(DeadlineExceeded) as caught:
            await retrieving
        assert caught.value.phase == phase
        assert caught.value.transcript or not script or script == (b"+O",)
        assert not client.is_connected


async def test_an_answer_a_byte_a_second_ends_at_the_deadline_all_the_same() -> None:
    drops: list[Step] = [step for _ in range(60) for step in (b"X", WAIT)]
    clock = Clock()
    async with ScriptedPeer(*POP3_GREETED, "S: +OK", *drops, LISTEN, guard=None) as peer:
        connecting = asyncio.create_task(connect(peer))
        await drain_events()
        for _ in range(59):
            await clock.advance(1)
            peer.go_on()
        assert not connecting.done()
        await clock.advance(1)
        with pytest.raises(DeadlineExceeded, match="the answer to CAPA"):
            await connecting
        peer.go_on()


async def test_a_message_may_take_any_time_while_it_makes_progress() -> None:
    drops: list[Step] = [step for _ in range(5) for step in (b"drop\r\n", WAIT)]
    clock = Clock()
    async with (
        ScriptedPeer(*OPENED, "C: RETR 1", "S: +OK", *drops, "S: .", *POP3_QUIT, guard=None) as peer,
        client_for(peer) as client,
    ):
        retrieving = asyncio.create_task(everything(client.retrieve([ONE])))
        for _ in range(5):
            await clock.advance(179)
            peer.go_on()
            await drain_events()
        assert await retrieving == [b"drop\r\n" * 5]


async def test_a_consumer_may_take_any_time() -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, *TWO_MESSAGES, *POP3_QUIT, guard=None) as peer, client_for(peer) as client:
        found = []
        async for item in client.retrieve([ONE, TWO]):
            await clock.advance(100_000)
            found.append(await item.read())
            await clock.advance(100_000)
    assert found == [b"first\r\n", b"other\r\n"]


# Faults


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((b"+OK " + b"a" * 100_000,), LimitExceeded),
        ((b"a" * 100_000,), LimitExceeded),
        ((b"+OK\r\n", *([b"X" * 1000 + b"\r\n"] * 200)), LimitExceeded),
        ((b"+ok\r\n",), RemoteProtocolError),
        ((b"+OKAY\r\n",), RemoteProtocolError),
        ((b"\r\n",), RemoteProtocolError),
        ((b"250 ok\r\n",), RemoteProtocolError),
        ((b"+ \r\n",), RemoteProtocolError),
        ((b"+OK\0\r\n",), RemoteProtocolError),
        ((b"\xff\xfe\x00\x01\r\n",), RemoteProtocolError),
    ],
    ids=[
        "endless line",
        "endless text",
        "endless listing",
        "case",
        "+OKAY",
        "empty",
        "SMTP",
        "challenge",
        "NUL",
        "noise",
    ],
)
async def test_what_is_no_response_ends_the_connection(answer: tuple[Step, ...], error: type[MailwireError]) -> None:
    async with ScriptedPeer(*POP3_GREETED, NO_READING, *answer) as peer:
        client = client_for(peer)
        with pytest.raises(error) as caught:
            await client.connect()
        assert len(str(caught.value)) < 600
        assert str(caught.value).isprintable()
        assert not client.is_connected


async def test_the_server_s_text_is_shown_as_one_printable_line() -> None:
    async with (
        ScriptedPeer(*OPENED, "C: NOOP", b"-ERR \x1b[31m caf\xe9\xc2\x85\r\n", *POP3_QUIT) as peer,
        client_for(peer) as client,
    ):
        with pytest.raises(ResponseError) as caught:
            await client.execute(Noop())
    assert str(caught.value) == r"NOOP was refused: -ERR \x1b[31m caf\xe9\x85"


async def test_words_behind_an_answer_are_a_fault() -> None:
    async with ScriptedPeer(*OPENED, "C: NOOP", "S: +OK", "S: +OK again", STALL) as peer:
        client = await connect(peer)
        await client.execute(Noop())
        with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
            await client.execute(Noop())
        assert not client.is_connected


async def test_a_packet_may_hold_the_end_of_one_message_and_the_beginning_of_the_next() -> None:
    async with (
        ScriptedPeer(
            *PIPELINED,
            *("C: RETR 1", "C: RETR 2", b"+OK\r\nfir", PACKET, b"st\r\n.\r\n+OK\r\noth", PACKET, b"er\r\n.\r\n"),
            *POP3_QUIT,
        ) as peer,
        client_for(peer) as client,
    ):
        assert await everything(client.retrieve([ONE, TWO])) == [b"first\r\n", b"other\r\n"]


ANSWERS = ("-ERR no", "+OK", "+OK\n.", "+OK\n1 7\n.", "+OK\nhello\n.", "+ ", "+ aGVsbG8=", "OK", "250 ok", "")


@pytest.mark.parametrize("capability", ["PIPELINING", "TOP"])
@pytest.mark.parametrize("command", ["CAPA", "USER", "PASS", "LIST", "UIDL", "RETR 1", "RETR 2", "QUIT"])
async def test_whatever_answers_a_command_messages_are_whole_or_not_there(command: str, capability: str) -> None:
    clock = Clock()
    for answer in ANSWERS:
        table = {**POP3_ANSWERS, "CAPA": f"+OK\n{capability}\n.", command: answer}
        settings = {"auth": CREDENTIALS, "allow_cleartext_auth": True, "protocol": "pop3"}
        async with ScriptedPeer("S: +OK", Answers(table), LISTEN, lenient=True, guard=None) as peer:
            retrieving = asyncio.create_task(mailwire.retrieve(peer.endpoint(**settings)))
            await peer.rest()
            if not retrieving.done():
                await clock.advance(3600)  # it waits for more
            try:
                messages = await retrieving
            except MailwireError:
                continue
        # A message is what stands between +OK and the dot, and either listing says which there are.
        bodies = {1: b"first\r\n", 2: b"other\r\n"}
        if command.startswith("RETR"):
            bodies[int(command[-1])] = "".join(f"{line}\r\n" for line in answer.split("\n")[1:-1]).encode()
        assert [message.raw for message in messages] == [bodies[1], bodies[2]], answer
