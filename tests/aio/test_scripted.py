"""The peer that the other tests trust: it fails a test whose client leaves the script."""

import asyncio
import socket

import pytest

from tests.scripted import (
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
    Clock,
    Hear,
    Peer,
    Step,
    Tls,
    authority_context,
    drain_events,
)


async def opened(peer: Peer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=await peer.connect())


@pytest.mark.parametrize(
    ("script", "said", "failure"),
    [
        (["C: QUIT"], b"NOOP\r\n", "expected the client to say 'QUIT', it said 'NOOP'"),
        (["C: MAIL ..."], b"RCPT TO:<b>\r\n", "expected the client to say 'MAIL ...'"),
        (["C: QUIT"], b"QUIT\n", "a line that ends in CRLF"),
        (["C: QUIT"], b"QU", "it closed"),
        (["C: QUIT"], b"QUIT\r\nNOOP\r\n", "beyond the end of the script"),
        ([STALL], b"NOOP", "beyond the end of the script"),
        ([Hear(10)], b"123456789", "expected 10 octets"),
        ([MAIL_DATA], b"hello\r\n", "expected a message"),
        ([Answers({"NOOP": "250 ok"})], b"RSET\r\n", "no answer to 'RSET'"),
        (["C: NOOP", Tls()], b"NOOP\r\nRSET\r\n", "expected a handshake"),
        (["X: odd"], b"", "is no step"),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_a_client_that_leaves_the_script_fails_the_test(script: list[Step], said: bytes, failure: str) -> None:
    async def leave() -> None:
        async with Peer(*script) as peer:
            _, writer = await opened(peer)
            writer.write(said)
            writer.close()

    with pytest.raises(AssertionError, match=failure):
        await leave()


async def test_a_failure_of_the_script_is_told_before_what_came_of_it() -> None:
    async def fail() -> None:
        async with Peer("C: QUIT") as peer:
            reader, writer = await opened(peer)
            writer.write(b"NOOP\r\n")
            said = await reader.read()
            writer.close()
            assert said == b"never"

    with pytest.raises(AssertionError, match="it said 'NOOP'") as caught:
        await fail()
    assert isinstance(caught.value.__cause__, AssertionError)


async def test_a_client_that_never_connects_ends_the_test_all_the_same() -> None:
    async with Peer(STALL):
        pass


async def test_a_script_is_played() -> None:
    async with Peer(
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


async def test_answers_come_from_a_table() -> None:
    table = {"NOOP": "250 ok", "RETR 1": "+OK\nhello\n.", "DATA": "354 go", ".": "250 taken", "QUIT": "221 bye"}
    async with Peer("S: 220 mx", Answers(table)) as peer:
        reader, writer = await opened(peer)
        writer.write(b"NOOP\r\nRETR 1\r\nDATA\r\n.\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
        said = await reader.readexactly(78)
        writer.close()
    assert said == (
        b"220 mx\r\n250 ok\r\n+OK\r\nhello\r\n.\r\n354 go\r\n250 taken\r\n354 go\r\n250 taken\r\n221 bye\r\n"
    )


async def test_a_reset_reaches_the_client() -> None:
    async with Peer("S: 220 mx", RST) as peer:
        reader, writer = await opened(peer)
        assert await reader.readline() == b"220 mx\r\n"
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_peer_that_does_not_read_can_still_speak() -> None:
    async with Peer(Hear(2), NO_READING, "S: 552 no", buffer_size=4096) as peer:
        reader, writer = await opened(peer)
        writer.write(b"x" * 1_000_000)
        assert await reader.readline() == b"552 no\r\n"
        await drain_events()
        assert len(peer.wire) < 100_000
        writer.transport.abort()


async def test_packets_can_be_single_octets() -> None:
    async with Peer("S: 220 mx", CLOSE, packet_size=1) as peer:
        end = await peer.connect()
        packets = []
        end.setblocking(False)
        while packet := await asyncio.get_running_loop().sock_recv(end, 100):
            packets.append(packet)
        end.close()
    assert packets == [b"2", b"2", b"0", b" ", b"m", b"x", b"\r", b"\n"]


async def test_tls_is_deciphered_and_recorded() -> None:
    async with Peer("C: STARTTLS", "S: 220 go", Tls(), "C: EHLO x", "S: 250 mx") as peer:
        reader, writer = await opened(peer)
        writer.write(b"STARTTLS\r\n")
        await reader.readline()
        await writer.start_tls(authority_context(), server_hostname="localhost")
        writer.write(b"EHLO x\r\n")
        assert await reader.readline() == b"250 mx\r\n"
        writer.close()
        await writer.wait_closed()
    assert peer.heard == b"STARTTLS\r\nEHLO x\r\n"
    assert peer.wire.startswith(b"STARTTLS\r\n\x16\x03")
    assert b"EHLO" not in peer.wire


async def test_a_handshake_that_the_client_gives_up_is_noted() -> None:
    async with Peer(Tls("expired"), listen=True) as peer:
        with pytest.raises(OSError, match="CERTIFICATE"):
            await asyncio.open_connection("127.0.0.1", peer.port, ssl=authority_context())
    assert peer.handshake_error is not None


async def test_a_close_notify_can_be_withheld() -> None:
    async with Peer(Tls(), WITHHOLD) as peer:
        reader, writer = await asyncio.open_connection(
            sock=await peer.connect(), ssl=authority_context(), server_hostname="localhost"
        )
        writer.close()
        await drain_events()
        assert not reader.at_eof()
        writer.transport.abort()


async def test_a_handshake_can_be_begun_and_left() -> None:
    async with Peer(CLIENT_HELLO, FIN) as peer:
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(
                sock=await peer.connect(), ssl=authority_context(), server_hostname="localhost"
            )
    assert peer.wire.startswith(b"\x16\x03")


async def test_a_client_that_does_not_close_fails_the_test() -> None:
    ends: list[socket.socket] = []

    async def stay() -> None:
        async with Peer(STALL, guard=0.01) as peer:
            ends.append(await peer.connect())

    with pytest.raises(AssertionError, match="does not close"):
        await stay()
    ends[0].close()


async def test_a_test_that_hangs_is_ended() -> None:
    async def hang() -> None:
        async with Peer(STALL, guard=0.01) as peer:
            with await peer.connect():
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await hang()


async def test_a_peer_waits_until_it_may_go_on() -> None:
    async with Peer(WAIT, "S: 220 mx") as peer:
        end = await peer.connect()
        await drain_events()
        assert peer.sent == 0
        peer.go_on()
        await drain_events()
        assert peer.sent == 8
        end.close()


async def test_the_clock_can_be_put_forward() -> None:
    clock = Clock()
    sleeping = asyncio.create_task(asyncio.sleep(3600))
    await clock.advance(3599)
    assert not sleeping.done()
    await clock.advance(1)
    assert sleeping.done()
