"""Ten thousand sessions, two hundred at once, of which every tenth goes wrong: in the end nothing of them is left, and
what was said of their mails is so.
"""

import asyncio
import ctypes
import gc
import logging
import math
import tracemalloc
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final

import pytest

from mailwire import Delivery, MailwireError
from mailwire.testing import Bandwidth, BitFlip, Cut, Fault, FaultProxy, HalfClose, Latency, Slices, server_context
from tests.faults.flows import Flow, Run, judge_mails, make_server, sending
from tests.faults.remains import Remains, leaving_nothing, open_files
from tests.time_lapse import TimeLapse
from tests.waiting import loop_class

SESSIONS = 10_000
AT_ONCE = 200
# Where the loop is asked to look closely, which takes it seven times as long: in each run of the suite, and else.
FEW = 40
DEBUGGED = 2000
# Those behind which nothing may grow.
WARM = 1000
MEBIBYTE = 1024 * 1024
KIBIBYTE = 1024

# The size of something, in octets, and by how much of that it may grow behind the first thousand sessions.
Gauge = tuple[Callable[[], int], int]


def resident() -> int:
    """The octets of this process that are in memory, without what is free and kept for later.

    That may be more than all else, comes and goes with how much is done at a time, and would hide what is left behind:
    glibc gives back by itself what is free at the end of its heap alone.
    """
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def traced() -> int:
    """The octets that Python has allocated and not freed."""
    return tracemalloc.get_traced_memory()[0]


RESIDENT: Final[Gauge] = (resident, 5 * MEBIBYTE)
TRACED: Final[Gauge] = (traced, 256 * KIBIBYTE)


def choose(_: int, chance: Random) -> list[Fault]:
    if chance.random() >= 0.1:
        return []
    at = chance.randrange(4000)
    kinds: list[Fault] = [
        *(Cut(at), Cut(at, of="client"), Cut(at, by="FIN"), HalfClose(at), HalfClose(at, of="client"), BitFlip(at)),
        *(Latency(1, jitter=50), Slices(50), Bandwidth(1000), Cut(0)),
    ]
    return [chance.choice(kinds)]


async def batch(flow: Flow, seed: int, at_once: int) -> Counter[str]:
    """Do so many sessions at once, before a server of their own; return what they came to.

    Of each mail it is asserted that what is said of it is so.
    """
    outcomes: Counter[str] = Counter()
    runs: list[Run] = []
    finished: list[Run] = []
    tls_context = server_context() if flow.is_encrypted else None
    async with (
        Remains() as remains,
        make_server(flow, tls_context) as server,
        FaultProxy(flow.port(server), choose, seed=seed) as proxy,
    ):

        async def session(run: Run) -> None:
            try:
                await flow.play(run)
            except MailwireError as error:
                outcomes[type(error).__name__] += 1
            else:
                outcomes["done"] += 1
                finished.append(run)

        runs += (Run(flow.endpoint(proxy.port), first=flow.mails * number) for number in range(at_once))
        await asyncio.gather(*map(session, runs))
        await asyncio.sleep(0)
        remains.check()
        await server.wait_idle()
    receipts = {number: receipt for run in runs for number, receipt in run.receipts.items()}
    judge_mails(flow.mails * at_once, receipts, server, is_intact=True)
    for run in finished:
        assert [receipt.delivery for receipt in run.receipts.values()] == [Delivery.ACCEPTED] * flow.mails
    return outcomes


def soak(
    flow: Flow, sessions: int, loop: str, gauge: Gauge = RESIDENT, *, at_once: int = AT_ONCE, debug: bool = False
) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    kind, lapse = loop_class(loop), TimeLapse()
    measure, allowed = gauge
    with leaving_nothing(), asyncio.Runner(loop_factory=lambda: lapse.loop(kind), debug=debug) as runner:
        runner.get_loop().slow_callback_duration = math.inf  # it is no matter of this, how busy the machine is
        after_a_thousand, files = 0, set[str]()
        for number in range(sessions // at_once):
            outcomes += runner.run(batch(flow, number, at_once))
            gc.collect()
            if number == 0:
                files = open_files()
            assert open_files() == files, "a file or socket was left open"
            if number == WARM // at_once:
                after_a_thousand = measure()
        growth = measure() - after_a_thousand if after_a_thousand else 0
        assert growth < allowed, f"it has grown by {growth / KIBIBYTE:.0f} KiB"
    assert lapse.faults == []
    assert sum(outcomes.values()) == sessions
    return outcomes


FLOWS = {
    "SMTP": Flow(sending, mails=2),
    "SMTP over TLS": Flow(sending, tls="implicit", mails=2),
}


def assert_some_went_wrong(outcomes: Counter[str]) -> None:
    assert outcomes.total() * 0.8 < outcomes["done"] < outcomes.total()


@pytest.mark.parametrize("name", FLOWS)
def test_of_some_sessions_nothing_is_left(name: str, loop: str) -> None:
    assert_some_went_wrong(soak(FLOWS[name], AT_ONCE, loop))


@pytest.mark.parametrize("sessions", [FEW, pytest.param(DEBUGGED, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", FLOWS)
def test_a_loop_that_looks_closely_has_nothing_to_complain_of(
    name: str, sessions: int, loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        outcomes = soak(FLOWS[name], sessions, loop, at_once=min(sessions, AT_ONCE), debug=True)
    assert caplog.records == []
    assert outcomes["done"] < sessions


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FLOWS)
def test_of_ten_thousand_sessions_nothing_is_left(name: str, loop: str) -> None:
    assert_some_went_wrong(soak(FLOWS[name], SESSIONS, loop))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FLOWS)
def test_of_ten_thousand_sessions_python_keeps_nothing(name: str, loop: str) -> None:
    tracemalloc.start()
    try:
        assert_some_went_wrong(soak(FLOWS[name], SESSIONS, loop, TRACED))
    finally:
        tracemalloc.stop()
