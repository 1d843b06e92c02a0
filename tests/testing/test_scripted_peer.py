"""The peer that other tests trust: it fails a test whose client leaves the script."""

import asyncio
import socket
import ssl
from contextlib import suppress
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
    InThread,
    ScriptedPeer,
    Slow,
    Step,
    Tls,
    client_context,
)
from mailwire.testing.turns import drain_events, turns
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


async def test_a_failure_of_the_script_is_told_before_what_came_of_it() -> None:
    async def fail() -> None:
        async with ScriptedPeer("C: QUIT") as peer:
            reader, writer = await opened(peer)
            writer.write(b"NOOP\r\n")
            said = await reader.read()
            writer.close()
            assert said == b"never"

    with pytest.raises(AssertionError, match="it said 'NOOP'") as caught:
        await fail()
    assert isinstance(caught.value.__cause__, AssertionError)


async def test_a_test_that_fails_by_itself_fails_as_it_would() -> None:
    async def fail() -> None:
        async with ScriptedPeer(STALL) as peer:
            with await peer.connect():
                raise KeyError("of the test")

    with pytest.raises(KeyError, match="of the test"):
        await fail()


async def test_a_test_that_fails_while_its_client_is_there_fails_as_it_would() -> None:
    ends: list[socket.socket] = []

    async def fail() -> None:
        async with ScriptedPeer(STALL, guard=2) as peer:
            ends.append(await peer.connect())
            raise KeyError("of the test")

    with pytest.raises(KeyError, match="of the test"):
        await fail()
    ends[0].close()


@pytest.mark.parametrize(
    ("script", "notes"),
    [
        (
            ["S: 220 mx", "C: QUIT"],
            ["of the peer: expected the client to say 'QUIT', it closed (b'' is left); at step 2 of 2, 'C: QUIT'"],
        ),
        (["S: 220 mx"], []),
    ],
)
async def test_a_test_that_is_cancelled_is_cancelled(script: list[Step], notes: list[str]) -> None:
    connected = asyncio.Event()

    async def hang() -> None:
        async with ScriptedPeer(*script) as peer:
            with await peer.connect():
                connected.set()
                await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await connected.wait()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await hanging
    assert getattr(caught.value, "__notes__", []) == notes


def test_what_interrupts_a_test_from_the_keyboard_comes_out() -> None:
    def interrupt() -> None:
        with InThread(ScriptedPeer("S: 220 mx", "C: QUIT", listen=True)) as peer:
            with socket.create_connection(("127.0.0.1", peer.port)) as client:
                assert client.recv(100) == b"220 mx\r\n"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupt()
    assert caught.value.__notes__[0].startswith("of the peer: expected the client to say 'QUIT', it closed")


@pytest.mark.parametrize("error", [SystemExit(1), pytest.skip.Exception("not here"), pytest.xfail.Exception("known")])
@pytest.mark.parametrize("said", [b"QUIT\r\n", b"NOOP\r\n"])
async def test_what_ends_a_test_without_a_failure_comes_out(error: BaseException, said: bytes) -> None:
    async def end() -> None:
        async with ScriptedPeer("C: QUIT") as peer:
            with await peer.connect() as client:
                client.send(said)
                raise error

    with pytest.raises(type(error)) as caught:
        await end()
    assert caught.value is error
    notes = [note.split(",")[0] for note in getattr(error, "__notes__", [])]
    assert notes == ["of the peer: expected the client to say 'QUIT'"] * (said == b"NOOP\r\n")
    error.__notes__ = []


async def test_a_test_that_pytest_has_failed_is_told_of_behind_the_failure_of_the_script() -> None:
    async def fail() -> None:
        async with ScriptedPeer("C: QUIT") as peer:
            with await peer.connect() as client:
                client.send(b"NOOP\r\n")
                pytest.fail("of the test")

    with pytest.raises(AssertionError, match="it said 'NOOP'") as caught:
        await fail()
    assert isinstance(caught.value.__cause__, pytest.fail.Exception)


async def test_a_failure_of_the_script_keeps_its_own_cause() -> None:
    async def leave() -> None:
        async with ScriptedPeer("C: NOOP", PACKET, PACKET, "S: ok") as peer:
            with await peer.connect() as client:
                client.send(b"NOOP\r\n")

    with pytest.raises(AssertionError, match="the client was gone") as caught:
        await leave()
    assert isinstance(caught.value.__cause__, BrokenPipeError)


async def test_who_is_cancelled_while_the_play_ends_leaves_nothing_behind() -> None:
    ends: list[socket.socket] = []

    async def stay() -> None:
        async with ScriptedPeer("C: QUIT") as peer:
            ends.append(await peer.connect())

    for count in range(2, 60):
        staying = asyncio.create_task(stay())
        await turns(count)
        staying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await staying
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with ends.pop() as end:
            assert end.recv(100) == b""


async def test_who_is_cancelled_while_the_play_ends_is_told_what_the_peer_has() -> None:
    ends: list[socket.socket] = []

    async def fail() -> None:
        async with ScriptedPeer("C: QUIT") as peer:
            ends.append(await peer.connect())
            raise KeyError("of the test")

    failing = asyncio.create_task(fail())
    await turns(10)
    ends[0].send(b"NOOP\r\n")
    await turns(10)
    failing.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await failing
    assert caught.value.__notes__[0].startswith("of the peer: expected the client to say 'QUIT', it said 'NOOP'")
    assert isinstance(caught.value.__context__, KeyError)
    ends[0].close()


async def test_a_test_that_makes_nothing_of_being_ended_has_hung_all_the_same() -> None:
    async def hang() -> None:
        async with ScriptedPeer("C: NOOP", guard=0.01) as peer:
            with await peer.connect() as client:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
                client.send(b"NOOP\r\n")

    with pytest.raises(TimeoutError) as caught:
        await hang()
    assert caught.value.__notes__ == ["the test took longer than 0.01 seconds, at step 1 of 1, 'C: NOOP'"]


async def test_a_test_that_fails_when_it_is_ended_fails_as_it_would() -> None:
    async def hang() -> None:
        async with ScriptedPeer(STALL, guard=0.01) as peer:
            with await peer.connect():
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    raise KeyError("of the test") from None

    with pytest.raises(KeyError, match="of the test"):
        await hang()


async def test_where_a_test_has_hung_the_failure_of_the_script_is_told_first() -> None:
    async def hang() -> None:
        async with ScriptedPeer("C: QUIT", guard=0.01) as peer:
            with await peer.connect() as client:
                client.send(b"NOOP\r\n")
                await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="it said 'NOOP'") as caught:
        await hang()
    assert isinstance(caught.value.__cause__, TimeoutError)


async def test_what_is_no_step_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="'X: odd' is no step"):
        ScriptedPeer("S: 220 mx", "X: odd")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"packet_size": 0}, "packet_size to be a whole number, 1 at least, got 0"),
        ({"buffer_size": "4096"}, "buffer_size to be a whole number, from 1 to 2147483647, got '4096'"),
        ({"buffer_size": 2**31}, "buffer_size to be a whole number, from 1 to 2147483647, got 2147483648"),
        ({"guard": -1}, "guard to be a number, 0 at least, got -1"),
        ({"listen": "no"}, "listen to be True or False, got 'no'"),
        ({"lenient": 1}, "lenient to be True or False, got 1"),
        ({"optional": None}, "optional to be True or False, got None"),
    ],
)
def test_what_is_no_setting_is_refused_at_once(setting: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScriptedPeer("S: 220 mx", **setting)


@pytest.mark.parametrize("settings", [{}, {"listen": True}, {"lenient": True}])
async def test_a_client_that_never_connects_fails_the_test(settings: Any) -> None:
    with pytest.raises(AssertionError, match=r"nobody has connected to the peer; its script begins with 'S: 220 mx'$"):
        async with ScriptedPeer("S: 220 mx", STALL, **settings):
            pass


async def test_a_client_that_never_connects_fails_the_test_of_an_empty_script_as_well() -> None:
    with pytest.raises(AssertionError, match=r"^nobody has connected to the peer; its script is empty$"):
        async with ScriptedPeer():
            pass


async def test_of_a_script_that_begins_with_much_the_beginning_is_told() -> None:
    with pytest.raises(AssertionError) as caught:
        async with ScriptedPeer(b"x" * 1000):
            pass
    begins = f"its script begins with b'{'x' * 118}... (bytes)"
    assert str(caught.value) == f"nobody has connected to the peer; {begins}"


@pytest.mark.parametrize("listen", [False, True])
async def test_a_client_may_stay_away_where_that_is_meant(listen: bool) -> None:
    async with ScriptedPeer(STALL, listen=listen, optional=True):
        pass


async def test_where_a_test_has_failed_nobody_is_told_of_a_client_that_stayed_away() -> None:
    with pytest.raises(KeyError, match="of the test"):
        async with ScriptedPeer(STALL):
            raise KeyError("of the test")


async def test_a_client_that_came_and_went_is_heard() -> None:
    async with ScriptedPeer(LISTEN, listen=True) as peer:
        with socket.create_connection(("127.0.0.1", peer.port)) as client:
            client.send(b"QUIT\r\n")
    assert peer.commands == ["QUIT"]


async def test_a_second_connection_is_refused() -> None:
    async with ScriptedPeer(STALL) as peer:
        with await peer.connect(), pytest.raises(AssertionError, match="the script is for one connection"):
            await peer.connect()


async def test_a_client_that_does_not_close_fails_the_test() -> None:
    ends: list[socket.socket] = []

    async def stay() -> None:
        async with ScriptedPeer(STALL, guard=0.01) as peer:
            ends.append(await peer.connect())

    with pytest.raises(AssertionError, match="the client does not close; it said b''; behind the last step"):
        await stay()
    ends[0].close()


async def test_a_client_is_waited_for_no_longer_than_the_guard_allows() -> None:
    ends: list[socket.socket] = []
    clock = Clock()

    async def stay() -> None:
        async with ScriptedPeer(STALL, guard=2) as peer:
            ends.append(await peer.connect())

    staying = asyncio.create_task(stay())
    await clock.advance(3)
    assert staying.done()
    with pytest.raises(AssertionError, match="the client does not close"):
        await staying
    ends[0].close()


async def test_without_a_guard_a_client_must_still_close() -> None:
    ends: list[socket.socket] = []
    clock = Clock()

    async def stay() -> None:
        async with ScriptedPeer("C: QUIT", guard=None) as peer:
            ends.append(await peer.connect())

    staying = asyncio.create_task(stay())
    await clock.advance(10)
    with pytest.raises(AssertionError, match="the client does not close; it said b''; at step 1 of 1, 'C: QUIT'"):
        await staying
    ends[0].close()


async def test_a_test_that_hangs_is_ended() -> None:
    async def hang() -> None:
        async with ScriptedPeer(STALL, guard=0.01) as peer:
            with await peer.connect():
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError) as caught:
        await hang()
    assert caught.value.__notes__ == ["the test took longer than 0.01 seconds, behind the last step"]
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_a_test_that_hangs_before_its_client_connects_is_told_so() -> None:
    async def hang() -> None:
        async with ScriptedPeer("S: 220 mx", guard=0.01):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError) as caught:
        await hang()
    assert caught.value.__notes__ == ["the test took longer than 0.01 seconds, before a client has connected"]


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
            if peer.port:
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


async def test_a_command_that_is_no_text_is_shown() -> None:
    async with ScriptedPeer(LISTEN) as peer:
        assert (peer.sent, peer.commands, peer.port) == (0, [], 0)
        with await peer.connect() as client:
            client.send(b"NOOP \xff\r\nQU")
    assert peer.commands == ["NOOP \\xff"]


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


async def test_a_reset_reaches_the_client() -> None:
    async with ScriptedPeer("S: 220 mx", RST) as peer:
        reader, writer = await opened(peer)
        assert await reader.readline() == b"220 mx\r\n"
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert writer.get_extra_info("peername")[1] > 1023  # one that anybody may have
        writer.close()


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


@pytest.mark.parametrize(("size", "is_small"), [(4096, True), (None, False)])
async def test_a_port_has_buffers_of_that_size_as_well(size: int | None, is_small: bool) -> None:
    held = 0
    async with ScriptedPeer(NO_READING, listen=True, buffer_size=size) as peer:
        with socket.socket() as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            end.connect(("127.0.0.1", peer.port))
            end.setblocking(False)
            with suppress(BlockingIOError):
                while held < 30_000:
                    held += end.send(b"x" * 1000)
    assert (held < 30_000) is is_small


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


async def test_who_may_go_on_before_the_peer_is_begun_does_not_wait() -> None:
    peer = ScriptedPeer(WAIT, "S: 220 mx")
    peer.go_on()
    async with peer:
        end = await peer.connect()
        await drain_events()
        assert peer.sent == 8
        end.close()


async def test_a_wait_ends_with_the_test() -> None:
    async with ScriptedPeer("C: QUIT", WAIT) as peer:
        _, writer = await opened(peer)
        writer.write(b"QUIT\r\n")
        writer.close()


async def test_all_waits_end_with_the_test() -> None:
    async with ScriptedPeer(WAIT, WAIT, WAIT) as peer:
        (await peer.connect()).close()


async def test_a_peer_rests_when_its_client_takes_nothing_in() -> None:
    async with ScriptedPeer(b"x" * 4_000_000, lenient=True) as peer:
        end = await peer.connect()
        await peer.rest()
        sent = peer.sent
        assert 0 < sent < 4_000_000
        await drain_events()
        assert peer.sent == sent
        end.close()


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


# Leading a client here


async def test_an_endpoint_leads_to_the_peer() -> None:
    async with ScriptedPeer(STALL) as peer:
        endpoint = peer.endpoint(protocol="pop3", tls="starttls")
        assert (endpoint.host, endpoint.protocol, endpoint.tls) == ("localhost", "pop3", "starttls")
        assert endpoint.tls_context is not None
        assert endpoint.connect is not None
        end = await endpoint.connect()
        assert isinstance(end, socket.socket)
        end.close()


async def test_an_endpoint_may_lead_here_by_another_connector() -> None:
    async with ScriptedPeer("S: 220 mx") as peer:
        endpoint = peer.endpoint(connect=peer.connect_streams)
        assert endpoint.connect is not None
        made = await endpoint.connect()
        assert isinstance(made, tuple)
        made[1].close()


async def test_an_endpoint_leads_to_the_port_of_a_peer_that_listens() -> None:
    async with ScriptedPeer("S: 220 mx", listen=True) as peer:
        endpoint = peer.endpoint()
        assert (endpoint.host, endpoint.port, endpoint.connect) == ("127.0.0.1", peer.port, None)
        assert (endpoint.protocol, peer.endpoint(protocol="pop3").protocol) == ("smtp", "pop3")
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        assert await reader.readline() == b"220 mx\r\n"
        writer.close()


async def test_streams_hold_already_what_is_said_first() -> None:
    async with ScriptedPeer("S: 220 mx", FIN) as peer:
        reader, writer = await peer.connect_streams()
        assert peer.sent == 8
        assert reader.at_eof() is False
        reading = reader.read(100)
        with pytest.raises(StopIteration, match="220 mx"):
            reading.send(None)
        writer.close()


# How it is used


async def test_a_second_client_at_a_port_is_refused() -> None:
    async with ScriptedPeer("S: hi", LISTEN, listen=True) as peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        assert await reader.readline() == b"hi\r\n"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", peer.port)
        writer.close()


async def test_each_peer_that_listens_has_a_port_of_its_own() -> None:
    async with (
        ScriptedPeer("S: one", listen=True, optional=True) as one,
        ScriptedPeer("S: two", listen=True, optional=True) as two,
    ):
        assert one.port != two.port


async def test_a_peer_plays_once() -> None:
    peer = ScriptedPeer(LISTEN)
    async with peer:
        (await peer.connect()).close()
    with pytest.raises(RuntimeError, match=r"^a peer plays its script once: a second connection needs another one$"):
        await peer.__aenter__()


async def test_no_client_is_led_to_a_peer_that_does_not_play() -> None:
    async with ScriptedPeer(LISTEN, optional=True) as over:
        pass
    alone = "^the peer plays its script within the `async with` alone: nobody is there to talk to$"
    for peer in (ScriptedPeer(LISTEN), over):
        with pytest.raises(RuntimeError, match=alone):
            await peer.connect()
        with pytest.raises(RuntimeError, match=alone):
            await peer.connect_streams()
    async with ScriptedPeer(LISTEN, listen=True, optional=True) as over:
        pass
    with pytest.raises(RuntimeError, match=alone):
        over.endpoint()
    with pytest.raises(RuntimeError, match=r"^the peer has no port before it is begun, by `async with`$"):
        ScriptedPeer(LISTEN, listen=True).endpoint()


async def test_a_peer_that_listens_has_no_other_way_to_it() -> None:
    async with ScriptedPeer("S: 220 mx", listen=True, optional=True) as peer:
        for connect in (peer.connect, peer.connect_streams):
            with pytest.raises(
                RuntimeError, match=rf"^the peer listens, and a client connects to its port, {peer.port}$"
            ):
                await connect()


class Unbound(ScriptedPeer):
    """A peer of which no socket is as it should be."""

    def _bound_buffers(self, end: socket.socket) -> None:
        self.made = [*getattr(self, "made", []), end]
        raise OSError("no buffers")


async def test_a_peer_that_cannot_listen_is_not_begun() -> None:
    peer = Unbound(LISTEN, listen=True, guard=0)
    with pytest.raises(OSError, match="no buffers"):
        await peer.__aenter__()
    await drain_events()  # as nobody is cancelled by the guard
    assert [end.fileno() for end in peer.made] == [-1]
    with pytest.raises(RuntimeError, match="no port"):
        peer.endpoint()


async def test_a_connection_that_cannot_be_made_leaves_no_end_of_it() -> None:
    async with Unbound(LISTEN, optional=True) as peer:
        with pytest.raises(OSError, match="no buffers"):
            await peer.connect()
    assert [end.fileno() for end in peer.made] == [-1]


@pytest.mark.parametrize("listen", [False, True])
async def test_a_peer_that_is_begun_outside_a_task_is_not_begun(listen: bool) -> None:
    peer = ScriptedPeer("S: 220 mx", listen=listen, optional=True)
    failures: list[str] = []

    def begin() -> None:
        try:
            peer.__aenter__().send(None)
        except RuntimeError as failure:
            failures.append(str(failure))

    asyncio.get_running_loop().call_soon(begin)
    await drain_events()
    assert failures == ["Timeout should be used inside a task"]
    assert peer.port == 0
    async with peer:
        assert bool(peer.port) is listen


async def test_a_chunk_has_a_size() -> None:
    async def play() -> None:
        async with ScriptedPeer(Answers({"BDAT": "250 ok"})) as peer:
            with await peer.connect() as client:
                client.send(b"BDAT many\r\n")

    with pytest.raises(AssertionError, match="expected the client to say the size of a chunk, it said 'BDAT many'"):
        await play()
