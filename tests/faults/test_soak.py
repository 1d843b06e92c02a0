"""Ten thousand sessions, two hundred at once, of which every tenth goes wrong: in the end nothing of them is left."""

import asyncio
import ctypes
import gc
from collections import Counter
from random import Random

import pytest

from mailwire import MailwireError
from mailwire.testing import Bandwidth, BitFlip, Cut, Fault, FaultProxy, HalfClose, Latency, Slices, server_context
from tests.faults.flows import Flow, Run, make_server, sending
from tests.faults.matrix import open_files
from tests.time_lapse import TimeLapse
from tests.waiting import loop_class

AT_ONCE = 200
MEBIBYTE = 1024 * 1024


def resident(flow: Flow, loop: str) -> int:
    """The octets of this process that are in memory; for TLS under uvloop, without what is free and kept for later.

    That comes to a hundred MiB by and by, and no more: glibc gives back what is free at the end of its heap alone.
    """
    if loop == "uvloop" and flow.is_encrypted:
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def choose(_: int, chance: Random) -> list[Fault]:
    if chance.random() >= 0.1:
        return []
    at = chance.randrange(4000)
    kinds: list[Fault] = [
        *(Cut(at), Cut(at, of="client"), Cut(at, by="FIN"), HalfClose(at), HalfClose(at, of="client"), BitFlip(at)),
        *(Latency(1, jitter=50), Slices(50), Bandwidth(1000), Cut(0)),
    ]
    return [chance.choice(kinds)]


async def batch(flow: Flow, seed: int) -> Counter[str]:
    """Do two hundred sessions at once, before a server of their own; return what they came to."""
    outcomes: Counter[str] = Counter()
    tls_context = server_context() if flow.is_encrypted else None
    async with (
        make_server(flow, tls_context) as server,
        FaultProxy(flow.port(server), choose, seed=seed) as proxy,
    ):

        async def session() -> None:
            try:
                await flow.play(Run(flow.endpoint(proxy.port)))
            except MailwireError as error:
                outcomes[type(error).__name__] += 1
            else:
                outcomes["done"] += 1

        await asyncio.gather(*(session() for _ in range(AT_ONCE)))
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"left running: {left}"
    return outcomes


def soak(flow: Flow, sessions: int, loop: str) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    kind, lapse = loop_class(loop), TimeLapse()
    with asyncio.Runner(loop_factory=lambda: lapse.loop(kind)) as runner:
        after_a_thousand, files = 0, set[str]()
        for number in range(sessions // AT_ONCE):
            outcomes += runner.run(batch(flow, number))
            gc.collect()
            if number == 0:
                files = open_files()
            assert open_files() == files, "a file or socket was left open"
            if number == 1000 // AT_ONCE:
                after_a_thousand = resident(flow, loop)
        growth = resident(flow, loop) - after_a_thousand if after_a_thousand else 0
        assert growth < 5 * MEBIBYTE, f"it has grown by {growth / MEBIBYTE:.1f} MiB"
    assert lapse.faults == []
    assert sum(outcomes.values()) == sessions
    assert sessions * 0.8 < outcomes["done"] < sessions
    return outcomes


FLOWS = {
    "SMTP": Flow(sending, mails=2),
    "SMTP over TLS": Flow(sending, tls="implicit", mails=2),
}


@pytest.mark.parametrize("name", FLOWS)
def test_of_some_sessions_nothing_is_left(name: str, loop: str) -> None:
    soak(FLOWS[name], AT_ONCE, loop)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FLOWS)
def test_of_ten_thousand_sessions_nothing_is_left(name: str, loop: str) -> None:
    soak(FLOWS[name], 10_000, loop)
