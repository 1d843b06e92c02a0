import asyncio
import socket

from mailwire.testing.turns import drain_events, turns


async def test_a_turn_lets_every_task_run_once() -> None:
    seen: list[int] = []

    async def count() -> None:
        while True:
            seen.append(len(seen))
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await turns(3)
    assert seen == [0, 1, 2]
    counting.cancel()


async def test_after_two_turns_what_was_sent_has_arrived() -> None:
    class Arrival(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            arrived.append(data)

    arrived: list[bytes] = []
    ours, theirs = socket.socketpair()
    with ours:
        transport, _ = await asyncio.get_running_loop().create_connection(Arrival, sock=theirs)
        ours.send(b"x")
        await turns()
        assert arrived == [b"x"]
        transport.abort()


async def test_events_are_drained_through_many_impulses() -> None:
    hops = 0

    def hop() -> None:
        nonlocal hops
        hops += 1
        if hops < 20:
            asyncio.get_running_loop().call_soon(hop)

    hop()
    await drain_events()
    assert hops == 20
