import asyncio
from contextlib import suppress

from mailwire.aio.turn import Turn
from mailwire.testing.turns import drain_events


async def test_the_end_of_a_turn_is_no_cancellation_though_there_was_one_before() -> None:
    turn = Turn()

    async def go_on_all_the_same() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        turn.begin(asyncio.current_task())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            if turn.leave(error):
                raise
        return "went on"

    task = asyncio.create_task(go_on_all_the_same())
    await drain_events()
    task.cancel()
    await drain_events()
    assert turn.task is not None
    await turn.end()
    assert await task == "went on"
    assert turn.task is None
