import asyncio

from mailwire.maildrop.loop_lock import LoopLock


def test_a_lock_is_held_by_one_at_a_time_in_one_loop_after_the_other() -> None:
    lock = LoopLock()
    inside = 0

    async def hold() -> None:
        nonlocal inside
        async with lock.held():
            assert inside == 0
            inside += 1
            await asyncio.sleep(0)
            inside -= 1

    async def meet() -> None:
        await asyncio.gather(hold(), hold(), hold())

    for _ in range(2):
        asyncio.run(meet())
