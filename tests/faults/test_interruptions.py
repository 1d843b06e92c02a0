"""Every flow interrupted at every turn of the event loop: it ends at once, leaves nothing behind, and nobody lies.

The flows close what they have opened, so the interruption comes while they do that, too.
"""

import asyncio
import gc
import warnings
from collections.abc import Callable
from itertools import count

import pytest

from mailwire import MailwireError
from mailwire.testing import server_context
from mailwire.testing.turns import turns
from tests.faults.flows import FLOWS, Flow, Run, judge, make_server
from tests.faults.matrix import open_files
from tests.integration.conftest import demand_libraries
from tests.time_lapse import TimeLapse
from tests.waiting import loop_class

# The steps between the turns that are tried in every run.
STRIDE = 17

Interrupt = Callable[[asyncio.Task[None], TimeLapse], list[int]]


def cancel(task: asyncio.Task[None], _: TimeLapse) -> list[int]:
    task.cancel()
    return []


def cancel_twice(task: asyncio.Task[None], _: TimeLapse) -> list[int]:
    task.cancel()
    return [1]


def cancel_again_while_it_closes(task: asyncio.Task[None], _: TimeLapse) -> list[int]:
    task.cancel()
    return [3, 9]


def run_out_of_time(_: asyncio.Task[None], lapse: TimeLapse) -> list[int]:
    lapse.ahead += 100_000
    return []


INTERRUPTS: list[Interrupt] = [cancel, cancel_twice, cancel_again_while_it_closes, run_out_of_time]


async def play(flow: Flow, interrupt: Interrupt, turn: int, lapse: TimeLapse) -> bool:
    """Interrupt `flow` at this turn; return whether it was finished before."""
    async with make_server(flow, server_context() if flow.is_encrypted else None) as server:
        run = Run(flow.endpoint(flow.port(server)))
        task: asyncio.Task[None] = asyncio.ensure_future(flow.play(run))
        await turns(turn)
        was_finished = task.done()
        if not was_finished:
            for pause in interrupt(task, lapse):
                await turns(pause)
                task.cancel()
        await asyncio.wait([task])
        error = None if task.cancelled() else task.exception()
        if was_finished or interrupt is run_out_of_time:
            assert not task.cancelled()
            assert error is None or (isinstance(error, MailwireError) and not was_finished), repr(error)
        else:
            assert task.cancelled(), f"the cancellation was swallowed: {error!r}"
        await turns(3)
        left = {task for task in asyncio.all_tasks() if "/mailwire/aio/" in repr(task)}
        assert not left, "a task was left behind"
        judge(flow, run, server, is_intact=True)
        await server.wait_idle()
        judge(flow, run, server, is_intact=True)
    return was_finished


def interrupt_at(name: str, interrupt: Interrupt, turn: int, loop: str) -> bool:
    kind, lapse = loop_class(loop), TimeLapse()
    before = open_files()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with asyncio.Runner(loop_factory=lambda: lapse.loop(kind)) as runner:
            was_finished = runner.run(play(FLOWS[name], interrupt, turn, lapse))
        gc.collect()
    assert lapse.faults == []
    assert open_files() == before, "a file or socket was left open"
    return was_finished


@pytest.mark.parametrize("interrupt", INTERRUPTS)
def test_an_interruption_leaves_nothing_behind(interrupt: Interrupt, loop: str) -> None:
    interrupt_some(interrupt, loop)


def test_a_cancellation_leaves_nothing_behind_under_uvloop() -> None:
    demand_libraries("uvloop")
    interrupt_some(cancel_again_while_it_closes, "uvloop")


def interrupt_some(interrupt: Interrupt, loop: str) -> None:
    for row, name in enumerate(FLOWS):
        for turn in count((row + INTERRUPTS.index(interrupt)) * 7 % STRIDE, STRIDE):
            if interrupt_at(name, interrupt, turn, loop):
                break


@pytest.mark.exhaustive
@pytest.mark.parametrize("interrupt", INTERRUPTS)
@pytest.mark.parametrize("name", FLOWS)
def test_an_interruption_at_any_turn_leaves_nothing_behind(name: str, interrupt: Interrupt, loop: str) -> None:
    for turn in count():
        assert turn < 5000
        if interrupt_at(name, interrupt, turn, loop):
            break
    assert turn > (16 if name == "eager" else 20)  # where there is no more to wait for than one flight
