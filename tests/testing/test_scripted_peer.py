"""The peer that other tests trust: it fails a test whose client leaves the script."""

import asyncio
import gc
import socket
import ssl
from contextlib import suppress
from typing import Any

import pytest

from mailwire.testing import (
    FIN,
    LISTEN,
    NO_READING,
    PACKET,
    RST,
    STALL,
    WAIT,
    InThread,
    ScriptedPeer,
    Step,
    Tls,
    client_context,
)
from mailwire.testing.turns import drain_events, turns
from tests.clock import Clock
from tests.failing_sockets import descriptors_left


async def opened(peer: ScriptedPeer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=await peer.connect())


# What fails a test


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


async def test_a_reset_reaches_the_client() -> None:
    async with ScriptedPeer("S: 220 mx", RST) as peer:
        reader, writer = await opened(peer)
        assert await reader.readline() == b"220 mx\r\n"
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert writer.get_extra_info("peername")[1] > 1023  # one that anybody may have
        writer.close()


@pytest.mark.parametrize("lenient", [False, True])
async def test_who_goes_in_the_middle_fails_the_test_unless_the_peer_is_lenient(lenient: bool) -> None:
    async def leave() -> None:
        async with ScriptedPeer("C: QUIT", lenient=lenient) as peer:
            (await peer.connect()).close()

    if lenient:
        await leave()
    else:
        with pytest.raises(AssertionError, match="it closed"):
            await leave()


async def test_what_a_client_has_said_to_a_lenient_peer_is_heard_though_it_has_gone() -> None:
    async with ScriptedPeer("C: NOOP", PACKET, PACKET, "S: 250 ok", LISTEN, lenient=True) as peer:
        with await peer.connect() as client:
            client.send(b"NOOP\r\n" + b"x" * 70_000)
    assert len(peer.heard) == 70_006


async def test_any_thread_may_let_a_peer_go_on() -> None:
    async with ScriptedPeer(WAIT, "S: 220 mx") as peer:
        reader, writer = await opened(peer)
        await asyncio.to_thread(peer.go_on)
        assert await reader.readline() == b"220 mx\r\n"
        writer.close()


async def test_why_there_was_no_handshake_is_known() -> None:
    async with ScriptedPeer(Tls("expired")) as peer:
        assert peer.handshake_error is None
        end = await peer.connect()
        assert peer.handshake_error is None
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(sock=end, ssl=client_context(), server_hostname="localhost")
    assert isinstance(peer.handshake_error, ssl.SSLError)


async def test_a_command_that_is_no_text_is_shown() -> None:
    async with ScriptedPeer(LISTEN) as peer:
        assert (peer.sent, peer.commands) == (0, [])
        with await peer.connect() as client:
            client.send(b"NOOP \xff\r\nQU")
    assert peer.commands == ["NOOP \\xff"]


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


async def test_who_may_go_on_before_the_peer_is_begun_does_not_wait() -> None:
    peer = ScriptedPeer(WAIT, "S: 220 mx")
    peer.go_on()
    async with peer:
        end = await peer.connect()
        await drain_events()
        assert peer.sent == 8
        end.close()


async def test_a_peer_rests_when_its_client_takes_nothing_in() -> None:
    async with ScriptedPeer(b"x" * 4_000_000, lenient=True) as peer:
        end = await peer.connect()
        await peer.rest()
        sent = peer.sent
        assert 0 < sent < 4_000_000
        await drain_events()
        assert peer.sent == sent
        end.close()


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


async def test_a_peer_that_does_not_listen_leads_nobody_to_another_server() -> None:
    async with ScriptedPeer(LISTEN, optional=True) as peer:
        with pytest.raises(RuntimeError, match=r"^the peer has no port: .* or listens by listen=True$"):
            _ = peer.port
    with pytest.raises(RuntimeError, match=r"^the peer has no port before it is begun, by `async with`$"):
        _ = ScriptedPeer(LISTEN, listen=True).port
    async with ScriptedPeer(LISTEN, listen=True, optional=True) as peer:
        assert peer.port > 0


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


async def test_a_connection_for_which_there_is_no_descriptor_left_leaves_no_end_of_it() -> None:
    async with ScriptedPeer(RST, optional=True) as peer:
        with descriptors_left(2), pytest.raises(OSError, match="Too many open files"):
            await peer.connect()
        gc.collect()  # an end that was left open would complain now


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
    assert peer._port is None
    async with peer:
        assert bool(peer._port) is listen
