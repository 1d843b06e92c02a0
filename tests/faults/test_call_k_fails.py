"""Each call of input and output fails, in every flow: what comes out is an error of ours, nothing is left behind, and
nobody lies.
"""

import asyncio
import gc
import warnings
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from mailwire import MailwireError
from mailwire.testing import client_context, server_context
from tests.faults.flows import FLOWS, OF_THIS_MACHINE, Flow, Run, judge, make_server
from tests.faults.matrix import open_files
from tests.faults.primitives import KINDS, Primitives, failing_context, failing_files, failing_loop, failing_modules
from tests.integration.conftest import demand_libraries
from tests.time_lapse import TimeLapse
from tests.waiting import loop_class

ALL: Final = {**FLOWS, **OF_THIS_MACHINE}

# The number of a call that is not made.
NONE = 2000


async def play(flow: Flow, primitives: Primitives) -> None:
    with TemporaryDirectory() as folder:
        await play_at(f"{folder}/lmtp" if flow.is_local else None, flow, primitives)


async def play_at(path: str | None, flow: Flow, primitives: Primitives) -> None:
    async with make_server(flow, server_context() if flow.is_encrypted else None, lmtp_path=path) as server:
        context = failing_context(client_context(), primitives)
        run = Run(flow.endpoint(flow.port(server), context, "localhost", path), open_file=failing_files(primitives))
        error: BaseException | None = None
        try:
            with failing_modules(primitives):
                await flow.play(run)
        except (MailwireError, primitives.kind) as caught:
            error = caught
        for _ in range(5):
            await asyncio.sleep(0)
        left = {task for task in asyncio.all_tasks() if "/mailwire/aio/" in repr(task)}
        assert not left, "a task was left behind"
        assert primitives.has_failed or error is None
        if not isinstance(error, MailwireError | None):
            assert primitives.kind is MemoryError, f"{error!r} is none of our errors"
        await server.wait_idle()
        judge(flow, run, server, is_intact=True)


def fail(name: str, number: int, kind: type[Exception], loop: str) -> Primitives:
    primitives, lapse = Primitives(number, kind), TimeLapse()
    loop_kind = failing_loop(loop_class(loop), primitives)
    before = open_files()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with asyncio.Runner(loop_factory=lambda: lapse.loop(loop_kind)) as runner:
            runner.run(play(ALL[name], primitives))
        gc.collect()
    # Of what is no OSError asyncio tells the loop besides, and us as well.
    assert all("fails" in fault and kind is not OSError for fault in lapse.faults), lapse.faults
    assert open_files() == before, "a file or socket was left open"
    return primitives


def fail_everywhere(flow: str, kind: type[Exception], loop: str) -> list[str]:
    number = 1
    while (primitives := fail(flow, number, kind, loop)).has_failed:
        number += 1
        assert number < NONE
    return primitives.calls


@pytest.mark.parametrize("kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in KINDS[1:])])
@pytest.mark.parametrize("flow", ALL)
def test_a_call_that_fails_is_an_error_and_no_more(flow: str, kind: type[Exception], loop: str) -> None:
    calls = fail_everywhere(flow, kind, loop)
    expected = {"socket", "connect", "create_connection", "setblocking"}
    if not ALL[flow].is_local:
        expected |= {"getaddrinfo"}
    if ALL[flow].is_encrypted:
        expected |= {"do_handshake", "read", "write"}
    if ALL[flow].tls == "starttls":
        expected |= {"start_tls"}
    if flow == "messages from files":
        expected |= {"FileIO", "stat", "read", "seek", "tell", "seekable"}
    assert expected <= {*calls}
    assert len(calls) > (15 if loop == "asyncio" else len(expected))  # uvloop reads and writes in C


def test_a_call_that_fails_is_an_error_and_no_more_under_uvloop() -> None:
    demand_libraries("uvloop")
    calls = fail_everywhere("STARTTLS", KINDS[0], "uvloop")
    assert {"getaddrinfo", "connect", "create_connection", "start_tls", "do_handshake", "read", "write"} <= {*calls}


@pytest.mark.parametrize("flow", ALL)
def test_reading_and_writing_are_among_the_calls(flow: str, loop: str) -> None:
    if loop == "uvloop":
        pytest.skip("uvloop reads and writes in C, where nothing of Python's can fail in its stead")
    calls = fail(flow, NONE, KINDS[0], loop).calls
    assert min(calls.count("recv_into"), calls.count("send")) > 3
