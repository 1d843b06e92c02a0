import asyncio

from mailwire.aio.retrieval_progress import RetrievalProgress
from mailwire.maildrop import Fetch
from mailwire.maildrop.run_progress import RunProgress
from mailwire.pop3 import Entry

ONE, TWO, THREE, FOUR = (Entry(number, f"u{number}", 10 * number) for number in (1, 2, 3, 4))


async def test_retrievals_are_told_as_one() -> None:
    told: list[RetrievalProgress] = []
    progress = RunProgress(told.append)
    fetches = [Fetch(ONE, "u1"), Fetch(TWO, "u2"), Fetch(THREE, "u3", lines=5), Fetch(FOUR, "u4")]
    await progress.expect(fetches)
    for fetch in (fetches[1], fetches[2]):  # one that need not come, and one that is not counted
        progress.leave_out(fetch)
    assert progress.tell is not None
    progress.tell(RetrievalProgress(ONE, 4, 1, 1, 4, 10))
    progress.tell(RetrievalProgress(ONE, 9, 1, 1, 9, 10))
    progress.add_up(1)
    progress.add_up(0)
    progress.tell(RetrievalProgress(FOUR, 5, 1, 1, 5, 40))

    assert told == [
        RetrievalProgress(ONE, 4, 1, 2, 4, 50),
        RetrievalProgress(ONE, 9, 1, 2, 9, 50),
        RetrievalProgress(FOUR, 5, 2, 2, 14, 50),
    ]


async def test_a_run_is_told_of_whole_and_others_have_a_turn_behind_each_thousand() -> None:
    told: list[RetrievalProgress] = []
    progress = RunProgress(told.append)
    work = asyncio.create_task(progress.expect([Fetch(ONE, "u1")] * 1_001 + [Fetch(TWO, "u2")] * 1_000))
    turns = 0
    while not work.done():
        turns += 1
        await asyncio.sleep(0)
    progress.add_up(0)  # a retrieval of none, of which nothing was told
    assert progress.tell is not None
    progress.tell(RetrievalProgress(ONE, 4, 1, 1, 4, 10))

    assert told == [RetrievalProgress(ONE, 4, 1, 2_001, 4, 30_010)]
    assert turns == 4


async def test_where_nobody_is_told_a_retrieval_tells_nothing() -> None:
    progress = RunProgress(None)
    await progress.expect([Fetch(ONE, "u1")])
    assert progress.tell is None
