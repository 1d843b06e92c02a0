"""What a peer does with a client, step by step, and how it tells of one that leaves the script."""

import asyncio
import socket
import ssl
from typing import Any

import pytest

from mailwire.testing import (
    ALERT,
    CLIENT_HELLO,
    CLOSE,
    FIN,
    LISTEN,
    MAIL_DATA,
    NO_READING,
    PACKET,
    RST,
    STALL,
    WAIT,
    WITHHOLD,
    Answers,
    Beneath,
    Endless,
    Hear,
    ScriptedPeer,
    Slow,
    Step,
    Tls,
    client_context,
)
from mailwire.testing.turns import drain_events
from tests.clock import Clock


async def opened(peer: ScriptedPeer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=await peer.connect())


async def secured(peer: ScriptedPeer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=await peer.connect(), ssl=client_context(), server_hostname="localhost")


# What fails a test


@pytest.mark.parametrize(
    ("script", "said", "failure", "place"),
    [
        (["C: QUIT"], b"NOOP\r\n", "expected the client to say 'QUIT', it said 'NOOP'", "at step 1 of 1, 'C: QUIT'"),
        (["C: MAIL ..."], b"RCPT TO:<b>\r\n", "expected the client to say 'MAIL ...'", "at step 1 of 1, 'C: MAIL ...'"),
        (["C: QUIT"], b"QUIT\n", "a line that ends in CRLF", "at step 1 of 1, 'C: QUIT'"),
        (["C: QUIT"], b"QU", "it closed", "at step 1 of 1, 'C: QUIT'"),
        (["C: QUIT"], b"QUIT\r\nNOOP\r\n", "beyond the end of the script", "behind the last step"),
        (["S: 220 mx", "C: QUIT"], b"NOOP\r\n", "it said 'NOOP'", "at step 2 of 2, 'C: QUIT'"),
        ([LISTEN, "C: QUIT"], b"QUIT\r\n", "it closed (b'' is left)", "at step 2 of 2, 'C: QUIT'"),
        ([STALL], b"NOOP", "beyond the end of the script", "behind the last step"),
        ([Hear(10)], b"123456789", "expected 10 octets", "at step 1 of 1, Hear(octets=10)"),
        ([MAIL_DATA], b"hello\r\n", "expected a message", "at step 1 of 1, MAIL_DATA"),
        ([CLIENT_HELLO], b"\x16\x03\x01\x01\x00", "expected a handshake", "at step 1 of 1, CLIENT_HELLO"),
        ([Answers({"NOOP": "250 ok"})], b"RSET\r\n", "no answer to 'RSET'", "at step 1 of 1, Answers("),
        (
            [CLIENT_HELLO],
            b"EHLO x\r\n",
            r"expected a handshake, the client said b'EHLO x\r\n'",
            "at step 1 of 1, CLIENT_HELLO",
        ),
        (
            [Tls(), "C: x"],
            b"EHLO x\r\n",
            r"expected a handshake, the client said b'EHLO x\r\n'",
            "at step 1 of 2, Tls(",
        ),
        (["C: NOOP", Tls()], b"NOOP\r\nRSET\r\n", "expected a handshake", "at step 2 of 2, Tls("),
        (["C: NOOP", PACKET, PACKET, "S: ok", STALL], b"NOOP\r\n", "the client was gone", "at step 4 of 5, 'S: ok'"),
        ([Slow(b"a", 1), "C: QUIT"], b"NOOP\r\n", "it said 'NOOP'", "at step 2 of 2, 'C: QUIT'"),
        ([Endless(b"a")], b"NOOP\r\n", "beyond the end of the script", "behind the last step"),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_a_client_that_leaves_the_script_fails_the_test(
    script: list[Step], said: bytes, failure: str, place: str
) -> None:
    async def leave() -> None:
        async with ScriptedPeer(*script) as peer:
            _, writer = await opened(peer)
            writer.write(said)
            writer.close()

    with pytest.raises(AssertionError) as caught:
        await leave()
    assert failure in str(caught.value)
    assert place in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("script", "place"),
    [
        (["C: NOOP", PACKET, PACKET, "S: a", "S: b", "C: QUIT"], "at step 4 of 6, 'S: a'"),
        (["C: NOOP", PACKET, PACKET, "S: a", b"b"], "at step 4 of 5, 'S: a'"),
        (["C: NOOP", PACKET, PACKET, b"", b"b", STALL], "at step 5 of 6, b'b'"),
        (["C: NOOP"] * 3, "at step 2 of 3, 'C: NOOP'"),
        ([Hear(6), PACKET, PACKET, b"x" * 1000], f"at step 4 of 4, b'{'x' * 118}... (bytes)"),
        ([Hear(b"x" * 1000)], f"at step 1 of 1, Hear(octets=b'{'x' * 106}... (Hear)"),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_a_failure_is_told_of_with_the_number_of_its_step(script: list[Step], place: str) -> None:
    async def leave() -> None:
        async with ScriptedPeer(*script) as peer:
            with await peer.connect() as client:
                client.send(b"NOOP\r\n")

    with pytest.raises(AssertionError) as caught:
        await leave()
    assert caught.value.__notes__ == [place]


async def test_who_takes_in_nothing_is_told_what_it_was_to_take_in() -> None:
    ends: list[socket.socket] = []

    async def stay() -> None:
        async with ScriptedPeer("S: hi", b"x" * 4_000_000, "C: QUIT", guard=0.01) as peer:
            ends.append(await peer.connect())

    with pytest.raises(AssertionError, match="does not close; it said b''; at step 1 of 3, 'S: hi'"):
        await stay()
    ends[0].close()


async def test_a_long_line_is_quoted_in_short() -> None:
    async def say() -> None:
        async with ScriptedPeer("C: QUIT") as peer:
            with await peer.connect() as client:
                client.send(b"A" * 1000 + b"\r\n")

    with pytest.raises(AssertionError) as caught:
        await say()
    quoted = f"'{'A' * 100}' ... '{'A' * 100}'"
    assert str(caught.value) == f"expected the client to say 'QUIT', it said {quoted}"


@pytest.mark.parametrize(
    "script", [["C: QUIT"], [Hear(10)], [MAIL_DATA], ["C: QU", PACKET, "S: 250 ok", STALL]], ids=repr
)
async def test_a_client_may_leave_a_lenient_peer(script: list[Step]) -> None:
    async with ScriptedPeer(*script, lenient=True) as peer:
        _, writer = await opened(peer)
        writer.write(b"QU")
        writer.close()


async def test_a_lenient_peer_insists_on_the_words() -> None:
    async def leave() -> None:
        async with ScriptedPeer("C: QUIT", lenient=True) as peer:
            _, writer = await opened(peer)
            writer.write(b"NOOP\r\n")
            writer.close()

    with pytest.raises(AssertionError, match="it said 'NOOP'"):
        await leave()


async def test_a_lenient_peer_insists_on_the_words_of_a_client_that_has_gone() -> None:
    async def leave() -> None:
        async with ScriptedPeer("C: NOOP", PACKET, PACKET, "S: 250 ok", "C: QUIT", lenient=True) as peer:
            with await peer.connect() as client:
                client.send(b"NOOP\r\nRSET\r\n")

    with pytest.raises(AssertionError, match="expected the client to say 'QUIT', it said 'RSET'"):
        await leave()


@pytest.mark.parametrize("script", [["C: NOOP"], ["C: NOOP", STALL], ["C: NOOP", FIN]], ids=repr)
async def test_a_lenient_peer_insists_on_silence_behind_the_end(script: list[Step]) -> None:
    async def leave() -> None:
        async with ScriptedPeer(*script, lenient=True) as peer:
            with await peer.connect() as client:
                client.send(b"NOOP\r\nRSET\r\n")

    with pytest.raises(AssertionError, match="beyond the end of the script the client said b'RSET"):
        await leave()


@pytest.mark.parametrize("settings", [{}, {"lenient": True}, {"listen": True}])
async def test_a_client_that_waits_for_an_answer_behind_the_end_is_told_of_at_once(settings: Any) -> None:
    async def wait() -> None:
        async with ScriptedPeer("S: 220 mx", **settings) as peer:
            if "listen" in settings:
                reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
            else:
                reader, writer = await opened(peer)
            assert await reader.readline() == b"220 mx\r\n"
            writer.write(b"NOOP\r\n")
            answers.append(await reader.read())
            writer.close()

    answers: list[bytes] = []
    with pytest.raises(AssertionError, match="beyond the end of the script the client said b'NOOP"):
        await wait()
    assert answers == [b""]


async def test_a_chunk_has_a_size() -> None:
    async def play() -> None:
        async with ScriptedPeer(Answers({"BDAT": "250 ok"})) as peer:
            with await peer.connect() as client:
                client.send(b"BDAT many\r\n")

    with pytest.raises(AssertionError, match="expected the client to say the size of a chunk, it said 'BDAT many'"):
        await play()


# The steps


async def test_a_script_is_played() -> None:
    async with ScriptedPeer(
        "S: 220 mx", b"25", PACKET, b"0 x\r\n", "C: MAIL ...", Hear(3), MAIL_DATA, "S: ok", FIN, LISTEN
    ) as peer:
        reader, writer = await opened(peer)
        assert await reader.readline() == b"220 mx\r\n"
        assert await reader.readline() == b"250 x\r\n"
        writer.write(b"MAIL FROM:<a>\r\nabchello\r\n.\r\n")
        assert await reader.read() == b"ok\r\n"
        writer.write(b"whatever")
        writer.close()
    assert peer.wire == peer.heard == b"MAIL FROM:<a>\r\nabchello\r\n.\r\nwhatever"
    assert peer.commands == ["MAIL FROM:<a>", "abchello", "."]
    assert peer.sent == len(b"220 mx\r\n250 x\r\nok\r\n")


async def packets_of(peer: ScriptedPeer) -> list[bytes]:
    """Return what the peer says until it closes, as it comes."""
    end = await peer.connect()
    packets = []
    end.setblocking(False)
    while packet := await asyncio.get_running_loop().sock_recv(end, 100):
        packets.append(packet)
    end.close()
    return packets


async def test_lines_that_follow_each_other_leave_in_one_packet_unless_they_are_to_be_several() -> None:
    async with ScriptedPeer("S: 250-mx", "S: 250 SIZE", PACKET, "S: a", PACKET, b"b", "S: c", FIN) as peer:
        packets = await packets_of(peer)
    assert packets == [b"250-mx\r\n250 SIZE\r\n", b"a\r\n", b"bc\r\n"]


async def test_answers_come_from_a_table() -> None:
    table = {"NOOP": "250 ok", "RETR 1": "+OK\nhello\n.", "DATA": "354 go", ".": "250 taken", "QUIT": "221 bye"}
    async with ScriptedPeer("S: 220 mx", Answers(table)) as peer:
        reader, writer = await opened(peer)
        writer.write(b"noop\r\nRETR 1\r\nDATA\r\n.\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
        said = await reader.readexactly(78)
        writer.close()
    assert said == (
        b"220 mx\r\n250 ok\r\n+OK\r\nhello\r\n.\r\n354 go\r\n250 taken\r\n354 go\r\n250 taken\r\n221 bye\r\n"
    )


async def test_chunks_are_heard_before_they_are_answered() -> None:
    table = {"BDAT": "250 more", ".": "250 for a\n550 for b", "QUIT": "221 bye"}
    async with ScriptedPeer(Answers(table)) as peer:
        reader, writer = await opened(peer)
        writer.write(b"BDAT 6\r\nQUIT\r\nbdat 0\r\nBDAT 6 last\r\nQUIT\r\nQUIT\r\n")
        said = await reader.readexactly(51)
        writer.close()
    assert said == b"250 more\r\n250 more\r\n250 for a\r\n550 for b\r\n221 bye\r\n"


async def test_answers_end_when_the_client_closes() -> None:
    async with ScriptedPeer(Answers({"DATA": "503 no"}), "S: to nobody", lenient=True) as peer:
        reader, writer = await opened(peer)
        writer.write(b"DATA\r\n")
        assert await reader.readline() == b"503 no\r\n"
        writer.close()
    assert peer.commands == ["DATA"]


async def test_what_nobody_has_asked_for_before_a_reset_is_lost() -> None:
    async with ScriptedPeer("C: QUIT", RST) as peer:
        reader, writer = await opened(peer)
        writer.write(b"QUIT\r\nNOOP\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_client_that_may_close_need_not_be_told_what_follows() -> None:
    async with ScriptedPeer(LISTEN, "S: 221 bye") as peer:
        (await peer.connect()).close()
    assert peer.sent == 0


async def test_a_peer_that_does_not_read_can_still_speak() -> None:
    async with ScriptedPeer(Hear(2), NO_READING, "S: 552 no", buffer_size=4096) as peer:
        reader, writer = await opened(peer)
        writer.write(b"x" * 1_000_000)
        assert await reader.readline() == b"552 no\r\n"
        await drain_events()
        assert len(peer.wire) < 100_000
        writer.transport.abort()


@pytest.mark.parametrize("step", ["C: QUIT", Hear(1), MAIL_DATA, CLIENT_HELLO, Answers({}), LISTEN])
async def test_a_peer_that_does_not_read_takes_no_step_for_heard(step: Step) -> None:
    async with ScriptedPeer(NO_READING, step, "S: x") as peer:
        _, writer = await opened(peer)
        writer.write(b"QUIT\r\n.\r\n" * 10)
        await drain_events()
        assert (peer.heard, peer.sent) == (b"", 0)
        writer.close()


async def test_what_is_heard_when_the_test_is_over_is_recorded_and_not_kept() -> None:
    async with ScriptedPeer(NO_READING) as peer:
        with await peer.connect() as client:
            client.send(b"QUIT\r\n")
    assert peer.heard == b"QUIT\r\n"
    assert peer._play is not None
    assert peer._play._hearing.unread == b""


async def test_packets_can_be_single_octets() -> None:
    async with ScriptedPeer("S: 220 mx", CLOSE, packet_size=1) as peer:
        packets = await packets_of(peer)
    assert packets == [b"2", b"2", b"0", b" ", b"m", b"x", b"\r", b"\n"]


async def test_a_peer_waits_until_it_may_go_on() -> None:
    async with ScriptedPeer(WAIT, "S: 220 mx", WAIT, "S: 250 mx") as peer:
        end = await peer.connect()
        await drain_events()
        assert peer.sent == 0
        peer.go_on()
        await drain_events()
        assert peer.sent == 8
        peer.go_on()
        await drain_events()
        assert peer.sent == 16
        end.close()


async def test_a_wait_ends_with_the_test() -> None:
    async with ScriptedPeer("C: QUIT", WAIT) as peer:
        _, writer = await opened(peer)
        writer.write(b"QUIT\r\n")
        writer.close()


async def test_all_waits_end_with_the_test() -> None:
    async with ScriptedPeer(WAIT, WAIT, WAIT) as peer:
        (await peer.connect()).close()


# What is slow, or without end


@pytest.mark.parametrize("said", ["S: 220 mx", b"220 mx\r\n"], ids=["line", "octets"])
async def test_what_is_slow_takes_its_time(said: str | bytes) -> None:
    clock = Clock()
    async with ScriptedPeer("S: a", Slow(said, 0.5), "S: z", guard=None) as peer:
        reader, writer = await opened(peer)
        assert await reader.readline() == b"a\r\n"
        arrived = []
        for _ in range(7):
            await drain_events()
            arrived.append(peer.sent - 3)
            await clock.advance(2)
        assert arrived == [1, 2, 3, 4, 5, 6, 7]
        assert await reader.readline() == b"220 mx\r\n"
        assert await reader.readline() == b"z\r\n"
        writer.close()


async def test_slowness_can_have_no_end() -> None:
    clock = Clock()
    async with ScriptedPeer(Slow(Endless(b"ab"), 1), guard=None) as peer:
        reader, writer = await opened(peer)
        for _ in range(4):
            await clock.advance(1)
        assert await reader.readexactly(5) == b"ababa"
        writer.close()


@pytest.mark.parametrize("step", [Slow(b"220 mx\r\n", 0.001), Slow(Endless(b"a"), 0.001), Endless(b"a")], ids=repr)
@pytest.mark.parametrize("before", [(), (NO_READING,)], ids=["reading", "not reading"])
async def test_a_client_that_does_not_wait_for_the_end_fails_no_test(step: Step, before: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*before, step) as peer:
        reader, writer = await opened(peer)
        assert len(await reader.readexactly(1)) == 1
        writer.close()
    assert peer.sent > 0


async def test_what_has_no_end_is_said_as_fast_as_it_is_taken_in() -> None:
    async with ScriptedPeer(Endless(b"250-x\r\n")) as peer:
        reader, writer = await opened(peer)
        for _ in range(100_000):
            assert await reader.readline() == b"250-x\r\n"
        writer.close()
    assert peer.sent >= 700_000


async def test_while_something_slow_is_said_the_client_is_heard() -> None:
    async with ScriptedPeer(Slow(b"ab", 1000), "C: QUIT", "S: 221 bye") as peer:
        reader, writer = await opened(peer)
        writer.write(b"QUIT\r\n")
        assert await reader.readexactly(11) == b"ab221 bye\r\n"
        writer.close()


@pytest.mark.parametrize(
    ("script", "heard"),
    [
        ([Slow(Endless(b"a"), 0.001), "C: QUIT"], b"QUIT\r\n"),
        ([NO_READING, Slow(Endless(b"a"), 0.001)], b""),
    ],
    ids=["reading", "not reading"],
)
async def test_who_says_something_slow_hears_all_the_while_what_he_may(script: list[Step], heard: bytes) -> None:
    async with ScriptedPeer(*script) as peer:
        reader, writer = await opened(peer)
        assert await reader.readexactly(1) == b"a"
        writer.write(b"QUIT\r\n")
        await drain_events()
        assert peer.wire == heard
        writer.close()


async def test_a_client_that_was_gone_before_hears_nothing() -> None:
    async with ScriptedPeer(Hear(1), PACKET, PACKET, Endless(b"a")) as peer:
        _, writer = await opened(peer)
        writer.write(b"x")
        writer.close()
    assert peer.heard == b"x"


# TLS


async def test_tls_is_deciphered_and_recorded() -> None:
    async with ScriptedPeer("C: STARTTLS", "S: 220 go", Tls(), "C: EHLO x", "S: 250 mx") as peer:
        reader, writer = await opened(peer)
        writer.write(b"STARTTLS\r\n")
        await reader.readline()
        await writer.start_tls(client_context(), server_hostname="localhost")
        writer.write(b"EHLO x\r\n")
        assert await reader.readline() == b"250 mx\r\n"
        writer.close()
        await writer.wait_closed()
    assert peer.heard == b"STARTTLS\r\nEHLO x\r\n"
    assert peer.wire.startswith(b"STARTTLS\r\n\x16\x03")
    assert b"EHLO" not in peer.wire


async def test_octets_can_be_put_on_the_wire_beneath_tls() -> None:
    async with ScriptedPeer(Beneath(b"220 mx\r\n"), Tls(), Beneath(b"250 mx\r\n"), LISTEN) as peer:
        reader, writer = await opened(peer)
        assert await reader.readline() == b"220 mx\r\n"
        await writer.start_tls(client_context(), server_hostname="localhost")
        with pytest.raises(ssl.SSLError):
            await reader.readline()
        writer.transport.abort()


async def test_what_is_put_beneath_a_connection_that_is_gone_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="the client was gone when it was told"):  # noqa: PT012
        async with ScriptedPeer("C: QUIT", PACKET, PACKET, *[Beneath(b"x" * 500_000)] * 4) as peer:
            _, writer = await opened(peer)
            writer.write(b"QUIT\r\n")
            await drain_events()
            writer.transport.abort()


async def test_a_handshake_that_the_client_gives_up_ends_the_script() -> None:
    async with ScriptedPeer(Tls("expired"), "S: 220 mx", "C: EHLO ...", listen=True) as peer:
        with pytest.raises(OSError, match="CERTIFICATE"):
            await asyncio.open_connection("127.0.0.1", peer.port, ssl=client_context())
    assert peer.handshake_error is not None
    assert peer.sent == 0
    assert peer.heard == b""


async def test_a_client_that_goes_on_in_the_clear_is_told_of_at_once() -> None:
    async def go_on() -> None:
        async with ScriptedPeer("C: STARTTLS", "S: 220 go", Tls(), "C: EHLO ...") as peer:
            reader, writer = await opened(peer)
            writer.write(b"STARTTLS\r\n")
            await reader.readline()
            writer.write(b"AUTH PLAIN " + b"x" * 1000 + b"\r\n")
            said.append(await reader.read())
            writer.close()

    said: list[bytes] = []
    with pytest.raises(AssertionError, match=r"expected a handshake, the client said b'AUTH PLAIN x{89}' \.\.\. b'x+"):
        await go_on()
    assert said == [b""]


@pytest.mark.parametrize("step", ["C: NOOP", LISTEN, STALL, Endless(b"x"), Answers({"NOOP": "250 ok"})])
async def test_a_client_that_goes_on_in_the_clear_beneath_tls_fails_the_test(step: Step) -> None:
    async def go_on() -> None:
        async with ScriptedPeer(Tls(), step, lenient=True) as peer:
            _, writer = await opened(peer)
            wire = writer.transport
            await writer.start_tls(client_context(), server_hostname="localhost")
            await drain_events()  # uvloop says the last of the handshake behind that
            wire.write(b"NOOP\r\n")
            await drain_events()
            writer.transport.abort()

    with pytest.raises(AssertionError, match=r"^the client said what is no part of the TLS session: .*WRONG_VERSION"):
        await go_on()


async def test_a_client_may_go_in_place_of_a_handshake() -> None:
    async with ScriptedPeer(Tls(), "S: 220 mx") as peer:
        (await peer.connect()).close()
    assert peer.handshake_error is not None


async def test_a_good_close_is_told_under_tls() -> None:
    async with ScriptedPeer(Tls(), "S: 221 bye", CLOSE) as peer:
        reader, writer = await secured(peer)
        assert await reader.read() == b"221 bye\r\n"
        writer.close()
        await writer.wait_closed()


async def test_the_end_of_a_connection_is_not_told_under_tls_where_it_ends_by_fin() -> None:
    def hear(port: int) -> tuple[bytes, bytes]:
        with (
            socket.create_connection(("127.0.0.1", port)) as end,
            client_context().wrap_socket(end, server_hostname="localhost", suppress_ragged_eofs=False) as secured,
        ):
            return secured.recv(100), secured.recv(100)

    async with ScriptedPeer(Tls(), "S: 221 bye", CLOSE, listen=True) as peer:
        assert await asyncio.to_thread(hear, peer.port) == (b"221 bye\r\n", b"")
    async with ScriptedPeer(Tls(), "S: 221 bye", FIN, listen=True) as peer:
        with pytest.raises(ssl.SSLEOFError):
            await asyncio.to_thread(hear, peer.port)


async def test_tls_is_broken_by_an_alert_and_what_is_said_then_is_lost() -> None:
    async with ScriptedPeer(Tls(), "C: NOOP", "S: 250 ok", ALERT) as peer:
        reader, writer = await secured(peer)
        writer.write(b"NOOP\r\n")
        assert await reader.readline() == b"250 ok\r\n"
        writer.write(b"QUIT\r\n")
        with pytest.raises(ssl.SSLError, match="_ALERT_"):
            await reader.readline()
        writer.transport.abort()
    assert peer.commands == ["NOOP"]


async def test_a_close_notify_can_be_withheld() -> None:
    async with ScriptedPeer(Tls(), WITHHOLD) as peer:
        reader, writer = await secured(peer)
        writer.close()
        await drain_events()
        assert not reader.at_eof()
        writer.transport.abort()


async def test_a_handshake_can_be_begun_and_left() -> None:
    async with ScriptedPeer(CLIENT_HELLO, FIN) as peer:
        with pytest.raises(ConnectionError):
            await secured(peer)
    assert peer.wire.startswith(b"\x16\x03")
