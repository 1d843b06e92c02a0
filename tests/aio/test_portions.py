import asyncio
from collections.abc import Iterator

from mailwire.aio.portions import PORTION, finish, finish_in_turns, portions


def test_items_come_a_thousand_at_a_time() -> None:
    assert PORTION == 1_000
    assert [len(portion) for portion in portions(range(2_001))] == [1_000, 1_000, 1]
    assert list(portions("abc")) == [["a", "b", "c"]]
    assert list(portions(())) == []


def steps_of(seen: list[str]) -> Iterator[None]:
    for number in range(3):
        seen.append(f"step {number}")
        yield
    seen.append("done")


def test_a_work_is_gone_through_at_once() -> None:
    seen: list[str] = []
    finish(steps_of(seen))
    assert seen == ["step 0", "step 1", "step 2", "done"]


async def test_a_work_is_gone_through_while_others_have_their_turns() -> None:
    seen: list[str] = []
    work = asyncio.create_task(finish_in_turns(steps_of(seen)))
    while not work.done():
        seen.append("other")
        await asyncio.sleep(0)
    assert seen == ["other", "step 0", "other", "step 1", "other", "step 2", "other", "done"]
