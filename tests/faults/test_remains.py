"""What is left behind is found out, wherever flows are tried, and whatever it is; what only seems to be left is not."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Final

import pytest

from mailwire import Delivery, Receipt, RecipientReceipt
from mailwire.smtp import Reply
from mailwire.smtp.delivery import joined_word
from mailwire.testing import Account, MailServer
from tests.faults.flows import FLOWS, RECIPIENTS, Flow, Run, judge_receipt, sending
from tests.faults.matrix import lead_unharmed
from tests.faults.other_flows import ALL
from tests.faults.primitives import KINDS
from tests.faults.remains import Remains, leaving_nothing
from tests.faults.test_call_k_fails import NONE, fail
from tests.faults.test_interruptions import cancel, interrupt_at
from tests.faults.test_soak import soak

# A turn in which every flow is under way.
TURN: Final = 5

kept: list[object] = []
"""What is planted, so that it is not the garbage collector that finds it."""


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    kept.clear()


def lead(flow: Flow, loop: str) -> None:
    lead_unharmed(flow, loop)


def fail_nowhere(flow: Flow, loop: str) -> None:
    fail(flow, NONE, KINDS[0], loop)


def interrupt(flow: Flow, loop: str) -> None:
    interrupt_at(flow, cancel, TURN, loop)


def soak_some(flow: Flow, loop: str) -> None:
    soak(flow, 1, loop, at_once=1)


TRIALS: Final = (lead, fail_nowhere, interrupt, soak_some)

Plant = Callable[[], Awaitable[None]]


async def plant_a_task() -> None:
    kept.append(asyncio.create_task(asyncio.Event().wait()))


async def plant_a_thread() -> None:
    thread = threading.Thread(target=release.wait, daemon=True)
    thread.start()


async def plant_an_executor() -> None:
    executor = ThreadPoolExecutor(1)
    kept.append(executor)
    await asyncio.wrap_future(executor.submit(int))


async def plant_a_socket() -> None:
    kept.append(socket.socket())


async def plant_a_warning() -> None:
    socket.socket()  # which nobody closes


release = threading.Event()

PLANTS: Final[dict[Plant, str]] = {
    plant_a_task: "a task was left behind",
    plant_a_thread: "a thread was left behind",
    plant_an_executor: "a thread was left behind",
    plant_a_socket: "a file or socket was left open",
    plant_a_warning: "there was a warning: .*unclosed",
}


def planting(plant: Plant) -> Flow:
    async def play(run: Run) -> None:
        await plant()
        await sending(run)

    return replace(FLOWS["DATA"], play=play)


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("trial", TRIALS)
def test_what_a_flow_leaves_behind_is_found_out(trial: Callable[[Flow, str], None], plant: Plant, loop: str) -> None:
    release.clear()
    try:
        with pytest.raises(AssertionError, match=PLANTS[plant]):
            trial(planting(plant), loop)
    finally:
        release.set()
        clear_up()


def clear_up() -> None:
    for thing in kept:
        if isinstance(thing, socket.socket):
            thing.close()
        elif isinstance(thing, ThreadPoolExecutor):
            thing.shutdown()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon and "(wait)" in thread.name:
            thread.join()


async def use_a_thread() -> None:
    await asyncio.to_thread(int)


async def begin_and_end_a_task() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def use_an_executor() -> None:
    with ThreadPoolExecutor(1) as executor:
        await asyncio.get_running_loop().run_in_executor(executor, int)


@pytest.mark.parametrize("harmless", [use_a_thread, begin_and_end_a_task, use_an_executor])
@pytest.mark.parametrize("trial", TRIALS)
def test_what_is_over_or_the_loops_own_is_not_left_behind(
    trial: Callable[[Flow, str], None], harmless: Plant, loop: str
) -> None:
    trial(planting(harmless), loop)


async def test_what_the_kit_does_is_no_task_that_is_left_until_the_kit_is_closed() -> None:
    server = MailServer([Account("b", "")])
    remains = Remains()
    await remains.__aenter__()
    await server.start()
    remains.check()
    with pytest.raises(AssertionError, match=r"a task was left behind.*Acceptor"):
        await remains.__aexit__(None, None, None)
    await server.close()
    await remains.__aexit__(None, None, None)


def test_a_thread_that_the_default_executor_keeps_is_not_left_behind() -> None:
    async def use() -> None:
        before = threading.active_count()
        async with Remains() as remains:
            await asyncio.to_thread(int)
            assert threading.active_count() == before + 1
            remains.check()

    with leaving_nothing(), asyncio.Runner() as runner:
        runner.run(use())


async def test_the_test_may_have_tasks_of_its_own() -> None:
    remains = Remains()
    await remains.__aenter__()
    own = asyncio.create_task(asyncio.Event().wait())
    remains.check(own)
    with pytest.raises(AssertionError, match="a task was left behind"):
        remains.check()
    own.cancel()
    with suppress(asyncio.CancelledError):
        await own
    remains.check()


def test_of_what_was_there_before_nothing_is_said() -> None:
    with socket.socket(), leaving_nothing():
        pass


def interrupt_behind_its_end(flow: Flow, loop: str) -> None:
    interrupt_at(flow, cancel, NONE, loop)


def say_that_all_were_refused(run: Run) -> None:
    run.receipts = {number: saying(receipt, 0, Delivery.REFUSED) for number, receipt in run.receipts.items()}
    run.receipts = {number: saying(receipt, 1, Delivery.REFUSED) for number, receipt in run.receipts.items()}


def say_nothing(run: Run) -> None:
    run.receipts.clear()


def say_that_the_first_was_not_sent_to_one(run: Run) -> None:
    run.receipts[0] = saying(run.receipts[0], 1, Delivery.NOT_SENT)


def say_that_the_second_is_in_doubt(run: Run) -> None:
    run.receipts[1] = replace(run.receipts[1], delivery=Delivery.UNKNOWN)


def saying(receipt: Receipt, place: int, word: Delivery) -> Receipt:
    entries = list(receipt.recipients)
    entries[place] = replace(entries[place], delivery=word)
    return replace(receipt, delivery=joined_word([entry.delivery for entry in entries]), recipients=tuple(entries))


LIES: Final[dict[Callable[[Run], None], str]] = {
    say_that_all_were_refused: "is there for b@example.org, and said to be Delivery.REFUSED",
    say_nothing: "is there for b@example.org, and said to be Delivery.NOT_SENT",
    say_that_the_first_was_not_sent_to_one: "mail 0 is there for c@example.org, and said to be Delivery.NOT_SENT",
    say_that_the_second_is_in_doubt: "the words do not agree",
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("trial", [lead, fail_nowhere, interrupt_behind_its_end, soak_some])
def test_what_is_not_true_is_found_out(
    trial: Callable[[Flow, str], None], lie: Callable[[Run], None], loop: str
) -> None:
    async def play(run: Run) -> None:
        await sending(run)
        lie(run)

    with pytest.raises(AssertionError, match=LIES[lie]):
        trial(replace(FLOWS["DATA"], play=play), loop)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", ["one is refused", "one is refused in the end"])
def test_where_one_is_refused_it_is_found_out_if_the_word_of_the_other_is_said_to_be_his(
    name: str, place: int, loop: str
) -> None:
    async def play(run: Run) -> None:
        await sending(run)
        for number, receipt in run.receipts.items():
            run.receipts[number] = saying(receipt, place, receipt.recipients[1 - place].delivery)

    with pytest.raises(AssertionError, match=r"is not there for|is there for"):
        fail_nowhere(replace(ALL[name], play=play), loop)


@pytest.mark.parametrize("code", [250, 450, 550])
def test_a_receipt_that_has_the_wrong_recipients_tried_again_is_found_out(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = Reply(code, (b"so",))
    entries = [
        RecipientReceipt(RECIPIENTS[0], reply, Delivery.UNKNOWN if code == 250 else Delivery.REFUSED),
        RecipientReceipt(RECIPIENTS[1], None, Delivery.NOT_SENT),
    ]
    receipt = Receipt(joined_word([entry.delivery for entry in entries]), "", tuple(entries), None, 0)
    judge_receipt(receipt)
    is_so = {entry.address: entry.is_retryable for entry in entries}
    is_so[RECIPIENTS[0]] = not is_so[RECIPIENTS[0]]
    monkeypatch.setattr(RecipientReceipt, "is_retryable", property(lambda entry: is_so[entry.address]))
    with pytest.raises(AssertionError, match=r"it may be tried again, or not: b@example\.org"):
        judge_receipt(receipt)
