"""Each call of input and output fails, in every flow: what comes out is an error of ours, nothing is left behind, and
nobody lies.
"""

import asyncio
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from mailwire import DeadlineExceeded, MailwireError
from mailwire.testing import client_context, server_context
from tests.faults.flows import FLOWS, OF_THIS_MACHINE, Flow, Run, judge, make_server, sending_files
from tests.faults.other_flows import ALL
from tests.faults.primitives import KINDS, Primitives, failing_context, failing_files, failing_loop, failing_modules
from tests.faults.remains import Remains, leaving_nothing
from tests.integration.conftest import demand_libraries
from tests.time_lapse import TimeLapse
from tests.waiting import loop_class

# Those that are tried in every run.
ORDINARY: Final = (*FLOWS, *OF_THIS_MACHINE)
# And where the system takes little at a time.
IN_PIECES: Final = ("DATA", "STARTTLS", "POP3 commit")

IN_C: Final = "uvloop reads and writes in C, where nothing of Python's can fail in its stead"

# So many octets are taken at a time where it is little: less than a message has, or than a command where none is sent.
LITTLE: Final = 500
LEAST: Final = 5

# The number of a call that is not made.
NONE = 2000


async def play(flow: Flow, primitives: Primitives) -> None:
    with TemporaryDirectory() as folder:
        await play_at(f"{folder}/lmtp" if flow.is_local else None, flow, primitives)


async def play_at(path: str | None, flow: Flow, primitives: Primitives) -> None:
    tls_context = server_context() if flow.is_encrypted else None
    async with Remains() as remains, make_server(flow, tls_context, lmtp_path=path) as server:
        context = failing_context(client_context(), primitives)
        run = Run(flow.endpoint(flow.port(server), context, "localhost", path), open_file=failing_files(primitives))
        error: BaseException | None = None
        try:
            with failing_modules(primitives):
                await flow.play(run)
        except (MailwireError, primitives.kind) as caught:
            error = caught
        primitives.outcome = None if error is None else type(error)
        for _ in range(5):
            await asyncio.sleep(0)
        remains.check()
        assert primitives.has_failed or error is None
        if not isinstance(error, MailwireError | None):
            assert primitives.kind is MemoryError, f"{error!r} is none of our errors"
        assert flow.play is sending_files or not run.is_connected, "the connection could be used again"
        await server.wait_idle()
        judge(flow, run, server, is_intact=True)


def fail(flow: Flow, number: int, kind: type[Exception], loop: str, piece: int | None = None) -> Primitives:
    primitives, lapse = Primitives(number, kind, piece), TimeLapse()
    loop_kind = failing_loop(loop_class(loop), primitives)
    with (
        leaving_nothing(primitives.excused),
        asyncio.Runner(loop_factory=lambda: lapse.loop(loop_kind)) as runner,
    ):
        runner.run(play(flow, primitives))
    assert all(map(primitives.may_be_told, lapse.faults)), lapse.faults
    return primitives


def fail_everywhere(flow: Flow, kind: type[Exception], loop: str, piece: int | None = None) -> list[str]:
    number = 1
    while (primitives := fail(flow, number, kind, loop, piece)).has_failed:
        number += 1
        assert number < NONE
    return primitives.calls


def trials(*ordinary: str) -> Iterator[Any]:
    for flow in ALL:
        for kind in KINDS:
            is_ordinary = flow in ordinary and kind is KINDS[0]
            yield pytest.param(flow, kind, marks=[] if is_ordinary else [pytest.mark.exhaustive])


@pytest.mark.parametrize(("flow", "kind"), [*trials(*ORDINARY)])
def test_a_call_that_fails_is_an_error_and_no_more(flow: str, kind: type[Exception], loop: str) -> None:
    calls = fail_everywhere(ALL[flow], kind, loop)
    expected = {"socket", "connect", "create_connection", "setblocking"}
    if not ALL[flow].is_local:
        expected |= {"getaddrinfo", "setsockopt"}
    if ALL[flow].is_encrypted:
        expected |= {"do_handshake", "read", "write"}
    if ALL[flow].tls == "starttls":
        expected |= {"start_tls"}
    if flow == "messages from files":
        expected |= {"FileIO", "stat", "read", "seek", "tell", "seekable"}
    if loop == "asyncio":
        expected |= {"register", "unregister"} | ({"close"} if kind is OSError else set())
    assert expected <= {*calls}
    assert len(calls) > (15 if loop == "asyncio" else len(expected))  # uvloop reads and writes in C


@pytest.mark.parametrize(("flow", "kind"), [*trials(*IN_PIECES)])
def test_a_call_that_fails_where_the_system_takes_little_at_a_time_is_an_error_and_no_more(
    flow: str, kind: type[Exception], loop: str
) -> None:
    if loop == "uvloop":
        pytest.skip(IN_C)
    sends_mail = ALL[flow].mails > 0 and flow != "all or nobody"
    calls = fail_everywhere(ALL[flow], kind, loop, piece=LITTLE if sends_mail else LEAST)
    assert {"register", "modify", "unregister", "send"} <= {*calls}


@pytest.mark.parametrize("flow", ["DATA", "STARTTLS", "LMTP by a Unix socket", "POP3", "POP3 commit"])
def test_a_connection_that_is_never_read_ends_at_its_deadline(flow: str, loop: str) -> None:
    if loop == "uvloop":
        pytest.skip(IN_C)
    calls = fail(ALL[flow], NONE, KINDS[0], loop).calls
    made = calls.index("create_connection")
    numbers = [number for number, name in enumerate(calls, 1) if name == "register" and number > made]
    assert len(numbers) == (2 if ALL[flow].is_encrypted else 1)
    for number in numbers:
        assert fail(ALL[flow], number, KINDS[0], loop).outcome is DeadlineExceeded


def test_a_call_that_fails_is_an_error_and_no_more_under_uvloop() -> None:
    demand_libraries("uvloop")
    calls = fail_everywhere(FLOWS["STARTTLS"], KINDS[0], "uvloop")
    assert {"getaddrinfo", "connect", "create_connection", "start_tls", "do_handshake", "read", "write"} <= {*calls}


@pytest.mark.parametrize("flow", ORDINARY)
def test_reading_and_writing_are_among_the_calls(flow: str, loop: str) -> None:
    if loop == "uvloop":
        pytest.skip(IN_C)
    calls = fail(ALL[flow], NONE, KINDS[0], loop).calls
    assert min(calls.count("recv_into"), calls.count("send")) > 3
