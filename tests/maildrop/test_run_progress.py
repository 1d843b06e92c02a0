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


async def test_where_nobody_is_told_a_retrieval_tells_nothing() -> None:
    progress = RunProgress(None)
    await progress.expect([Fetch(ONE, "u1")])
    assert progress.tell is None
