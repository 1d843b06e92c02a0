"""Every flow interrupted at every turn of the event loop: it ends at once, leaves nothing behind, and nobody lies.

The flows close what they have opened, so the interruption comes while they do that, too.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from tempfile import TemporaryDirectory

import pytest

from mailwire import MailwireError
from mailwire.testing import server_context
from mailwire.testing.turns import turns
from tests.faults.flows import Flow, Run, judge, make_server
from tests.faults.other_flows import ALL
from tests.faults.remains import Remains, leaving_nothing
from tests.integration.conftest import demand_libraries
from tests.time_lapse import TimeLapse
from tests.waiting import Poll, T, loop_class

# The steps between the turns that are tried in every run.
STRIDE = 17


class Turns(TimeLapse):
    """Counts the turns of the loop, and does something in one of them.

    What nobody does anything in is no turn: who waits, waits for as long as it takes in a single one.

    has_begun: whether the first of what was planned is done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = False
        self._task: asyncio.Task[None] | None = None
        self._steps: list[tuple[int, Callable[[], object]]] = []

    def plan(self, task: "asyncio.Task[None]", *steps: tuple[int, Callable[[], object]]) -> None:
        """Do each of these, so many turns behind the one before, unless `task` is finished by then."""
        self._task, self._steps = task, [*steps]

    def run_out(self) -> None:
        """Let the time of everybody who waits be over."""
        self.ahead += 100_000

    def wait(self, poll: Poll[T], timeout: float | None) -> list[T]:
        if self._task is None or self._task.done() or not self._steps:
            return super().wait(poll, timeout)
        (left, do), *others = self._steps
        if left:
            self._steps[0] = left - 1, do
            return super().wait(poll, timeout)
        self._steps, self.has_begun = others, True
        do()
        return poll(0)


Interrupt = Callable[["asyncio.Task[None]", Turns, int], None]


def cancel(task: "asyncio.Task[None]", lapse: Turns, turn: int) -> None:
    lapse.plan(task, (turn, task.cancel))


def cancel_twice(task: "asyncio.Task[None]", lapse: Turns, turn: int) -> None:
    lapse.plan(task, (turn, task.cancel), (1, task.cancel))


def cancel_again_while_it_closes(task: "asyncio.Task[None]", lapse: Turns, turn: int) -> None:
    lapse.plan(task, (turn, task.cancel), (3, task.cancel), (9, task.cancel))


def run_out_of_time(task: "asyncio.Task[None]", lapse: Turns, turn: int) -> None:
    lapse.plan(task, (turn, lapse.run_out))


INTERRUPTS: list[Interrupt] = [cancel, cancel_twice, cancel_again_while_it_closes, run_out_of_time]


async def play(flow: Flow, interrupt: Interrupt, turn: int, lapse: Turns) -> bool:
    """Interrupt `flow` at this turn; return whether it was finished before."""
    with TemporaryDirectory() as folder:
        return await play_at(f"{folder}/lmtp" if flow.is_local else None, flow, interrupt, turn, lapse)


async def play_at(path: str | None, flow: Flow, interrupt: Interrupt, turn: int, lapse: Turns) -> bool:
    tls_context = server_context() if flow.is_encrypted else None
    async with Remains() as remains, make_server(flow, tls_context, lmtp_path=path) as server:
        run = Run(flow.endpoint(flow.port(server), unix_path=path))
        task: asyncio.Task[None] = asyncio.ensure_future(flow.play(run))
        interrupt(task, lapse, turn)
        await asyncio.wait([task])
        was_finished = not lapse.has_begun
        error = None if task.cancelled() else task.exception()
        if was_finished or interrupt is run_out_of_time:
            assert not task.cancelled()
            assert error is None or (isinstance(error, MailwireError) and not was_finished), repr(error)
        else:
            assert task.cancelled(), f"the cancellation was swallowed: {error!r}"
        await turns(3)
        remains.check()
        judge(flow, run, server, is_intact=True)
        await server.wait_idle()
        judge(flow, run, server, is_intact=True)
    return was_finished


def interrupt_at(flow: Flow, interrupt: Interrupt, turn: int, loop: str) -> bool:
    kind, lapse = loop_class(loop), Turns()
    with leaving_nothing(), asyncio.Runner(loop_factory=lambda: lapse.loop(kind)) as runner:
        was_finished = runner.run(play(flow, interrupt, turn, lapse))
    assert lapse.faults == []
    return was_finished


@pytest.mark.parametrize("interrupt", INTERRUPTS)
def test_an_interruption_leaves_nothing_behind(interrupt: Interrupt, loop: str) -> None:
    interrupt_some(interrupt, loop)


def test_a_cancellation_leaves_nothing_behind_under_uvloop() -> None:
    demand_libraries("uvloop")
    interrupt_some(cancel_again_while_it_closes, "uvloop")


def interrupt_some(interrupt: Interrupt, loop: str) -> None:
    for row, name in enumerate(ALL):
        for turn in count((row + INTERRUPTS.index(interrupt)) * 7 % STRIDE, STRIDE):
            if interrupt_at(ALL[name], interrupt, turn, loop):
                break


@pytest.mark.exhaustive
@pytest.mark.parametrize("interrupt", INTERRUPTS)
@pytest.mark.parametrize("name", ALL)
def test_an_interruption_at_any_turn_leaves_nothing_behind(name: str, interrupt: Interrupt, loop: str) -> None:
    for turn in count():
        assert turn < 5000
        if interrupt_at(ALL[name], interrupt, turn, loop):
            break
    # Less where there is no more to wait for than one flight, or one mail.
    assert turn > (12 if "eager" in name or name == "one call" else 18)
